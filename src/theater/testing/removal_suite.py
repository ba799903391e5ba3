"""The cases of the suite for event stores that are about removing an actor, sizes, and watching what is written."""

# ruff: noqa: D103, PLR2004 - the name of a case is its sentence, and the expected number stands beside the call

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from theater.errors import HeadConflict, StoreError
from theater.model.event import EMPTY, Event
from theater.model.ports import Append, Appended, EventStore, Written
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.store_calls import (
    WAIT_S,
    all_of,
    append,
    append_chain,
    append_together,
    begun,
    drop,
    first_of,
    kinds,
    only,
    put,
    record_of,
)

LARGE = b'"' + b"x" * 70_000 + b'"'


def withheld(event: Event) -> Event:
    """What is left of an event that was erased."""
    return Event(event.header, event.header_bytes, event.hash, None, None)


def removal(maker: ChainMaker, *, births: tuple[Append, ...] = ()) -> Append:
    """The batch that removes an actor, with the one event that says so."""
    head = maker.head
    return Append(maker.actor, head, (maker.add("lifecycle", "erased", b'{"by":"x"}'),), births=births, erases=True)


def living(store: EventStore, number: int = 0, name: str = "counter") -> ChainMaker:
    """An actor with payloads of all sizes, that holds something."""
    maker = chain_of(3, number=number)
    maker.add("lifecycle", "x", LARGE)
    maker.step(4)
    append_chain(store, maker)
    append(store, maker.actor, maker.head, record=record_of(maker.actor, name), attempt=2)
    append_together(store, only(maker, put(maker, "a"), put(maker, "b", b"t", "timer")))
    return maker


def erased(maker: ChainMaker) -> list[Event]:
    """A chain as it is once it was wiped."""
    return [*map(withheld, maker.events[:-1]), maker.events[-1]]


def restarts_are_kept_in_the_record(store: EventStore) -> None:
    maker = chain_of(0)
    append(store, maker.actor, EMPTY, maker.events, record=record_of(maker.actor))
    assert store.records()[0].restarts == 0
    again = replace(record_of(maker.actor), restarts=7)
    append(store, maker.actor, maker.head, record=again)
    assert store.record(maker.actor) == again
    assert store.find(maker.actor) == [again]


def a_removed_actor_is_found_no_more_and_its_chain_is(store: EventStore) -> None:
    maker, other = living(store), living(store, 1, "other")
    removed = removal(maker)
    assert append_together(store, removed) == [Appended(maker.head, 2 * len(other.events))]

    assert (store.record(maker.actor), store.find("counter"), store.find(maker.actor)) == (None, [], [])
    assert [record.id for record in store.records()] == [other.actor]
    assert (store.entries(maker.actor), store.entry(maker.actor, "mailbox", "a")) == ([], None)
    assert (store.holders("mailbox", "timer"), store.size_entries("timer")) == ([other.actor], {other.actor: 1})
    assert store.attempt(maker.actor) == 0
    assert store.head(maker.actor) == maker.head
    assert list(store.events(maker.actor)) == maker.events
    assert store.size_events() == len(maker.events) + len(other.events)


def wiping_leaves_headers_and_what_came_with_the_removal(store: EventStore) -> None:
    maker, other = living(store), living(store, 1, "other")
    assert store.wipe() == 0
    append_together(store, removal(maker))
    secret = sum(len(event.payload or b"") + len(event.salt or b"") for event in maker.events[:-1])
    assert store.wipe() == secret

    expected = erased(maker)
    assert list(store.events(maker.actor)) == expected
    assert list(store.events_reversed(maker.actor, start=1000)) == expected[::-1]
    everything = [event for _, event in store.events_by_index(start=0, limit=1000)]
    assert everything == [*expected[:-1], *other.events, expected[-1]]
    assert list(store.events(other.actor)) == other.events
    assert len(store.entries(other.actor)) == 2
    assert store.wipe() == 0
    assert list(store.events(maker.actor)) == expected


