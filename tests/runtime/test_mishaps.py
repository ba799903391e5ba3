"""A bug of ours, wherever it strikes, leaves nobody waiting and takes nothing else with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.guests import wat
from tests.runtime.guests import NAPS
from tests.runtime.stage import Stage
from theater.errors import InternalError, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId
from theater.model.ports import Append, AppendDone, Appended
from theater.runtime.appender import Appender
from theater.runtime.system import SystemClock, SystemEntropy
from theater.store import MemoryEventStore

BY_ONE = '{"by":1}'


class Bug(Exception):
    """What a test lets happen."""


def broken(*_args: object, **_options: object) -> None:
    raise Bug


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException | None]]:
    """What is told to whoever watches threads."""
    found: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(args.exc_value))
    yield found
    assert found
    assert all(isinstance(error, Bug) for error in found)


class HeldStore(MemoryEventStore):
    """Takes batches and answers them when told."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Append, AppendDone]] = []
        self.is_broken = False

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        del hurry
        if self.is_broken:
            raise Bug
        self.held.append((batch, done))

    def answer(self, failure: StoreError | None = None) -> None:
        batch, done = self.held.pop(0)
        last = batch.events[-1]
        done(failure or Appended(Head(last.header.seq, last.hash), 0))


@pytest.fixture
def store() -> Iterator[HeldStore]:
    made = HeldStore()
    yield made
    made.close()


def appender_on(store: HeldStore) -> Appender:
    return Appender(store, ActorId("0" * 32), head=EMPTY, time_us=0, clock=SystemClock(), entropy=SystemEntropy())


def hear(heard: list[StoreError | None]) -> Callable[[StoreError | None, list[Event]], None]:
    return lambda failure, _made: heard.append(failure)


def test_a_listener_that_raises_keeps_nobody_from_hearing_and_the_chain_goes_on(
    store: HeldStore, reported: list[BaseException | None]
) -> None:
    appender = appender_on(store)
    heard: list[StoreError | None] = []
    appender.commit(hear(heard), ("lifecycle", "a", b"{}"))
    appender.commit(broken, ("lifecycle", "b", b"{}"))
    appender.commit(hear(heard), ("lifecycle", "c", b"{}"))

    store.answer()
    store.answer()
    appender.commit(hear(heard), ("lifecycle", "d", b"{}"))
    store.answer()

    assert heard == [None, None, None]
    assert len(reported) == 1


def test_a_listener_that_raises_keeps_nobody_from_hearing_that_the_chain_failed(
    store: HeldStore, reported: list[BaseException | None]
) -> None:
    appender = appender_on(store)
    heard: list[StoreError | None] = []
    appender.when_failed(heard.append)
    appender.commit(broken, ("lifecycle", "a", b"{}"))
    appender.commit(hear(heard), ("lifecycle", "b", b"{}"))

    failure = StoreError("no")
    store.answer(failure)

    assert heard == [failure, failure]
    assert len(reported) == 1


def test_a_store_that_raises_fails_the_chain(store: HeldStore, reported: list[BaseException | None]) -> None:
    store.is_broken = True
    appender = appender_on(store)
    heard: list[StoreError | None] = []

    appender.commit(hear(heard), ("lifecycle", "a", b"{}"))

    assert heard == [appender.failure]
    assert isinstance(appender.failure, StoreError)
    assert len(reported) == 1


def test_a_timer_that_raises_leaves_the_others(reported: list[BaseException | None]) -> None:
    clock = SystemClock()
    rung = threading.Event()
    clock.call_at(0, broken)
    clock.call_at(1, rung.set)
    try:
        assert rung.wait(10.0)
    finally:
        clock.close()
    assert len(reported) == 1


def test_a_wake_up_that_fails_ends_the_step(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, reported: list[BaseException | None]
) -> None:
    actor = stage.play(NAPS, capabilities={"timing": {}})
    pending = actor.start_request("{}")
    stage.clock.wait_for_timers()
    with monkeypatch.context() as patched:
        patched.setattr("theater.runtime.boundary.Boundary.wake", broken)
        stage.clock.advance(1)
        with pytest.raises(InternalError):
            pending.result()

    assert reported
    assert actor.status == "crashed"
    assert actor.kinds()[-1] == "crashed"


@pytest.mark.parametrize(
    "where",
    [
        "theater.runtime.performer.conclude",  # on the engine's thread
        "theater.runtime.performer.Step",  # behind its message event
        "theater.runtime.performer.Message",  # before it
        "theater.runtime.step.invocation_of",  # before the engine has it
    ],
)
def test_a_step_that_we_fail_to_run_or_conclude_leaves_nobody_waiting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, reported: list[BaseException | None], where: str
) -> None:
    actor = stage.play(wat.COUNTER)
    with monkeypatch.context() as patched:
        patched.setattr(where, broken)
        with pytest.raises(InternalError):
            actor.request_json(BY_ONE)

    assert reported
    if actor.status == "crashed":
        actor.restart()
    assert actor.request({"by": 1}) == {"count": 1}
    assert actor.verify().ok


def test_a_sample_that_cannot_be_taken_is_no_trouble_of_the_step(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, reported: list[BaseException | None]
) -> None:
    actor = stage.play(wat.COUNTER, instance="warm")
    with monkeypatch.context() as patched:
        patched.setattr("theater.runtime.sampling.invocation_of", broken)
        assert actor.request({"by": 1}) == {"count": 1}
        assert stage.runtime._sampler.wait_quiet(10.0)

    assert reported
    assert actor.request({"by": 1}) == {"count": 2}
    assert actor.verify().ok
