"""Which worker takes which call, when one is woken, and when they write down what the calls have brought."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import cast

import pytest

from theater.engine import workers as workers_module
from theater.engine.execution import GuestCall
from theater.engine.ticker import Ticker
from theater.engine.workers import RUN_MAX, Workers
from theater.errors import InternalError
from theater.model.crash import CrashReason

PATIENCE_S = 10.0


class StillTicker:
    """Ticks nothing."""

    def start(self) -> None:
        pass

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


class WatchedWake(SimpleQueue[None]):
    """Tells how many workers have gone to sleep, and how many were woken."""

    def __init__(self) -> None:
        self.sleeps = threading.Semaphore(0)
        self.woken = 0

    def get(self, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - as it is called
        self.sleeps.release()
        super().get(block, timeout)

    def put(self, item: None, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002
        self.woken += 1
        super().put(item, block, timeout)


class Call:
    """Stands for a guest's call; ``action`` is one poll of it."""

    def __init__(self, action: Callable[[], None], kill: Callable[[], None] | None = None) -> None:
        self._action = action
        self._kill = kill
        self.thread = ""
        self.has_run = threading.Event()

    def run(self) -> None:
        self.thread = threading.current_thread().name
        try:
            self._action()
        finally:
            self.has_run.set()

    def kill(self, reason: CrashReason, _message: str) -> None:
        assert reason == "terminated"
        if self._kill is not None:
            self._kill()

    def wait_run(self) -> None:
        assert self.has_run.wait(PATIENCE_S), "nobody took the call"


