"""Tables (placeholder being written)."""

from pydantic import BaseModel, ConfigDict


class ColumnSummary(BaseModel):
    name: str


class Preview(BaseModel):
    columns: tuple[str, ...]
