"""The examples of the guides, run as they stand there, on the projects that they name."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.guests import wat
from tests.guests.python import CACHE
from theater.build.builder import build_project
from theater.build.create import create_project
from theater.build.project import find_project
from theater.errors import NotRunning
from theater.testing.harness import Harness

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
TESTING = (GUIDES / "testing.md").read_text(encoding="utf-8")
PROJECTS = CACHE.parent / "guides"
"""Built once, and kept until a template or the SDK changes."""


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def names_in(text: str) -> list[str]:
    return [name for block in blocks(text) for name in re.findall(r"^def (test_\w+)", block, re.MULTILINE)]


def no_text(text: str) -> bytes:
    raise AssertionError(f"no component text is built here, but this was: {text}")


@pytest.fixture(scope="module")
def projects() -> Path:
    """A folder with what the examples spawn: ``counter``, ``team`` and ``sleeper``."""
    for name, template in (("counter", "counter"), ("team", "supervisor")):
        kept = PROJECTS / name / "build"
        PROJECTS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PROJECTS) as fresh:
            create_project(Path(fresh), name, template=template)
            if kept.exists():
                kept.replace(Path(fresh) / name / "build")
                shutil.rmtree(PROJECTS / name)
            (Path(fresh) / name).replace(PROJECTS / name)
        build_project(find_project(PROJECTS / name), assemble=no_text)
    sleeper = PROJECTS / "sleeper"
    sleeper.mkdir(exist_ok=True)
    (sleeper / "sleeper.wat").write_text(wat.SLEEPER)
    (sleeper / "theater.toml").write_text('name = "sleeper"\ncomponent = "sleeper.wat"\n[capabilities.timing]\n')
    return PROJECTS


@pytest.fixture
def here(projects: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(projects)
    yield projects
    os.chdir(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", names_in(TESTING))
def test_the_examples_of_the_guide_to_testing_pass(here: Path, name: str) -> None:
    names: dict[str, object] = {"pytest": pytest, "NotRunning": NotRunning}
    for block in blocks(TESTING):
        exec(compile(block, str(GUIDES / "testing.md"), "exec"), names)
    names["Harness"] = partial(Harness, cache=here / "cache")  # compiled once for all of them

    example = names[name]
    assert callable(example)
    example()


@pytest.mark.parametrize("page", ["messages.md", "supervision.md", "python-actors.md"])
def test_the_examples_of_the_other_guides_are_python(page: str) -> None:
    found = blocks((GUIDES / page).read_text(encoding="utf-8"))

    assert found
    for block in found:
        compile(block, page, "exec")
