"""Server-sent events as a client reads them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Received:
    """One event as it came."""

    id: str
    event: str
    data: dict[str, Any]


def receive(lines: Iterable[str]) -> Iterator[Received]:
    """The events of a stream of lines as they come; comments are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Received(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


def parse(lines: Iterable[str]) -> list[Received]:
    """All events of a stream that has ended."""
    return list(receive(lines))
