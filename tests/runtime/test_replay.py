"""Replay touches nothing, gives the same again, and says what it could not do."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.forgery import Forger
from tests.guests import wat
from tests.runtime.court import judged
from tests.runtime.guests import CHATTY, DREAM, WATCH
from tests.runtime.stage import Stage, Workshop
from theater.capabilities import registry
from theater.errors import Crashed, Refused
from theater.model.event import Event
from theater.model.execution import EngineIdentity
from theater.runtime.claims import Caps
from theater.runtime.replay import StepDone
from theater.runtime.verification import Laboratory, verify
from theater.testing.harness import Actor

TIMING: dict[str, dict[str, object]] = {"timing": {}}


def dreamt(stage: Stage, *bodies: str, text: str = DREAM) -> Actor:
    """An actor that logged, took random numbers and slept."""
    actor = stage.play(text, capabilities=TIMING)
    for body in bodies:
        pending = actor.start_request(body)
        stage.clock.wait_for_timers()
        stage.clock.advance(1)
        pending.result()
    return actor


class Untouched:
    """Makes everything that reaches outside raise, and remembers that it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.touched: list[str] = []
        for owner, name in (
            (socket, "socket"),
            (socket, "create_connection"),
            (subprocess, "Popen"),
            (os, "fork"),
            (os, "posix_spawn"),
            (os, "system"),
            (os, "urandom"),
            (os, "getrandom"),
            (time, "time"),
            (time, "time_ns"),
            (time, "localtime"),
        ):
            monkeypatch.setattr(owner, name, self._raises(f"{owner.__name__}.{name}"))
        monkeypatch.setattr(builtins, "open", self._reads_only(builtins.open))
        monkeypatch.setattr(io, "open", self._reads_only(io.open))
        monkeypatch.setattr(os, "open", self._opens_only(os.open))

    def _raises(self, name: str) -> Callable[..., NoReturn]:
        def touch(*_: object, **__: object) -> NoReturn:
            self.touched.append(name)
            raise AssertionError(f"a replay called {name}")

        return touch

    def _reads_only(self, real: Callable[..., object]) -> Callable[..., object]:
        def read(file: object, mode: str = "r", *rest: object, **options: object) -> object:
            if set(mode) & set("wax+"):
                self.touched.append(f"open {file!r} {mode}")
                raise AssertionError(f"a replay opened {file!r} for {mode}")
            return real(file, mode, *rest, **options)

        return read

    def _opens_only(self, real: Callable[..., int]) -> Callable[..., int]:
        def read(path: object, flags: int, *rest: object, **options: object) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.touched.append(f"os.open {path!r}")
                raise AssertionError(f"a replay opened {path!r} for writing")
            return real(path, flags, *rest, **options)

        return read


def test_a_replay_touches_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = dreamt(stage, "1", "2")
    events = actor.events()

    def now_us() -> NoReturn:
        untouched.touched.append("the node's clock")
        raise AssertionError("a replay looked at the clock")

    def take(_size: int) -> NoReturn:
        untouched.touched.append("the node's entropy")
        raise AssertionError("a replay took random bytes")

    with monkeypatch.context() as patch:
        untouched = Untouched(patch)
        patch.setattr(stage.clock, "now_us", now_us)
        patch.setattr(stage.clock, "call_at", now_us)
        patch.setattr(stage.runtime.node.entropy, "take", take)
        patch.setattr(type(stage.runtime.store), "append", take)
        report = judged(stage, events)
        seen = list(untouched.touched)

    assert (report.ok, report.fault, report.steps) == (True, None, 3)
    assert seen == []


def test_the_patches_would_have_been_touched_by_a_live_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        untouched = Untouched(patch)
        for touch in (
            socket.socket,
            lambda: subprocess.Popen(["true"]),
            time.time_ns,
            lambda: os.urandom(1),
            lambda: open("/tmp/never", "w"),  # noqa: SIM115, PTH123 - it is never opened
            lambda: Path("/tmp/never").write_text("x"),
        ):
            with pytest.raises(AssertionError):
                touch()
        assert len(untouched.touched) == 6


def test_a_replay_leaves_no_thread_and_no_event(stage: Stage) -> None:
    actor = dreamt(stage, "1")
    events, threads = actor.events(), threading.active_count()

    for _ in range(3):
        assert actor.verify().ok

    assert actor.events() == events
    assert threading.active_count() == threads


