"""Whether the other side of a connection is still there, and the one deadline that the connection has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from theater.capabilities.http_listener.bounds import Bounds


class Pulse:
    """Pings after a while without one, and cuts the connection where nothing at all comes of it.

    A client that reads slowly has the ping behind much else: it lives as long as something goes out.
    """

    __slots__ = ("_bounds", "_is_asking", "_ping", "_timer", "_transport")

    def __init__(self, bounds: Bounds, transport: asyncio.Transport, ping: Callable[[], None]) -> None:
        self._bounds = bounds
        self._transport = transport
        self._ping = ping
        self._timer: asyncio.TimerHandle | None = None
        self._is_asking = False

    def start(self) -> None:
        """Look after it."""
        self._is_asking = False
        self._after(self._bounds.ping_every_s, self._ask)

    def feel(self) -> None:
        """Something came."""
        if self._is_asking:
            self.start()

    def end_soon(self) -> None:
        """It is ending: cut it off where that takes too long."""
        self._is_asking = False
        self._after(self._bounds.closing_s, self._transport.abort)

    def stop(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self) -> None:
        self._is_asking = True
        self._ping()
        self._wait()

    def _wait(self) -> None:
        unsent = self._transport.get_write_buffer_size()

        def look() -> None:
            if not self._transport.is_reading():  # who is not read from cannot answer
                self.start()
            elif self._transport.get_write_buffer_size() < unsent:
                self._wait()
            else:
                self._transport.abort()

        self._after(self._bounds.pong_s, look)

    def _after(self, wait_s: float, action: Callable[[], None]) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(wait_s, action)
