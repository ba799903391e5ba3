"""Entries and births on a disk: they survive, they die whole, and they cost what was promised."""

from __future__ import annotations

import errno
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.older import make_older
from tests.store.opened_store import die, in_child, opened
from theater.errors import DiskFull, HeadConflict, StoreError
from theater.model.event import EMPTY
from theater.model.ports import Append, Appended, EventStore
from theater.store import DataDir, MemoryEventStore, SqliteEventStore, entries
from theater.store.faults import FAULT_POINTS, FaultPoint
from theater.store.migrations import MIGRATIONS, migrate
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.store_calls import (
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

LARGE = b'"' + b"x" * 100_000 + b'"'


def statements_of(store: SqliteEventStore, *batches: Append) -> list[str]:
    """The first words of what SQLite is told while these are written together."""
    told: list[str] = []
    assert store._connection is not None
    store._connection.set_trace_callback(lambda text: told.append(" ".join(text.split()[:3])))
    assert kinds(append_together(store, *batches)) == [Appended] * len(batches)
    store._connection.set_trace_callback(None)
    return told


def test_entries_are_there_after_closing_and_opening(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        maker, other = begun(store, 2)
        append_together(store, only(maker, put(maker, "b", b"1"), put(maker, "a"), put(other, "x")))
        append_together(store, only(maker, put(maker, "b", b"2"), drop(other, "x")))
    with opened(tmp_path) as store:
        assert store.entries(maker.actor) == [put(maker, "b", b"2"), put(maker, "a")]
        assert store.holders("mailbox") == [maker.actor]
        refused = only(other, drop(other, "x"))
        taken = only(other, drop(maker, "b"), put(maker, "c"), put(maker, "a", b"2", once=True))
        assert kinds(append_together(store, refused, taken)) == [HeadConflict, Appended]
        assert store.entries(maker.actor) == [put(maker, "a"), put(maker, "c")]
        beside = SqliteEventStore.open(DataDir(tmp_path), read_only=True)
        assert beside.entries(maker.actor) == store.entries(maker.actor)
        beside.close()
        store.check()


def test_what_is_put_and_dropped_together_costs_no_statement(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        maker, other = begun(store, 2)
        append_together(store, *(only(maker, put(one, "0"), drop(one, "0")) for one in (maker, other)))
        passing = [only(maker, put(other, f"{number}"), put(maker, f"{number}")) for number in range(100)]
        passing += [only(maker, drop(other, f"{number}"), drop(maker, f"{number}")) for number in range(100)]

        assert statements_of(store, *passing) == []
        assert store.entries(maker.actor) == store.entries(other.actor) == []


def test_what_is_dropped_later_is_neither_looked_up_nor_deleted_one_by_one(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        makers = begun(store, 100)
        puts = [only(maker, put(maker, "a"), put(maker, "b")) for maker in makers]
        drops = [only(maker, drop(maker, "a"), put(maker, "b", b"2")) for maker in makers]
        append_together(store, *puts)

        rows = ["INSERT INTO entries"] * 2
        assert statements_of(store, *drops) == ["BEGIN", *["DELETE FROM entries"] * 2, *rows, "COMMIT"]
        assert store.size_entries("mailbox") == dict.fromkeys((maker.actor for maker in makers), 1)


def test_a_shelf_too_large_to_remember_is_asked_entry_by_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_SHELF_MAX", 3)
    with opened(tmp_path) as store:
        (maker,) = begun(store, 1)
        append_together(store, only(maker, *(put(maker, f"{number}") for number in range(9))))
    with opened(tmp_path) as store:
        changes = only(maker, drop(maker, "1"), put(maker, "2", b"x", once=True), put(maker, "1"), put(maker, "new"))
        again, missing = only(maker, drop(maker, "8")), only(maker, drop(maker, "9"))
        results = append_together(store, changes, again, again, missing)

        assert kinds(results) == [Appended, Appended, HeadConflict, HeadConflict]
        assert [entry.key for entry in store.entries(maker.actor)] == ["0", *"234567", "1", "new"]
        assert kinds(append_together(store, again, only(maker, drop(maker, "new")))) == [HeadConflict, Appended]


def composite(parent: ChainMaker, child: ChainMaker, other: ChainMaker) -> Append:
    """A batch with everything in it that a batch can have. The parent's genesis, and two entries, are there already."""
    return Append(
        parent.actor,
        chain_of(0).head,
        tuple(parent.events[1:]),
        record=record_of(parent.actor, "parent"),
        attempt=1,
        puts=(put(child, "init"), put(other, "ask", b"2"), put(parent, "child", b"", "child")),
        drops=(drop(parent, "begin"),),
        births=(Append(child.actor, EMPTY, tuple(child.events), record=record_of(child.actor, "child")),),
    )


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_death_leaves_all_of_a_batch_or_nothing(tmp_path: Path, point: FaultPoint) -> None:
    parent, other, child = chain_of(1), chain_of(0, number=1), chain_of(1, number=2)
    parent.add("lifecycle", "x", LARGE)
    batch = composite(parent, child, other)
    is_armed = False

    def fault(passed: FaultPoint) -> None:
        if is_armed and passed == point:
            die()

    def live_until_then() -> None:
        nonlocal is_armed
        with opened(tmp_path, fault=fault) as store:
            begun(store, 2)
            append_together(store, only(parent, put(parent, "begin"), put(other, "ask", b"1")))
            is_armed = True
            append_together(store, batch)

    assert in_child(live_until_then) == signal.SIGKILL, f"'{point}' was not passed"

    def is_written(store: EventStore) -> bool:
        found = (
            [*store.entries(parent.actor), *store.entries(child.actor), *store.entries(other.actor)],
            list(store.events(parent.actor)),
            list(store.events(child.actor)),
            [record.name for record in store.records()],
            store.attempt(parent.actor),
        )
        before: object = [put(parent, "begin"), put(other, "ask", b"1")], parent.events[:1], [], [], 0
        parents = put(parent, "child", b"", "child")
        after = [parents, put(child, "init"), put(other, "ask", b"2")], parent.events, child.events
        assert found in (before, (*after, ["parent", "child"], 1))
        return found != before

    with opened(tmp_path) as store:
        is_committed = point in ("after-commit", "closing")
        assert is_written(store) == is_committed
        assert store.check() == store.size_events()
        assert kinds(append_together(store, batch)) == [HeadConflict if is_committed else Appended]
        assert is_written(store)


@pytest.mark.parametrize("point", ["before-transaction", "chains-written", "entries-dropped", "before-commit"])
def test_a_full_disk_leaves_entries_as_they_were(tmp_path: Path, point: FaultPoint) -> None:
    is_full = False

    def fault(passed: FaultPoint) -> None:
        if is_full and passed == point:
            raise OSError(errno.ENOSPC, "no space left on device")

    with opened(tmp_path, fault=fault) as store:
        (maker,) = begun(store, 1)
        born = chain_of(0, number=1)
        append_together(store, only(maker, put(maker, "a"), put(maker, "b")))
        change = only(maker, drop(maker, "a"), put(maker, "b", b"2"), put(maker, "c"))
        batches = change, first_of(born, "born"), only(maker, drop(maker, "c"), put(born, "x"))
        is_full = True
        for _ in range(2):
            assert kinds(append_together(store, *batches)) == [DiskFull] * 3
        is_full = False
        assert store.entries(maker.actor) == [put(maker, "a"), put(maker, "b")]
        assert kinds(append_together(store, *batches)) == [Appended] * 3
        assert store.entries(maker.actor) == [put(maker, "b", b"2")]
        assert store.entries(born.actor) == [put(born, "x")]


def test_a_store_from_before_the_entries_keeps_its_events_and_gets_them(tmp_path: Path) -> None:
    maker = chain_of(1)
    with opened(tmp_path) as store:
        append_chain(store, maker)
    data_dir = DataDir(tmp_path)
    connection = sqlite3.connect(data_dir.database, isolation_level=None)
    make_older(connection, 1)
    expected = sqlite3.connect(":memory:", isolation_level=None)
    migrate(expected, MIGRATIONS[:1])
    schema = "SELECT name, sql FROM sqlite_schema ORDER BY name"
    assert connection.execute(schema).fetchall() == expected.execute(schema).fetchall()
    connection.close()
    expected.close()

    beside = SqliteEventStore.open(data_dir, read_only=True)
    assert beside.entries(maker.actor) == []
    assert beside.holders("mailbox") == []
    with opened(tmp_path) as store:
        assert list(store.events(maker.actor)) == maker.events
        assert kinds(append_together(store, only(maker, put(maker, "a")))) == [Appended]
        assert beside.entries(maker.actor) == [put(maker, "a")]
    beside.close()


@contextmanager
def both_stores(root: Path) -> Iterator[tuple[EventStore, ...]]:
    memory = MemoryEventStore()
    with opened(root) as store:
        yield store, memory
    memory.close()


def test_a_name_passes_on_within_what_is_written_together(tmp_path: Path) -> None:
    with both_stores(tmp_path) as stores:
        for store in stores:
            old, new, third = (chain_of(0, number=number) for number in range(3))
            append_together(store, first_of(old, "name"))
            stopped = Append(old.actor, old.head, (), record=record_of(old.actor, "name", "stopped"))
            early, late = first_of(third, "name"), first_of(third, "other")
            results = append_together(store, early, stopped, first_of(new, "name"), early, late)
            assert kinds(results) == [StoreError, Appended, Appended, StoreError, Appended]
            assert [record.id for record in store.find("name")] == [new.actor, old.actor]
            renamed = Append(new.actor, new.head, (), record=record_of(new.actor, "free"))
            again = Append(third.actor, third.head, (), record=record_of(third.actor, "name"))
            assert kinds(append_together(store, renamed, again)) == [Appended, Appended]
            dead, missing = record_of(third.actor, "name", "crashed"), (drop(third, "never"),)
            refused = Append(third.actor, third.head, (), record=dead, drops=missing)
            taker = chain_of(0, number=3)
            assert kinds(append_together(store, refused, first_of(taker, "name"))) == [HeadConflict, StoreError]


def test_a_batch_that_no_store_could_make_sense_of_is_a_bug_of_whoever_made_it(tmp_path: Path) -> None:
    maker, child, grandchild = chain_of(1), chain_of(1, number=1), chain_of(0, number=2)
    events = tuple(maker.events)
    nested = first_of(child, births=(first_of(grandchild),))
    with both_stores(tmp_path) as stores:
        for store in stores:
            for batch in (
                Append(maker.actor, None, events),
                Append(maker.actor, None, (), record=record_of(maker.actor)),
                Append(maker.actor, None, (), attempt=1),
                Append(maker.actor, None, (), births=(first_of(child),)),
                first_of(maker, births=(nested,)),
                first_of(maker, births=(Append(child.actor, None, ()),)),
                first_of(maker, births=(Append(child.actor, EMPTY, ()),)),
                first_of(maker, births=(Append(child.actor, EMPTY, events),)),
                Append(maker.actor, EMPTY, events[1:]),
            ):
                with pytest.raises(AssertionError):
                    append_together(store, batch)
            assert isinstance(append(store, maker.actor, EMPTY, events), Appended)
            assert store.size_events() == len(events)
