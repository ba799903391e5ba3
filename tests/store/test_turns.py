"""Watching what is written, and taking a turn of one's own between groups."""

from __future__ import annotations

import threading

import pytest

from tests.store.committing import (
    COMMITTER,
    PATIENCE_S,
    Disk,
    Ears,
    WatchedTurn,
    at_once,
    batch,
    number_of,
    open_committer,
)
from theater.errors import StoreError
from theater.model.event import EMPTY
from theater.model.ports import Append, Appended, Written


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went to whoever watches threads."""
    reports: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda report: reports.append(str(report.exc_value)))
    return reports


# -- who watches ------------------------------------------------------------------------------------------------------


def test_who_watches_hears_behind_the_callbacks_on_the_thread_that_wrote(disk: Disk) -> None:
    happened: list[tuple[str, str]] = []

    def note(what: str) -> None:
        happened.append((what, threading.current_thread().name))

    with open_committer(disk.commit) as committer:
        committer.observe(lambda written: note(f"watched {[number_of(one) for one in written.batches]}"))
        for number in (1, 2):
            committer.put(batch(number), lambda _result: note("called"), hurry=False)
        committer.flush()
        here = threading.current_thread().name
        assert happened == [("called", here), ("called", here), ("watched [1, 2]", here)]
        happened.clear()
        committer.put(batch(3), lambda _result: note("called"))
    assert happened == [("called", COMMITTER), ("watched [3]", COMMITTER)]


def test_who_watches_hears_only_of_what_was_written() -> None:
    told: list[list[int]] = []

    def commit(batches: list[Append]) -> list[Appended | StoreError]:
        return [StoreError("no") if number_of(one) % 2 else Appended(EMPTY, 0) for one in batches]

    with open_committer(commit) as committer:
        committer.observe(lambda written: told.append([number_of(one) for one in written.batches]))
        for number in range(4):
            committer.put(batch(number), refuse_nothing, hurry=False)
        committer.flush()
        committer.put(batch(5), refuse_nothing, hurry=False)
        committer.flush()
    assert told == [[0, 2]]


def refuse_nothing(_result: Appended | StoreError) -> None:
    pass


def test_who_watches_and_raises_stops_nobody_and_is_reported(disk: Disk, reported: list[str]) -> None:
    told: list[int] = []

    def fail(_written: Written) -> None:
        raise ValueError("watching")

    with open_committer(disk.commit) as committer:
        committer.observe(fail)
        committer.observe(lambda written: told.append(len(written.batches)))
        for number in (1, 2):
            committer.put(batch(number), refuse_nothing)
    assert sum(told) == 2
    assert set(reported) == {"watching"}


def test_what_writing_took_is_told(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((10.0, 12.5))
    monkeypatch.setattr("theater.store.committer.monotonic", lambda: next(times))
    took: list[float] = []
    with open_committer(disk.commit) as committer:
        committer.put(batch(1), refuse_nothing, hurry=False)
        committer.flush()  # nobody watches, so nobody looks at the clock
        committer.observe(lambda written: took.append(written.took_s))
        committer.put(batch(2), refuse_nothing, hurry=False)
        committer.flush()
    assert took == [2.5]


# -- taking a turn ----------------------------------------------------------------------------------------------------


def test_nobody_writes_during_a_turn_and_what_came_meanwhile_is_written(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:

        def act() -> str:
            committer.put(batch(1), ears.done)
            at_once(committer.flush)
            assert disk.groups == []
            return "acted"

        assert committer.take_turn(act) == "acted"
        ears.wait_called()
        assert disk.groups == [[1]]


def test_who_takes_turn_after_turn_keeps_nobody_out(disk: Disk, ears: Ears) -> None:
    written: list[int] = []
    with open_committer(disk.commit) as committer:

        def act(number: int) -> None:
            written.append(len(ears.heard))
            committer.put(batch(number), ears.done, hurry=False)  # nobody is woken for it

        for number in range(10):
            committer.take_turn(lambda number=number: act(number))  # type: ignore[misc]  # no lambda has a type
    assert written == list(range(10))


def test_a_turn_waits_for_who_writes(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        turn = WatchedTurn()
        committer._turn = turn  # type: ignore[assignment]  # a lock that tells
        acted = threading.Thread(target=committer.take_turn, args=(lambda: ears.done(Appended(EMPTY, 2)),))
        with disk.held():
            committer.put(batch(1), ears.done)
            disk.wait_begun()
            acted.start()
            assert turn.wanted.wait(PATIENCE_S)
            assert ears.heard == []
        acted.join(PATIENCE_S)
        assert ears.heard == [1, 2]


def test_what_a_turn_raises_comes_out_and_others_go_on(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:

        def fail() -> None:
            committer.put(batch(1), ears.done, hurry=False)
            raise KeyError

        with pytest.raises(KeyError):
            committer.take_turn(fail)
        ears.wait_called()
        assert ears.heard == [1]


def test_there_is_no_turn_behind_the_end(disk: Disk) -> None:
    with open_committer(disk.commit) as committer:
        pass
    with pytest.raises(StoreError, match="closed"):
        committer.take_turn(lambda: pytest.fail("acted"))
