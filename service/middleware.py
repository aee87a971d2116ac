"""What every answer carries: the request's id and the headers that browsers protect us by."""

import re
import secrets
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import body_too_large
from service.security_headers import SECURITY_HEADERS

_ACCEPTED_ID = re.compile(r"^[\x21-\x7e]{1,64}$")


class AnswerHeaders:
    """ASGI middleware: takes over or makes `X-Request-ID`, and sets the security headers.

    A header that the answer already has is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its id in `request.state.request_id`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent_id = Headers(scope=scope).get("x-request-id", "")
        request_id = sent_id if _ACCEPTED_ID.match(sent_id) else f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimitProblem:
    """ASGI middleware: answers a body beyond its limit with a problem.

    The framework's own limiter answers in plain text, past every exception handler.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; replace a plain 413 by a problem."""
        is_replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal is_replaced
            if _is_plain_413(message):
                is_replaced = True
                await body_too_large(Request(scope))(scope, receive, send)
            elif not is_replaced:
                await send(message)

        await self._app(scope, receive, send_problem if scope["type"] == "http" else send)


def _is_plain_413(message: Message) -> bool:
    if (
        message["type"] != "http.response.start"
        or message["status"] != HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    ):
        return False
    return Headers(raw=message["headers"])["content-type"].startswith("text/plain")
