"""What every event store does, as functions of plain asserts. A store is one if it passes ``CASES``, each on a new one.

::

    @pytest.mark.parametrize("case", CASES)
    def test_my_store(case, my_store):
        case(my_store)
"""

# ruff: noqa: D103, PLR2004 - the name of a case is its sentence, and the expected number stands beside the call

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from theater.errors import HeadConflict, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import Digest
from theater.model.ports import Append, Appended, EventStore, Space
from theater.testing.blob_suite import BLOB_CASES
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.removal_suite import REMOVAL_CASES
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

Case = Callable[[EventStore], None]


def a_new_store_is_empty(store: EventStore) -> None:
    actor = ChainMaker().actor
    assert store.head(actor) == EMPTY
    assert list(store.events(actor)) == []
    assert list(store.events_reversed(actor, start=10)) == []
    assert list(store.events_by_index(start=0, limit=10)) == []
    assert store.record(actor) is None
    assert store.records() == []
    assert store.find(actor) == []
    assert store.attempt(actor) == 0
    assert store.size_events() == 0
    assert (store.entries(actor), store.entry(actor, "mailbox", "a")) == ([], None)
    assert len(store.facts().public_key) == 64
    assert not store.facts().unclean


def what_was_appended_is_read(store: EventStore) -> None:
    maker = chain_of(4)
    append_chain(store, maker, batch=3)
    last = len(maker.events) - 1

    assert store.head(maker.actor) == maker.head
    assert list(store.events(maker.actor)) == maker.events
    for start in range(last + 3):
        assert list(store.events(maker.actor, start=start)) == maker.events[start:]
        assert list(store.events_reversed(maker.actor, start=start)) == maker.events[: start + 1][::-1]
        for stop in range(start, last + 3):
            assert list(store.events(maker.actor, start=start, stop=stop)) == maker.events[start:stop]


def a_wrong_head_is_refused_and_nothing_is_written(store: EventStore) -> None:
    maker = chain_of(2)
    append_chain(store, maker)
    other = chain_of(3)
    following = other.events[len(maker.events) :]
    stale, foreign = EMPTY, Head(maker.head.seq, Digest("ff" * 32))

    for expected in (stale, foreign, other.head):
        record = record_of(maker.actor)
        result = append(store, maker.actor, expected, record=record, attempt=1)
        assert isinstance(result, HeadConflict)
    assert store.record(maker.actor) is None
    assert store.attempt(maker.actor) == 0
    assert list(store.events(maker.actor)) == maker.events
    assert isinstance(append(store, maker.actor, maker.head, following), Appended)
    again = append(store, maker.actor, maker.head, following)
    assert isinstance(again, HeadConflict)
    assert list(store.events(maker.actor)) == other.events


def the_index_over_all_events_has_no_gaps(store: EventStore) -> None:
    makers = [chain_of(3, number=number) for number in range(4)]
    first_indexes: list[int] = []
    heads = [EMPTY] * len(makers)
    for step in range(0, len(makers[0].events), 4):
        for number, maker in enumerate(makers):
            events = maker.events[step : step + 4]
            result = append(store, maker.actor, heads[number], events)
            assert isinstance(result, Appended)
            heads[number] = result.head
            first_indexes.append(result.first_index)
        conflict = append(store, makers[0].actor, EMPTY)
        assert isinstance(conflict, HeadConflict)

    actors = [maker.actor for maker in makers]
    assert store.heads([*actors, ChainMaker(99).actor]) == {maker.actor: maker.head for maker in makers}
    assert store.heads([]) == {}
    total = sum(len(maker.events) for maker in makers)
    everything = list(store.events_by_index(start=0, limit=total + 5))
    assert store.size_events() == total
    assert [index for index, _ in everything] == list(range(total))
    for maker in makers:
        assert [event for _, event in everything if event.header.actor == maker.actor] == maker.events
    for start in range(total + 2):
        assert list(store.events_by_index(start=start, limit=3)) == everything[start : start + 3]
    assert {everything[index][0] for index in first_indexes} == set(first_indexes)


