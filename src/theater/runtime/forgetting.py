"""Forgetting idempotency keys a day after they came: looked for when a node is opened, and once an hour.

Each actor has room for so many. What is forgotten is dropped from the store in small transactions, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from theater.errors import Busy
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Clock, EntryKey, EventStore
from theater.runtime.delivery import Delivery
from theater.runtime.key import decode_row, is_waiting
from theater.runtime.mishap import report

KEYS_MAX = 10_000
"""Keys of one actor that are remembered; each takes some 150 bytes in the store."""

SWEEP_US = 3_600_000_000
"""Between two looks, in microseconds."""

SWEEP_DROPS = 256
"""Keys that are dropped in one transaction."""


RECOUNT_US = 1_000_000
"""For so long it is believed that an actor has as many as it may: to count them takes longer the more there are."""


class Forgetting:
    """Belongs to the event loop of its ``delivery``. ``counts``: how many keys each actor has in the store."""

    def __init__(self, store: EventStore, clock: Clock, delivery: Delivery, counts: Mapping[ActorId, int]) -> None:
        self._store = store
        self._clock = clock
        self._delivery = delivery
        self._loop = asyncio.get_running_loop()
        self._counts = dict(counts)  # never too low: those that were given back are found with the next look
        self._counted_us = -RECOUNT_US
        self._fresh: dict[ActorId, set[str]] | None = None  # what was put while a look is being taken
        self._task: asyncio.Task[None] | None = None
        self._cancel: Callable[[], None] | None = None
        self._is_closed = False
        if self._counts:
            self._look()

    def take_room(self, actor: ActorId, place: str) -> None:
        """One more is about to be put.

        Raises:
            Busy: there are as many as may be.
        """
        if self._counts.get(actor, 0) >= KEYS_MAX:
            self._recount(actor)
        if self._counts.get(actor, 0) >= KEYS_MAX:
            raise Busy(f"{KEYS_MAX} idempotency keys of this actor are remembered, as many as may be; try again later")
        self._counts[actor] = self._counts.get(actor, 0) + 1
        if self._fresh is not None:
            self._fresh.setdefault(actor, set()).add(place)
        self._wait()

    async def close(self) -> None:
        """Look no more."""
        self._is_closed = True
        if self._cancel is not None:
            self._cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _recount(self, actor: ActorId) -> None:
        """How many there really are; and let old ones be looked for."""
        now_us = self._clock.now_us()
        if not 0 <= now_us - self._counted_us < RECOUNT_US:
            self._counted_us = now_us
            self._counts[actor] = self._store.size_entries("key").get(actor, 0)
            self._look()

    def _wait(self) -> None:
        """Look in an hour."""
        if self._cancel is None and not self._is_closed:
            self._cancel = self._clock.call_at(self._clock.now_us() + SWEEP_US, self._due)

    def _due(self) -> None:
        """On the clock's thread."""
        try:
            self._loop.call_soon_threadsafe(self._look)
        except RuntimeError:  # the loop is closed, and everything with it
            return

    def _look(self) -> None:
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self._is_closed or self._task is not None:
            return
        self._fresh = {}
        self._task = self._loop.create_task(self._forget())
        self._task.add_done_callback(self._looked)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._fresh = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception) and not self._is_closed:
            report(error)
        if self._counts:
            self._wait()

    async def _forget(self) -> None:
        holders = await asyncio.to_thread(self._store.holders, "key")
        for actor in holders:
            over, left = await asyncio.to_thread(self._over, actor)
            for start in range(0, len(over), SWEEP_DROPS):
                await self._drop(actor, over[start : start + SWEEP_DROPS])
            self._counts[actor] = left + len(self._fresh_ones(actor))  # some of these twice
        gone = self._counts.keys() - set(holders)
        for actor in [*gone, *(actor for actor in holders if self._counts[actor] == 0)]:
            self._counts[actor] = len(self._fresh_ones(actor))
            if not self._counts[actor]:
                del self._counts[actor]

    def _over(self, actor: ActorId) -> tuple[list[str], int]:
        """The places of keys that are over, and how many are not. What still waits is not over."""
        now_us = self._clock.now_us()
        over: list[str] = []
        entries = self._store.entries(actor, "key")
        for entry in entries:
            row = decode_row(entry.value)
            if row.is_over(now_us) and (row.is_settled or not is_waiting(self._store, actor, row)):
                over.append(entry.key)
        return over, len(entries) - len(over)

    async def _drop(self, actor: ActorId, places: list[str]) -> None:
        """Drop them but those that were put again since they were read: from here on it goes in the order of calls."""
        drops = tuple(
            EntryKey(actor, "key", place, required=False) for place in places if place not in self._fresh_ones(actor)
        )
        if drops:
            future: asyncio.Future[Appended] = self._loop.create_future()
            self._store.append(Append(actor, None, (), drops=drops), lambda result: self._delivery.put(future, result))
            await future

    def _fresh_ones(self, actor: ActorId) -> set[str]:
        return (self._fresh or {}).get(actor, set())
