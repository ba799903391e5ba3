"""Reading a chain, or those of all actors, as they grow: page by page from the store, for ever.

Nothing is queued for a reader: each page is read from where the last one ended when the reader asks for it, so a slow
one holds nothing but its place, and none is missed or comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from typing import TypeVar

from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.ports import EventStore
from theater.runtime.feed import Feed, Watch

T = TypeVar("T")

PAGE_EVENTS = 256
PAGE_BYTES = 2**20
"""Of payload; a page ends with the event that reaches it."""

Page = list[tuple[int, Event]]
"""Events with their places: the ``seq`` in the chain of one actor, the node-wide index in those of all."""


async def pages(
    store: EventStore,
    feed: Feed,
    actor: ActorId | None,
    *,
    start: int | None = None,
    beat_s: float | None = None,
) -> AsyncGenerator[Page, None]:
    """The durable events from place ``start`` on, and whatever comes: those of one actor, or of all.

    Without ``start`` from what comes from now on; that is settled with the first step of the iteration. With
    ``beat_s``, a page without events comes whenever nothing has come for so many seconds. Reads the store off the event
    loop. Ends when the feed is closed, and behind the last event of an actor that was removed.

    Raises:
        Damaged: what is stored is not what was written.
    """
    with feed.watch(actor) as watch:
        place = await _read(watch, lambda: end_place(store, actor), 0) if start is None else start
        if actor is not None and await _read(watch, lambda: _is_removed(store, actor), False):
            watch.tell(is_removed=True)  # that was before anybody watched, so that nobody else says so
        while not watch.is_closed:
            was_over = watch.is_over  # before the page is read: what was committed until then is in it
            page = await _read(watch, partial(read_page, store, actor, place), Page())
            if page:
                place = page[-1][0] + 1
                yield page
            elif was_over:
                return
            elif not await _grown(watch, beat_s):
                yield []


async def _read(watch: Watch, read: Callable[[], T], otherwise: T) -> T:
    """What ``read`` reads, off the event loop; ``otherwise`` where the feed was closed, and the store with it."""
    try:
        return await asyncio.to_thread(read)
    except Exception:
        if watch.is_closed:
            return otherwise
        raise


async def _grown(watch: Watch, beat_s: float | None) -> bool:
    """Whether there is something to look at; False where it took longer than that."""
    try:
        async with asyncio.timeout(beat_s):
            await watch.grown()
    except TimeoutError:
        return False
    return True


def read_page(store: EventStore, actor: ActorId | None, start: int, *, most: int = PAGE_EVENTS) -> Page:
    """Durable events from place ``start`` on, as many as a page may have; none where there are none yet. Blocks."""
    found: Iterator[tuple[int, Event]]
    if actor is None:
        found = store.events_by_index(start=start, limit=most)
    else:
        found = ((event.header.seq, event) for event in store.events(actor, start=start, stop=start + most))
    page: Page = []
    size_bytes = 0
    for place, event in found:
        page.append((place, event))
        size_bytes += len(event.payload or b"")
        if size_bytes >= PAGE_BYTES:
            break
    return page


def end_place(store: EventStore, actor: ActorId | None) -> int:
    """The place of the next event that will come. Blocks."""
    return store.size_events() if actor is None else store.head(actor).seq + 1


def _is_removed(store: EventStore, actor: ActorId) -> bool:
    """Whether its last event is that of its removal. Others have a chain and no row: those that are on the way here."""
    if store.record(actor) is not None:
        return False
    return any(event.header.name == "erased" for event in store.events(actor, start=max(0, store.head(actor).seq)))
