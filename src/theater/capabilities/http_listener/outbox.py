"""What was said on a WebSocket and has not gone out.

A message counts as a whole until the last byte of it was given to the system. Any thread may say something and look at
how much waits; the rest belongs to the loop.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from theater.capabilities.http_front import Farewell


@dataclass(frozen=True, slots=True)
class Saying:
    """One message: text as UTF-8, or bytes."""

    data: bytes
    is_text: bool


class Outbox:
    """See above."""

    __slots__ = ("_going_bytes", "_lock", "_queue", "_queued_bytes", "_waiting_bytes")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting_bytes = 0
        self._queue: deque[Saying | Farewell] = deque()
        self._queued_bytes = 0
        self._going_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """What was announced and has not gone out."""
        return self._waiting_bytes

    def announce(self, saying: Saying) -> None:
        """It will be added, or dropped. Any thread."""
        with self._lock:
            self._waiting_bytes += len(saying.data)

    def drop(self, saying: Saying) -> None:
        """What was announced comes too late."""
        self._less(len(saying.data))

    def add(self, item: Saying | Farewell) -> None:
        """Behind all others."""
        self._queue.append(item)
        if isinstance(item, Saying):
            self._queued_bytes += len(item.data)

    @property
    def kept_bytes(self) -> int:
        """What was added and has not gone out."""
        return self._queued_bytes + self._going_bytes

    def next(self) -> Saying | Farewell | None:
        """The first one, which is on its way now."""
        if not self._queue:
            return None
        item = self._queue.popleft()
        if isinstance(item, Saying):
            self._queued_bytes -= len(item.data)
            self._going_bytes += len(item.data)
        return item

    def gone(self) -> None:
        """What was on its way is out."""
        self._less(self._going_bytes)
        self._going_bytes = 0

    def clear(self) -> None:
        """Drop what is not on its way."""
        self._queue.clear()
        self._less(self._queued_bytes)
        self._queued_bytes = 0

    def _less(self, size_bytes: int) -> None:
        with self._lock:
            self._waiting_bytes -= size_bytes