def a_large_payload_that_came_with_the_removal_stays(store: EventStore) -> None:
    maker = living(store)
    head = maker.head
    last = maker.add_all((("lifecycle", "erased", b"{}"), ("lifecycle", "x", LARGE)))
    append_together(store, Append(maker.actor, head, last, erases=True))
    assert store.wipe() > len(LARGE)
    assert list(store.events(maker.actor)) == [*map(withheld, maker.events[:-2]), *last]
    assert store.size_bytes(maker.actor) > len(LARGE)


def a_removal_without_an_event_keeps_no_payload(store: EventStore) -> None:
    maker = living(store)
    assert append_together(store, Append(maker.actor, maker.head, (), erases=True)) == [
        Appended(maker.head, len(maker.events))
    ]
    store.wipe()
    assert list(store.events(maker.actor)) == [withheld(event) for event in maker.events]


def a_removed_actor_takes_nothing_more(store: EventStore) -> None:
    maker, other = living(store), living(store, 1, "other")
    parent_head = other.head
    append_together(store, removal(maker))
    for _ in range(2):
        again, more = Append(maker.actor, maker.head, (), erases=True), ChainMaker()
        more.events = [*maker.events]
        head = more.head
        batches = (
            Append(maker.actor, head, more.step()),
            Append(maker.actor, head, (), record=record_of(maker.actor)),
            Append(maker.actor, head, (), attempt=1),
            again,
            Append(maker.actor, EMPTY, (maker.events[0],)),
            only(other, drop(maker, "a")),
            Append(other.actor, parent_head, (), attempt=1, births=(Append(maker.actor, EMPTY, (maker.events[0],)),)),
            Append(other.actor, parent_head, (), attempt=1, requires=(drop(maker, "a"),)),
        )
        before = all_of(store, maker, other)
        assert kinds(append_together(store, *batches)) == [HeadConflict] * len(batches)
        assert all_of(store, maker, other) == before
        lost = only(other, put(maker, "c"), drop(maker, "a", required=False)), only(maker, put(maker, "c"))
        assert kinds(append_together(store, *lost)) == [Appended, Appended]  # it was on its way
        assert all_of(store, maker, other) == before
        store.wipe()


def a_removal_counts_for_the_batches_behind_it(store: EventStore) -> None:
    maker, other = living(store), living(store, 1, "other")
    taker = chain_of(0, number=9)
    early = only(other, put(maker, "early"))
    late, lost = only(other, put(maker, "late"), put(other, "kept")), only(other, drop(maker, "early"))
    results = append_together(store, early, removal(maker), late, lost, first_of(taker, "counter"))
    assert kinds(results) == [Appended, Appended, Appended, HeadConflict, Appended]
    assert (store.entries(maker.actor), store.entry(other.actor, "mailbox", "kept")) == ([], put(other, "kept"))
    assert [record.id for record in store.find("counter")] == [taker.actor]


def a_refused_removal_removes_nothing(store: EventStore) -> None:
    maker, other, taker = living(store), living(store, 1, "other"), chain_of(0, number=9)
    before = all_of(store, maker, other)
    wrong = Append(maker.actor, other.head, (), erases=True)
    needy = Append(maker.actor, maker.head, (), erases=True, drops=(drop(maker, "a"), drop(other, "never")))
    crowded = Append(maker.actor, maker.head, (), erases=True, births=(first_of(taker, "other"),))
    still_there = only(other, put(maker, "a", once=True))
    results = append_together(store, wrong, needy, crowded, first_of(taker, "counter"), still_there)
    assert kinds(results) == [HeadConflict, HeadConflict, StoreError, StoreError, Appended]
    assert all_of(store, maker, other) == before
    assert store.wipe() == 0
    assert list(store.events(maker.actor)) == maker.events


def a_removal_tells_others_in_the_same_transaction(store: EventStore) -> None:
    maker, other = living(store), living(store, 1, "other")
    drops = drop(maker, "a"), drop(other, "a")
    puts = put(other, "told"), put(maker, "lost")
    batch = Append(maker.actor, maker.head, (), erases=True, drops=drops, puts=puts)
    assert kinds(append_together(store, batch)) == [Appended]
    assert store.entries(maker.actor) == []
    assert store.entries(other.actor) == [put(other, "b", b"t", "timer"), put(other, "told")]


