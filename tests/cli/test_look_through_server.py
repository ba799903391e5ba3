"""Commands that look, through a server that is a process of its own."""

import json
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import COMMAND, Theater
from tests.server.process import RunningServer
from theater.cli.main import main

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0


@pytest.fixture
def counted(theater: Theater, server: RunningServer) -> str:
    """The id of an actor in the server that has counted to 5: two requests, eight events."""
    (server.folder / "counter.toml").write_text('name = "counter"\ncomponent = "counter.wasm"\n')
    started = theater("start", "counter.toml", "--id-only")
    assert started.code == 0, started.err
    for by in (2, 3):
        assert theater("request", "counter", f'{{"by":{by}}}').code == 0
    return started.out.strip()


def crash(theater: Theater, place: Path) -> None:
    (place / "moody.toml").write_text('name = "moody"\ncomponent = "moody.wasm"\n')
    assert theater("start", "moody.toml").code == 0
    assert theater("request", "moody", '"trap"').code == 1


@contextmanager
def followed(server: RunningServer, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it is ended, which it is at the latest with this."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=server.environ,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stream(file: IO[str] | None) -> IO[str]:
    assert file is not None
    return file


def test_what_is_looked_at_is_the_same_with_a_server_and_without(
    theater: Theater, server: RunningServer, counted: str, place: Path
) -> None:
    crash(theater, place)
    commands = (
        ("list",),
        ("list", "--json"),
        ("list", "--status", "crashed"),
        ("tree",),
        ("tree", "--json"),
        ("tree", "counter"),
        ("inspect", "moody"),
        ("events", counted),
        ("events", counted, "--json"),
        ("events", counted, "--kind", "state", "--from", "4", "--limit", "1", "--full"),
        ("logs", counted),
        ("state", "counter"),
        ("state", "counter", "--at", "3", "--json"),
        ("verify", "counter"),
        ("replay", "counter", "--until", "5"),
    )

    there = [theater(*arguments) for arguments in commands]
    assert server.stop() == 0
    here = [theater(*arguments) for arguments in commands]

    for arguments, one, other in zip(commands, there, here, strict=True):
        assert (one.code, one.out) == (other.code, other.out), arguments
    assert there[0].code == 0


def test_errors_are_the_same_too(theater: Theater, counted: str, server: RunningServer) -> None:
    commands = (("state", "countr"), ("events", "countr"), ("state", counted, "--at", "99"), ("verify", "countr"))

    there = [theater(*arguments) for arguments in commands]
    assert server.stop() == 0
    here = [theater(*arguments) for arguments in commands]

    for arguments, one, other in zip(commands, there, here, strict=True):
        assert (one.code, one.err) == (other.code, other.err), arguments
    assert "did you mean 'counter'?" in there[0].err


def test_the_servers_word_is_not_taken_for_what_it_serves(theater: Theater, counted: str) -> None:
    assert theater("verify", counted, "--head", "0" * 64).code == 1
    assert theater("verify", counted, "--component", "counter.wasm").code == 2


def test_top_shows_a_table_once_and_rates(theater: Theater, counted: str) -> None:
    plain = theater("top", "--once", "--interval", "100ms")
    (row,) = theater("top", "--json", "--interval", "100ms").rows

    assert plain.code == 0
    assert plain.out.split()[:4] == ["NAME", "ID", "STATUS", "STEPS/S"]
    assert plain.out.splitlines()[1].split()[:3] == ["counter", counted[:8], "running"]
    assert (row["steps_per_s"], row["events_per_s"], row["waiting"]) == (0, 0, 0)
    assert str(row["last"]).endswith("Z")


@pytest.mark.usefixtures("counted")
def test_top_on_a_terminal_goes_on_until_it_is_interrupted(server: RunningServer) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with subprocess.Popen(
        [*COMMAND, "top", "--interval", "100ms"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**server.environ, "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        said = b""
        while said.count(b"STEPS/S") < 3:
            said += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        while b"interrupted" not in said:
            said += os.read(ours, 65_536)
        os.close(ours)

    assert process.returncode == 130
    assert b"1 actor, 1 running, 8 events" in said
    assert said.count(b"\x1b[?25l") == said.count(b"\x1b[?25h") == 1  # the cursor is hidden, and is back


@pytest.mark.usefixtures("counted")
def test_subscribe_shows_the_last_events_and_then_what_comes(theater: Theater, server: RunningServer) -> None:
    with followed(server, "subscribe", "counter", "--json") as process:
        out = stream(process.stdout)
        first = [json.loads(out.readline()) for _ in range(8)]
        theater("request", "counter", '{"by":4}')
        then = [json.loads(out.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)

    assert [event["seq"] for event in first + then] == list(range(10))
    assert set(then[0]) == {"seq", "kind", "name", "time", "hash", "prev", "payload"}
    assert (process.returncode, err) == (130, "interrupted\n")


@pytest.mark.usefixtures("counted")
def test_subscribe_goes_on_when_the_server_was_restarted(theater: Theater, server: RunningServer) -> None:
    with followed(server, "subscribe", "counter", "--from", "6") as process:
        out, err = stream(process.stdout), stream(process.stderr)
        first = [out.readline() for _ in range(2)]
        assert server.stop() == 0
        said = err.readline()
        server.start()
        theater("request", "counter", '{"by":4}')
        then = [out.readline() for _ in range(2)]

    assert [line.split()[0] for line in first + then] == ["6", "7", "8", "9"]
    assert said.endswith("going on when it is back\n")


def test_subscribe_ends_when_the_actor_is_removed(theater: Theater, server: RunningServer, counted: str) -> None:
    with followed(server, "subscribe", counted) as process:
        stream(process.stdout).readline()
        theater("stop", counted)
        assert theater("rm", counted, "--yes").code == 0
        out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert err == "counter was removed\n"
    assert "stopped" in out


@pytest.mark.usefixtures("counted")
def test_subscribe_reads_an_id_from_stdin(theater: Theater) -> None:
    assert theater("subscribe", "-", stdin=b"nobody\n").code == 5
    empty = theater("subscribe", "-")
    assert empty.code == 2
    assert "there is no id on standard input" in empty.err


def test_logs_follow(theater: Theater, server: RunningServer, place: Path) -> None:
    (place / "logger.toml").write_text('name = "logger"\ncomponent = "logger.wasm"\n')
    assert theater("start", "logger.toml").code == 0
    theater("request", "logger", '{"times":1}')
    with followed(server, "logs", "logger", "-f") as process:
        out = stream(process.stdout)
        first = out.readline()
        theater("request", "logger", '{"times":2}')
        then = [out.readline() for _ in range(2)]

    assert [first, *then] == ["1 to go\n", "2 to go\n", "1 to go\n"]


@pytest.mark.parametrize("arguments", [("subscribe", "counter"), ("top",), ("logs", "counter", "-f")])
@pytest.mark.usefixtures("counter")
def test_without_a_server_it_is_4_with_what_to_do(theater: Theater, arguments: tuple[str, ...]) -> None:
    done = theater(*arguments)

    assert done.code == 4
    assert "start one with: theater server" in done.err


@pytest.mark.usefixtures("theater")
def test_names_are_completed_from_the_server(
    counted: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_THEATER_COMPLETE", "bash")
    capsys.readouterr()

    assert main(["state", "co"]) == 0
    assert capsys.readouterr() == ("counter\n", "")
    assert main(["state", counted[:6]]) == 0
    assert capsys.readouterr() == (f"{counted}\n", "")
