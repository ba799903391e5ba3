"""Exit codes: one table, and `main` as the place where every error ends."""

import pytest

from tests.cli.conftest import Theater
from theater import errors
from theater.cli.exits import EXIT_OF, Exit, exit_of

CLASSES = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.TheaterError)]


def test_every_error_has_its_exit_code_and_no_other_has() -> None:
    assert set(EXIT_OF) == {error.code for error in CLASSES}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("x"), Exit.NOT_FOUND),
        (errors.Diverged("x"), Exit.DIVERGED),
        (errors.Crashed("x"), Exit.FAILED),
        (errors.InternalError("x"), Exit.FAILED),
    ],
)
def test_an_error_ends_with_its_code(error: errors.TheaterError, code: int) -> None:
    assert exit_of(error) == code


def test_an_error_is_a_line_on_stderr_and_a_document_on_stdout(theater: Theater) -> None:
    plain = theater("state", "nobody")
    document = theater("state", "nobody", "--json")

    assert plain.out == ""
    assert plain.err.startswith("error: ")
    assert document.table == {"error": {"code": "not-found", "message": plain.err.removeprefix("error: ").strip()}}


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_session: object) -> None:
        raise error

    monkeypatch.setattr("theater.cli.session.Session.config", fail)


def test_a_bug_is_reported_as_one_with_the_traceback_on_demand(
    theater: Theater, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, ZeroDivisionError("[red]\x1b[31m"))

    short = theater("config", "--json")
    long = theater("config", "-v")

    assert (short.code, long.code) == (1, 1)
    assert "this is a bug in Theater, ZeroDivisionError: [red]\\u{1b}[31m" in short.err
    assert "Traceback" not in short.err
    assert "repeat the command with -v" in short.err
    assert "Traceback" in long.err
    error = short.table["error"]
    assert isinstance(error, dict)
    assert error["code"] == "internal"


def test_trouble_of_the_system_is_no_bug(theater: Theater, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, PermissionError(13, "Permission denied", "some/file"))

    done = theater("config")

    assert (done.code, done.err) == (1, "error: some/file: Permission denied\n")


def test_an_interrupt_is_130(theater: Theater, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())

    assert theater("config").code == 130


def test_no_command_is_wrong_usage_and_help_is_not(theater: Theater) -> None:
    assert theater().code == 2
    assert theater("nonsense").code == 2
    assert theater("--nonsense").code == 2
    assert theater("--help").code == 0
    assert theater("run", "--help").code == 0


@pytest.mark.usefixtures("counter")
def test_global_options_may_stand_before_and_behind_the_command(theater: Theater) -> None:
    for arguments in (
        ("--data-dir", "elsewhere", "--json", "list"),
        ("list", "--data-dir", "elsewhere", "--json"),
        ("--json", "list", "--data-dir=elsewhere"),
        ("--data-dir", "wrong", "list", "--json", "--data-dir", "elsewhere"),
    ):
        assert theater(*arguments).document == []
    assert len(theater("list", "--json").rows) == 1


def test_behind_the_dashes_nothing_is_an_option(theater: Theater) -> None:
    done = theater("run", "command.wasm", "--", "--json")

    assert (done.code, done.out) == (0, "")


def test_no_arguments_at_all_show_the_help_and_nothing_else(theater: Theater) -> None:
    done = theater()

    assert done.code == 2
    assert "Usage: theater" in done.out
    assert done.err == ""
