"""The process dies with a server, a connection and requests: what an actor was told to be open it hears the end of."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.runtime.served import GRANT, HOST, ID, PATIENCE_S, SERVER, answering, ask, log_of, wait_until
from tests.runtime.stage import Stage, Workshop
from tests.runtime.test_http_server_sockets import WELCOME, enter


@pytest.mark.slow
def test_after_a_kill_servers_are_open_again_and_ends_are_told_once(workshop: Workshop, tmp_path: Path) -> None:
    with Stage(workshop, tmp_path) as stage:
        capabilities = {"http-server": GRANT, "messaging": {}, "timing": {}}
        manifest = stage.manifest(SERVER, capabilities=capabilities)
    data = tmp_path / "other"
    opening = (
        puppet.open_server()
        + puppet.reply(puppet.FULL_ANSWER)
        + puppet.log(puppet.HEAD)
        + answering("/", puppet.reply("here"))
        + answering("/later", puppet.remember())
        + puppet.add_websocket(ID, "/ws", WELCOME)
    )
    task = {"data": str(data), "cache": str(workshop.cache), "manifest": str(manifest), "opening": f'"{opening}"'}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.runtime.mortal_server", json.dumps(task)], stdout=subprocess.PIPE, text=True
    )
    with process, ThreadPoolExecutor(1) as others:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline()).split("/")[2])
        assert ask(port, "/").body == '"here"'
        with enter(port) as first, enter(port) as second:
            assert first.recv(PATIENCE_S) == second.recv(PATIENCE_S) == "welcome"
            late = others.submit(ask, port, "/later")
            assert ask(port, "/").body == '"here"'
            process.kill()
            process.wait()
            with pytest.raises((ConnectionError, OSError)):
                late.result()

    (tmp_path / "data").rename(tmp_path / "unused")
    data.rename(tmp_path / "data")
    with Stage(workshop, tmp_path) as stage:
        wait_until(lambda: ask(port, "/").status == 200)
        actor = stage.actor("actor", allowed=["http-server"])
        wait_until(lambda: log_of(actor)[-2:] == ["closed/1006", "closed/1006"])
        told = len(log_of(actor))
        stage.reopen()
        assert ask(port, "/").body == '"here"'
        again = stage.actor("actor", allowed=["http-server"])
        assert len(log_of(again)) == told
        assert stage.runtime.live.services(again.id) == [f"listens on http://{HOST}:{port} (3 routes)"]
        assert again.verify().ok
