"""Refuses NUL characters: no text has one, and PostgreSQL stores none."""

from fastapi import Request

from contract.errors import FieldError, InvalidError, NotFoundError


def refuse_nul(request: Request) -> None:
    """Turn a request away whose path or query holds a NUL.

    Raises:
        NotFoundError: it is in the path; nothing is called so.
        InvalidError: it is in a parameter, which is named.
    """
    if any("\0" in value for value in request.path_params.values()):
        raise NotFoundError("nothing has a name with a NUL character in it")
    for name, value in request.query_params.multi_items():
        if "\0" in value:
            raise InvalidError(f"{name} has a NUL character", (FieldError(name, "NUL character"),))
