"""A worker that a host function blocks: others take its place, and go again when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

import pytest

from theater.engine.execution import GuestCall
from theater.engine.ticker import Ticker
from theater.engine.workers import BLOCKED_MAX, Workers
from theater.errors import Busy
from theater.model.crash import CrashReason

PATIENCE_S = 10.0
WORKERS = 2


class StillTicker:
    """Ticks nothing."""

    def start(self) -> None:
        pass

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


class Call:
    """Stands for a guest's call."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self.has_run = threading.Event()

    def run(self) -> None:
        self._action()
        self.has_run.set()

    def kill(self, reason: CrashReason, message: str) -> None:
        pass


def wait_for(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S)


def put(workers: Workers, action: Callable[[], None]) -> Call:
    call = Call(action)
    workers.put(cast("GuestCall", call))
    return call


def nothing() -> None:
    pass


@contextmanager
def blocked(workers: Workers, *, aside: bool = False, must: bool = False) -> Iterator[Call]:
    """One worker is blocked."""
    begun, may_end = threading.Event(), threading.Event()

    def action() -> None:
        if aside:
            workers.step_aside()
        with workers.blocked(must=must):
            begun.set()
            wait_for(may_end)
        if aside:
            workers.step_back()

    call = put(workers, action)
    try:
        wait_for(begun)
        yield call
    finally:
        may_end.set()
        wait_for(call.has_run)


def settle(workers: Workers) -> None:
    """Wait until nobody stands in for anybody, and all sleep."""
    until = time.monotonic() + PATIENCE_S
    while workers._stand_ins or workers._asleep < WORKERS:
        assert time.monotonic() < until, "they do not go to sleep"
        time.sleep(0.001)
    assert workers._attentive == 0
    assert not workers._blocked


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(cast("Ticker", StillTicker()), WORKERS)
    yield made
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "theater-guest-stand-in"]


@pytest.mark.parametrize("aside", [False, True])
@pytest.mark.parametrize("count", [1, WORKERS, BLOCKED_MAX])
def test_others_are_run_by_others(workers: Workers, count: int, aside: bool) -> None:  # noqa: FBT001 - a parameter
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(blocked(workers, aside=aside))
        for _ in range(3):
            wait_for(put(workers, nothing).has_run)
    settle(workers)
    wait_for(put(workers, nothing).has_run)


def test_what_was_brought_before_is_written_down_meanwhile(workers: Workers) -> None:
    settle(workers)
    written = threading.Event()

    def write(step_back: Callable[[], None]) -> None:
        step_back()
        written.set()

    with ExitStack() as stack:
        for _ in range(WORKERS):
            workers.when_idle(lambda step_back: step_back())
            stack.enter_context(blocked(workers))
            written.clear()
            workers.when_idle(write)
        wait_for(put(workers, nothing).has_run)
        wait_for(written)


def test_one_more_than_may_be_is_refused_unless_it_must_be(workers: Workers) -> None:
    refused: list[Busy] = []

    def one_more() -> None:
        try:
            with workers.blocked():
                raise AssertionError
        except Busy as error:
            refused.append(error)

    with ExitStack() as stack:
        for _ in range(BLOCKED_MAX):
            stack.enter_context(blocked(workers))
        wait_for(put(workers, one_more).has_run)
        assert len(refused) == 1
        with blocked(workers, must=True):
            pass
    settle(workers)


def test_on_another_thread_it_does_nothing(workers: Workers) -> None:
    settle(workers)
    with workers.blocked(), workers.blocked():
        assert workers._attentive == 0
        assert workers._asleep == WORKERS


def test_it_can_be_blocked_once_more_within(workers: Workers) -> None:
    def action() -> None:
        with workers.blocked(), workers.blocked():
            wait_for(put(workers, nothing).has_run)

    wait_for(put(workers, action).has_run)
    settle(workers)


def test_an_error_comes_through_and_the_worker_is_back(workers: Workers) -> None:
    def action() -> None:
        with pytest.raises(ValueError, match="no"), workers.blocked():
            raise ValueError("no")

    wait_for(put(workers, action).has_run)
    settle(workers)


def test_close_waits_for_the_blocked_and_for_those_who_stand_in(workers: Workers) -> None:
    begun, may_end = threading.Event(), threading.Event()
    with ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(blocked(workers))

        def action() -> None:
            begun.set()
            wait_for(may_end)

        put(workers, action)
        wait_for(begun)
        closing = threading.Thread(target=workers.close)
        closing.start()
        may_end.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert not workers._stand_ins
