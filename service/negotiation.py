"""Media types: whether a body is said to be JSON, and what a client takes."""

import re
from http import HTTPStatus
from typing import Final

from fastapi import HTTPException, Request

_JSON: Final = re.compile(r"application/([^/;\s]+\+)?json")
# The ranges of an Accept header that JSON lies in; the closest one decides (RFC 9110, 12.5.1).
_RANGES_OF_JSON: Final = ("application/json", "application/*", "*/*")
_ZERO_QUALITY: Final = re.compile(r"q\s*=\s*0(\.0{0,3})?")


def require_json_body(request: Request) -> None:
    """Turn away a body that is not said to be JSON; no body at all is left to validation.

    Raises:
        HTTPException: 415, naming what was sent.
    """
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if _has_body(request) and not _JSON.fullmatch(sent):
        named = f"{sent[:100]!r} was sent" if sent else "no Content-Type was sent"
        detail = f"the body has to be application/json; {named}"
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def require_json_accepted(request: Request) -> None:
    """Turn away a client that takes no JSON, where there is nothing else to give it.

    Raises:
        HTTPException: 406.
    """
    accepted = _accepted_by(request)
    if not next((accepted[name] for name in _RANGES_OF_JSON if name in accepted), False):
        raise HTTPException(
            HTTPStatus.NOT_ACCEPTABLE, "this is answered as application/json, which is not accepted"
        )


def accepts_event_stream(request: Request) -> bool:
    """Whether a client names server-sent events among what it takes; `*/*` does not."""
    return _accepted_by(request).get("text/event-stream", False)


def _has_body(request: Request) -> bool:
    is_sized = request.headers.get("content-length", "0") != "0"
    return is_sized or "transfer-encoding" in request.headers


def _accepted_by(request: Request) -> dict[str, bool]:
    """Each range of the Accept headers, and whether it is wanted: a quality of zero says no."""
    accept = ",".join(request.headers.getlist("accept")) or "*/*"
    accepted = {}
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        accepted[name] = not any(_ZERO_QUALITY.fullmatch(part) for part in parameters)
    return accepted
