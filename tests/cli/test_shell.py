"""``shell``: what is typed is run as on a command line, and what goes wrong ends a line and not the shell."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from tests.cli.conftest import COMMAND, Theater
from tests.cli.test_hostile import EVIL
from theater.cli import shell
from theater.cli.completing import Suggestion
from theater.cli.output import Output
from theater.cli.shell import LineCompleter, converse, run_line

PATIENCE_S = 20.0

CTRL_C, CTRL_D, TAB = "\x03", "\x04", "\t"

Ran = list[list[str]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The command lines that were run; none of them is. One that says ``break`` is interrupted."""
    done: Ran = []

    def main(words: Sequence[str]) -> int:
        done.append(list(words))
        if "break" in words:
            raise KeyboardInterrupt
        return 1 if "fail" in words else 0

    monkeypatch.setattr(shell, "main", main)
    return done


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


def typed(keys: PipeInput, text: str, history: InMemoryHistory | None = None) -> None:
    """Type it all, and wait until the shell is over."""
    keys.send_text(text)
    prompts: PromptSession[str] = PromptSession(
        history=history or InMemoryHistory(), complete_while_typing=False, input=keys, output=DummyOutput()
    )
    converse(prompts, ["--json"], Output())


# -- what is typed ---------------------------------------------------------------------------------------------------


def test_each_line_is_a_command_line_with_the_options_of_the_shell_before_it(ran: Ran, keys: PipeInput) -> None:
    typed(keys, "list\rrequest counter '{\"by\": 2}'\rtheater tree\rexit\rnever\r")

    assert ran == [["--json", "list"], ["--json", "request", "counter", '{"by": 2}'], ["--json", "tree"]]


def test_ctrl_d_leaves_and_ctrl_c_gives_up_a_line_or_a_command_alone(ran: Ran, keys: PipeInput) -> None:
    typed(keys, f"not this{CTRL_C}break\rlist\r{CTRL_D}")

    assert ran == [["--json", "break"], ["--json", "list"]]


def test_what_was_typed_is_kept_for_the_next_time(ran: Ran, keys: PipeInput) -> None:
    history = InMemoryHistory()

    typed(keys, f"list\rbreak\rsend 'a\r{CTRL_D}", history)

    assert history.get_strings() == ["list", "break", "send 'a"]
    assert len(ran) == 2


def test_help_is_a_word(ran: Ran, keys: PipeInput) -> None:
    typed(keys, f"help\rhelp config token\rtheater\r\r# nothing\r{CTRL_D}")

    assert ran == [["--json", "--help"], ["--json", "config", "token", "--help"], ["--json", "--help"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("list   # all of them", ["list"]),
        ("send a '# no comment' # but this", ["send", "a", "# no comment"]),
        ("send a#b c", ["send", "a#b", "c"]),
        (r"send a '\u001b' b\ c", ["send", "a", r"\u001b", "b c"]),
    ],
)
def test_a_line_is_split_as_in_a_shell(ran: Ran, line: str, words: list[str]) -> None:
    assert run_line(line, [], Output()) == 0
    assert ran == [words]


