"""Actors that are on their way into memory, and must not be lost midway, whoever waits for them or no longer does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class Arrivals:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._arriving: set[object] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    async def arrival(self, work: Coroutine[object, None, T]) -> T:
        """Do ``work`` to its end, whether or not who waits for it goes on waiting."""
        task = asyncio.get_running_loop().create_task(work)
        self._arriving.add(task)
        self._nobody.clear()
        task.add_done_callback(self._arrived)
        return await asyncio.shield(task)

    async def over(self, timeout_s: float) -> None:
        """Wait until nobody is on the way, or for that long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), timeout_s)

    def _arrived(self, task: asyncio.Task[T]) -> None:
        self._arriving.discard(task)
        if not self._arriving:
            self._nobody.set()
        if not task.cancelled():
            task.exception()  # so that nobody complains where nobody waits any more
