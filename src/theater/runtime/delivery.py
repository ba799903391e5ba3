"""Bringing answers from the threads that make them to the event loop that waits for them.

Waking the loop costs a system call, so a burst of answers wakes it once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Any

from theater.errors import TheaterError


class Delivery:
    """Belongs to one running event loop; ``put`` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._queue: deque[tuple[asyncio.Future[Any], object]] = deque()
        self._is_woken = False

    def put(self, future: asyncio.Future[Any], answer: object) -> None:
        """Resolve ``future`` with ``answer``, or with the error that it is."""
        with self._lock:
            self._queue.append((future, answer))
            if self._is_woken:
                return
            self._is_woken = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: whoever waited went with it
            self._queue.clear()

    def _deliver(self) -> None:
        with self._lock:
            batch, self._queue = self._queue, deque()
            self._is_woken = False
        for future, answer in batch:
            if future.done():
                continue
            if isinstance(answer, TheaterError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
