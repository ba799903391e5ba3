"""Which actor a person means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from theater.errors import InvalidManifest, NotFound
from theater.model.event import EMPTY
from theater.model.ids import ActorId, Digest
from theater.model.manifest import check_name, is_name
from theater.model.ports import ActorRecord, Append, Appended, Status
from theater.runtime.lookup import find_record
from theater.store import MemoryEventStore

Add = Callable[..., ActorRecord]


@pytest.fixture
def store() -> Iterator[MemoryEventStore]:
    store = MemoryEventStore()
    yield store
    store.close()


@pytest.fixture
def add(store: MemoryEventStore) -> Add:
    """Put the row of an actor into the store; each is made a second after the one before."""
    heard: SimpleQueue[object] = SimpleQueue()
    made: list[ActorRecord] = []

    def put(id_begins: str, name: str, status: Status = "running", *, created_us: int | None = None) -> ActorRecord:
        record = ActorRecord(
            id=ActorId(id_begins.ljust(32, "0")),
            name=name,
            status=status,
            parent=None,
            created_us=len(made) * 1_000_000 if created_us is None else created_us,
            program=Digest("ab" * 32),
        )
        store.append(Append(record.id, EMPTY, (), record=record), heard.put)
        assert isinstance(heard.get(timeout=10.0), Appended)
        made.append(record)
        return record

    return put


def test_a_name_is_exact(store: MemoryEventStore, add: Add) -> None:
    counter = add("1", "counter")
    add("2", "counter-2")

    assert find_record(store, "counter") == counter
    with pytest.raises(NotFound, match="no actor 'count'; did you mean 'counter'"):
        find_record(store, "count")


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_living_actor_goes_before_a_dead_one(store: MemoryEventStore, add: Add, status: Status) -> None:
    add("1", "counter", "stopped", created_us=5)
    living = add("2", "counter", status, created_us=1)
    add("3", "counter", "crashed", created_us=9)

    assert find_record(store, "counter") == living


def test_of_dead_ones_the_latest_is_meant(store: MemoryEventStore, add: Add) -> None:
    add("1", "counter", "stopped", created_us=1)
    latest = add("2", "counter", "crashed", created_us=9)
    add("3", "counter", "stopped", created_us=5)

    assert find_record(store, "counter") == latest


def test_a_name_goes_before_an_id(store: MemoryEventStore, add: Add) -> None:
    add("beef", "other")
    named = add("1", "beef", "stopped")

    assert find_record(store, "beef") == named


def test_an_id_is_found_whole_and_by_its_beginning(store: MemoryEventStore, add: Add) -> None:
    first, second = add("abcd1", "one", "stopped"), add("abcd2", "two")

    assert find_record(store, first.id) == first
    assert find_record(store, "abcd1") == first
    assert find_record(store, "abcd2") == second


def test_a_beginning_of_three_digits_is_no_choice(store: MemoryEventStore, add: Add) -> None:
    record = add("abcd", "one")

    assert find_record(store, "abcd") == record
    with pytest.raises(NotFound, match="no actor 'abc'"):
        find_record(store, "abc")


def test_several_ids_that_begin_so_are_named(store: MemoryEventStore, add: Add) -> None:
    for number in range(7):
        add(f"abcd{number}", f"actor-{number}")

    with pytest.raises(NotFound) as caught:
        find_record(store, "abcd")

    message = caught.value.message
    assert message.startswith("7 ids begin with 'abcd': abcd00000000 (actor-0), ")
    assert message.count("(actor-") == 5
    assert message.endswith("; give more digits")


def test_what_nobody_is_called_says_the_nearest_name(store: MemoryEventStore, add: Add) -> None:
    add("1", "counter", "crashed")

    with pytest.raises(NotFound, match="no actor 'countre'; did you mean 'counter'"):
        find_record(store, "countre")
    with pytest.raises(NotFound, match=r"no actor 'zzzz'$"):
        find_record(store, "zzzz")


@pytest.mark.parametrize("text", ["", "%", "____", "*", "ABCD", "abcd' OR 1=1 --", "\x00"])
def test_nothing_in_a_text_is_a_pattern(store: MemoryEventStore, add: Add, text: str) -> None:
    add("abcd", "one")

    with pytest.raises(NotFound):
        find_record(store, text)


def test_what_could_be_an_id_is_no_name() -> None:
    assert is_name("ab" * 15 + "a")
    assert is_name("ab" * 16 + "a")
    assert is_name("ax" * 16)
    with pytest.raises(InvalidManifest, match="could be an id"):
        check_name("ab" * 16)
