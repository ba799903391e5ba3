"""Group commit: who writes, what is one group, who hears of it, and in which order."""

from __future__ import annotations

import sys
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
    open_committer,
)
from theater.errors import StoreError
from theater.model.event import EMPTY
from theater.model.ports import Append, AppendDone, Appended
from theater.store.committer import GROUP_MAX, Committer

# -- groups -----------------------------------------------------------------------------------------------------------


def test_a_lone_batch_is_written_at_once_by_the_committers_thread(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        committer.put(batch(7), ears.done)
        ears.wait_called()

        assert ears.heard == [7]
        assert disk.groups == [[7]]
        assert disk.threads == ears.threads == [COMMITTER]


def test_what_comes_while_a_group_is_written_makes_the_next_group_and_is_called_back_in_order(
    disk: Disk, ears: Ears
) -> None:
    with open_committer(disk.commit) as committer:
        with disk.held():
            committer.put(batch(0), ears.done)
            disk.wait_begun()
            for number in (1, 2, 3):
                committer.put(batch(number), ears.done)
        ears.wait_called(4)

        assert disk.groups == [[0], [1, 2, 3]]
        assert ears.heard == [0, 1, 2, 3]


def test_a_group_has_a_bound(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        for number in range(2 * GROUP_MAX + 1):
            committer.put(batch(number), ears.done, hurry=False)
        committer.flush()

        assert [len(group) for group in disk.groups] == [GROUP_MAX, GROUP_MAX, 1]
        assert ears.heard == list(range(2 * GROUP_MAX + 1))


def test_a_batch_without_hurry_stays_until_the_next_flush(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        committer.put(batch(0), ears.done, hurry=False)
        committer.put(batch(1), ears.done, hurry=False)
        assert committer._wake.empty()  # nobody was told
        assert disk.groups == []

        committer.flush()
        assert disk.groups == [[0, 1]]
        assert ears.heard == [0, 1]


def test_a_batch_without_hurry_goes_with_the_next_hurried_one(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        committer.put(batch(0), ears.done, hurry=False)
        committer.put(batch(1), ears.done)
        ears.wait_called(2)

        assert disk.groups == [[0, 1]]


# -- whoever flushes writes -------------------------------------------------------------------------------------------


def test_flush_writes_and_calls_back_on_the_calling_thread(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        committer.put(batch(0), ears.done, hurry=False)
        committer.flush()

        assert disk.threads == ears.threads == [threading.current_thread().name]


def test_flush_leaves_the_writing_to_the_committers_thread_where_a_write_waits_for_the_disk(
    disk: Disk, ears: Ears
) -> None:
    with open_committer(disk.commit, inline=False) as committer:
        committer.put(batch(0), ears.done, hurry=False)
        with disk.held():
            committer.flush()  # returns while the disk takes its time
            disk.wait_begun()
            assert ears.heard == []
        ears.wait_called()

        assert disk.threads == ears.threads == [COMMITTER]


def test_flush_writes_nothing_where_nothing_is_queued(disk: Disk) -> None:
    with open_committer(disk.commit) as committer:
        committer.flush()
    assert disk.groups == []


def test_flush_leaves_while_another_thread_writes_which_then_writes_this_too(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:
        committer.put(batch(0), ears.done, hurry=False)
        another = threading.Thread(target=committer.flush, name="another")
        with disk.held():
            another.start()
            disk.wait_begun()
            committer.put(batch(1), ears.done, hurry=False)
            committer.flush()
            assert ears.heard == []
        another.join(PATIENCE_S)

        assert disk.groups == [[0], [1]]
        assert disk.threads == ears.threads == ["another", "another"]


def test_flush_in_a_callback_leaves_it_to_the_flush_that_called_back(disk: Disk, ears: Ears) -> None:
    with open_committer(disk.commit) as committer:

        def more(result: Appended | StoreError) -> None:
            ears.done(result)
            committer.put(batch(1), ears.done, hurry=False)
            committer.flush()
            assert ears.heard == [0]

        committer.put(batch(0), more, hurry=False)
        committer.flush()
        assert ears.heard == [0, 1]


@pytest.mark.parametrize("hurry", [True, False])
def test_what_is_put_after_a_writers_last_look_and_before_it_lets_go_is_not_lost(
    disk: Disk, ears: Ears, *, hurry: bool
) -> None:
    with open_committer(disk.commit) as committer:
        turn = WatchedTurn()
        vars(committer)["_turn"] = turn
        numbers = iter([1, 2])

        def put_one_more() -> None:  # the queue is empty, the group is written, and the turn is still held
            number = next(numbers, None)
            if number is not None:
                committer.put(batch(number), ears.done, hurry=hurry)
                committer.flush()

        turn.before_release = lambda: at_once(put_one_more)
        committer.put(batch(0), ears.done, hurry=False)
        committer.flush()
        ears.wait_called(3)

        assert disk.groups == [[0], [1], [2]]
        assert ears.heard == [0, 1, 2]


@pytest.mark.parametrize("hurry", [False, True])
def test_threads_that_flush_at_once_never_write_at_once_and_leave_nothing_behind(
    disk: Disk, ears: Ears, *, hurry: bool
) -> None:
    threads, rounds = 6, 60
    barrier = threading.Barrier(threads)

    def put_and_flush(first: int) -> None:
        for number in range(first, first + rounds):
            if number % 20 == 0:
                barrier.wait(PATIENCE_S)
            committer.put(batch(number), ears.done, hurry=hurry and number % 7 == 0)
            committer.flush()

    switch_interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with open_committer(disk.commit) as committer:
            flushing = [threading.Thread(target=put_and_flush, args=(i * rounds,)) for i in range(threads)]
            for thread in flushing:
                thread.start()
            for thread in flushing:
                thread.join(PATIENCE_S)
            if not hurry:  # nobody but these threads writes, so nothing can be under way still
                assert not committer._queue
            ears.wait_called(threads * rounds)
    finally:
        sys.setswitchinterval(switch_interval_s)

    assert ears.errors == []
    assert sorted(ears.heard) == list(range(threads * rounds))
    assert [number for group in disk.groups for number in group] == ears.heard
    for first in range(0, threads * rounds, rounds):
        of_one_thread = [number for number in ears.heard if first <= number < first + rounds]
        assert of_one_thread == sorted(of_one_thread)


# -- the end ----------------------------------------------------------------------------------------------------------


def test_close_writes_what_was_put(disk: Disk, ears: Ears) -> None:
    committer = Committer(disk.commit)
    for number in range(GROUP_MAX + 1):
        committer.put(batch(number), ears.done, hurry=False)
    committer.close()
    committer.close()

    assert [len(group) for group in disk.groups] == [GROUP_MAX, 1]
    assert ears.heard == list(range(GROUP_MAX + 1))


def test_close_waits_for_a_thread_that_writes_through_flush(disk: Disk) -> None:
    order: list[str] = []
    committer = Committer(disk.commit)
    turn = WatchedTurn()
    vars(committer)["_turn"] = turn
    committer.put(batch(0), lambda _: order.append("written"), hurry=False)

    def close() -> None:
        committer.close()
        order.append("closed")

    with disk.held():
        flushing = threading.Thread(target=committer.flush)
        flushing.start()
        disk.wait_begun()
        closing = threading.Thread(target=close)
        closing.start()
        asked = turn.wanted.wait(PATIENCE_S)  # the committer's thread, which close() joins, waits for the turn
    flushing.join(PATIENCE_S)
    closing.join(PATIENCE_S)

    assert asked
    assert order == ["written", "closed"]


def test_put_after_close_hears_that_the_store_is_closed_and_flush_does_nothing(disk: Disk, ears: Ears) -> None:
    committer = Committer(disk.commit)
    committer.close()
    for hurry in (True, False):
        committer.put(batch(0), ears.done, hurry=hurry)
    committer.flush()

    assert disk.groups == []
    assert [error.message for error in ears.errors] == ["the store is closed"] * 2
    assert ears.threads == [threading.current_thread().name] * 2


# -- trouble ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went to whoever watches threads."""
    reports: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda report: reports.append(str(report.exc_value)))
    return reports


def refuses(_result: Appended | StoreError) -> None:
    raise ValueError("I did not want to hear this")


@pytest.mark.parametrize("inline", [True, False])
def test_a_callback_that_raises_takes_no_other_along_and_is_reported(
    disk: Disk, ears: Ears, reported: list[str], *, inline: bool
) -> None:
    with open_committer(disk.commit, inline=inline) as committer:
        callbacks: list[AppendDone] = [ears.done, refuses, ears.done]
        for number, done in enumerate(callbacks):
            committer.put(batch(number), done, hurry=False)
        committer.flush()
        ears.wait_called(2)
        committer.put(batch(3), ears.done)
        ears.wait_called()

    assert ears.heard == [0, 2, 3]
    assert reported == ["I did not want to hear this"]


def test_a_commit_that_raises_is_heard_by_all_of_its_group_and_the_next_one_is_tried(
    ears: Ears, reported: list[str]
) -> None:
    answers: list[list[Appended | StoreError]] = [[Appended(EMPTY, 9)]]

    def commit(batches: list[Append]) -> list[Appended | StoreError]:
        if len(batches) > 1:
            raise ZeroDivisionError("a bug")
        return answers.pop()

    with open_committer(commit) as committer:
        committer.put(batch(0), ears.done, hurry=False)
        committer.put(batch(1), ears.done, hurry=False)
        committer.flush()
        committer.put(batch(2), ears.done, hurry=False)
        committer.flush()

    assert ["a bug" in error.message for error in ears.errors] == [True, True]
    assert ears.heard == [9]
    assert reported == ["a bug"]