@pytest.mark.parametrize("line", ["send 'a", 'send "a', "send a\\", "shell", "theater shell"])
def test_a_line_that_is_none_is_wrong_usage(ran: Ran, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert run_line(line, [], Output()) == 2
    assert (ran, capsys.readouterr().err[:7]) == ([], "error: ")


# -- completion ------------------------------------------------------------------------------------------------------


def completions(text: str, *suggested: str) -> tuple[list[str], list[tuple[list[str], str]]]:
    """What is offered behind ``text``, and what was asked for."""
    asked: list[tuple[list[str], str]] = []

    def suggest(words: list[str], begun: str) -> list[Suggestion]:
        asked.append((words, begun))
        return [Suggestion(word, "help") for word in suggested]

    found = LineCompleter(suggest).get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [item.text for item in found], asked


def test_what_may_stand_where_the_cursor_is_is_asked_with_the_words_before_it() -> None:
    assert completions("request cou", "counter") == (["counter"], [(["request"], "cou")])
    assert completions("theater list ", "--status") == (["--status"], [(["list"], "")])
    assert completions("help li", "list") == (["list"], [([], "li")])


def test_the_shells_own_words_are_offered_where_a_command_may_stand() -> None:
    assert completions("")[0] == ["help", "exit", "quit"]
    assert completions("ex", "export")[0] == ["exit", "export"]
    assert completions("list ex")[0] == []


# -- lines from a pipe -----------------------------------------------------------------------------------------------


def test_lines_from_a_pipe_are_a_script_that_ends_with_what_fails(theater: Theater, counter: str) -> None:
    done = theater("shell", stdin=b"# looks\nlist\n\nstate counter\nstate nobody\nlist\n")

    assert done.code == 5
    assert done.out.splitlines()[1].startswith(counter)
    assert done.out.splitlines()[2:] == ['{"count":5}']
    assert done.err.splitlines()[-1] == "line 5 failed: what comes behind it was not done"
    assert theater("shell", stdin=b"list").code == 0
    assert theater("shell", stdin=b"").out == ""


@pytest.mark.usefixtures("counter")
def test_what_was_said_to_the_shell_holds_for_each_line(theater: Theater, place: Path) -> None:
    json = theater("--json", "shell", stdin=b"state counter\n")
    elsewhere = theater("--data-dir", str(place / "empty"), "shell", stdin=b"list --json\n")
    gone = theater("shell", "--server", "http://127.0.0.1:1", stdin=b"list\n")

    assert json.table["state"] == {"count": 5}
    assert elsewhere.document == []
    assert gone.code == 4


def test_a_command_of_a_script_does_not_eat_the_lines_behind_it(theater: Theater) -> None:
    done = theater("shell", stdin=b"run echo.wasm --request -\nlist\n")

    assert done.code == 2
    assert done.out == ""


@pytest.mark.parametrize("script", [b"list \xff\n", b"list " + b"x" * (shell.LINE_MAX_BYTES + 1)])
def test_a_script_that_is_none_is_wrong_usage(theater: Theater, script: bytes) -> None:
    done = theater("shell", stdin=script)

    assert (done.code, done.err[:14]) == (2, "error: line 1 ")


def test_nothing_that_was_typed_reaches_the_terminal_raw(theater: Theater) -> None:
    done = theater("shell", stdin=f"state '{EVIL.replace(chr(0), '')}'\n".replace("\n", " ", 1).encode())

    assert done.code != 0
    assert "\x1b" not in done.out + done.err


# -- a terminal ------------------------------------------------------------------------------------------------------


class OnATerminal:
    """A ``theater shell`` on a terminal, and what the terminal was sent."""

    def __init__(self, *options: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self.process = subprocess.Popen(
            [*COMMAND, *options, "shell"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", "PROMPT_TOOLKIT_NO_CPR": "1"},
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, *needles: str) -> str:
        """What is shown until all of ``needles`` were, one behind the other."""
        said, at = b"", 0
        for needle in needles:
            while (found := said.find(needle.encode(), at)) < 0:
                data = self._read()
                assert data, f"no {needle!r} came, but {said!r}"
                said += data
            at = found + len(needle)
        return said.decode()

    def end(self) -> tuple[int, str]:
        """Its exit code, and what was shown at last."""
        said = b""
        while data := self._read():
            said += data
        os.close(self._ours)
        return self.process.wait(PATIENCE_S), said.decode(errors="replace")

    def _read(self) -> bytes:
        if not select.select([self._ours], [], [], PATIENCE_S)[0]:
            return b""
        try:
            return os.read(self._ours, 65_536)
        except OSError:  # the other end was closed: that is how a terminal ends
            return b""


@pytest.fixture
def terminal() -> Iterator[list[OnATerminal]]:
    """Shells to be ended with the test."""
    shells: list[OnATerminal] = []
    yield shells
    for each in shells:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait(PATIENCE_S)


@pytest.mark.slow
def test_a_person_types_completes_interrupts_and_leaves(
    theater: Theater, place: Path, counter: str, terminal: list[OnATerminal]
) -> None:
    (place / "theater.toml").write_text(
        'name = "sleeper"\ncomponent = "sleeper.wasm"\n[capabilities.timing]\nsleep = "60s"\n'
    )
    here = OnATerminal()
    terminal.append(here)

    here.until("Ctrl-D leaves", "theater>")
    here.type(f"stat{TAB}")
    here.until("stat", "e")
    here.type(f" coun{TAB}")
    here.until("coun", "ter")
    here.type("\r")
    here.until('{"count":5}', "theater>")
    here.type("run . --request '{\"ms\":50000}'\r")
    here.until("grant  timing")
    os.killpg(here.process.pid, signal.SIGINT)
    here.until("interrupted", "theater>")
    here.type(f"not this{CTRL_C}")
    here.until("theater>")
    here.type("nonsense\r")
    here.until("No such command", "theater>")
    here.type(CTRL_D)
    code, _ = here.end()

    history = place / ".local" / "state" / "theater" / "history"
    assert code == 0
    assert re.findall(r"^\+(.*)", history.read_text(), re.MULTILINE)[0].split() == ["state", "counter"]
    assert (history.stat().st_mode & 0o777, history.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert theater("verify", counter).code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("counter")
def test_a_home_that_cannot_be_written_to_is_no_reason_to_go_without(
    place: Path, terminal: list[OnATerminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "file"))
    here = OnATerminal("--json")
    terminal.append(here)

    here.until("theater>")
    here.type("state counter\r")
    here.until('"state":{"count":5}', "theater>")
    here.type("quit\r")

    assert here.end()[0] == 0
