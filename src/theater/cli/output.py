"""Where everything that a command says goes out: results to stdout, progress and messages to stderr.

Each method makes its text safe itself, so that no command can forget to. Nothing is ever read as rich's markup: texts
are written as they are, and a table's cells are ``Text``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from io import TextIOWrapper
from typing import TextIO

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from theater.cli import layout
from theater.cli.layout import Span
from theater.errors import TheaterError
from theater.model.safe_text import safe, safe_json

PIPE_COLUMNS = 200
"""Where a line that is cut to the width is cut when there is no terminal to take the width from."""

_STDERR = 2
_INDENT = "    "
_YES = ("y", "yes")

# The messages of these are texts of several lines. One of any other error has a line end only where a name or a value
# in it has one.
_CODES_WITH_LINES = frozenset({"build-failed", "compile-failed", "denied", "internal", "invalid-component"})

_encode = msgspec.json.Encoder().encode


class Output:
    """stdout and stderr of one command. ``json`` asks for one document on stdout and nothing else there."""

    def __init__(self) -> None:
        self.json = False
        self._mid_line: set[bool] = set()  # whether a guest left stdout (True), or stderr (False), in mid-line

    @property
    def is_interactive(self) -> bool:
        """Whether a person can be asked: somebody sees stderr and types on stdin."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def is_live(self) -> bool:
        """Whether what stands on stdout can be replaced by something newer."""
        return is_fancy(sys.stdout)

    @property
    def columns(self) -> int:
        """How much of a line is shown where only a part is."""
        return _console(sys.stdout).width if sys.stdout.isatty() else PIPE_COLUMNS

    def line(self, text: str = "") -> None:
        """A line of the result."""
        self._finish_line(sys.stdout)
        sys.stdout.write(safe(text) + "\n")

    def note(self, text: str, *, has_lines: bool = False) -> None:
        """A line for whoever watches; with ``has_lines`` more of them, all but the first indented.

        So whatever the text holds, a line that begins at the margin is one of ours.
        """
        if sys.stdout.isatty():
            self._finish_line(sys.stdout)  # the same terminal, most likely; in a pipe stdout is left as it is
        sys.stdout.flush()
        shown = safe(text.rstrip("\n"), keep="\n\t").replace("\n", "\n" + _INDENT) if has_lines else safe(text)
        with _spared():
            self._finish_line(sys.stderr)
            sys.stderr.write(shown + "\n")
            sys.stderr.flush()

    def error(self, error: TheaterError) -> None:
        """What went wrong."""
        self.note(f"error: {error.message}", has_lines=error.code in _CODES_WITH_LINES)

    def confirm(self, question: str) -> bool:
        """Whether a person says yes, and not something else or nothing. Only where ``is_interactive``."""
        self._finish_line(sys.stderr)
        sys.stderr.write(safe(f"{question} [y/N] "))
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in _YES

    def guest(self, text: str, *, to_stdout: bool) -> None:
        """What a guest wrote, as it wrote it: it decides itself where its lines end."""
        stream = sys.stdout if to_stdout else sys.stderr
        if text:
            with nullcontext() if to_stdout else _spared():
                stream.write(safe(text, keep="\n\t"))
                stream.flush()
            (self._mid_line.discard if text.endswith("\n") else self._mid_line.add)(to_stdout)

    def end_guest_line(self) -> None:
        """What a guest wrote to stderr ends here: what comes next begins a line."""
        with _spared():
            self._finish_line(sys.stderr)

    def json_line(self, text: str) -> None:
        """A JSON text on a line of its own, out at once: whoever reads it may be waiting for it."""
        self._finish_line(sys.stdout)
        sys.stdout.write(safe_json(text) + "\n")
        sys.stdout.flush()

    def document(self, value: object) -> None:
        """The one document of ``--json``. ``msgspec.Raw`` in it is put in as it is."""
        self.json_line(_as_json(value))

    def array(self, items: Iterable[object]) -> None:
        """A document that is an array, written item by item: a chain may be larger than the memory."""
        sys.stdout.write("[")
        comma = ""
        for item in items:
            sys.stdout.write(comma + safe_json(_as_json(item)))
            comma = ",\n"
        sys.stdout.write("]\n")

    def spans(self, spans: Iterable[Span], *, is_whole: bool = True) -> None:
        """A line of the result in which texts have styles, for a terminal that shows them.

        Cut to its width if not ``is_whole``.
        """
        safe_spans = [(safe(text), style) for text, style in spans]
        if not is_whole:
            safe_spans = layout.cut_spans(safe_spans, self.columns)
        if not is_fancy(sys.stdout):
            self.line("".join(text for text, _ in safe_spans).rstrip())
            return
        self._finish_line(sys.stdout)
        _console(sys.stdout).print(_text(safe_spans), soft_wrap=True)

    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows below the names of their columns, aligned; on a terminal within its width, and with colour."""
        for line in self._table(names, rows):
            self.spans(line)

    @contextmanager
    def changing(self) -> Iterator[Callable[[str, Sequence[str], Sequence[Sequence[str]]], None]]:
        """A title and a table that take the place of those shown before. Only where ``is_live``."""
        console = _console(sys.stdout)
        with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:

            def show(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
                lines = [[(layout.cut(safe(title), self.columns), "dim")], *self._table(names, rows)]
                live.update(Group(*(_text(line) for line in lines[: max(1, console.height - 1)])), refresh=True)

            yield show

    @contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show on a terminal that something goes on, and nothing in a pipe. The call given changes what is shown."""
        sys.stdout.flush()
        self._finish_line(sys.stderr)
        if not is_fancy(sys.stderr):
            yield lambda _: None
            return
        with _console(sys.stderr).status(Text(safe(what))) as status:
            yield lambda text: status.update(Text(safe(text)))

    def flush(self) -> None:
        """Everything is out; what could not be said on stderr is lost, and changes nothing any more."""
        sys.stdout.flush()
        try:
            sys.stderr.flush()
        except OSError:
            abandon(sys.stderr)

    def _table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[Span]]:
        columns = self.columns if sys.stdout.isatty() else None
        return layout.table(names, [[safe(cell) for cell in row] for row in rows], columns)

    def _finish_line(self, stream: TextIO) -> None:
        if (stream is sys.stdout) in self._mid_line:
            self._mid_line.discard(stream is sys.stdout)
            stream.write("\n")


