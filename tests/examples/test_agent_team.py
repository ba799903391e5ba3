"""The example of a team that heals itself, as its script plays it: on the real clock, since a story has no other."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import theater
from theater.build.builder import build_project
from theater.build.project import find_project
from theater.model.payload import Lifecycle
from theater.model.ports import ActorRecord
from theater.runtime.examination import examine_actor
from theater.runtime.history import payload_of, state_at

pytestmark = pytest.mark.slow

TEAM = Path(__file__).parents[2] / "examples" / "agent-team"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agent_team", TEAM / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def no_text(text: str) -> bytes:
    raise AssertionError(f"no component text is built here, but this was: {text}")


def test_the_team_heals_itself_gives_up_when_it_is_too_much_and_every_history_verifies(tmp_path: Path) -> None:
    for name in ("coordinator", "worker"):
        build_project(find_project(TEAM / name), assemble=no_text)
    said: list[str] = []

    async def played() -> None:
        async with theater.Runtime(data_dir=tmp_path / "data", environ={}) as runtime:
            await script().story(runtime, TEAM, said.append)
            check(runtime)

    asyncio.run(played())
    assert any("not before my coffee" in line for line in said)


def check(runtime: theater.Runtime) -> None:
    """The tree after it all: what runs, how often it was restarted, what it remembers, and that all of it verifies."""
    records = {record.name: record for record in runtime.store.records()}
    assert {name: record.status for name, record in records.items()} == {
        "coordinator": "running",
        "counter": "running",
        "sorter": "running",
        "joker": "running",
    }
    decisions = [detail["decision"] for detail in details(runtime, records["coordinator"], "supervised")]
    restarts = {name: len(details(runtime, record, "restarted")) for name, record in records.items()}
    assert decisions == ["restart"] * (len(decisions) - 1) + ["give-up"]
    assert len(decisions) >= 4  # more only where this machine is so slow that the first ones were 10 s ago
    assert restarts == {"coordinator": 1, "counter": 1, "sorter": 1, "joker": len(decisions)}

    crash = next(event for event in runtime.store.events(records["joker"].id) if event.header.kind == "crashed")
    before = state_at(runtime.store, records["joker"].id, crash.header.seq - 1)
    assert before is not None
    assert json.loads(before.text) == {"role": "joker", "done": 1}

    for record in records.values():
        head = runtime.store.head(record.id)
        report = examine_actor(runtime.node, record.id, head=head.hash)
        assert report.ok, (record.name, report.fault)


def details(runtime: theater.Runtime, record: ActorRecord, verb: str) -> list[dict[str, object]]:
    """What the lifecycle events of this verb say."""
    payloads = [payload_of(event) for event in runtime.store.events(record.id) if event.header.name == verb]
    assert all(isinstance(payload, Lifecycle) for payload in payloads)
    return [payload.detail or {} for payload in payloads if isinstance(payload, Lifecycle)]
