"""Nothing stays behind, however often: memory of the process before and after."""

import gc
import os
from pathlib import Path

import pytest

from tests.engine.guests import ACTOR, IMPORTING, MESSAGE, MISBEHAVIOURS, is_ask
from tests.engine.rig import RecordingHost, Rig, suspends

pytestmark = pytest.mark.slow

WARM_UP = 2_000
MANY = 20_000
GROWTH_MAX_BYTES = 3 << 20
"""150 bytes a step: below the smallest thing that could leak."""


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_fresh_steps_leave_nothing(rig: Rig) -> None:
    program = rig.load(ACTOR)

    def steps(count: int) -> None:
        for _ in range(count):
            closed = rig.run(program, "handle", "{}", MESSAGE, interface="theater:actor/actor")
            assert closed.crash is None

    steps(WARM_UP)
    before = _resident()
    steps(MANY)
    assert _resident() - before < GROWTH_MAX_BYTES
    assert not program.linker.running


def test_warm_steps_leave_nothing(rig: Rig) -> None:
    program = rig.load(ACTOR)
    instance = rig.run(program, "count", keep=True).instance

    def steps(count: int) -> None:
        for _ in range(count):
            closed = rig.run(
                program, "handle", "{}", MESSAGE, interface="theater:actor/actor", instance=instance, keep=True
            )
            assert closed.instance is instance

    steps(WARM_UP)
    before = _resident()
    steps(MANY)
    assert _resident() - before < GROWTH_MAX_BYTES


def test_waits_leave_nothing(rig: Rig) -> None:
    program = rig.load(IMPORTING, is_ask)

    def waits(count: int) -> None:
        running = rig.begin(program, "ask-often", count, host=suspends())
        for _ in range(count):
            running.waiting()
            running.execution.resume("y")
        assert running.closed().crash is None

    waits(WARM_UP)
    before = _resident()
    waits(MANY)
    assert _resident() - before < GROWTH_MAX_BYTES


def test_killed_waits_leave_nothing(rig: Rig) -> None:
    program = rig.load(IMPORTING, is_ask)

    def kills(count: int) -> None:
        for _ in range(count):
            running = rig.begin(program, "ask", 1, host=suspends())
            running.waiting()
            running.execution.kill("terminated", "enough")
            running.closed()

    kills(WARM_UP)
    before = _resident()
    kills(MANY // 4)
    assert _resident() - before < GROWTH_MAX_BYTES
    assert not program.linker.running
    assert not rig.engine._workers._live


def test_traps_and_failing_hosts_leave_nothing(rig: Rig) -> None:
    program, importing = rig.load(MISBEHAVIOURS), rig.load(IMPORTING)

    def fail(*_: object) -> object:
        raise ValueError("no")

    def traps(count: int) -> None:
        for _ in range(count):
            assert rig.run(program, "unreachable").crash
            assert rig.run(importing, "log", 1024, 5, host=RecordingHost(fail)).crash

    traps(500)
    before = _resident()
    traps(2_500)
    assert _resident() - before < GROWTH_MAX_BYTES


def test_programs_that_are_dropped_leave_little(rig: Rig) -> None:
    def loads(count: int) -> None:
        for _ in range(count):
            assert rig.run(rig.load(IMPORTING, is_ask), "log", 1024, 5).crash is None

    loads(100)
    before = _resident()
    loads(300)
    assert _resident() - before < GROWTH_MAX_BYTES
