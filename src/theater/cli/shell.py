"""``shell``: one command after the other, without typing ``theater``, with a history and with completion.

Each line is a command line like any other, so everything that works there works here and means the same. A line that
fails says why, and the next one can be typed.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output import create_output

from theater.cli.completing import Suggestion
from theater.cli.completion import offers
from theater.cli.exits import Exit
from theater.cli.main import main
from theater.cli.output import Output
from theater.cli.program import NAME
from theater.cli.session import Session, session_of

PROMPT = f"{NAME}> "
LEAVING = ("exit", "quit")
HELP = "help"

HISTORY_MAX_BYTES = 2**20
"""When the file is larger it is begun anew: a history is for the last days, and reading it delays the first prompt."""

LINE_MAX_BYTES = 2**20
"""Of a script. A larger message is sent from a file, by a command of its own."""

Suggest = Callable[[list[str], str], Iterable[Suggestion]]


def shell(context: typer.Context) -> None:
    """Type one command after the other, with a history and completion. Ends with Ctrl-D, exit or quit."""
    session = session_of(context)
    every = _options_for_each(session)
    if sys.stdin is None or not sys.stdin.isatty():
        with _stdin_apart() as lines:
            code = run_script(lines, every, session.output)
        raise typer.Exit(code)
    prompts: PromptSession[str] = PromptSession(
        PROMPT,
        history=_history(session.environ),
        completer=LineCompleter(lambda words, begun: offers(words, begun, session)),
        complete_while_typing=False,  # a server is asked for names of actors, which a key pressed shall not wait for
        output=create_output(always_prefer_tty=True),  # the prompt is for the person, and not for what stdout goes to
    )
    session.output.note("help lists the commands; Ctrl-D leaves")
    converse(prompts, every, session.output)


def converse(prompts: PromptSession[str], every: Sequence[str], output: Output) -> None:
    """Run what is typed, line by line, until it is over.

    Ctrl-C gives up the line, or the command that is running, and nothing else.
    """
    is_over = False
    while not is_over:
        try:
            line = prompts.prompt()
            is_over = _is_leaving(line)
            if not is_over:
                run_line(line, every, output)
        except KeyboardInterrupt:
            continue
        except EOFError:
            is_over = True


def run_script(lines: Iterable[bytes], every: Sequence[str], output: Output) -> int:
    """Lines out of a file or a pipe: the first that fails ends it, and its exit code is that of the whole."""
    for number, data in enumerate(lines, 1):
        try:
            line = data.decode()
        except UnicodeDecodeError:
            output.note(f"error: line {number} is not UTF-8")
            return Exit.USAGE
        if len(data) > LINE_MAX_BYTES:
            output.note(f"error: line {number} has more than {LINE_MAX_BYTES} bytes")
            return Exit.USAGE
        if _is_leaving(line):
            break
        code = run_line(line, every, output)
        if code != Exit.OK:
            output.note(f"line {number} failed: what comes behind it was not done")
            return code
    return Exit.OK


def run_line(line: str, every: Sequence[str], output: Output) -> int:
    """Run one line; ``every`` are options that stand before each command. Returns its exit code."""
    try:
        words = _words(line)
    except ValueError as error:
        output.note(f"error: {error}: a quote, or a backslash, needs its other half")
        return Exit.USAGE
    if words[:1] == [NAME]:  # as it stands in a document
        words = words[1:] or [HELP]
    if not words:
        return Exit.OK
    if words[0] == HELP:
        words = [*words[1:], "--help"]
    if words[0] == "shell" and "--help" not in words:
        output.note("error: this is the shell already")
        return Exit.USAGE
    return main([*every, *words])


class LineCompleter(Completer):
    """Completes commands, their options, values that are known, and actors: what ``suggest`` says."""

    def __init__(self, suggest: Suggest) -> None:
        self._suggest = suggest

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand where the cursor is."""
        before = document.text_before_cursor
        words = before.split()
        begun = "" if not before or before[-1].isspace() else words.pop()
        if words[:1] in ([NAME], [HELP]):
            words = words[1:]
        elif not words:
            for own in (HELP, *LEAVING):
                if own.startswith(begun):
                    yield Completion(own, start_position=-len(begun))
        for item in self._suggest(words, begun):
            yield Completion(item.word, start_position=-len(begun), display_meta=item.help)


def _words(line: str) -> list[str]:
    """As a POSIX shell splits it, without a comment.

    Not by shlex's own idea of a comment, which begins in the midst of a word, too.
    """
    for at, character in enumerate(line):
        if character == "#" and (at == 0 or line[at - 1].isspace()):
            try:
                return shlex.split(line[:at])
            except ValueError:  # it is within quotes
                continue
    return shlex.split(line)


def _options_for_each(session: Session) -> list[str]:
    """What was said to the shell itself holds for each of its commands."""
    every: list[str] = []
    if session.server is not None:
        every += ["--server", session.server]
    if session.data_dir is not None:
        every += ["--data-dir", session.data_dir]
    return every + (["--json"] if session.output.json else []) + (["-v"] if session.verbose else [])


def _is_leaving(line: str) -> bool:
    return line.strip() in LEAVING


@contextmanager
def _stdin_apart() -> Iterator[Iterator[bytes]]:
    """The lines of standard input, a little more of one than may be. To the commands there is nothing on it.

    Else one that reads it would eat the lines behind its own, or as many of them as happen not to be buffered.
    """
    given = sys.stdin
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        sys.stdin = nothing
        try:
            yield iter(()) if given is None else iter(lambda: given.buffer.readline(LINE_MAX_BYTES + 1), b"")
        finally:
            sys.stdin = given


class _FileHistory(FileHistory):
    """A line that cannot be kept is not kept: that is no reason to leave somebody without a shell."""

    def store_string(self, string: str) -> None:
        try:
            super().store_string(string)
        except (OSError, UnicodeEncodeError):
            return


def _history(environ: Mapping[str, str]) -> History:
    """``$XDG_STATE_HOME/theater/history``, the owner's alone: what was typed may hold what nobody else should read."""
    state, home = environ.get("XDG_STATE_HOME"), environ.get("HOME")
    if not state and not home:
        return InMemoryHistory()
    file = (Path(state) if state else Path(home or "", ".local", "state")) / NAME / "history"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_large = file.exists() and file.stat().st_size > HISTORY_MAX_BYTES
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if is_large else 0), 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError:  # a home that cannot be written to is no reason to go without a shell
        return InMemoryHistory()
    return _FileHistory(str(file))
