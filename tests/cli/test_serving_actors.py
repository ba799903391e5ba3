"""Where an actor listens is said by ``run``, ``start`` and ``inspect``; and ``run`` stays for its clients."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import IO

import pytest
import wasmtime

from tests.cli.conftest import COMMAND
from tests.guests import puppet
from tests.runtime.served import HOST, ID, SERVER, answering, ask, is_refused
from tests.server.process import RunningServer

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
_LISTENS = re.compile(rf"listens on http://{HOST}:(\d+) \(1 route\)")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Of a puppet that opens a server in its first step."""
    (tmp_path / "web.wasm").write_bytes(bytes(wasmtime.wat2wasm(SERVER)))
    opening = puppet.open_server() + puppet.log(puppet.HEAD) + answering("/", puppet.reply("here"))
    assert ID is puppet.FIRST
    path = tmp_path / "theater.toml"
    path.write_text(
        f'name = "web"\ncomponent = "web.wasm"\nparams = {json.dumps(opening)}\n'
        f'[capabilities.http-server]\nlisten = ["{HOST}:*"]\n[capabilities.messaging]\n[capabilities.timing]\n'
    )
    return path


def environ_of(folder: Path) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("THEATER_", "XDG_"))}
    return {**given, "HOME": str(folder), "THEATER_DATA_DIR": str(folder / "data"), "THEATER_RESERVE": "0"}


def port_said(stream: IO[str]) -> int:
    for line in stream:
        found = _LISTENS.search(line)
        if found:
            return int(found[1])
    raise AssertionError("it never said where it listens")


def test_run_stays_for_clients_until_it_is_interrupted(manifest: Path, tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    command = [*COMMAND, "run", str(manifest), "--allow", "http-server"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        port = port_said(process.stderr)

        assert ask(port, "/").body == '"here"'
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        process.stderr.read()
    assert is_refused(port)

    again = [*COMMAND, "run", "--id", "web", "--allow", "http-server", "--request", f'"{puppet.reply("x")}"']
    ran = subprocess.run(again, capture_output=True, text=True, env=environ, timeout=PATIENCE_S, check=True)
    assert f"http://{HOST}:{port} " in ran.stderr


def test_start_and_inspect_say_where_it_listens(manifest: Path, tmp_path: Path) -> None:
    with RunningServer(tmp_path / "server", environ={"THEATER_RESERVE": "0"}) as server:

        def theater(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [*COMMAND, *arguments]
            return subprocess.run(
                command, capture_output=True, text=True, env=server.environ, timeout=PATIENCE_S, check=True
            )

        found = _LISTENS.search(theater("start", str(manifest), "--allow", "http-server").stderr)
        assert found is not None
        assert ask(int(found[1]), "/").status == 200
        assert re.search(rf"open +listens on http://{HOST}:{found[1]} \(1 route\)", theater("inspect", "web").stdout)
        services = json.loads(theater("inspect", "web", "--json").stdout)["services"]
        assert services == [f"listens on http://{HOST}:{found[1]} (1 route)"]