def who_reads_while_a_chain_is_wiped_reads_on(store: EventStore) -> None:
    maker = chain_of(0)
    for number in range(200):
        maker.add("lifecycle", "x", LARGE if number % 50 == 49 else b"{}")
    append_chain(store, maker, batch=1)
    append_together(store, removal(maker))
    whole, gone = maker.events, erased(maker)
    readings = [store.events(maker.actor), (event for _, event in store.events_by_index(start=0, limit=500))]
    backwards = store.events_reversed(maker.actor, start=500)
    begun_with = [next(reading) for reading in (*readings, backwards)]
    store.wipe()
    for reading, first in zip(readings, begun_with, strict=False):
        found = [first, *reading]
        assert all(event in pair for event, *pair in zip(found, whole, gone, strict=True))
    found = [begun_with[2], *backwards]
    assert all(event in pair for event, *pair in zip(found[::-1], whole, gone, strict=True))


def sizes_are_those_of_headers_and_payloads(store: EventStore) -> None:
    maker = chain_of(2)
    assert store.size_bytes(maker.actor) == 0
    maker.add("lifecycle", "x", LARGE)
    append_chain(store, maker, batch=2)
    assert 0 <= store.size_bytes(maker.actor) - size_of(maker.events) <= 16 * len(maker.events)
    head = maker.head
    append(store, maker.actor, head, maker.step())
    assert 0 <= store.size_bytes(maker.actor) - size_of(maker.events) <= 16 * len(maker.events)
    append_together(store, removal(maker))
    assert 0 <= store.size_bytes(maker.actor) - size_of(maker.events) <= 16 * len(maker.events)
    store.wipe()
    assert size_of(erased(maker)) <= store.size_bytes(maker.actor) < size_of(maker.events)
    assert store.free_bytes() > 0


def size_of(events: list[Event]) -> int:
    """What is to be kept of some events."""
    return sum(len(event.header_bytes) + len(event.salt or b"") + len(event.payload or b"") for event in events)


def who_watches_hears_of_what_was_written_behind_the_callbacks(store: EventStore) -> None:
    maker, other = begun(store, 2)
    happened: list[object] = []
    ended = threading.Semaphore(0)

    def hear(written: Written) -> None:
        happened.append(written)
        ended.release()

    store.observe(hear)
    store.observe(lambda written: happened.append(threading.get_ident()) if written.took_s >= 0 else None)
    first, wrong = only(maker, put(maker, "a")), only(maker, drop(maker, "no"))
    second = Append(other.actor, other.head, other.step(), births=(first_of(chain_of(0, number=9)),))
    for batch in (first, wrong, second):
        store.append(batch, lambda result: happened.append((type(result), threading.get_ident())), hurry=False)
    store.flush()
    assert ended.acquire(timeout=WAIT_S)
    append_together(store, wrong)  # nothing of it is written, so nobody hears of it
    append_together(store, first)
    assert ended.acquire(timeout=WAIT_S)

    told = [written for written in happened if isinstance(written, Written)]
    assert [batch for written in told for batch in written.batches] == [first, second, first]
    thread = happened[0][1] if isinstance(happened[0], tuple) else None
    assert happened[:3] == [(Appended, thread), (HeadConflict, thread), (Appended, thread)]
    assert happened[3:5] == [Written((first, second), told[0].took_s), thread]


REMOVAL_CASES: tuple[Callable[[EventStore], None], ...] = (
    restarts_are_kept_in_the_record,
    a_removed_actor_is_found_no_more_and_its_chain_is,
    wiping_leaves_headers_and_what_came_with_the_removal,
    a_large_payload_that_came_with_the_removal_stays,
    a_removal_without_an_event_keeps_no_payload,
    a_removed_actor_takes_nothing_more,
    a_removal_counts_for_the_batches_behind_it,
    a_refused_removal_removes_nothing,
    a_removal_tells_others_in_the_same_transaction,
    who_reads_while_a_chain_is_wiped_reads_on,
    sizes_are_those_of_headers_and_payloads,
    who_watches_hears_of_what_was_written_behind_the_callbacks,
)
"""Part of ``event_store_suite.CASES``."""
