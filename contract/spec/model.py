"""The ground every part of a job spec stands on: frozen, closed, finite."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SpecModel(BaseModel):
    """A part of a spec: immutable, no unknown fields, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_zero_fractions(cls, values: object) -> object:
        """JSON does not tell 64.0 from 64, so neither do we."""
        if not isinstance(values, dict):
            return values
        return {name: _without_zero_fraction(value) for name, value in values.items()}


def _without_zero_fraction(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# JSON's own types only: "64" is not a number and true is not 1.
Integer = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Positive = Annotated[Number, Field(gt=0, le=1e12)]
Flag = Annotated[bool, Field(strict=True)]
# No NUL: PostgreSQL stores none.
Text = Annotated[str, Field(strict=True, pattern=r"^[^\x00]*$")]
