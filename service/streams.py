"""How many event streams are open, and their common end when the gateway stops."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from contract.errors import TooManyStreamsError


class Streams:
    """The open streams of this gateway; to be used in its event loop only.

    Args:
        limit: most streams that one caller may have open.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()
        self._closing = asyncio.Event()

    @contextmanager
    def slot(self, caller: str) -> Iterator[None]:
        """Count a stream as open.

        Raises:
            TooManyStreamsError: this caller has as many as it may have.
        """
        if self._open[caller] >= self._limit:
            raise TooManyStreamsError(
                f"{self._limit} event streams are open already (max_event_streams)"
            )
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1

    async def pause(self, seconds: float) -> bool:
        """Wait, no longer than until the gateway stops; whether the streams may go on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return not self._closing.is_set()

    def close(self) -> None:
        """Have every stream end at its next pause, and those that pause at once."""
        self._closing.set()
