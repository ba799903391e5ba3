"""While a thread holds the lock of an actor, what concerns others waits."""

from __future__ import annotations

import threading

import pytest

from theater.runtime.exclusion import Exclusion


def test_without_a_lock_it_is_done_at_once() -> None:
    done: list[int] = []

    Exclusion().afterwards(lambda: done.append(1))

    assert done == [1]


def test_under_locks_it_waits_for_the_last_one_and_keeps_its_order() -> None:
    exclusion = Exclusion()
    done: list[int] = []
    with exclusion.lock():
        with exclusion.lock():
            exclusion.afterwards(lambda: done.append(1))
        exclusion.afterwards(lambda: done.append(2))
        assert done == []

    assert done == [1, 2]


def test_a_lock_may_be_taken_again_by_who_holds_it() -> None:
    exclusion = Exclusion()
    lock = exclusion.lock()
    done: list[int] = []
    with lock:
        with lock:
            exclusion.afterwards(lambda: done.append(1))
        assert done == []

    assert done == [1]


def test_what_was_put_off_holds_no_lock_and_may_put_off_more() -> None:
    exclusion = Exclusion()
    first, second = exclusion.lock(), exclusion.lock()
    done: list[str] = []

    def action() -> None:
        with second:
            exclusion.afterwards(lambda: done.append("later"))
            done.append("now")

    with first:
        exclusion.afterwards(action)

    assert done == ["now", "later"]


def test_it_is_done_when_what_was_done_under_the_lock_fails() -> None:
    exclusion = Exclusion()
    done: list[int] = []

    def fail() -> None:
        with exclusion.lock():
            exclusion.afterwards(lambda: done.append(1))
            raise ValueError("it failed")

    with pytest.raises(ValueError, match="it failed"):
        fail()

    assert done == [1]


def test_one_that_fails_is_reported_and_the_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    exclusion = Exclusion()
    done: list[int] = []

    def fail() -> None:
        raise ValueError("it failed")

    with exclusion.lock():
        exclusion.afterwards(fail)
        exclusion.afterwards(lambda: done.append(1))

    assert done == [1]
    assert [str(error) for error in reported] == ["it failed"]


def test_a_lock_of_another_thread_puts_nothing_off_here() -> None:
    exclusion = Exclusion()
    lock = exclusion.lock()
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            assert go_on.wait(10.0)

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(10.0)
    done: list[int] = []
    exclusion.afterwards(lambda: done.append(1))
    go_on.set()
    other.join()

    assert done == [1]