def payloads_of_all_sizes_are_kept(store: EventStore) -> None:
    maker = ChainMaker()
    for size in (2, 65_535, 65_536, 65_537, 3_000_000):
        maker.add("genesis" if size == 2 else "lifecycle", "x", b'"' + b"x" * (size - 2) + b'"')
    append_chain(store, maker, batch=2)

    assert list(store.events(maker.actor)) == maker.events
    assert list(store.events_reversed(maker.actor, start=9)) == maker.events[::-1]
    assert [event for _, event in store.events_by_index(start=0, limit=9)] == maker.events


def withheld_payloads_stay_withheld(store: EventStore) -> None:
    maker = chain_of(1)
    events = [Event(event.header, event.header_bytes, event.hash, None, None) for event in maker.events]
    assert isinstance(append(store, maker.actor, EMPTY, events), Appended)

    assert list(store.events(maker.actor)) == events


def a_record_is_written_with_its_events_and_replaced(store: EventStore) -> None:
    maker = chain_of(1)
    first = record_of(maker.actor)
    append(store, maker.actor, EMPTY, maker.events, record=first)
    assert store.record(maker.actor) == first

    stopped = replace(first, status="stopped")
    result = append(store, maker.actor, maker.head, record=stopped)
    assert isinstance(result, Appended)
    assert (result.head, result.first_index) == (maker.head, len(maker.events))
    assert store.record(maker.actor) == stopped
    assert store.records() == [stopped]


def a_name_is_held_by_one_living_actor(store: EventStore) -> None:
    first, second = chain_of(1), chain_of(1, number=1)
    append(store, first.actor, EMPTY, first.events, record=record_of(first.actor, status="paused"))
    refused = append(store, second.actor, EMPTY, second.events, record=record_of(second.actor))

    assert isinstance(refused, StoreError)
    assert refused.data["name_taken"] == "counter"
    assert store.head(second.actor) == EMPTY
    assert store.record(second.actor) is None
    dead = append(store, second.actor, EMPTY, second.events, record=record_of(second.actor, status="crashed"))
    assert isinstance(dead, Appended)
    append(store, first.actor, first.head, record=record_of(first.actor, status="stopped"))
    assert isinstance(append(store, second.actor, second.head, record=record_of(second.actor)), Appended)
    assert store.size_events() == 2 * len(first.events)


def actors_are_found_by_name_id_and_beginning_of_an_id(store: EventStore) -> None:
    dead, living, other = (chain_of(0, number=number) for number in range(3))
    rows = [
        record_of(dead.actor, status="stopped", created_us=1),
        record_of(living.actor, created_us=2),
        record_of(other.actor, name="other", status="crashed", created_us=3),
    ]
    for maker, row in zip((dead, living, other), rows, strict=True):
        append(store, maker.actor, EMPTY, maker.events, record=row)

    assert store.records() == rows
    assert store.find("counter") == [rows[1], rows[0]]
    assert store.find(other.actor) == [rows[2]]
    for length in (4, 12, 31):
        assert store.find(other.actor[:length]) == [rows[2]]
    for nothing in ("", "cou", other.actor[:3], other.actor + "0", "zzzz", "%", "____"):
        assert store.find(nothing) == []


def the_attempt_mark_is_set_and_cleared(store: EventStore) -> None:
    maker = chain_of(1)
    append(store, maker.actor, EMPTY, maker.events, attempt=1)
    assert store.attempt(maker.actor) == 1
    append(store, maker.actor, maker.head, attempt=2)
    append(store, maker.actor, maker.head)
    assert store.attempt(maker.actor) == 2
    append(store, maker.actor, maker.head, attempt=0)
    assert store.attempt(maker.actor) == 0


