"""Bearer keys: compared in constant time, by their hashes."""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from contract.errors import UnauthorizedError
from service.deps import SettingsDep

# 401 is answered by ourselves, as a problem.
_bearer = HTTPBearer(auto_error=False, description="One of the keys in UNROLL_API_KEYS.")


def require_key(
    request: Request,
    settings: SettingsDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Let a request pass only with one of the keys.

    Raises:
        UnauthorizedError: there is no key, or not one of ours.
    """
    sent = _hash(credentials.credentials) if credentials else b""
    known = [_hash(key.get_secret_value()) for key in settings.api_keys]
    # Every key is compared, whichever fits: the time taken says nothing.
    if not any([hmac.compare_digest(sent, key) for key in known]):  # noqa: C419 - see above
        raise UnauthorizedError("send `Authorization: Bearer <key>` with a valid key")
    request.state.caller = sent.hex()


def caller_of(request: Request) -> str:
    """Who sends a request, as an opaque word; the same for all where no key is asked for."""
    return str(getattr(request.state, "caller", ""))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
