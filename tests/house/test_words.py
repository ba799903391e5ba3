"""A file is named after its noun, and the project speaks of itself alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Names under which anything can be put, and so everything is.
EMPTY_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

# Places and papers that a reader of this repository does not have.
FOREIGN_WORDS = ("SPEC.md", "STYLE.md", "../shared", "/work/")

LOOKED_AT = (
    "*.md",
    "*.toml",
    ".gitignore",
    "Makefile",
    ".ci/**/*",
    "benchmarks/**/*",
    "changelog.d/**/*",
    "docs/**/*",
    "examples/**/*",
    "src/**/*",
    "tests/**/*",
)


def word_violations(root: Path) -> list[str]:
    """One line for each file with an empty name, and for each line of text with a foreign word."""
    found: list[str] = []
    for path in _files(root):
        name = path.relative_to(root)
        stem = path.name.split(".")[0]
        if EMPTY_NAMES & {stem, *stem.strip("_").split("_")}:
            found.append(f"{name}: name the file after its noun")
        if path == Path(__file__):  # names the words
            continue
        for number, line in enumerate(_text(path).splitlines(), start=1):
            found += [f"{name}:{number}: speaks of {word}" for word in FOREIGN_WORDS if word in line]
    return found


def _files(root: Path) -> Iterator[Path]:
    for pattern in LOOKED_AT:
        for path in sorted(root.glob(pattern)):
            made = any(part == "__pycache__" or part.endswith(".egg-info") for part in path.parts)
            if path.is_file() and not made:
                yield path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # a component, a picture
        return ""


def test_files_have_names_that_say_something_and_speak_of_the_project_alone() -> None:
    assert word_violations(ROOT) == []


@pytest.mark.parametrize("name", ["utils.py", "_helpers.py", "common.py", "actor_manager.py", "util.md"])
def test_an_empty_file_name_is_reported(tmp_path: Path, name: str) -> None:
    _plant(tmp_path / "src" / "theater" / name, "")

    assert word_violations(tmp_path) == [f"src/theater/{name}: name the file after its noun"]


@pytest.mark.parametrize("word", FOREIGN_WORDS)
@pytest.mark.parametrize("where", ["README.md", "src/theater/a.py", "docs/design/a.md", "tests/a.py", ".ci/run"])
def test_a_foreign_word_is_reported(tmp_path: Path, word: str, where: str) -> None:
    _plant(tmp_path / where, f"first\nsee {word} there\n")

    assert word_violations(tmp_path) == [f"{where}:2: speaks of {word}"]


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    _plant(tmp_path / "tests" / "guest.wasm", "")
    (tmp_path / "tests" / "guest.wasm").write_bytes(b"\0asm\xff/work/")

    assert word_violations(tmp_path) == []


def _plant(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
