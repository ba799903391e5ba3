"""The example of the guide to HTTP servers is that of the template, and does over the loopback what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.guests.python import python_actor
from tests.runtime.served import HOST, ask
from theater.build.create import create_project
from theater.testing.harness import Actor, Harness

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "http-servers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(?:python|toml)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
PATIENCE_S = 180.0


def test_the_example_is_that_of_the_template(tmp_path: Path) -> None:
    create_project(tmp_path, "notes", template="http")
    source, _, tests, _ = BLOCKS

    assert source == (tmp_path / "notes" / "actor.py").read_text()
    assert tests == (tmp_path / "notes" / "tests" / "test_actor.py").read_text()


@pytest.mark.slow
def test_the_example_serves(tmp_path: Path) -> None:
    source, manifest, _, _ = BLOCKS
    component = python_actor(source, capabilities=("http-server",))
    path = tmp_path / "theater.toml"
    path.write_text(manifest.replace('"build/notes.wasm"', json.dumps(str(component))))
    with Harness(data_dir=tmp_path / "node") as theater:
        spawned = theater.runtime.spawn(path, allowed=["http-server"])
        notes = Actor(theater, theater.run(spawned, timeout_s=PATIENCE_S))
        reply = notes.request("where")
        assert isinstance(reply, dict)
        (port,) = reply["ports"]
        assert theater.runtime.live.services(notes.id) == [f"listens on http://{HOST}:{port} (4 routes)"]

        with connect(f"ws://{HOST}:{port}/live", open_timeout=30, proxy=None) as listener:
            assert listener.recv(30) == "0 so far"
            assert ask(port, "/notes", method="POST", body="buy tea").status == 201
            assert listener.recv(30) == "buy tea"
        assert ask(port, "/notes/1").body == "buy tea"
        assert ask(port, "/notes/x").status == 404
        assert ask(port, "/notes", method="POST", body=b"x" * 1001).status == 413
        theater.reopen()
        assert ask(port, "/notes/1").body == "buy tea"
        assert notes.verify().ok
