"""Batches, and calls on an event store that wait for what becomes of them, as the suite for event stores makes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from theater.errors import StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.ports import ActorRecord, Append, Appended, Entry, EntryKey, EventStore, Space, Status
from theater.testing.chains import ChainMaker, chain_of

WAIT_S = 30.0


def append(
    store: EventStore,
    actor: ActorId,
    expected: Head,
    events: Sequence[Event] = (),
    *,
    record: ActorRecord | None = None,
    attempt: int | None = None,
) -> Appended | StoreError:
    """Append and wait for what becomes of it."""
    batch = Append(actor, expected, tuple(events), record=record, attempt=attempt)
    return append_together(store, batch, hurry=True)[0]


def append_together(store: EventStore, *batches: Append, hurry: bool = False) -> list[Appended | StoreError]:
    """Hand over all, without ``hurry`` before anything is written; what becomes of each."""
    heard: list[Appended | StoreError] = []
    called = threading.Semaphore(0)

    def done(result: Appended | StoreError) -> None:
        heard.append(result)
        called.release()

    for batch in batches:
        store.append(batch, done, hurry=hurry)
    if not hurry:
        store.flush()
    for _ in batches:
        assert called.acquire(timeout=WAIT_S), "append was never answered"
    assert len(heard) == len(batches)
    return heard


def append_chain(store: EventStore, maker: ChainMaker, *, batch: int = 5) -> None:
    """Append all of a chain, some events at a time."""
    head = EMPTY
    for start in range(0, len(maker.events), batch):
        events = maker.events[start : start + batch]
        result = append(store, maker.actor, head, events)
        assert isinstance(result, Appended), result
        head = Head(events[-1].header.seq, events[-1].hash)
        assert result.head == head


def record_of(actor: ActorId, name: str = "counter", status: Status = "running", created_us: int = 1) -> ActorRecord:
    """A row."""
    return ActorRecord(
        actor, name, status, None, created_us, Digest("ab" * 32), has_hidden_state=created_us % 2 == 0, engine="e"
    )


def put(maker: ChainMaker, key: str, value: bytes = b"", space: Space = "mailbox", *, once: bool = False) -> Entry:
    """Something to be held by an actor."""
    return Entry(maker.actor, space, key, value, once)


def drop(maker: ChainMaker, key: str, space: Space = "mailbox", *, required: bool = True) -> EntryKey:
    """Something to be dropped, or looked for."""
    return EntryKey(maker.actor, space, key, required)


def only(maker: ChainMaker, *changes: Entry | EntryKey) -> Append:
    """A batch of entries alone."""
    puts = tuple(change for change in changes if isinstance(change, Entry))
    drops = tuple(change for change in changes if isinstance(change, EntryKey))
    return Append(maker.actor, None, (), puts=puts, drops=drops)


def first_of(maker: ChainMaker, name: str | None = None, *, births: tuple[Append, ...] = ()) -> Append:
    """A batch that begins a chain with all of its events."""
    record = record_of(maker.actor, name) if name else None
    return Append(maker.actor, EMPTY, tuple(maker.events), record=record, births=births)


def begun(store: EventStore, count: int) -> list[ChainMaker]:
    """Chains that are in the store."""
    makers = [chain_of(0, number=number) for number in range(count)]
    assert all(isinstance(result, Appended) for result in append_together(store, *map(first_of, makers)))
    return makers


def all_of(store: EventStore, *makers: ChainMaker) -> object:
    """All that a refusal may not change."""
    actors = [(store.head(maker.actor), store.attempt(maker.actor), store.entries(maker.actor)) for maker in makers]
    return list(store.events_by_index(start=0, limit=1000)), store.records(), actors


def kinds(results: Sequence[object]) -> list[type]:
    """What became of each batch."""
    return [type(result) for result in results]
