"""What all connections of a listener share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import uvicorn

from theater.capabilities.http_front import Farewell, Front
from theater.capabilities.http_listener.bounds import Bounds
from theater.capabilities.http_listener.protocol import BoundedProtocol, Connections
from theater.capabilities.http_listener.wire import Date, refusal

Report = Callable[[BaseException], None]
"""Told of what nobody expected. Must not raise, and must not wait."""


class Taken(Protocol):
    """A WebSocket, as the listener sees it."""

    @property
    def waiting_bytes(self) -> int:
        """How much was said that its client has not read. Any thread."""

    def say(self, message: str | bytes) -> Callable[[], None]:
        """Have it counted as waiting; what is returned sends it, on the loop. Any thread."""

    def part(self, farewell: Farewell) -> None:
        """Close it behind what was said."""


class Reception:
    """See above. Belongs to the loop; ``websockets`` is looked into by any thread."""

    def __init__(self, front: Front, bounds: Bounds, report: Report, loop: asyncio.AbstractEventLoop) -> None:
        self.front = front
        self.bounds = bounds
        self.report = report
        self.loop = loop
        self.config = _config()
        self.connections = Connections(bounds.of_connection, refusal)
        self.websockets: dict[str, Taken] = {}
        """Those that are being opened or are open, by the ids that the front gave them."""
        self.date = Date()
        self._held_bytes = 0

    def hold(self, size_bytes: int) -> bool:
        """Account for so much that came and waits. False, and nothing is, where there is no room. Negative: freed."""
        if size_bytes > 0 and self._held_bytes + size_bytes > self.bounds.held_max_bytes:
            return False
        self._held_bytes += size_bytes
        return True

    @property
    def held_bytes(self) -> int:
        """What came and waits."""
        return self._held_bytes


def _config() -> uvicorn.Config:
    """Of uvicorn, of which only the protocol is used: nothing of it is read from outside, nothing is logged."""
    config = uvicorn.Config(
        _nobody,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    config.load()
    return config


async def _nobody(_scope: object, _receive: object, _send: object) -> None:
    """Each connection has an application of its own."""
    raise NotImplementedError
