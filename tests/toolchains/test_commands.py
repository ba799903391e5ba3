"""Programs of other toolchains that know nothing of Theater: run, recorded, and run again without the world."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.toolchains.conftest import furnish, recorded, run, said, written
from theater.errors import Refused

pytestmark = pytest.mark.slow

COMMANDS = ["rust-command", "c-command", "go-command", "javascript-command", "python-command"]

GRANTED = """
[capabilities.environment]
allow = ["GREETING"]
[capabilities.filesystem]
read = ["data"]
write = ["out"]
"""
ATTEMPTS = {
    "wasi:sockets/tcp-create-socket#create-tcp-socket",
    "wasi:sockets/udp-create-socket#create-udp-socket",
    "wasi:sockets/ip-name-lookup#resolve-addresses",
}
REFUSED = ("up", "absolute", "link", "read-only", "remove")


@pytest.mark.parametrize("guest", COMMANDS)
def test_a_program_of_another_toolchain_runs_and_its_chain_verifies_with_its_folders_gone(
    guest: str, tmp_path: Path
) -> None:
    home = furnish(tmp_path, guest, GRANTED)
    before = int(time.time())

    allowed = ("--allow", "filesystem", "--allow", "environment")
    done = home.theater("run", *allowed, str(home.manifest), "--", "one", "two words", "ü")

    lines = said(done.stdout)
    assert lines["arguments"] == "one|two words|ü"
    assert lines["variable"] == "grüß dich"
    assert lines["stdin"] == "0"
    assert lines["read"] == "a line"
    assert lines["listed"] == "in.txt link.txt"
    assert lines["size"] == "12"
    assert home.printed.read_text() == "A LINE\nmore\n"
    assert [name for name in REFUSED if not lines[name].startswith("refused (")] == []
    assert (home.folder / "data" / "in.txt").read_text() == "a line\n"
    assert len(bytes.fromhex(lines["random"])) == 8
    assert lines["slept"] == "true"
    assert before <= int(lines["time"]) <= int(time.time())
    assert "bye" in done.stderr.splitlines()

    head = done.stderr.split("head ")[1].split()[1]
    assert "sound" in home.theater("verify", "guest", "--head", head).stdout
    recorded(home, "filesystem", "environment")


@pytest.mark.parametrize("guest", COMMANDS)
def test_without_a_grant_there_is_nothing_and_a_failure_is_recorded(guest: str, tmp_path: Path) -> None:
    home = furnish(tmp_path, guest)

    with pytest.raises(Refused, match="exited with status 1"):
        asyncio.run(run(home, "fail"))

    lines = written(recorded(home))
    assert lines["arguments"] == "fail"
    assert lines["variable"] == "none"
    assert "files" in lines
    assert [name for name in REFUSED if not lines[name].startswith("refused (")] == []


@pytest.mark.parametrize(
    ("guest", "tries"), [("rust-command", ("tcp", "udp", "name")), ("python-command", ("tcp", "name"))]
)
def test_a_socket_is_refused_and_the_attempt_is_recorded(guest: str, tries: tuple[str, ...], tmp_path: Path) -> None:
    home = furnish(tmp_path, guest)

    asyncio.run(run(home))

    events = recorded(home)
    lines = written(events)
    assert [name for name in tries if not lines[name].startswith("refused (Permission denied")] == []
    answers = [event.payload or b"" for event in events if event.header.name in ATTEMPTS]
    assert len(answers) >= len(tries)
    assert all(b'"access-denied"' in answer for answer in answers)
