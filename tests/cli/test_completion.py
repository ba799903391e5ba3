"""``completion``: the scripts, in the shells that are installed, and what the program answers them."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Theater
from theater.cli import completion
from theater.cli.main import main
from theater.cli.session import Session

PATIENCE_S = 60.0

Complete = Callable[..., list[str]]


@pytest.fixture
def asked(
    theater: Theater, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[str, str]]]:
    """What is printed for words, and on stderr."""

    def ask(*words: str, shell: str = "bash") -> tuple[str, str]:
        monkeypatch.setenv("_THEATER_COMPLETE", shell)
        capsys.readouterr()
        assert main(list(words)) == 0
        monkeypatch.delenv("_THEATER_COMPLETE")
        said = capsys.readouterr()
        return said.out, said.err

    yield ask
    del theater


def test_names_come_from_the_store_where_there_is_no_server(
    asked: Callable[..., tuple[str, str]], counter: str
) -> None:
    assert asked("state", "") == ("counter\n", "")
    assert asked("events", counter[:5]) == (f"{counter}\n", "")
    assert asked("--data-dir", "elsewhere", "state", "") == ("", "")
    assert asked("--data-dir=elsewhere", "state", "") == ("", "")
    assert asked("--data-dir", "=", "elsewhere", "state", "") == ("", "")
    assert asked("--data-dir", "counter.wasm", "state", "") == ("", "")
    assert asked("--server", "http://127.0.0.1:1", "state", "") == ("", "")


@pytest.mark.usefixtures("counter")
def test_each_shell_is_answered_in_its_own_way(asked: Callable[..., tuple[str, str]]) -> None:
    assert asked("state", "c", shell="bash")[0] == "counter\n"
    assert asked("state", "c", shell="zsh")[0] == "counter:running\n"
    assert asked("state", "c", shell="fish")[0] == "counter\trunning\n"
    assert asked("versi", shell="fish")[0].startswith("version\tShow the versions")


def test_nothing_fails_and_nothing_is_said(
    asked: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_session: Session) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Session, "config", fail)

    assert asked("state", "") == ("", "")
    assert asked("\udcff", "") == ("", "")
    assert asked() != ("", "")
    assert asked("ver")[0] == "verify\nversion\n"


def test_a_server_that_does_not_answer_is_given_up(
    asked: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_session: Session) -> None:
        while True:
            signal.pause()

    monkeypatch.setattr(Session, "reading", hang)
    monkeypatch.setattr(completion, "ANSWER_MAX_S", 0.05)
    began = time.monotonic()

    assert asked("state", "") == ("", "")
    assert time.monotonic() - began < PATIENCE_S
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_a_document_too(theater: Theater, shell: str) -> None:
    script = theater("completion", shell).out

    assert theater("completion", shell, "--json").table == {"shell": shell, "script": script}
    assert f"_THEATER_COMPLETE={shell} theater" in script
    assert "eval" not in script.replace("zsh_eval_context", "")


def test_a_shell_that_is_not_known_is_wrong_usage(theater: Theater) -> None:
    assert theater("completion", "tcsh").code == 2
    assert theater("completion").code == 2


def environ() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def in_bash(place: Path) -> Iterator[Complete]:
    """What bash would offer for a line whose words are given, the last of them begun."""

    def complete(*words: str) -> list[str]:
        line = " ".join(map(shlex.quote, ["theater", *words]))
        script = (
            f"source <(theater completion bash); COMP_WORDS=({line}); COMP_CWORD={len(words)}; _theater; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            capture_output=True,
            text=True,
            env=environ(),
            timeout=PATIENCE_S,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    yield complete
    del place


@pytest.mark.slow
def test_bash_completes_commands_options_and_actors(in_bash: Complete, counter: str) -> None:
    assert in_bash("ver") == ["verify", "version"]
    assert in_bash("events", "--li") == ["--limit"]
    assert in_bash("events", "--kind", "=", "st") == ["state"]
    assert in_bash("state", "cou") == ["counter"]
    assert in_bash("state", counter[:8]) == [counter]
    assert in_bash("run", "coun") == [""]  # nothing, so that bash itself completes the file


@pytest.mark.slow
@pytest.mark.usefixtures("counter")
def test_nothing_that_is_typed_is_run_or_expanded_by_bash(in_bash: Complete, place: Path) -> None:
    for word in ("$(touch pwned)", "`touch pwned`", "*", "; touch pwned", "a b", "'", '"', "\\"):
        assert in_bash("state", word) == [""]
        assert in_bash(word, "") == [""]
    assert in_bash("--x=$(touch pwned)", "versi") == ["version"]
    assert not (place / "pwned").exists()


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_can_read(theater: Theater, place: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (place / "script").write_text(theater("completion", shell).out)

    subprocess.run([shell, "-n", "script"], check=True, timeout=PATIENCE_S)
