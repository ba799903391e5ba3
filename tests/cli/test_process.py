"""The command as a process of its own: what only a process has, such as signals, pipes, a lock and a start-up time."""

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND, Theater
from tests.guests import wat

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("place")]

PATIENCE_S = 60.0


def started(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environ or {})},
    )


def on_a_terminal(*arguments: str, answer: str = "", environ: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code, and everything that a terminal 80 columns wide was sent."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", **(environ or {})},
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            data = os.read(ours, 65_536)
        except OSError:  # the other end was closed: that is how a terminal ends
            break
        if not data:
            break
        said += data
        if answer and b"[y/N]" in said:
            os.write(ours, answer.encode())
            answer = ""
    os.close(ours)
    return process.wait(PATIENCE_S), said.decode()


def ran(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    process = started(*arguments, environ=environ)
    out, err = process.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_a_run_in_a_pipe_is_plain_text() -> None:
    done = ran("run", "counter.wasm", "--request", '{"by":2}', environ={"FORCE_COLOR": "", "TERM": "xterm"})

    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == '{"count":2}'
    assert "\x1b" not in done.stdout + done.stderr


def test_an_interrupted_run_exits_130_and_leaves_a_sound_chain(place: Path) -> None:
    (place / "theater.toml").write_text(
        'name = "sleeper"\ncomponent = "sleeper.wasm"\n[capabilities.timing]\nsleep = "60s"\n'
    )
    process = started("run", ".", "--request", '{"ms":50000}')
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and "intent" not in ran("events", "sleeper").stdout:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert out == ""
    assert ran("verify", "sleeper").returncode == 0
    again = ran("run", "--id", "sleeper", "--request", '{"ms":1}')
    assert again.returncode == 0


def test_a_reader_that_goes_away_is_no_error() -> None:
    ran("run", "logger.wasm", "--request", '{"times":5000}')
    process = started("events", "logger")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(PATIENCE_S) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_while_a_run_holds_the_data_directory_others_read_and_none_writes(place: Path) -> None:
    (place / "theater.toml").write_text(
        'name = "sleeper"\ncomponent = "sleeper.wasm"\n[capabilities.timing]\nsleep = "60s"\n'
    )
    process = started("run", ".", "--request", '{"ms":50000}')
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and "intent" not in ran("events", "sleeper").stdout:
            assert process.poll() is None
        second = ran("run", "counter.wasm", "--json")
        assert second.returncode == 1
        assert json.loads(second.stdout)["error"]["code"] == "data-dir-locked"
        assert f"theater run (process {process.pid}" in second.stderr
        assert json.loads(ran("list", "--json").stdout)[0]["name"] == "sleeper"
        assert ran("state", "sleeper").returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_where_text_is_ascii_a_pipe_gets_utf8_all_the_same() -> None:
    environ = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}

    done = subprocess.run(
        [*COMMAND, "run", "echo.wasm", "--request", "-"],
        input='"Grüße"'.encode(),
        capture_output=True,
        env={**os.environ, **environ},
        timeout=PATIENCE_S,
        check=True,
    )

    assert done.stdout.splitlines()[0].decode() == '"Grüße"'


def test_a_terminal_gets_colours_unless_they_are_not_wanted() -> None:
    ran("run", "counter.wasm", "--request", '{"by":2}')

    _, coloured = on_a_terminal("list")
    _, plain = on_a_terminal("list", environ={"NO_COLOR": "1"})

    assert "\x1b[32mrunning" in coloured
    assert "running" in plain
    assert "\x1b[32m" not in plain


def test_on_a_terminal_events_are_cut_to_its_width() -> None:
    ran("run", "echo.wasm", "--request", '"' + "x" * 500 + '"')

    _, said = on_a_terminal("events", "echo")

    assert max(len(line) for line in said.splitlines()) == 80


def test_a_table_fits_its_terminal_and_is_whole_in_a_pipe() -> None:
    name = "a-very-long-name-that-somebody-gave-an-actor-for-no-good-reason"
    ran("run", "counter.wasm", "--name", name)

    _, said = on_a_terminal("list", environ={"NO_COLOR": "1", "TERM": "dumb"})

    assert max(len(line) for line in said.splitlines()) <= 80
    assert "…" in said
    assert name in ran("list").stdout


