"""No room, or an error of the disk: who appended hears it, nothing half is kept, and what was committed is read."""

from __future__ import annotations

import errno
import resource
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.store.opened_store import in_child, opened
from theater.errors import Damaged, DiskFull, HeadConflict, StoreError
from theater.model.event import EMPTY
from theater.model.ports import Append, Appended
from theater.store import SqliteEventStore
from theater.store.faults import FaultPoint
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.store_calls import append


def fill(store: SqliteEventStore, maker: ChainMaker) -> StoreError:
    """Append steps of 60 KB until that fails; the events that were refused are taken off the chain."""
    while True:
        head, count = maker.head, len(maker.events)
        maker.step(state="x" * 60_000)
        result = append(store, maker.actor, head, maker.events[count:])
        if isinstance(result, StoreError):
            del maker.events[count:]
            return result


def test_a_full_disk_refuses_and_the_store_goes_on(tmp_path: Path) -> None:
    maker = chain_of(1)
    with opened(tmp_path) as store:
        append(store, maker.actor, EMPTY, maker.events)
        assert store._connection is not None
        store._connection.execute("PRAGMA max_page_count = 100")
        failure = fill(store, maker)

        assert isinstance(failure, DiskFull)
        assert list(store.events(maker.actor)) == maker.events
        assert store.check() == len(maker.events)
        store._connection.execute("PRAGMA max_page_count = 100000")
        head, count = maker.head, len(maker.events)
        maker.step()
        assert isinstance(append(store, maker.actor, head, maker.events[count:]), Appended)
        assert store.check() == len(maker.events)


def test_an_error_of_the_disk_ends_writing_until_the_store_is_opened_again(tmp_path: Path) -> None:
    maker = chain_of(1)

    def run_into_the_limit() -> None:
        with opened(tmp_path) as store:
            append(store, maker.actor, EMPTY, maker.events)
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
            failure = fill(store, maker)
            assert type(failure) is Damaged, failure
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert append(store, maker.actor, maker.head) is failure
            assert list(store.events(maker.actor)) == maker.events

    assert in_child(run_into_the_limit) == 0
    with opened(tmp_path) as store:
        count = store.check()
        assert count > len(maker.events)
        found = list(store.events(maker.actor))
        assert found[: len(maker.events)] == maker.events


@pytest.mark.parametrize("point", ["payloads-written", "before-commit"])
def test_a_failed_transaction_fails_all_of_its_batches_and_leaves_nothing(tmp_path: Path, point: FaultPoint) -> None:
    makers = [chain_of(1, number=number) for number in range(3)]
    is_full = False

    def fault(passed: FaultPoint) -> None:
        if is_full and passed == point:
            raise OSError(errno.ENOSPC, "no space left on device")

    with opened(tmp_path, fault=fault) as store:
        append(store, makers[0].actor, EMPTY, makers[0].events[:3])
        is_full = True
        for maker in makers[1:]:
            assert isinstance(append(store, maker.actor, EMPTY, maker.events, attempt=1), DiskFull)
        is_full = False
        assert store.size_events() == 3
        for maker in makers[1:]:
            assert store.attempt(maker.actor) == 0
            assert isinstance(append(store, maker.actor, EMPTY, maker.events), Appended)
        assert store.check() == 3 + 2 * len(makers[1].events)


def test_a_refused_batch_costs_its_companions_nothing(tmp_path: Path) -> None:
    makers = [chain_of(1, number=number) for number in range(3)]
    go_on = threading.Event()
    heard: list[Appended | StoreError] = []
    called = threading.Semaphore(0)

    def hold(passed: FaultPoint) -> None:
        if passed == "before-transaction":
            assert go_on.wait(30)

    def done(result: Appended | StoreError) -> None:
        heard.append(result)
        called.release()

    with opened(tmp_path, fault=hold) as store:
        wrong = makers[1].head
        for maker, expected in ((makers[0], EMPTY), (makers[0], EMPTY), (makers[1], wrong), (makers[2], EMPTY)):
            events = maker.events if expected is EMPTY else []
            store.append(Append(maker.actor, expected, tuple(events)), done)
        go_on.set()
        for _ in range(4):
            assert called.acquire(timeout=30)
        assert [type(result) for result in heard] == [Appended, HeadConflict, HeadConflict, Appended]
        assert store.check() == 2 * len(makers[0].events)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_takes_nobody_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: reported.append(arguments.exc_type))

    def fails(_result: object) -> None:
        raise KeyError

    maker = chain_of(1)
    with opened(tmp_path) as store:
        store.append(Append(maker.actor, EMPTY, tuple(maker.events[:2])), fails)
        head = maker.events[1]
        result = append(store, maker.actor, type(EMPTY)(1, head.hash), maker.events[2:])

    assert isinstance(result, Appended)
    assert reported == [KeyError]


def test_a_bug_in_the_writer_is_heard_by_who_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: reported.append(arguments.exc_type))

    def fault(passed: FaultPoint) -> None:
        if passed == "before-transaction":
            raise ZeroDivisionError

    maker = chain_of(0)
    with opened(tmp_path, fault=fault) as store:
        assert isinstance(append(store, maker.actor, EMPTY, maker.events), StoreError)
    assert reported == [ZeroDivisionError]


def test_sqlite_itself_refuses_two_segments_in_one_place(tmp_path: Path) -> None:
    maker = chain_of(1)
    with opened(tmp_path) as store:
        append(store, maker.actor, EMPTY, maker.events)
        assert store._connection is not None
        with pytest.raises(sqlite3.IntegrityError):
            store._connection.execute("INSERT INTO segments SELECT 99, ref, first_seq, 1, '', '', 1 FROM segments")
