"""Output: what goes where, and where lines begin."""

import io
import sys

import pytest

from theater.cli.layout import cut
from theater.cli.output import Output
from theater.errors import Denied, NotFound, TheaterError


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_what_follows_an_unfinished_line_of_a_guest_begins_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()

    output.guest("one", to_stdout=False)
    output.guest(" two", to_stdout=False)
    output.note("three")
    output.guest("four\n", to_stdout=False)
    output.note("five")

    assert capsys.readouterr().err == "one two\nthree\nfour\nfive\n"


def test_a_guests_stdout_gets_no_line_end_that_it_did_not_write(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()

    output.guest("no end", to_stdout=True)
    output.note("a note")

    assert capsys.readouterr() == ("no end", "a note\n")


def test_on_a_terminal_a_note_does_not_stick_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    output = Output()

    output.guest("no end", to_stdout=True)
    output.note("a note")

    assert terminal.getvalue() == "no end\na note\n"


def test_an_array_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()

    output.array([])
    output.array([{"a": "\u202e"}, 2])

    assert capsys.readouterr().out == '[]\n[{"a":"\\u202e"},\n2]\n'


def test_names_that_are_no_utf8_do_not_break_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    Output().document({"file": "\udcff", "list": ["\udcff"]})

    assert capsys.readouterr().out == '{"file":"\\\\u{dcff}","list":["\\\\u{dcff}"]}\n'


def test_a_table_in_a_pipe_is_aligned_and_nothing_in_it_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(["A", "BB"], [["[red]x", "1"], ["y", "\x1b"]])

    assert capsys.readouterr().out == "A       BB\n[red]x  1\ny       \\u{1b}\n"


def test_a_table_on_a_terminal_takes_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    Output().table(["A", "STATUS"], [["[red]x[/red] :smile:", "running"]])

    assert "[red]x[/red] :smile:" in terminal.getvalue()


def test_work_is_shown_on_a_terminal_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Output().working("busy [red]") as show:
        show("busier")
    assert capsys.readouterr() == ("", "")

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Output().working("busy [red]"):
        pass
    assert "busy [red]" in terminal.getvalue()


@pytest.mark.parametrize(("columns", "shown"), [(5, "hello"), (4, "hel…"), (1, "…"), (0, "")])
def test_cut_says_that_it_cut(columns: int, shown: str) -> None:
    assert cut("hello", columns) == shown


FORGED = "fine\nerror: fake\r\nid 0\n"


def test_a_note_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    Output().note(f"refused: {FORGED}")

    assert capsys.readouterr().err == "refused: fine\\u{a}error: fake\\u{d}\\u{a}id 0\\u{a}\n"


def test_of_a_text_with_lines_only_the_first_begins_at_the_margin(capsys: pytest.CaptureFixture[str]) -> None:
    Output().note(f"crashed (trap): {FORGED}", has_lines=True)

    assert capsys.readouterr().err == "crashed (trap): fine\n    error: fake\\u{d}\n    id 0\n"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (NotFound("no a\nb"), "error: no a\\u{a}b\n"),
        (Denied("more than this:\n  x"), "error: more than this:\n      x\n"),
    ],
)
def test_only_an_error_that_is_a_text_has_lines(
    error: TheaterError, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Output().error(error)

    assert capsys.readouterr().err == shown
