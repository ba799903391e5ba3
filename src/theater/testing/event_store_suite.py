"""What every event store does, as functions of plain asserts. A store is one if it passes ``CASES``, each on a new one.

::

    @pytest.mark.parametrize("case", CASES)
    def test_my_store(case, my_store):
        case(my_store)
"""

# ruff: noqa: D103, PLR2004 - the name of a case is its sentence, and the expected number stands beside the call

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from theater.errors import HeadConflict, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.ports import ActorRecord, Append, Appended, EventStore, Status
from theater.testing.chains import ChainMaker, chain_of

WAIT_S = 30.0

Case = Callable[[EventStore], None]


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
    heard: list[Appended | StoreError] = []
    called = threading.Event()

    def done(result: Appended | StoreError) -> None:
        heard.append(result)
        called.set()

    store.append(Append(actor, expected, tuple(events), record=record, attempt=attempt), done)
    assert called.wait(WAIT_S), "append was never answered"
    assert len(heard) == 1
    return heard[0]


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
)
