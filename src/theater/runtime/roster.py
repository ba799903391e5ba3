"""The actors that are in memory: one of each at most, however many ask for it at once.

Those that live are held here. Those that ended are found for as long as somebody else holds them, since who holds one
may restart it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar
from weakref import WeakSet, WeakValueDictionary

from theater.model.ids import ActorId
from theater.model.ports import LIVING
from theater.runtime.actor import Actor

T = TypeVar("T")


class Roster:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._living: dict[ActorId, Actor] = {}
        self._known: WeakValueDictionary[ActorId, Actor] = WeakValueDictionary()
        self._all: WeakSet[Actor] = WeakSet()
        self._turns: WeakValueDictionary[ActorId, asyncio.Lock] = WeakValueDictionary()
        self._arriving: set[object] = set()
        self._nobody_arriving = asyncio.Event()
        self._nobody_arriving.set()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._living)

    def find(self, actor: ActorId) -> Actor | None:
        """The one that is here. None too where it can no longer write its chain: another one may."""
        found = self._known.get(actor)
        return found if found is not None and found.failure is None else None

    def add(self, actor: Actor) -> None:
        """From now on it is found."""
        self._known[actor.record.id] = actor
        self._all.add(actor)
        self.settle(actor)

    def settle(self, actor: Actor) -> None:
        """Hold it for as long as it lives: to be called when it may have ended, or begun again."""
        key = actor.record.id
        if actor.status in LIVING and actor.failure is None:
            if self._known.get(key) is actor:
                self._living[key] = actor
        elif self._living.get(key) is actor:
            del self._living[key]

    async def found_or(self, actor: ActorId, make: Callable[[], Awaitable[Actor]]) -> Actor:
        """The one that is here, or the one that ``make`` brings; only one is made at a time."""
        lock = self._turns.setdefault(actor, asyncio.Lock())
        async with lock:
            found = self.find(actor)
            if found is None:
                found = await make()
                self.add(found)
            return found

    async def arrival(self, work: Coroutine[object, None, T]) -> T:
        """Do ``work`` to its end, whether or not who waits for it goes on waiting: an actor must not be lost midway."""
        task = asyncio.get_running_loop().create_task(work)
        self._arriving.add(task)
        self._nobody_arriving.clear()
        task.add_done_callback(self._arrived)
        return await asyncio.shield(task)

    async def arrived(self, timeout_s: float) -> None:
        """Wait until nobody is on the way, or for that long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._nobody_arriving.wait(), timeout_s)

    def everybody(self) -> list[Actor]:
        """Whoever is in memory, those that ended or failed included."""
        return list(self._all)

    def _arrived(self, task: asyncio.Task[T]) -> None:
        self._arriving.discard(task)
        if not self._arriving:
            self._nobody_arriving.set()
        if not task.cancelled():
            task.exception()  # so that nobody complains where nobody waits any more
