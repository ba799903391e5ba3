"""The process is killed, at any place, and what it promised is there when it is started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.guests import CHATTY, DIG, DREAM
from tests.runtime.stage import Stage, Workshop
from tests.runtime.test_resuming import woken
from theater.errors import NotFound
from theater.model.payload import CrashedPayload, Log, Message, State
from theater.store.faults import FAULT_POINTS

ROOT = Path(__file__).parents[2]
TIMING: dict[str, dict[str, object]] = {"timing": {}}


def live(workshop: Workshop, folder: Path, **task: object) -> list[str]:
    """Run a mortal process on ``folder``; what it said. It must have died by its own hand where it said so."""
    said = {"data": str(folder / "data"), "cache": str(workshop.cache), **task}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.mortal", json.dumps(said)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    died = any(line.startswith("hit ") for line in lines)
    assert done.returncode == (-signal.SIGKILL if died else 0), done.stderr.decode()
    return lines


def manifest(workshop: Workshop, folder: Path, text: str, extra: str = "") -> str:
    """A manifest file."""
    folder.mkdir(exist_ok=True)
    path = folder / "theater.toml"
    path.write_text(f'name = "actor"\ncomponent = "{workshop.file(text)}"\n{extra}')
    return str(path)


@pytest.mark.slow
def test_killed_while_a_step_waits(workshop: Workshop, tmp_path: Path) -> None:
    path = manifest(workshop, tmp_path, DREAM, "[capabilities.timing]\n")

    said = live(workshop, tmp_path, manifest=path, bodies=["1"])

    assert said == ["ack init", "hit wait"]
    with Stage(workshop, tmp_path) as stage:
        assert stage.runtime.store.facts().unclean
        record = stage.runtime.store.records()[0]
        left = [event.header.kind for event in stage.runtime.store.events(record.id)]
        assert left == ["genesis", "lifecycle", "message", "state", "message", "log", "intent"]
        actor = woken(stage)
        assert actor.kinds()[4:] == ["message", "log", "intent", "resumed", "host", "log", "state"]
        assert actor.state == "1"
        message = actor.payloads("message")[-1]
        assert isinstance(message, Message)
        state = actor.payloads("state")[-1]
        assert isinstance(state, State)
        assert state.reply == f'"{message.id}"'
        assert actor.verify().ok


@pytest.mark.slow
def test_killed_while_a_step_computes_after_it_logged(workshop: Workshop, tmp_path: Path) -> None:
    path = manifest(workshop, tmp_path, DIG, "[limits]\nfuel = 1000000000000000\ndeadline = '60s'\n")

    # behind its init the first commit is the flush of what the running step has logged
    said = live(
        workshop,
        tmp_path,
        manifest=path,
        bodies=['"first"'],
        point="after-commit",
        nth=1,
        behind_init=True,
        real_clock=True,
    )

    assert said == ["ack init", "hit after-commit"]
    with Stage(workshop, tmp_path) as stage:
        record = stage.runtime.store.records()[0]
        # the node may have gone on with it already, which its chain says
        kinds = [
            event.header.kind for event in stage.runtime.store.events(record.id) if event.header.kind != "lifecycle"
        ]
        assert kinds[-2:] == ["message", "log"]
        actor = stage.actor("actor")
        actor.terminate()
        assert actor.kinds()[-3:] == ["resumed", "crashed", "stopped"]
        assert [log.text for log in actor.payloads("log") if isinstance(log, Log)] == ["first"]
        report = actor.verify()
        assert (report.ok, report.unreproducible) == (True, 1)


@pytest.mark.slow
def test_killed_twice_in_one_step_it_is_not_run_a_third_time(workshop: Workshop, tmp_path: Path) -> None:
    path = manifest(workshop, tmp_path, DIG, "[limits]\nfuel = 1000000000000000\ndeadline = '60s'\n")
    point = {"point": "after-commit", "nth": 1, "real_clock": True}
    assert (
        live(workshop, tmp_path, manifest=path, bodies=['"first"'], behind_init=True, **point)[-1] == "hit after-commit"
    )
    assert live(workshop, tmp_path, seed=1, **point) == ["hit after-commit"]  # the mark is there, and it runs again

    with Stage(workshop, tmp_path) as stage:
        actor = woken(stage)
        (crashed,) = actor.payloads("crashed")
        assert isinstance(crashed, CrashedPayload)
        assert crashed.reason == "host-died"
        assert actor.kinds()[-3:] == ["log", "resumed", "crashed"]
        assert actor.status == "crashed"
        report = actor.verify()
        assert (report.ok, report.unreproducible) == (True, 1)


@pytest.mark.slow
def test_killed_any_number_of_times_while_a_step_waits_it_goes_on(workshop: Workshop, tmp_path: Path) -> None:
    path = manifest(workshop, tmp_path, DREAM, "[capabilities.timing]\n")
    assert live(workshop, tmp_path, manifest=path, bodies=["1"]) == ["ack init", "hit wait"]
    for seed in (1, 2, 3):
        assert live(workshop, tmp_path, seed=seed) == ["hit wait"]

    with Stage(workshop, tmp_path) as stage:
        actor = woken(stage)
        assert (actor.status, actor.state) == ("running", "1")
        assert actor.kinds().count("resumed") == 4
        assert actor.verify().ok


@pytest.mark.slow
def test_killed_at_every_fault_point_nothing_that_was_acknowledged_is_lost(workshop: Workshop, tmp_path: Path) -> None:
    hits: dict[str, int] = dict.fromkeys(FAULT_POINTS, 0)
    bodies = ["1", "2", json.dumps("x" * 100_000), "4"]
    for point in FAULT_POINTS:
        for nth in (1,) if point == "closing" else (1, 2, 3, 5):
            folder = tmp_path / f"{point}-{nth}"
            path = manifest(workshop, folder, CHATTY)
            said = live(workshop, folder, manifest=path, bodies=bodies, point=point, nth=nth)
            if said[-1] != f"hit {point}":
                continue  # fewer transactions than that
            hits[point] += 1
            acknowledged = sum(line.startswith("ack") for line in said) - 1
            with Stage(workshop, folder) as stage:
                assert stage.runtime.store.facts().unclean
                try:
                    actor = woken(stage)
                except NotFound:
                    assert acknowledged < 0  # not even its birth had been committed
                    continue
                ids = [message.id for message in actor.payloads("message") if isinstance(message, Message)]
                assert len(ids) == len(set(ids))
                assert actor.kinds().count("state") == len(ids)
                counted = json.loads(actor.state or "").get("count", 0)
                assert counted == len(ids) - 1
                assert acknowledged <= counted <= acknowledged + 1
                assert actor.request_json('"next"').text == '"next"'
                assert json.loads(actor.state or "") == {"count": counted + 1}
                report = actor.verify()
                assert (report.ok, report.fault) == (True, None)

    assert all(hits.values()), hits
    assert hits["before-commit"] == hits["after-commit"] == 4


@pytest.mark.slow
def test_a_process_that_ends_in_good_order_leaves_a_clean_store(workshop: Workshop, tmp_path: Path) -> None:
    path = manifest(workshop, tmp_path, CHATTY)

    said = live(workshop, tmp_path, manifest=path, bodies=["1", "2"])

    assert said == ["ack init", "ack 1", "ack 2"]
    with Stage(workshop, tmp_path) as stage:
        assert not stage.runtime.store.facts().unclean
        assert stage.actor("actor").state == '{"count":2}'
