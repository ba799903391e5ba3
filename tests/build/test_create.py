"""New projects."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from theater.build.create import TEMPLATES, create_project
from theater.build.project import Source, find_project
from theater.errors import InvalidInput, NameTaken
from theater.model.manifest import parse_manifest

FILES = {
    "counter": ["actor.py", "theater.toml", "README.md", ".gitignore", "pytest.ini", "tests/test_actor.py"],
    "supervisor": [
        "actor.py",
        "worker.py",
        "theater.toml",
        "README.md",
        ".gitignore",
        "pytest.ini",
        "tests/test_actor.py",
    ],
    "http": ["actor.py", "theater.toml", "README.md", ".gitignore", "pytest.ini", "tests/test_actor.py"],
    "command": ["main.py", "theater.toml", "README.md", ".gitignore", "pytest.ini", "tests/test_main.py"],
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_has_its_files_with_its_name_in_them(tmp_path: Path, template: str) -> None:
    files = create_project(tmp_path, "my-actor", template=template)

    assert [path.relative_to(tmp_path / "my-actor").as_posix() for path in files] == FILES[template]
    assert all(path.is_file() and "{{" not in path.read_text() for path in files)
    assert tomllib.loads((tmp_path / "my-actor" / "theater.toml").read_text())["name"] == "my-actor"
    assert "my-actor" in (tmp_path / "my-actor" / "README.md").read_text()


@pytest.mark.parametrize(
    ("template", "source"),
    [
        ("counter", Source.PYTHON_ACTOR),
        ("command", Source.PYTHON_COMMAND),
        ("supervisor", Source.PYTHON_ACTOR),
        ("http", Source.PYTHON_ACTOR),
    ],
)
def test_what_was_created_can_be_built(tmp_path: Path, template: str, source: Source) -> None:
    create_project(tmp_path, "a", template=template)

    assert find_project(tmp_path / "a").source is source
    assert parse_manifest((tmp_path / "a" / "theater.toml").read_text()).component == "build/a.wasm"


def test_the_actor_is_about_fifteen_lines(tmp_path: Path) -> None:
    actor = create_project(tmp_path, "a")[0]

    assert len(actor.read_text().splitlines()) <= 18


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a_b", "a/b", "..", "a b", "a\n", "ä", "a" * 64])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="no name for an actor"):
        create_project(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="counter, command, supervisor, http"):
        create_project(tmp_path, "a", template="../counter")


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    (tmp_path / "empty").mkdir()

    for name in ("file", "link", "full"):
        with pytest.raises(NameTaken):
            create_project(tmp_path, name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert create_project(tmp_path, "empty")


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_pytest_passes_in_a_new_project(tmp_path: Path, template: str) -> None:
    create_project(tmp_path, "a", template=template)

    ran = subprocess.run(
        [str(Path(sys.executable).with_name("pytest")), "-q"],
        cwd=tmp_path / "a",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stdout
    assert "passed" in ran.stdout
