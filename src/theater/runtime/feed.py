"""Who waits for chains to grow: told by the store what it has committed, on whatever thread that was.

A watch is no queue. It only says that there is more than before, and whoever watches reads the chain at its own pace:
a slow one costs nobody anything, and a thousand idle ones cost a commit one look into a dictionary for each chain that
it extends. However much is committed at once, the event loop is woken up once for it.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from theater.model.ids import ActorId
from theater.model.ports import Append, Written


class Watch:
    """One who waits. Belongs to the event loop; watches between ``__enter__`` and ``__exit__``."""

    __slots__ = ("_feed", "_news", "actor", "is_closed", "is_removed")

    def __init__(self, feed: Feed, actor: ActorId | None) -> None:
        self.actor = actor
        """Whose chain; None for those of all actors."""
        self.is_removed = False
        """Whether the actor was removed: nothing will ever come again."""
        self.is_closed = False
        """Whether the feed was closed: nobody will tell of what comes."""
        self._feed = feed
        self._news = asyncio.Event()

    def __enter__(self) -> Self:
        self._feed.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.leave(self)

    @property
    def is_over(self) -> bool:
        """Whether it will not be told of anything more."""
        return self.is_removed or self.is_closed

    async def grown(self) -> bool:
        """Wait until something was committed since this returned last, or since it began to watch.

        False, at once, where it ``is_over``; what was committed until then may not have been read yet.
        """
        if not self.is_over:
            await self._news.wait()
        self._news.clear()
        return not self.is_over

    def tell(self, *, is_removed: bool = False, is_closed: bool = False) -> None:
        """There is more; or, nothing more will come. On the event loop."""
        self.is_removed |= is_removed
        self.is_closed |= is_closed
        self._news.set()


class Feed:
    """Belongs to one running event loop; ``written`` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watches: dict[ActorId, set[Watch]] = {}  # changed on the loop alone, looked into by whoever writes
        self._of_all: set[Watch] = set()
        self._lock = threading.Lock()
        self._grown: set[ActorId] = set()
        self._removed: set[ActorId] = set()
        self._is_woken = False
        self._is_closed = False

    def __len__(self) -> int:
        """How many watch."""
        return len(self._of_all) + sum(len(watches) for watches in self._watches.values())

    @property
    def is_closed(self) -> bool:
        """Whether it tells nobody of anything any more."""
        return self._is_closed

    def watch(self, actor: ActorId | None = None) -> Watch:
        """Watch the chain of one actor, or of all: ``with feed.watch(actor) as watch``."""
        return Watch(self, actor)

    def enter(self, watch: Watch) -> None:
        """From now on it is told."""
        if self._is_closed:
            watch.tell(is_closed=True)
        elif watch.actor is None:
            self._of_all.add(watch)
        else:
            self._watches.setdefault(watch.actor, set()).add(watch)

    def leave(self, watch: Watch) -> None:
        """No longer."""
        if watch.actor is None:
            self._of_all.discard(watch)
            return
        watches = self._watches.get(watch.actor)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[watch.actor]

    def written(self, written: Written) -> None:
        """What was committed, on the thread that wrote it: an observer of the store's."""
        watches = self._watches
        if not watches and not self._of_all:
            return
        grown: list[ActorId] = []
        removed: list[ActorId] = []
        is_more = False
        for batch in written.batches:
            is_more |= bool(batch.events or batch.births)
            if batch.actor in watches:
                _sort(batch, grown, removed)
            for birth in batch.births:
                if birth.actor in watches:
                    _sort(birth, grown, removed)
        if not (grown or removed or (is_more and self._of_all)):
            return
        with self._lock:
            self._grown.update(grown)
            self._removed.update(removed)
            if self._is_woken:
                return
            self._is_woken = True
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:  # the loop is closed: whoever waited went with it
            with self._lock:
                self._grown.clear()
                self._removed.clear()
                self._is_woken = False

    def close(self) -> None:
        """End all watches: what is committed from now on is told to nobody. On the event loop."""
        self._is_closed = True
        for watch in [*self._of_all, *(watch for watches in self._watches.values() for watch in watches)]:
            watch.tell(is_closed=True)
        self._of_all.clear()
        self._watches.clear()

    def _tell(self) -> None:
        with self._lock:
            grown, self._grown = self._grown, set()
            removed, self._removed = self._removed, set()
            self._is_woken = False
        for actor in grown | removed:
            for watch in self._watches.get(actor, ()):
                watch.tell(is_removed=actor in removed)
        for watch in self._of_all:
            watch.tell()


def _sort(batch: Append, grown: list[ActorId], removed: list[ActorId]) -> None:
    if batch.erases:
        removed.append(batch.actor)
    elif batch.events:
        grown.append(batch.actor)
