"""An uploaded dataset as clients see it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from contract.tabular import ColumnSummary, Preview
from contract.upload_format import UploadFormat


class DatasetRecord(BaseModel):
    """A dataset that was uploaded and can be trained on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: str
    name: str
    format: UploadFormat
    """What was uploaded; it is stored as Parquet."""
    bytes: int
    """Size of the upload."""
    sha256: str
    """Of the upload, in hexadecimal."""
    rows: int
    columns: tuple[ColumnSummary, ...]
    preview: Preview
    """The first rows, as they were read."""
    created_at: datetime
