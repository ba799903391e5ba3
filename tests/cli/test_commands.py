"""The table of commands: every row leads to its function, and nothing is imported that was not asked for."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module

import pytest
from typer.core import TyperCommand, TyperGroup

from tests.cli.conftest import Theater
from theater.cli.commands import ROWS, Row
from theater.cli.program import program

HEAVY = ("wasmtime", "httpx", "starlette", "uvicorn", "prompt_toolkit", "watchfiles", "theater.runtime.runtime")


def rows(table: Mapping[str, Row] = ROWS, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Row]]:
    for name, row in table.items():
        yield (*path, name), row
        yield from rows(row.members, (*path, name))


@pytest.mark.parametrize(("path", "row"), [pytest.param(*item, id=" ".join(item[0])) for item in rows()])
def test_every_row_leads_to_its_function_and_says_what_its_docstring_says(path: tuple[str, ...], row: Row) -> None:
    if row.home is None:
        assert row.members
        return
    module, _, name = row.home.partition(":")
    function = getattr(import_module(module), name)
    kind_module, _, kind = row.kind.partition(":")

    assert function.__doc__.splitlines()[0] == row.help, " ".join(path)
    assert issubclass(getattr(import_module(kind_module), kind), TyperCommand)


def test_the_help_names_every_command_with_its_line(theater: Theater) -> None:
    shown = theater("--help").out

    for name, row in ROWS.items():
        assert f"│ {name} " in shown
        assert " ".join(row.help.split()[:4]) in " ".join(shown.split())


def test_a_group_alone_does_what_it_does_and_has_members(theater: Theater) -> None:
    assert "data-dir" in theater("config").out
    config = program().commands["config"]
    assert isinstance(config, TyperGroup)


def test_a_command_that_there_is_not_is_answered_with_the_nearest(theater: Theater) -> None:
    done = theater("lst")

    assert done.code == 2
    assert "Did you mean 'list'?" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["tree"], ["list", "--help"], ["completion", "bash"]])
@pytest.mark.usefixtures("place")
def test_a_command_imports_only_what_it_needs(arguments: list[str]) -> None:
    code = (
        "import sys; from theater.cli.main import main; code = main(sys.argv[1:]); "
        f"sys.exit(str([name for name in {HEAVY!r} if name in sys.modules]) if code == 0 else code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stderr.strip() == "[]"
