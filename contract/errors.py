"""What can go wrong for a client: one class an error, with its stable code and HTTP status."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One part of a request that is wrong."""

    pointer: str
    """JSON pointer (RFC 6901) into the body, or the name of a parameter."""
    detail: str


class UnrollError(Exception):
    """An error that a client caused or has to know of; its message is shown to the client."""

    code = "internal"
    status = 500
    title = "Internal error"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class NotFoundError(UnrollError):
    """There is no such job, dataset or page."""

    code, status, title = "not_found", 404, "Not found"


class ConflictError(UnrollError):
    """The resource's present state forbids this."""

    code, status, title = "conflict", 409, "Conflict with the present state"


class InvalidError(UnrollError):
    """The request's content is wrong."""

    code, status, title = "invalid", 422, "The request is not valid"


class LimitError(UnrollError):
    """The request is larger than a limit of this service, which the message names."""

    code, status, title = "limit_exceeded", 422, "A limit is exceeded"


class TooLargeError(UnrollError):
    """The body is larger than a limit of this service, which the message names."""

    code, status, title = "too_large", 413, "The body is too large"


class UnauthorizedError(UnrollError):
    """No valid API key was sent."""

    code, status, title = "unauthorized", 401, "An API key is required"


class TooManyStreamsError(UnrollError):
    """This client has as many event streams open as it may have."""

    code, status, title = "too_many_streams", 429, "Too many open streams"


class UnavailableError(UnrollError):
    """The database cannot be reached right now."""

    code, status, title = "unavailable", 503, "Not available right now"


class StorageFullError(UnrollError):
    """There is no room left to store what was sent."""

    code, status, title = "storage_full", 507, "No room left to store this"


class LeaseLostError(Exception):
    """This worker no longer owns the job: another attempt does, or the job is final."""
