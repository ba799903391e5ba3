"""An actor in Python that runs programs: once it is a component, told of what they do, and replayed without them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.capabilities.town import wait_until
from tests.guests.python import python_actor
from theater.testing.harness import Actor, Harness

PATIENCE_S = 120.0
pytestmark = pytest.mark.slow

SOURCE = """
from theater_sdk import Actor, CallFailed, process


class Watcher(Actor):
    def init(self, params):
        return {"heard": []}

    def handle(self, state, message):
        if message.body == "start":
            id = process.start("cat", timeout_s=30)
            process.write(id, "one\\n\\u00fc")
            [running] = process.processes()
            assert (running.id, running.program, running.status) == (id, "cat", None)
            assert process.status(id) == running
            process.close_input(id)
            raw = process.start("cat", lines=False)
            process.send_signal(raw, "kill")
            return state, id
        if message.body == "heard":
            return state, state["heard"]
        done = process.run("cat", stdin=b"\\xff\\x00", environment={"LANG": "C"})
        refused = []
        for attempt in (
            lambda: process.run("/usr/bin/env"),
            lambda: process.run("cat", "\\0"),
            lambda: process.write("0" * 32, "x"),
            lambda: process.run("cat", "/nothing").check(),
        ):
            try:
                attempt()
            except CallFailed as error:
                refused.append(error.reason)
        return state, [done.status.is_success, list(done.stdout), str(done.status), refused]

    def process_output(self, state, output):
        state["heard"].append([output.source, output.text, output.gap])
        return state

    def process_exited(self, state, process_id, status):
        state["heard"].append([status.kind, status.number])
        return state
"""


def test_an_actor_in_python_runs_programs_hears_of_them_and_replays_without_them(tmp_path: Path) -> None:
    component = python_actor(SOURCE, capabilities=("process",))
    manifest = tmp_path / "theater.toml"
    manifest.write_text(
        f'name = "watcher"\ncomponent = {json.dumps(str(component))}\n'
        '[capabilities.process]\nallow = ["cat=/usr/bin/cat"]\nenvironment = ["LANG"]\n'
    )
    with Harness(data_dir=tmp_path / "data") as theater:
        spawned = theater.runtime.spawn(manifest, allowed=["process"])
        watcher = Actor(theater, theater.run(spawned, timeout_s=PATIENCE_S))  # compiled on the way

        assert watcher.request("run") == [
            True,
            [255, 0],
            "code 0",
            ["denied", "invalid-spec", "unknown-process", "failed"],
        ]
        watcher.request("start")
        wait_until(lambda: len(json.loads(watcher.state or "{}")["heard"]) == 4)

        heard = json.loads(watcher.state or "{}")["heard"]
        assert [each for each in heard if each[0] == "stdout"] == [
            ["stdout", "one", False],
            ["stdout", "\u00fc", False],
        ]
        assert sorted(each for each in heard if each[0] != "stdout") == [["code", 0], ["signal", 9]]
        assert watcher.verify().ok
