"""Every error as RFC 9457 `application/problem+json`; no traceback and no path leaves here."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from contract.errors import (
    FieldError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    TooManyStreamsError,
    UnauthorizedError,
    UnrollError,
)
from service.security_headers import SECURITY_HEADERS

log = logging.getLogger(__name__)

_MALFORMED = ("malformed", "Malformed request")
# Code and title of what the framework refuses by itself, the same as where we refuse it.
_KINDS = {
    400: _MALFORMED,
    **{error.status: (error.code, error.title) for error in (NotFoundError, TooLargeError)},
}
# What belongs to an error beside its problem.
_HEADERS: Mapping[type[UnrollError], Mapping[str, str]] = {
    UnauthorizedError: {"WWW-Authenticate": "Bearer"},
    TooManyStreamsError: {"Retry-After": "10"},
}
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


class ProblemPlace(BaseModel):
    """One part of a request that is wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    pointer: str
    """JSON pointer into the body, or the name of a parameter."""
    detail: str


class Problem(BaseModel):
    """Why a request was not done (RFC 9457)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """Stable reference of this kind of problem."""
    title: str
    """The same for every problem of this kind."""
    status: int
    detail: str
    """What is wrong this time."""
    instance: str
    """The request's id, which is in the log."""
    code: str
    """One word a program can decide by."""
    errors: list[ProblemPlace]


class ProblemResponse(JSONResponse):
    """A problem as an answer."""

    media_type = "application/problem+json"


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every exception with a problem."""
    app.add_exception_handler(UnrollError, _answer_unroll_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(Exception, _answer_defect)


def invalid_spec(error: ValidationError) -> InvalidError:
    """A document that is no valid spec, as an error that names each place."""
    errors = [{**place, "loc": ("body", *place["loc"])} for place in error.errors()]
    places = _places(errors)
    return InvalidError("the patched spec is not valid", places)


def _answer_unroll_error(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, UnrollError):
        raise error
    headers = _HEADERS.get(type(error))
    problem = (error.status, error.code, error.title, error.detail)
    return _problem(request, *problem, errors=error.errors, headers=headers)


def _answer_invalid_request(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = error.errors()
    if any(detail["type"] == "json_invalid" for detail in errors):
        return _problem(request, 400, *_MALFORMED, "the body is not JSON")
    title, detail = InvalidError.title, "see errors for each place"
    return _problem(request, 422, InvalidError.code, title, detail, errors=_places(errors))


def _answer_http_exception(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    kind = _KINDS.get(error.status_code, (phrase.lower().replace(" ", "_"), phrase))
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # The framework names the methods of the first route of this path only.
        headers["Allow"] = _allowed_methods(request) or headers.get("Allow", "")
    return _problem(request, error.status_code, *kind, str(error.detail), headers=headers)


def _allowed_methods(request: Request) -> str:
    """Every method that the path of this request has; empty for a path of static files."""
    scopes = ((method, {**request.scope, "method": method}) for method in _METHODS)
    return ", ".join(
        method
        for method, scope in scopes
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    )


def _answer_defect(request: Request, error: Exception) -> ProblemResponse:
    log.error("request failed", exc_info=error, extra={"request_id": request_id(request)})
    detail = "the service failed; its log has the details under this request's id"
    # This answer is made outside the middleware that adds these headers to every other.
    headers = {"X-Request-ID": request_id(request), **SECURITY_HEADERS}
    return _problem(request, 500, "internal", "Internal error", detail, headers=headers)


def body_too_large(request: Request) -> ProblemResponse:
    """The answer to a body beyond the limit of its endpoint."""
    detail = "the body is larger than allowed here (max_body_bytes; for uploads max_upload_bytes)"
    return _problem(request, TooLargeError.status, TooLargeError.code, TooLargeError.title, detail)


def request_id(request: Request) -> str:
    """The id of this request, as the middleware set it."""
    return str(getattr(request.state, "request_id", ""))


def _problem(  # noqa: PLR0913, PLR0917 - a problem is that many facts
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    body = Problem(
        type=f"/problems/{code}",
        title=title,
        status=status,
        detail=detail,
        instance=request_id(request),
        code=code,
        errors=[ProblemPlace(pointer=place.pointer, detail=place.detail) for place in errors],
    )
    return ProblemResponse(body.model_dump(), status, dict(headers or {}))


def _places(errors: Sequence[Any]) -> tuple[FieldError, ...]:
    return tuple(FieldError(_pointer(error), error["msg"]) for error in errors)


def _pointer(error: Mapping[str, Any]) -> str:
    """Where the error is: a pointer into the body, or a parameter's name.

    Pydantic's location also holds the kind by which a union was decided; the document has no
    member of that name, so it is left out.
    """
    if pointer := error.get("ctx", {}).get("pointer"):
        return str(pointer)
    source, *path = error["loc"]
    if source != "body":
        return str(path[0]) if path else str(source)
    return "".join(f"/{_escaped(part)}" for part in _without_kinds(path))


# The members of a spec that are unions, after which pydantic names the kind.
_UNIONS = frozenset(
    {"dataset", "task", "cell", "activation", "init", "clipping", "lr_control", "optimizer"}
)


def _without_kinds(path: Sequence[str | int]) -> list[str | int]:
    return [part for at, part in enumerate(path) if at == 0 or path[at - 1] not in _UNIONS]


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
