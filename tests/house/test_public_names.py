"""What others build on changes only where it is seen: every public name stands in a file beside this one.

Where a change is meant, ``python -m tests.house.test_public_names`` writes the file anew, and the commit shows it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from typer.core import TyperGroup

import theater
import theater.testing
import theater_sdk
from theater import errors
from theater.cli.program import program
from theater.model.crash import CRASH_REASONS
from theater.model.event import KINDS

NAMES = Path(__file__).with_name("public_names.txt")
ERRORS: dict[str, type[errors.TheaterError]] = {
    name: item for name, item in vars(errors).items() if isinstance(item, type) and item.__module__ == errors.__name__
}


def tools_for_tests() -> Iterator[str]:
    """What the modules of ``theater.testing`` define, by module."""
    for module in pkgutil.iter_modules(theater.testing.__path__):
        tools = importlib.import_module(f"theater.testing.{module.name}")
        for name, item in vars(tools).items():
            # A constant has no module: it is at home where it is assigned.
            is_assigned = re.search(rf"^{name}\b", inspect.getsource(tools), re.MULTILINE)
            home = tools.__name__ if is_assigned else getattr(item, "__module__", None)
            if not name.startswith("_") and home == tools.__name__ and not isinstance(item, TypeVar):
                yield f"{module.name}.{name}"


def commands() -> list[str]:
    group = program()
    assert isinstance(group, TyperGroup)
    return list(group.commands)


def current() -> str:
    """Every public name, by where it is found."""
    parts = {
        "theater": theater.__all__,
        "theater_sdk": theater_sdk.__all__,
        "theater.testing": tools_for_tests(),
        "error codes": (f"{item.code}: {name}" for name, item in ERRORS.items()),
        "event kinds": KINDS,
        "crash reasons": CRASH_REASONS,
        "commands": commands(),
    }
    return "\n".join(f"[{part}]\n" + "".join(f"{name}\n" for name in sorted(names)) for part, names in parts.items())


def test_the_public_names_are_those_that_were_agreed_on() -> None:
    assert current().splitlines() == NAMES.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("package", [theater, theater_sdk])
def test_every_public_name_is_there_and_documented(package: object) -> None:
    for name in getattr(package, "__all__", ()):
        item = getattr(package, name)
        assert not callable(item) or inspect.getdoc(item), name


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_every_error_is_one_of_ours_with_a_code_and_a_docstring_of_its_own(name: str) -> None:
    error = ERRORS[name]

    assert issubclass(error, errors.TheaterError)
    assert "code" in vars(error), f"{name} has the code of its base"
    assert error.__doc__


def test_no_two_errors_have_the_same_code() -> None:
    codes = [error.code for error in ERRORS.values()]

    assert len(set(codes)) == len(codes)


if __name__ == "__main__":
    NAMES.write_text(current(), encoding="utf-8")
