"""Erasing what a removed actor left, on a disk: the bytes are gone, deaths are survived, readers see no damage."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.store.older import make_older
from tests.store.opened_store import die, in_child, opened
from theater.errors import Damaged, DiskFull, StoreError
from theater.model.blob_space import BlobSpace
from theater.model.event import EMPTY, Event
from theater.model.ports import Append, Appended, Durability
from theater.store import DataDir, SqliteEventStore, wiping
from theater.store.faults import WIPE_POINTS, FaultPoint
from theater.testing.blob_suite import labelling, putting, writing
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.removal_suite import erased, removal, withheld
from theater.testing.store_calls import append, append_chain, append_together, only, put, record_of

SECRET = b"the-word-nobody-may-read"
LARGE = b'"' + SECRET * 5000 + b'"'


def telling(number: int = 0, *, steps: int = 5) -> ChainMaker:
    """A chain that says the secret in payloads of all sizes."""
    maker = ChainMaker(number)
    maker.genesis(payload=b'"%b"' % SECRET)
    for step in range(steps):
        maker.step(step, state=SECRET.decode() * (1 + 100 * step))
        maker.add("lifecycle", "x", LARGE)
    return maker


def removed(store: SqliteEventStore, maker: ChainMaker) -> None:
    """Write a chain, and remove its actor."""
    append_chain(store, maker, batch=3)
    append(store, maker.actor, maker.head, record=record_of(maker.actor, SECRET.decode()))
    append_together(store, only(maker, put(maker, SECRET.decode(), SECRET)))
    own, word = BlobSpace("self", maker.actor), SECRET.decode()
    append_together(store, writing(maker, own, putting(word), labelling(word, word), putting(word * 3000)))
    assert append_together(store, removal(maker))[0].__class__ is Appended


def files_with(secret: bytes, root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.is_file() and secret in path.read_bytes()]


@contextmanager
def beside(root: Path) -> Iterator[SqliteEventStore]:
    store = SqliteEventStore.open(DataDir(root), read_only=True)
    yield store
    store.close()


def test_nothing_of_what_was_erased_is_in_any_file(tmp_path: Path) -> None:
    maker, other = telling(), chain_of(5, number=1)
    salts = [event.salt for event in maker.events if event.salt]
    with opened(tmp_path) as store:
        append_chain(store, other)
        removed(store, maker)
        assert files_with(SECRET, tmp_path)
        store.wipe()
        assert files_with(SECRET, tmp_path) == []
        for salt in salts:
            assert files_with(salt, tmp_path) == []
        assert not (tmp_path / "payloads" / maker.actor).exists()
        assert (tmp_path / "events.db-wal").stat().st_size == 0
        assert list(store.events(other.actor)) == other.events
        assert store.check() == store.size_events()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [6, 33, 45, 62, 113, 147])
def test_nothing_is_left_behind_where_rows_were_moved_between_pages(tmp_path: Path, seed: int) -> None:
    """``secure_delete`` overwrites what is deleted, and not always what is moved."""
    random = Random(seed)
    makers = [ChainMaker(number) for number in range(8)]
    with opened(tmp_path) as store:
        for _ in range(random.randint(50, 400)):
            number = random.randrange(8)
            maker, secret = makers[number], b"SECRET%d-" % number
            head = maker.head
            times = [random.choice((1, 3, 10, 100, random.randint(1, 3000))) for _ in range(random.randint(1, 3))]
            events = maker.add_all([("lifecycle", "x", b'"%b"' % (secret * size)) for size in times])
            name = secret.decode() + "x" * random.randint(0, 200)
            held = put(maker, secret.decode() + str(random.randrange(20)), secret * random.randint(1, 300))
            word = secret.decode() * random.randint(1, 600)
            blobs = writing(maker, BlobSpace("tree", maker.actor), putting(word), labelling(word[:200], word)).blobs
            record = record_of(maker.actor, name)
            append_together(store, Append(maker.actor, head, events, record, puts=(held,), blobs=blobs))
        kept = [number for number in range(8) if number % 2 != seed % 2]
        before = [(store.entries(makers[number].actor), store.record(makers[number].actor)) for number in kept]
        for maker in makers[seed % 2 :: 2]:
            append_together(store, removal(maker))
        store.wipe()
        for number in range(8):
            assert bool(files_with(b"SECRET%d-" % number, tmp_path)) == (number in kept)
        assert [(store.entries(makers[n].actor), store.record(makers[n].actor)) for n in kept] == before
        assert store.check() == store.size_events()
        for number in kept:
            assert list(store.events(makers[number].actor)) == makers[number].events
            append_together(store, removal(makers[number]))
        store.wipe()
        assert files_with(b"SECRET", tmp_path) == []


def test_large_tables_are_not_held_up_by_scrubbing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiping, "_SCRUB_BYTES", 10)
    maker, other = telling(), telling(1)
    statements: list[str] = []
    with opened(tmp_path) as store:
        append_chain(store, other)
        append_together(store, only(other, put(other, "a", b"x" * 11)))
        removed(store, maker)
        assert store._connection is not None
        store._connection.set_trace_callback(statements.append)
        store.wipe()
        store._connection.set_trace_callback(None)
        assert "DELETE FROM entries" not in statements
        assert "DELETE FROM records" in statements
        assert store.entries(other.actor) == [put(other, "a", b"x" * 11)]


def test_a_wipe_costs_nothing_where_nobody_was_removed_since_the_last(tmp_path: Path) -> None:
    maker, other = telling(), telling(1)
    with opened(tmp_path) as store:
        append_chain(store, other)
        append_together(store, only(other, put(other, "a", b"x")))
        removed(store, maker)
        store.wipe()
    statements: list[str] = []
    with opened(tmp_path) as store:
        assert store._connection is not None
        store._connection.set_trace_callback(statements.append)
        store.wipe()
        store._connection.set_trace_callback(None)
        assert len(statements) == 2
        assert all(statement.startswith("SELECT ") for statement in statements)


@pytest.mark.slow
@pytest.mark.parametrize(
    "died", ["before it was wiped", "before the tables were scrubbed", "before the log was cut off"]
)
def test_what_a_death_left_in_the_tables_and_in_the_log_is_gone_with_the_next_wipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    maker, other = telling(), telling(1)

    def live_until_then() -> None:
        step = {"before the tables were scrubbed": "_scrub", "before the log was cut off": "_truncate"}.get(died)
        if step is not None:
            monkeypatch.setattr(wiping.Wiper, step, lambda *_: die())
        with opened(tmp_path) as store:
            append_together(store, Append(other.actor, EMPTY, (), record_of(other.actor)))
            removed(store, maker)
            if step is not None:
                store.wipe()
            die()

    assert in_child(live_until_then) == signal.SIGKILL
    removal(maker)
    assert files_with(SECRET, tmp_path)
    with opened(tmp_path) as store:
        store.wipe()
        assert files_with(SECRET, tmp_path) == []


@pytest.mark.parametrize("ending", ["another wipe", "closing"])
def test_what_a_reader_keeps_in_the_log_is_gone_with_the_next_wipe_or_the_end(tmp_path: Path, ending: str) -> None:
    maker = telling()
    with opened(tmp_path) as store:
        removed(store, maker)
        reader = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM segments").fetchone()
        store.wipe()  # and does not wait for the reader
        assert files_with(SECRET, tmp_path) == ["events.db-wal"]
        reader.close()
        if ending == "another wipe":
            assert store.wipe() == 0
            assert files_with(SECRET, tmp_path) == []
    assert files_with(SECRET, tmp_path) == []


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("point", WIPE_POINTS)
@pytest.mark.slow
def test_a_death_while_wiping_leaves_a_sound_store_that_wipes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: FaultPoint, durability: Durability
) -> None:
    monkeypatch.setattr(wiping, "_SLICE_ROWS", 2)
    makers = [telling(number, steps=2) for number in range(3)]
    kept = makers[1]
    passed = 0

    def fault(at: FaultPoint) -> None:
        nonlocal passed
        if at == point:
            passed += 1
            if passed == 2 or point in ("wipe-scrubbed", "wipe-truncated"):
                die()

    def live_until_then() -> None:
        with opened(tmp_path, durability=durability, fault=fault) as store:
            append_chain(store, kept)
            removed(store, makers[0])
            removed(store, makers[2])
            store.wipe()

    assert in_child(live_until_then) == signal.SIGKILL, f"'{point}' was not passed"
    for maker in (makers[0], makers[2]):
        removal(maker)

    with beside(tmp_path) as reader:
        assert reader.check() == reader.size_events()
        for maker in (makers[0], makers[2]):
            for found, whole, gone in zip(reader.events(maker.actor), maker.events, erased(maker), strict=True):
                assert found in (whole, gone)
    with opened(tmp_path) as store:
        assert store.facts().unclean
        store.wipe()
        for maker in (makers[0], makers[2]):
            assert list(store.events(maker.actor)) == erased(maker)
            assert not (tmp_path / "payloads" / maker.actor).exists()
        assert list(store.events(kept.actor)) == kept.events
        assert store.check() == store.size_events()
        assert store.wipe() == 0
        for maker in (makers[0], makers[2]):
            salts = [event.salt for event in maker.events[:-1] if event.salt]
            assert not any(files_with(salt, tmp_path) for salt in salts)


def test_all_places_are_passed_in_their_order(tmp_path: Path) -> None:
    passed: list[FaultPoint] = []
    maker = telling(steps=1)
    with opened(tmp_path, fault=passed.append) as store:
        removed(store, maker)
        passed.clear()
        store.wipe()
        assert passed == list(WIPE_POINTS)


def test_rows_are_on_the_disk_before_a_file_is_gone(tmp_path: Path) -> None:
    """The power may fail in between, and a row that names no file would be damage."""
    levels: list[object] = []
    maker = telling()
    connections: list[sqlite3.Connection] = []

    def note(point: FaultPoint) -> None:
        if point == "wipe-rewritten":
            levels.append(connections[0].execute("PRAGMA synchronous").fetchone()[0])

    with opened(tmp_path, fault=note) as store:
        assert store._connection is not None
        connections.append(store._connection)
        removed(store, maker)
        store.wipe()
        assert levels
        assert set(levels) == {2}
        assert connections[0].execute("PRAGMA synchronous").fetchone()[0] == 1


def test_others_write_between_the_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiping, "_SLICE_ROWS", 1)
    maker, other = telling(), chain_of(0, number=1)
    written: list[Appended | StoreError] = []
    waited = threading.Event()

    def write(point: FaultPoint) -> None:
        if point == "wipe-begun":  # within the turn: whoever appends here does not get it
            head = other.head
            store.append(Append(other.actor, head, (other.add("lifecycle", "x", b"{}"),)), done)
        if point == "wipe-slice-committed":
            assert waited.wait(30)
            waited.clear()

    def done(result: Appended | StoreError) -> None:
        written.append(result)
        waited.set()

    with opened(tmp_path, fault=write) as store:
        append_chain(store, other)
        removed(store, maker)
        store.wipe()
        assert len(written) > 5
        assert all(isinstance(result, Appended) for result in written)
        assert list(store.events(other.actor)) == other.events
        assert list(store.events(maker.actor)) == erased(maker)
        assert store.check() == store.size_events()


def test_a_wipe_that_may_not_go_on_leaves_the_rest_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiping, "_SLICE_ROWS", 1)
    makers = [telling(), telling(1)]
    with opened(tmp_path) as store:
        for maker in makers:
            removed(store, maker)
        for most in range(10):
            asked = itertools.count()
            store.wipe(lambda most=most, asked=asked: next(asked) < most)  # type: ignore[misc]  # bound
            assert store.check() == store.size_events()
            assert next(asked) == most + 1
        assert all(list(store.events(maker.actor)) != erased(maker) for maker in makers)
        store.wipe()
        assert all(list(store.events(maker.actor)) == erased(maker) for maker in makers)
    assert files_with(SECRET, tmp_path) == []


def test_a_row_that_was_read_before_its_file_was_gone_is_withheld_and_not_damaged(tmp_path: Path) -> None:
    maker = ChainMaker()
    for _ in range(8):
        maker.add("lifecycle", "x", LARGE)
    with opened(tmp_path) as store, beside(tmp_path) as other_process:
        append_chain(store, maker, batch=8)
        append_together(store, removal(maker))
        rows = store._readers.page("SELECT first_seq, count, last_hash, frames FROM segments", ())
        for reader in (store, other_process):
            assert reader._segments.events(maker.actor, *rows[0]) == maker.events[:8]
        store.wipe()
        for reader in (store, other_process):
            assert reader._segments.events(maker.actor, *rows[0]) == [withheld(event) for event in maker.events[:8]]


def test_a_large_payload_that_is_missing_of_an_actor_that_was_not_removed_is_damage(tmp_path: Path) -> None:
    maker, other = telling(), telling(1)
    with opened(tmp_path) as store:
        append_chain(store, maker)
        removed(store, other)
        (tmp_path / "payloads" / maker.actor / "6").unlink()
        store.wipe()
        with pytest.raises(Damaged, match="event 6"):
            list(store.events(maker.actor))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segments SET frames = substr(frames, 1, 50) WHERE first_seq = 3 AND ref = 1",
        "DELETE FROM segments WHERE first_seq = 3 AND ref = 1",
        "DELETE FROM segments WHERE first_seq > 3 AND ref = 1",
        "UPDATE segments SET frames = x'000000000000000000' WHERE first_seq = 3 AND ref = 1",
    ],
)
def test_a_damaged_chain_keeps_no_other_from_being_wiped(tmp_path: Path, statement: str) -> None:
    makers = [telling(number) for number in range(2)]
    with opened(tmp_path) as store:
        for maker in makers:
            removed(store, maker)
        connection = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        connection.execute(statement)
        connection.close()
        for _ in range(2):
            with pytest.raises(Damaged, match=makers[0].actor):
                store.wipe()
            assert list(store.events(makers[1].actor)) == erased(makers[1])
        assert isinstance(append(store, ChainMaker(9).actor, EMPTY), Appended)


def test_a_full_disk_stops_wiping_and_the_store_goes_on(tmp_path: Path) -> None:
    maker, other = telling(), chain_of(1, number=1)
    is_full = False

    def fault(point: FaultPoint) -> None:
        if is_full and point == "wipe-rewritten":
            raise OSError(errno.ENOSPC, "no space left on device")

    with opened(tmp_path, fault=fault) as store:
        removed(store, maker)
        is_full = True
        with pytest.raises(DiskFull):
            store.wipe()
        is_full = False
        append_chain(store, other)
        assert list(store.events(maker.actor)) == maker.events
        store.wipe()
        assert list(store.events(maker.actor)) == erased(maker)


def test_a_bug_in_the_middle_of_a_slice_leaves_no_transaction_behind(tmp_path: Path) -> None:
    maker, other = telling(), chain_of(1, number=1)
    is_broken = False

    def fault(point: FaultPoint) -> None:
        if is_broken and point == "wipe-rewritten":
            raise ZeroDivisionError

    with opened(tmp_path, fault=fault) as store:
        removed(store, maker)
        is_broken = True
        with pytest.raises(ZeroDivisionError):
            store.wipe()
        append_chain(store, other)
        is_broken = False
        assert store.wipe() > 0


def test_a_file_that_cannot_be_unlinked_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = telling()

    def fail(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "permission denied")

    with opened(tmp_path) as store:
        removed(store, maker)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", fail)
            with pytest.raises(Damaged, match="permission denied"):
                store.wipe()
        assert list(store.events(maker.actor)) == erased(maker)
        assert (tmp_path / "payloads" / maker.actor / "6").exists()
        assert store.wipe() == 5 * len(LARGE)
        assert not (tmp_path / "payloads" / maker.actor).exists()


def test_who_only_reads_or_has_closed_wipes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        removed(store, telling())
        with beside(tmp_path) as reader, pytest.raises(Damaged, match="for reading only"):
            reader.wipe()
    with pytest.raises(StoreError, match="closed"):
        store.wipe()


def test_two_may_wipe_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiping, "_SLICE_ROWS", 1)
    makers = [telling(number, steps=2) for number in range(3)]
    with opened(tmp_path) as store:
        for maker in makers:
            removed(store, maker)
        threads = [threading.Thread(target=store.wipe) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for maker in makers:
            assert list(store.events(maker.actor)) == erased(maker)
        assert store.check() == store.size_events()


def test_a_removed_actor_stays_removed_when_the_store_is_opened_again(tmp_path: Path) -> None:
    maker = telling()
    with opened(tmp_path) as store:
        removed(store, maker)
    with opened(tmp_path) as store:
        assert store.record(maker.actor) is None
        assert not isinstance(append(store, maker.actor, maker.head, maker.step()), Appended)
        store.wipe()
    with opened(tmp_path) as store:
        assert not isinstance(append(store, maker.actor, maker.head), Appended)


def sizes(events: list[Event]) -> int:
    return sum(9 + len(event.header_bytes) + len(event.salt or b"") + len(event.payload or b"") for event in events)


@pytest.mark.parametrize("version", [1, 2])
def test_a_store_from_before_removal_is_read_as_it_is_and_counts_from_then_on(tmp_path: Path, version: int) -> None:
    maker, idle = telling(), telling(1)
    with opened(tmp_path) as store:
        append_chain(store, maker)
        append_chain(store, idle)
        append(store, maker.actor, maker.head, record=record_of(maker.actor))
    connection = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    make_older(connection, version)
    connection.close()

    with beside(tmp_path) as reader:
        assert reader.record(maker.actor) == record_of(maker.actor)
        assert reader.find(maker.actor)[0].restarts == 0
        assert list(reader.events(maker.actor)) == maker.events
        assert reader.size_bytes(maker.actor) == sizes(maker.events)
        with opened(tmp_path) as store:
            assert store.size_bytes(maker.actor) == sizes(maker.events)
            head = maker.head
            append(store, maker.actor, head, maker.step())
            for each in (store, reader):
                assert each.size_bytes(maker.actor) == sizes(maker.events)
                assert each.size_bytes(idle.actor) == sizes(idle.events)
            append_together(store, removal(maker))
            store.wipe()
            assert store.size_bytes(maker.actor) == sizes(maker.events) - 5 * len(LARGE)
            assert list(reader.events(maker.actor)) == erased(maker)


def test_the_size_of_a_chain_is_one_look_up_however_long_it_is(tmp_path: Path) -> None:
    maker = ChainMaker()
    with opened(tmp_path) as store:
        for _ in range(200):
            head = maker.head
            append(store, maker.actor, head, (maker.add("lifecycle", "x", b"{}"),))
        with store._readers.lend() as connection:
            steps = 0

            def count() -> int:
                nonlocal steps
                steps += 1
                return 0

            connection.set_progress_handler(count, 1)
        assert store.size_bytes(maker.actor) == sizes(maker.events)
        assert 0 < steps < 100
        with store._readers.lend() as connection:
            connection.set_progress_handler(None, 1)


def test_free_room_is_what_the_file_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as store:
        found = os.statvfs(tmp_path)
        assert abs(store.free_bytes() - found.f_bavail * found.f_frsize) < 2**30

        def fail(_path: Path) -> None:
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(os, "statvfs", fail)
        with pytest.raises(Damaged, match="input/output error"):
            store.free_bytes()