def many_chains_append_at_once(store: EventStore) -> None:
    makers = [chain_of(6, number=number) for number in range(24)]
    errors: list[BaseException] = []

    def run(some: list[ChainMaker]) -> None:
        try:
            for maker in some:
                append_chain(store, maker, batch=2)
        except BaseException as error:  # noqa: BLE001 - told to the thread that joins this one
            errors.append(error)

    threads = [threading.Thread(target=run, args=(makers[number::6],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    for maker in makers:
        assert list(store.events(maker.actor)) == maker.events
    assert store.size_events() == sum(len(maker.events) for maker in makers)


def one_chain_may_append_again_from_its_callback(store: EventStore) -> None:
    maker = chain_of(20)
    ended = threading.Event()
    threads: set[int] = set()

    def go_on(result: Appended | StoreError) -> None:
        assert isinstance(result, Appended), result
        threads.add(threading.get_ident())
        seq = result.head.seq + 1
        if seq == len(maker.events):
            ended.set()
        else:
            store.append(Append(maker.actor, result.head, (maker.events[seq],)), go_on)

    store.append(Append(maker.actor, EMPTY, (maker.events[0],)), go_on)
    assert ended.wait(WAIT_S)
    assert threading.get_ident() not in threads
    assert list(store.events(maker.actor)) == maker.events


def an_iteration_ends_where_the_chain_ended_when_it_began(store: EventStore) -> None:
    maker = chain_of(3)
    append(store, maker.actor, EMPTY, maker.events[:6])
    reading = store.events(maker.actor)
    assert next(reading) == maker.events[0]
    append(store, maker.actor, Head(5, maker.events[5].hash), maker.events[6:])

    assert list(reading) == maker.events[1:6]


def closing_finishes_what_was_appended(store: EventStore) -> None:
    makers = [chain_of(1, number=number) for number in range(50)]
    heard: list[Appended | StoreError] = []
    for maker in makers:
        store.append(Append(maker.actor, EMPTY, tuple(maker.events)), heard.append)
    store.close()
    store.close()
    assert len(heard) == len(makers)
    assert all(isinstance(result, Appended) for result in heard)

    store.append(Append(makers[0].actor, makers[0].head, ()), heard.append)
    assert isinstance(heard[-1], StoreError)


def entries_keep_the_order_in_which_they_were_first_put(store: EventStore) -> None:
    (maker,) = begun(store, 1)
    entries = [put(maker, key, b"\0" + key.encode()) for key in ("b", "a", "", "\u00e9 c")]
    timer = put(maker, "a", b"t", "timer")
    append_together(store, only(maker, *entries[:2], timer), only(maker, *entries[2:]))

    assert store.entries(maker.actor) == [*entries[:2], timer, *entries[2:]]
    assert store.entries(maker.actor, "mailbox") == entries
    assert store.entry(maker.actor, "timer", "a") == timer
    assert store.entry(maker.actor, "timer", "b") is None
    replaced, later = put(maker, "b", b"new"), put(maker, "a", b"later")
    append_together(store, only(maker, replaced))
    assert store.entries(maker.actor, "mailbox") == [replaced, *entries[1:]]
    append_together(store, only(maker, drop(maker, "a"), later))  # drops come first, so this is another one
    assert store.entries(maker.actor) == [replaced, timer, *entries[2:], later]


def an_entry_that_is_put_once_stays_as_it_is(store: EventStore) -> None:
    (maker,) = begun(store, 1)
    again = put(maker, "a", b"2", once=True), put(maker, "b", b"1"), put(maker, "b", b"2", once=True)
    append_together(store, only(maker, put(maker, "a", b"1", once=True)))
    append_together(store, only(maker, *again), only(maker, put(maker, "b", b"3", once=True)))
    assert store.entries(maker.actor) == [put(maker, "a", b"1"), put(maker, "b", b"1")]


def a_missing_entry_refuses_all_of_its_batch_and_nothing_else(store: EventStore) -> None:
    maker, other = begun(store, 2)
    born, third = chain_of(1, number=9), chain_of(0, number=10)
    head = maker.head
    events = maker.step()
    kept, waiting, last = put(maker, "kept"), put(other, "waiting"), put(other, "last")
    append_together(store, only(maker, kept))
    before = all_of(store, maker, born)
    record, births = record_of(maker.actor, "taken"), (first_of(born, "born"),)
    puts = put(maker, "new"), put(born, "x"), put(maker, "kept", b"changed"), put(other, "waiting", b"changed")
    drops = drop(maker, "kept"), drop(other, "waiting"), drop(maker, "missing", required=False), drop(maker, "no")
    refused = Append(maker.actor, head, events, record, attempt=3, puts=puts, drops=drops, births=births)
    results = append_together(store, only(other, waiting), refused, only(other, last))

    assert kinds(results) == [Appended, HeadConflict, Appended]
    assert isinstance(results[1], HeadConflict)
    assert results[1].data["entry"] == "no"
    assert f"{maker.actor} holds no mailbox entry 'no'" in str(results[1])
    assert all_of(store, maker, born) == before
    assert store.entries(other.actor) == [waiting, last]
    # nothing of it is remembered either: the name, the chain and the entries are as free, or as there, as before
    again = Append(maker.actor, head, events, drops=drops[:2], births=births)
    assert kinds(append_together(store, refused, again, first_of(third, "taken"))) == [HeadConflict, Appended, Appended]
    assert list(store.events(born.actor)) == born.events


def an_entry_is_dropped_by_the_batch_behind_the_one_that_put_it(store: EventStore) -> None:
    maker, other = begun(store, 2)
    first = only(maker, put(other, "a"), put(other, "b"))
    second = only(other, drop(other, "a"), put(maker, "c"))
    third = only(maker, drop(maker, "c"), drop(other, "never", required=False))
    assert kinds(append_together(store, first, second, third)) == [Appended] * 3
    assert (store.entries(maker.actor), store.entries(other.actor)) == ([], [put(other, "b")])


def an_entry_is_dropped_once(store: EventStore) -> None:
    (maker,) = begun(store, 1)
    puts, drops, twice = put(maker, "a"), only(maker, drop(maker, "a")), only(maker, *[drop(maker, "a")] * 2)
    append_together(store, only(maker, puts))
    assert kinds(append_together(store, drops, drops)) == [Appended, HeadConflict]
    assert kinds(append_together(store, only(maker, puts), twice, drops)) == [Appended, HeadConflict, Appended]
    assert kinds(append_together(store, drops)) == [HeadConflict]


def what_a_batch_requires_has_to_be_there_and_stays(store: EventStore) -> None:
    maker, other = begun(store, 2)
    append_together(store, only(maker, put(maker, "a")))
    needy = Append(other.actor, other.head, other.step(), puts=(put(other, "x"),), requires=(drop(maker, "a"),))
    early, gone, never = (Append(other.actor, None, (), requires=(drop(maker, key),)) for key in ("b", "a", "c"))
    results = append_together(store, early, only(maker, put(maker, "b")), early, needy, only(maker, drop(maker, "a")))
    assert kinds(results) == [HeadConflict, Appended, Appended, Appended, Appended]
    moved = Append(maker.actor, None, (), drops=(drop(maker, "b"),), puts=(put(maker, "c"),), requires=early.requires)
    fresh = Append(maker.actor, None, (), puts=(put(maker, "d"),), requires=(drop(maker, "d"),))
    unborn = Append(maker.actor, None, (), requires=(drop(chain_of(0, number=9), "a"),))
    results = append_together(store, gone, never, moved, never, fresh, unborn)
    assert kinds(results) == [HeadConflict, HeadConflict, Appended, Appended, HeadConflict, HeadConflict]
    refused = Append(other.actor, other.head, (), attempt=2, requires=gone.requires)
    assert kinds(append_together(store, refused)) == [HeadConflict]
    assert (store.attempt(other.actor), store.head(other.actor)) == (0, other.head)
    assert store.entries(maker.actor) == [put(maker, "c")]


def entries_are_held_by_actors_with_a_chain(store: EventStore) -> None:
    (maker,) = begun(store, 1)
    unborn = chain_of(1, number=9)
    waiting, needed, unneeded = put(unborn, "a"), drop(unborn, "a"), drop(unborn, "a", required=False)
    batches = only(maker, put(maker, "a"), waiting), only(unborn, waiting), only(unborn, needed), only(unborn, unneeded)
    assert kinds(append_together(store, *batches)) == [HeadConflict, HeadConflict, HeadConflict, Appended]
    assert (store.entries(maker.actor), store.entries(unborn.actor)) == ([], [])
    append_together(store, Append(unborn.actor, EMPTY, tuple(unborn.events), puts=(waiting,)))
    assert store.entries(unborn.actor) == [waiting]


def entries_alone_need_no_head(store: EventStore) -> None:
    (maker,) = begun(store, 1)
    head = maker.head
    batch = Append(maker.actor, head, maker.step())
    results = append_together(store, only(maker, put(maker, "a")), batch, only(maker, drop(maker, "a")))
    assert results == [Appended(head, 1), Appended(maker.head, 1), Appended(maker.head, len(maker.events))]


def births_are_written_with_their_parent(store: EventStore) -> None:
    parent, *children = [chain_of(number, number=number) for number in range(3)]
    born = tuple(first_of(child, f"child-{number}") for number, child in enumerate(children))
    batch = Append(parent.actor, EMPTY, tuple(parent.events), births=born, puts=(put(children[0], "init"),))
    other = chain_of(1, number=9)
    assert append_together(store, batch, first_of(other)) == [Appended(parent.head, 0), Appended(other.head, 18)]

    events = [*parent.events, *children[0].events, *children[1].events, *other.events]
    assert list(store.events_by_index(start=0, limit=100)) == list(enumerate(events))
    assert [record.name for record in store.records()] == ["child-0", "child-1"]
    assert store.entries(children[0].actor) == [put(children[0], "init")]


def a_refused_birth_refuses_its_parent(store: EventStore) -> None:
    parent, there = begun(store, 2)
    child, twin, namesake = (chain_of(1, number=number) for number in range(5, 8))
    head, events = parent.head, parent.step()
    append_together(store, Append(there.actor, there.head, (), record=record_of(there.actor, "there")))
    needy = Append(twin.actor, EMPTY, tuple(twin.events), drops=(drop(parent, "a"), drop(parent, "a")))
    before = all_of(store, parent, there, child, twin, namesake)
    for refused, reason in (
        (first_of(there), HeadConflict),
        (first_of(child), HeadConflict),  # twice in one batch
        (first_of(namesake, "there"), StoreError),
        (first_of(namesake, "child"), StoreError),
        (needy, HeadConflict),
    ):
        births = first_of(child, "child"), refused
        batch = Append(parent.actor, head, events, births=births, puts=(put(parent, "a"),), attempt=1)
        assert kinds(append_together(store, batch, only(parent, drop(parent, "a")))) == [reason, HeadConflict]
        assert all_of(store, parent, there, child, twin, namesake) == before
    batch = Append(parent.actor, head, events, births=(first_of(child, "child"), needy))
    assert kinds(append_together(store, batch, first_of(child, "child"))) == [HeadConflict, Appended]


def holders_are_counted_oldest_first(store: EventStore) -> None:
    makers = begun(store, 4)
    spaces: tuple[Space, ...] = ("mailbox", "timer", "mailbox")
    for maker, space in list(zip(makers, spaces, strict=False))[::-1]:
        append_together(store, only(maker, put(maker, "a", b"", space), put(maker, "b", b"", space)))
    append_together(store, only(makers[2], drop(makers[2], "a"), put(makers[3], "c")))
    append_together(store, only(makers[3], drop(makers[3], "c")))

    first, second, third, _ = (maker.actor for maker in makers)
    assert store.holders("mailbox", "timer") == [first, second, third]
    assert store.holders("mailbox") == [first, third]
    assert (store.holders(), store.holders("duty")) == ([], [])
    assert (store.size_entries("mailbox"), store.size_entries("duty")) == ({first: 2, third: 1}, {})


CASES: tuple[Case, ...] = (
    a_new_store_is_empty,
    what_was_appended_is_read,
    a_wrong_head_is_refused_and_nothing_is_written,
    the_index_over_all_events_has_no_gaps,
    payloads_of_all_sizes_are_kept,
    withheld_payloads_stay_withheld,
    a_record_is_written_with_its_events_and_replaced,
    a_name_is_held_by_one_living_actor,
    actors_are_found_by_name_id_and_beginning_of_an_id,
    the_attempt_mark_is_set_and_cleared,
    many_chains_append_at_once,
    one_chain_may_append_again_from_its_callback,
    an_iteration_ends_where_the_chain_ended_when_it_began,
    closing_finishes_what_was_appended,
    entries_keep_the_order_in_which_they_were_first_put,
    an_entry_that_is_put_once_stays_as_it_is,
    a_missing_entry_refuses_all_of_its_batch_and_nothing_else,
    an_entry_is_dropped_by_the_batch_behind_the_one_that_put_it,
    an_entry_is_dropped_once,
    what_a_batch_requires_has_to_be_there_and_stays,
    entries_are_held_by_actors_with_a_chain,
    entries_alone_need_no_head,
    births_are_written_with_their_parent,
    a_refused_birth_refuses_its_parent,
    holders_are_counted_oldest_first,
    *REMOVAL_CASES,
    *BLOB_CASES,
)
