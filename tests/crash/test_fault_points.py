"""Killed at each named place of the store, a node that is opened again comes to the same as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.play import Play
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import text_of
from theater.model.ids import ActorId
from theater.store.faults import FAULT_POINTS, FaultPoint

ROOT = Path(__file__).parents[2]
EACH = int(os.environ.get("THEATER_CRASH_EACH", "12"))  # how many passings of a point lie between two that kill; 1: all
PASSINGS_MAX = 45  # more than the play has transactions
Outcome = dict[str, tuple[str, list[str], list[str]]]
POINTS = tuple(point for point in FAULT_POINTS if point != "closing")

EXPECTED: Outcome = {
    "anna": ("running", ["exited/kurt/kurt/crashed:trap/restarted"] * 2 + ["kurt", "sent"], []),
    "bert": ("running", ['"late"'], []),
    "carl": ("running", ["asked", "woken"], []),
    "dora": ("running", ["set", "tick"], []),
    "emil": ("stopped", ["lena", "marc"], []),
    "fred": ("running", ["slept", "told"], []),
    "kurt": ("running", ["1", "2", "3"], []),
    "lena": ("stopped", [], []),
    "marc": ("stopped", [], []),
}


@pytest.fixture(scope="module")
def component(workshop: Workshop) -> Path:
    return workshop.file(text_of(handlers=("supervisor",)))


@pytest.fixture(scope="module")
def undisturbed(workshop: Workshop, component: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What it comes to where nobody dies."""
    with Stage(workshop, tmp_path_factory.mktemp("undisturbed")) as stage:
        play = Play(stage, component.read_bytes())
        play.perform()
        return outcome_of(play)


def outcome_of(play: Play) -> Outcome:
    """What it came to; every chain is sound."""
    stage = play.stage
    stage.runtime.store.check()  # type: ignore[attr-defined]  # of the store on the disk
    for record in stage.runtime.store.records():
        report = stage.verify(ActorId(record.id))
        assert report.ok, (record.name, report.fault)
        assert report.open is None
    return play.outcome()


def killed(workshop: Workshop, component: Path, folder: Path, point: FaultPoint, nth: int) -> list[str] | None:
    """What a performance that dies there had promised; None where it did not come there."""
    task = {"data": f"{folder}/data", "cache": f"{workshop.cache}", "component": f"{component}"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.play", json.dumps({**task, "point": point, "nth": nth})],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = done.stdout.decode().splitlines()
    if done.returncode == 0:
        return None
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert f"hit {point}" in said
    assert not done.stderr, done.stderr.decode()
    return [line.removeprefix("ack ") for line in said if line.startswith("ack ")]


@pytest.mark.slow
@pytest.mark.parametrize("point", [*POINTS, "closing"])
def test_killed_at_a_fault_point_a_play_comes_to_the_same_end(
    workshop: Workshop, component: Path, undisturbed: Outcome, tmp_path: Path, point: FaultPoint
) -> None:
    first = 1 + FAULT_POINTS.index(point) % EACH  # so that the points together cover the range
    passings = range(first, PASSINGS_MAX, EACH) if point != "closing" else (1,)
    hits = 0
    for nth in passings:
        folder = tmp_path / f"{nth}"
        folder.mkdir()
        promised = killed(workshop, component, folder, point, nth)
        if promised is None:
            break
        hits += 1
        with Stage(workshop, folder, seed=nth) as stage:  # other ids than those that it gave out before
            assert stage.runtime.store.facts().unclean
            play = Play(stage, component.read_bytes())
            play.perform(promised)
            assert outcome_of(play) == undisturbed, (point, nth, promised)

    assert hits >= len(passings) // 2, (point, hits)
    assert hits > 0


@pytest.mark.slow
def test_the_play_undisturbed(undisturbed: Outcome) -> None:
    assert undisturbed == EXPECTED