class Crew:
    """Workers that all sleep to begin with."""

    def __init__(self, count: int) -> None:
        self.workers = Workers(cast("Ticker", StillTicker()), count)
        self.wake = cast("WatchedWake", self.workers._wake)
        self.wait_asleep(count)

    def wait_asleep(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.wake.sleeps.acquire(timeout=PATIENCE_S), "a worker does not sleep"

    def put(self, action: Callable[[], None]) -> Call:
        call = Call(action)
        self.workers.put(cast("GuestCall", call))
        return call

    def put_urgent(self, action: Callable[[], None]) -> Call:
        call = Call(action)
        self.workers.put_urgent(cast("GuestCall", call))
        return call

    @contextmanager
    def busy(self) -> Iterator[Call]:
        """One worker is at a call, and holds the interpreter's lock as far as anybody can tell."""
        begun, may_end = threading.Event(), threading.Event()

        def action() -> None:
            begun.set()
            wait_for(may_end)

        call = self.put(action)
        try:
            wait_for(begun)
            yield call
        finally:
            may_end.set()

    @contextmanager
    def polling(self) -> Iterator[Call]:
        """One worker is in a long poll of a guest, without the interpreter's lock."""
        begun, may_end = threading.Event(), threading.Event()

        def action() -> None:
            self.workers.step_aside()
            begun.set()
            wait_for(may_end)
            self.workers.step_back()

        call = self.put(action)
        try:
            wait_for(begun)
            yield call
        finally:
            may_end.set()


def wait_for(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S)


def nothing() -> None:
    pass


def fails() -> None:
    raise OSError("no space")


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    monkeypatch.setattr(workers_module, "SimpleQueue", WatchedWake)
    monkeypatch.setattr(workers_module, "IDLE_S", 1000.0)  # nobody looks whether the ticker may rest
    made = Crew(3)
    yield made
    made.workers.close()


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went to whoever watches threads."""
    reports: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda report: reports.append(str(report.exc_value)))
    return reports


# -- who takes what ---------------------------------------------------------------------------------------------------


def test_one_worker_takes_all_short_calls_and_no_other_is_woken(crew: Crew) -> None:
    with crew.busy() as first:
        others = [crew.put(nothing) for _ in range(20)]
    for call in others:
        call.wait_run()

    assert {call.thread for call in others} == {first.thread}
    assert crew.wake.woken == 1


def test_what_waits_is_taken_by_another_worker_as_soon_as_one_steps_aside(crew: Crew) -> None:
    begun = threading.Event()
    waiting: list[Call] = []

    def long_poll() -> None:
        wait_for(begun)
        crew.workers.step_aside()
        waiting[0].wait_run()  # while this is in C
        crew.workers.step_back()

    long = crew.put(long_poll)
    waiting.append(crew.put(nothing))
    assert crew.wake.woken == 1
    begun.set()
    long.wait_run()

    assert long.thread != waiting[0].thread
    assert crew.wake.woken == 2


def test_what_comes_while_all_are_aside_or_asleep_wakes_one_more(crew: Crew) -> None:
    with crew.polling() as first, crew.polling() as second:
        short = crew.put(nothing)
        short.wait_run()

        assert len({first.thread, second.thread, short.thread}) == 3
        assert crew.wake.woken == 3


def test_a_worker_that_stepped_back_takes_what_waits_itself(crew: Crew) -> None:
    with crew.polling(), crew.polling():
        with crew.polling() as last:
            waiting = crew.put(nothing)  # nobody is left to be woken
        waiting.wait_run()
        assert waiting.thread == last.thread
        assert crew.wake.woken == 3


def test_a_killed_call_is_taken_before_all_that_wait(crew: Crew) -> None:
    order: list[str] = []
    with crew.busy():
        calls = [crew.put(lambda: order.append("first")), crew.put(lambda: order.append("second"))]
        calls.append(crew.put_urgent(lambda: order.append("killed")))
    for call in calls:
        call.wait_run()

    assert order == ["killed", "first", "second"]


# -- what has come together is written down ---------------------------------------------------------------------------


def test_a_worker_calls_when_idle_before_it_sleeps(crew: Crew) -> None:
    order: list[str] = []
    crew.workers.when_idle(lambda _: order.append(f"idle, {crew.wake.sleeps.acquire(blocking=False)}"))
    crew.put(lambda: order.append("run"))
    crew.wait_asleep()

    assert order == ["run", "idle, False"]


def test_a_call_that_comes_while_when_idle_runs_is_taken_before_the_worker_sleeps(crew: Crew) -> None:
    order: list[str] = []

    def idle(_step_back: Callable[[], None]) -> None:
        order.append("idle")
        if order.count("idle") == 1:
            crew.put(lambda: order.append("run"))

    crew.workers.when_idle(idle)
    crew.put(nothing)
    crew.wait_asleep()

    assert order[0] == "idle"
    assert order.index("run") < len(order) - 1 - order[::-1].index("idle")
    assert crew.wake.woken <= 2  # another worker may take it: this one could have been long about it


def test_what_comes_when_the_long_part_is_over_is_left_to_who_is_awake(crew: Crew) -> None:
    order: list[str] = []

    def idle(step_back: Callable[[], None]) -> None:
        step_back()
        if not order:
            crew.put(lambda: order.append("run"))

    crew.workers.when_idle(idle)
    crew.put(nothing)
    crew.wait_asleep()

    assert order == ["run"]
    assert crew.wake.woken == 1


def test_no_more_than_64_calls_are_run_without_a_call_of_when_idle(crew: Crew) -> None:
    order: list[str] = []
    crew.workers.when_idle(lambda _: order.append("idle"))
    with crew.busy():
        for _ in range(2 * RUN_MAX + 10):
            crew.put(lambda: order.append("run"))
    crew.wait_asleep()

    runs = [len(run) for run in "".join("." if entry == "run" else "|" for entry in order).split("|")]
    assert RUN_MAX == 64
    assert runs == [RUN_MAX - 1, RUN_MAX, 11, 0]  # the busy call was the first of them


def test_the_last_worker_to_step_aside_calls_when_idle_and_one_that_leaves_another_awake_does_not(crew: Crew) -> None:
    idles: list[str] = []
    crew.workers.when_idle(lambda _: idles.append(threading.current_thread().name))
    with crew.polling() as last:
        assert idles == [last.thread]
        with crew.busy():
            crew.workers.step_back()  # two are awake now
            crew.workers.step_aside()  # and one is left
            assert idles == [last.thread]


def test_a_when_idle_that_fails_is_reported_and_the_workers_live_on(crew: Crew, reported: list[str]) -> None:
    crew.workers.when_idle(lambda _: fails())
    crew.put(nothing).wait_run()
    crew.wait_asleep()
    assert reported == ["no space"]

    with crew.polling():
        assert reported == ["no space"] * 2
        crew.put(nothing).wait_run()
    crew.workers.when_idle(lambda _: nothing())


def test_a_call_that_fails_is_reported_and_the_worker_takes_the_next(crew: Crew, reported: list[str]) -> None:
    with crew.busy() as first:
        crew.put(fails)
        second = crew.put(nothing)
    second.wait_run()

    assert reported == ["no space"]
    assert first.thread == second.thread


# -- the end ----------------------------------------------------------------------------------------------------------


def test_close_runs_what_waits_and_ends_every_call_and_worker(crew: Crew) -> None:
    ended: list[str] = []
    may_end = threading.Event()

    def poll() -> None:
        crew.workers.step_aside()
        wait_for(may_end)  # a guest that runs until it is killed
        crew.workers.step_back()
        ended.append("polled")

    def suspended() -> None:
        ended.append("suspended")

    polled = Call(poll, kill=may_end.set)
    waits = Call(suspended, kill=lambda: crew.workers.put_urgent(cast("GuestCall", waits)))
    crew.workers.start(cast("GuestCall", polled))
    crew.workers._live.add(cast("GuestCall", waits))
    crew.workers.close()
    crew.workers.close()

    assert sorted(ended) == ["polled", "suspended"]
    assert not any(thread.is_alive() for thread in crew.workers._threads)
    with pytest.raises(InternalError, match="closed"):
        crew.workers.start(cast("GuestCall", Call(nothing)))


def test_close_ends_a_call_that_waits_though_all_workers_are_about_to_sleep(crew: Crew) -> None:
    awake, may_look = threading.Semaphore(0), threading.Event()

    def idle(_step_back: Callable[[], None]) -> None:
        awake.release()
        wait_for(may_look)

    def kill() -> None:  # all workers find an empty queue first
        may_look.set()
        crew.wait_asleep(3)
        crew.workers.put_urgent(cast("GuestCall", waits))

    waits = Call(nothing, kill=kill)
    crew.workers._live.add(cast("GuestCall", waits))
    with crew.polling(), crew.polling(), crew.polling():
        crew.workers.when_idle(idle)
    for _ in range(3):
        assert awake.acquire(timeout=PATIENCE_S)
    crew.workers.close()

    assert waits.has_run.is_set()