def prepare_streams() -> None:
    """A text never fails to be written: not in a pipe, which gets UTF-8, and not on a terminal that cannot show it."""
    _fill_standard_descriptors()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            encoding = None if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _fill_standard_descriptors() -> None:
    """Where 0, 1 or 2 was closed by whoever started us, let no file of ours get that number: others write to these."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= _STDERR:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def is_fancy(stream: TextIO) -> bool:
    """Whether it can do more than show one line after the other."""
    return stream.isatty() and not _console(stream).is_dumb_terminal


def abandon(stream: TextIO) -> None:
    """Nothing more can be said there, and the interpreter shall not try to at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextmanager
def _spared() -> Iterator[None]:
    """Messages that find no room on stderr are lost, and change nothing of what a command does and ends with.

    Raises:
        BrokenPipeError: whoever read them went away.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        abandon(sys.stderr)


def _as_json(value: object) -> str:
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # a name from the operating system that is not UTF-8
        return _encode(_encodable(value)).decode()


def _encodable(value: object) -> object:
    match value:
        case str():
            return safe(value, keep="\n\t")
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value


def _console(stream: TextIO) -> Console:
    return Console(file=stream, markup=False, highlight=False, emoji=False)


def _text(spans: Sequence[Span]) -> Text:
    return Text.assemble(*spans, no_wrap=True, overflow="ignore")
