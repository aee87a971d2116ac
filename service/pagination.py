"""Opaque cursors: where a page ended, bound to the filters it was made with."""

import base64
import binascii
import hashlib
import json
import re
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from contract.errors import FieldError, InvalidError

Item = TypeVar("Item", bound=BaseModel)

_ID = re.compile(r"[a-z]+_[0-9a-z]+")


class Page(BaseModel, Generic[Item]):
    """Some items, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    data: list[Item]
    next_cursor: str | None
    """Send it as `cursor` for the next page; null at the end."""


def make_cursor(last_id: str, filters: object) -> str:
    """A cursor that goes on below an id."""
    text = json.dumps([last_id, _digest(filters)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, filters: object) -> str | None:
    """The id that the next page begins below.

    Raises:
        InvalidError: the cursor is not one of ours, or belongs to other filters.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        last_id, digest = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, ValueError, TypeError):
        raise _refusal("it is not a cursor of this service") from None
    if not isinstance(last_id, str) or not _ID.fullmatch(last_id):
        raise _refusal("it is not a cursor of this service")
    if digest != _digest(filters):
        raise _refusal("it belongs to a list with other filters")
    return last_id


def _refusal(reason: str) -> InvalidError:
    return InvalidError("the cursor cannot be used", (FieldError("cursor", reason),))


def _digest(filters: object) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:16]
