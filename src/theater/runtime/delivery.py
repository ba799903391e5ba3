"""Bringing answers from the threads that make them to the event loop that waits for them.

Waking the loop costs a system call, so a burst of answers wakes it once.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import deque
from typing import Any, TypeVar

from theater.errors import TheaterError

E = TypeVar("E", bound=TheaterError)


def own_copy(error: E) -> E:
    """``error`` for one asker alone: raising it adds a traceback, and askers add to its ``data``."""
    copied = copy.copy(error)
    copied.data = dict(error.data)
    copied.__cause__ = error.__cause__
    return copied


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
            with self._lock:
                self._queue.clear()
                self._is_woken = False

    def _deliver(self) -> None:
        with self._lock:
            batch, self._queue = self._queue, deque()
            self._is_woken = False
        for future, answer in batch:
            if future.done():
                continue
            if isinstance(answer, TheaterError):
                future.set_exception(own_copy(answer))
            else:
                future.set_result(answer)
