"""The tests test: each sabotage of the sources turns some of them red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sabotage.sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "theater"
TESTS_FAILED = 1
"""pytest's exit code for tests that ran and failed; an error in collecting them is another."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to be damaged."""
    folder = tmp_path_factory.mktemp("sabotage")
    shutil.copytree(SOURCE, folder / "theater", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@contextmanager
def sabotaged(copy: Path, sabotage: Sabotage) -> Iterator[None]:
    """The copy with one line changed."""
    file = copy / "theater" / sabotage.file
    text = file.read_text()
    assert text.count(sabotage.line) == 1, f"the line of '{sabotage.what}' is there {text.count(sabotage.line)} times"
    file.write_text(text.replace(sabotage.line, sabotage.becomes))
    try:
        yield
    finally:
        file.write_text(text)


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_tests(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run these tests on the copy."""
    return run(copy, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests)


def test_there_are_at_least_ten_and_each_is_another() -> None:
    assert len({sabotage.what for sabotage in SABOTAGES}) == len(SABOTAGES) >= 10
    assert len({(sabotage.file, sabotage.line) for sabotage in SABOTAGES}) == len(SABOTAGES)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.what.replace(" ", "-"))
def test_the_line_to_be_changed_is_there(sabotage: Sabotage) -> None:
    text = (SOURCE / sabotage.file).read_text()

    assert text.count(sabotage.line) == 1
    assert sabotage.line != sabotage.becomes


@pytest.mark.slow
def test_the_tests_pass_on_an_unharmed_copy(copy: Path) -> None:
    where = run(copy, "-c", "import theater; print(theater.__file__)").stdout.strip()
    assert where == str(copy / "theater" / "__init__.py")

    done = run_tests(copy, *sorted({test for sabotage in SABOTAGES for test in sabotage.tests}))

    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.what.replace(" ", "-"))
def test_a_sabotage_turns_the_tests_red(copy: Path, sabotage: Sabotage) -> None:
    with sabotaged(copy, sabotage):
        done = run_tests(copy, *sabotage.tests)

    assert done.returncode == TESTS_FAILED, done.stdout + done.stderr
    assert " failed" in done.stdout
