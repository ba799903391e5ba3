"""From a project to its component."""

import hashlib
from importlib import metadata
from pathlib import Path

import pytest

from theater.build.builder import build_project
from theater.build.create import create_project
from theater.build.project import find_project
from theater.errors import BuildFailed, InvalidComponent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "theater.toml").write_text('name = "a"\n')
    (tmp_path / "actor.wat").write_text("(component)")
    return tmp_path


def upper(text: str) -> bytes:
    return text.upper().encode()


def refuse(text: str) -> bytes:
    raise InvalidComponent(f"expected `(`, not {text}")


def test_text_is_assembled_to_its_place(folder: Path) -> None:
    built = build_project(find_project(folder), assemble=upper)

    assert built.path.read_bytes() == b"(COMPONENT)"
    assert (built.size_bytes, built.was_cached) == (11, False)
    assert built.digest == hashlib.sha256(b"(COMPONENT)").hexdigest()


def test_nothing_is_built_again_until_something_changes_or_it_is_forced(folder: Path) -> None:
    said: list[str] = []

    def build(*, force: bool = False) -> bool:
        return build_project(find_project(folder), assemble=upper, force=force, progress=said.append).was_cached

    assert [build(), build()] == [False, True]
    assert build(force=True) is False
    (folder / "actor.wat").write_text("(component )")
    assert build() is False
    (folder / "build" / "a.wasm").write_bytes(b"other")
    assert [build(), build()] == [False, True]
    assert said == ["building a from actor.wat"] * 4


def test_a_failed_build_leaves_what_was_there(folder: Path) -> None:
    built = build_project(find_project(folder), assemble=upper)
    (folder / "actor.wat").write_text("nonsense")

    with pytest.raises(BuildFailed, match=r"actor\.wat: expected `\(`, not nonsense"):
        build_project(find_project(folder), assemble=refuse)
    assert built.path.read_bytes() == b"(COMPONENT)"


def test_text_that_is_none_is_refused(folder: Path) -> None:
    (folder / "actor.wat").write_bytes(b"(\xff)")

    with pytest.raises(BuildFailed, match="not UTF-8 at byte 1"):
        build_project(find_project(folder), assemble=upper)


def test_a_place_that_cannot_be_written_is_said(folder: Path) -> None:
    (folder / "build").write_text("in the way")

    with pytest.raises(BuildFailed, match="cannot be written"):
        build_project(find_project(folder), assemble=upper)


def test_a_missing_compiler_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    create_project(tmp_path, "a")
    monkeypatch.setattr(metadata, "version", missing)

    with pytest.raises(BuildFailed, match="pip install"):
        build_project(find_project(tmp_path / "a"), assemble=upper)


def test_a_syntax_error_is_found_without_the_compiler(tmp_path: Path) -> None:
    create_project(tmp_path, "a")
    actor = tmp_path / "a" / "actor.py"
    actor.write_text(actor.read_text().replace("state: dict, message", "state: dict message"))

    with pytest.raises(BuildFailed, match=r"^actor\.py:10: invalid syntax"):
        build_project(find_project(tmp_path / "a"), assemble=upper)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import os\nimport numpy\n",
            """Traceback (most recent call last):
  File "actor.py", line 2, in <module>
    import numpy
ModuleNotFoundError: No module named 'numpy'
""",
        ),
        ("type X = = int\n", "actor.py:1: invalid syntax\n    type X = = int\n             ^"),
        ("class Counter:\n    pass\n", "actor.py has no class that extends Actor: write"),
        ("from theater_sdk import Actor\nclass A(Actor): pass\n", "class A has no method handle: write"),
        (
            "from theater_sdk import Actor\nclass A(Actor): pass\nclass B(Actor): pass\n",
            "actor.py has more than one class that extends Actor (A, B)",
        ),
    ],
)
def test_what_the_compiler_finds_is_said_in_terms_of_the_source(tmp_path: Path, source: str, message: str) -> None:
    create_project(tmp_path, "a")
    (tmp_path / "a" / "actor.py").write_text(source)

    with pytest.raises(BuildFailed) as failed:
        build_project(find_project(tmp_path / "a"), assemble=upper)

    assert failed.value.message.startswith(message)
    assert "theater_guest" not in failed.value.message
    assert not (tmp_path / "a" / "build").exists()