@pytest.mark.slow
def test_a_thousand_steps_replay_with_equal_results(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    pending = [actor.start_request('{"by":1}') for _ in range(1000)]
    assert pending[-1].result().text == '{"count":1000}'

    report = actor.verify()

    assert (report.ok, report.steps, report.unreproducible, report.not_compared) == (True, 1001, 0, 0)
    assert report.head == actor.head.hash


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("instance", ["fresh", "warm"])
@pytest.mark.slow
def test_the_number_of_workers_does_not_matter(
    workshop: Workshop, stage: Stage, tmp_path: Path, workers: int, instance: str
) -> None:
    actor = stage.play(CHATTY, instance=instance)
    for body in range(30):
        actor.request_json(str(body))
    events = actor.events()
    other = tmp_path / "other"
    other.mkdir()

    with Stage(workshop, other, workers=workers) as elsewhere:
        elsewhere.runtime.blobs.put(workshop.file(CHATTY).read_bytes())
        report = judged(elsewhere, events)

    assert (report.ok, report.steps, report.head) == (True, 31, events[-1].hash)


def test_the_steps_are_told_in_order(stage: Stage) -> None:
    actor = stage.play(wat.MOODY)
    for body in ('{"by":1}', '"refuse"', '{"by":1}', '"trap"'):
        with contextlib.suppress(Refused, Crashed):  # how it ended is in the chain
            actor.request_json(body)
    told: list[StepDone] = []

    report = verify(lambda: iter(actor.events()), laboratory=laboratory(stage), on_step=told.append)

    assert report.ok
    assert [step.seq for step in told] == [2, 4, 6, 8, 10]
    assert [step.kind for step in told] == ["state", "state", "refused", "state", "crashed"]
    assert {step.verdict for step in told} == {"identical"}


def test_until_leaves_out_what_came_later(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    for _ in range(3):
        actor.request_json('{"by":1}')
    told: list[StepDone] = []

    verify(lambda: iter(actor.events()), laboratory=laboratory(stage), until=6, on_step=told.append)

    assert [step.seq for step in told] == [2, 4]


def test_a_chain_is_read_once_and_never_kept(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request_json('{"by":1}')
    events = actor.events()
    passes: list[int] = []

    def read() -> Iterator[Event]:
        passes.append(0)
        for event in events:
            passes[-1] += 1
            yield event

    assert verify(read, laboratory=laboratory(stage)).ok
    assert passes == [6]


# -- what the verifier allows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["memory_bytes", "events_per_step", "bytes_per_step", "state_bytes", "reply_bytes"])
def test_a_chain_that_needs_more_than_the_verifier_allows_says_how_much(stage: Stage, field: str) -> None:
    actor = stage.play(wat.COUNTER)

    report = actor.verify(caps=Caps(**{field: 100}))

    assert report.fault is not None
    assert "allowed 100" in report.fault.why
    assert "needs" in report.fault.why


def test_a_step_that_needs_more_fuel_than_the_verifier_allows_is_no_divergence(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 10_000_000})
    actor.request_json('{"by":1}')
    with pytest.raises(Crashed):
        actor.request_json('"loop"')

    report = actor.verify(caps=Caps(fuel=1_000_000))

    assert report.fault is not None
    assert not report.fault.is_divergence
    assert report.fault.seq == 6
    assert "--max-fuel" in report.fault.why
    assert actor.verify(caps=Caps(fuel=10_000_000)).ok


@pytest.mark.slow
def test_a_step_that_needs_more_time_than_the_verifier_allows_is_no_divergence(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 2_000_000_000})
    with pytest.raises(Crashed):
        actor.request_json('"loop"')

    report = actor.verify(caps=Caps(deadline_s=0.02))

    assert report.fault is not None
    assert not report.fault.is_divergence
    assert "--max-deadline" in report.fault.why


@pytest.mark.slow
def test_how_long_a_step_took_elsewhere_says_nothing_of_how_long_it_may_take_here(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 200_000_000, "deadline": "1h"})
    with pytest.raises(Crashed):
        actor.request_json('"loop"')
    forger = Forger(actor.events())

    def hurry(fields: dict[str, Any]) -> None:  # as if it had run on a machine that is ten thousand times as fast
        fields["limits"]["deadline"] = 0.00001
        fields["manifest"] = fields["manifest"].replace('"1h"', '"0.01ms"')

    forger.edit(0, hurry)

    assert judged(stage, forger.sealed()).ok


@pytest.mark.slow
def test_a_watcher_of_the_clock_replays_elsewhere(workshop: Workshop, stage: Stage, tmp_path: Path) -> None:
    actor = dreamt(stage, '{"ms":1000}', text=WATCH)
    events = actor.events()
    other = tmp_path / "other"
    other.mkdir()

    with Stage(workshop, other) as elsewhere:
        elsewhere.clock.advance(10_000_000)
        elsewhere.runtime.blobs.put(workshop.file(WATCH).read_bytes())
        assert judged(elsewhere, events).ok


def laboratory(stage: Stage) -> Laboratory:
    """A stage's own."""
    node = stage.runtime.node
    assert isinstance(node.engine.identity, EngineIdentity)
    return Laboratory(node.engine, registry.built_in(), node.blobs, Caps())
