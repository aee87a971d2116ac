"""The HTTP server, which ends open event streams when it is told to stop."""

import socket

import uvicorn
from fastapi import FastAPI


class GatewayServer(uvicorn.Server):
    """Uvicorn, with an end for streams.

    On SIGTERM uvicorn waits for open answers before anything of the app hears of it, so a stream
    would hold it up until its time-out, and end in the midst of a line.
    """

    def __init__(self, app: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then wait for all answers, then end the app."""
        self._app.state.streams.close()
        await super().shutdown(sockets)