@pytest.mark.parametrize("command", ["tree", "inspect", "list"])
def test_no_colour_is_no_colour(command: str) -> None:
    ran("run", "counter.wasm")
    arguments = [command, "counter"] if command == "inspect" else [command]

    _, coloured = on_a_terminal(*arguments)
    _, plain = on_a_terminal(*arguments, environ={"NO_COLOR": "1"})
    _, dumb = on_a_terminal(*arguments, environ={"TERM": "dumb"})

    assert "\x1b[32mrunning" in coloured
    assert "\x1b[3" not in plain
    assert "\x1b" not in dumb


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_on_a_terminal_a_person_is_asked(place: Path, answer: str, code: int) -> None:
    (place / "theater.toml").write_text(
        'name = "counter"\ncomponent = "counter.wasm"\n[capabilities.environment]\nallow = ["LANG"]\n'
    )

    status, said = on_a_terminal("run", ".", answer=answer)

    assert status == code
    assert 'allow = ["LANG"]' in said
    assert said.count("[y/N]") == 1


def in_a_shell(text: str) -> subprocess.CompletedProcess[str]:
    """A command line of bash, in which ``theater`` is the command."""
    theater = shlex.join(COMMAND)
    line = text.replace("theater", theater, 1)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.parametrize("arguments", ["version", "list --json", "run counter.wasm --request '{}'", "--help"])
def test_with_stdout_closed_nothing_is_done(arguments: str) -> None:
    done = in_a_shell(f"theater {arguments} >&-")

    assert (done.returncode, done.stderr) == (1, "error: standard output is closed\n")
    assert json.loads(ran("list", "--json").stdout) == []


def test_a_full_disk_under_stdout_is_an_error() -> None:
    done = in_a_shell("theater version >/dev/full")

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("No space left on device\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [("version", 0), ("state nobody", 5), ("nope", 2), ("run logger.wasm --request '{\"times\":2}'", 0)],
)
def test_a_full_disk_under_stderr_changes_nothing(arguments: str, code: int) -> None:
    done = in_a_shell(f"theater {arguments} 2>/dev/full")

    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)


def test_choices_that_are_missing_are_one_line() -> None:
    done = in_a_shell("theater completion")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: Missing argument 'SHELL'. Choose from: bash, zsh, fish"


def test_a_server_whose_log_nobody_reads_any_more_still_ends_well(place: Path) -> None:
    with subprocess.Popen([*COMMAND, "server", "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "listening on" in process.stderr.readline()
        process.stderr.close()
        first = ran("list")
        process.send_signal(signal.SIGTERM)

    assert (first.returncode, process.returncode) == (0, 0)
    assert not (place / "data" / "server.json").exists()


def test_with_stdin_closed_there_is_no_message_to_read() -> None:
    done = in_a_shell("theater run counter.wasm --request - <&-")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "error: --request -: standard input is closed"


def test_with_stderr_closed_the_result_is_the_same() -> None:
    done = in_a_shell("theater run counter.wasm --request '{\"by\":2}' 2>&-")

    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == '{"count":2}'


def test_help_whose_reader_goes_away_is_no_error() -> None:
    done = in_a_shell("theater --help | true; exit ${PIPESTATUS[0]}")

    assert done.returncode in (0, 141)  # the reader may have been too late to be missed
    assert done.stderr == ""


@pytest.mark.parametrize("limit", ["-t 40", "-f 200000", "-v 40000000"])
def test_lower_limits_of_the_shell_are_kept(theater: Theater, place: Path, limit: str) -> None:
    theater("run", "counter.wasm")
    theater("export", "counter", "-o", "counter.theater")
    (place / "fresh.wat").write_text(wat.COUNTER)
    shutil.rmtree(place / "data" / "cache")

    done = in_a_shell(f"ulimit {limit}; theater run fresh.wat --request '{{\"by\":2}}'")
    verified = in_a_shell(f"ulimit {limit}; theater verify counter.theater")

    assert done.stdout.splitlines()[0] == '{"count":2}', done.stderr
    assert verified.stdout.startswith("sound: "), verified.stderr
