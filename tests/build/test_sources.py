"""Which files become part of a component."""

from pathlib import Path

import pytest

from theater.build import sources
from theater.build.sources import read_sources
from theater.errors import BuildFailed


def plant(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_the_program_is_read_and_what_surrounds_it_is_not(tmp_path: Path) -> None:
    plant(tmp_path, "actor.py", "parts/__init__.py", "parts/words.txt")
    plant(tmp_path, "build/a.wasm", "tests/test_a.py", ".git/config", ".hidden", "__pycache__/a.pyc", "venv/pyvenv.cfg")
    plant(tmp_path, "venv/lib/x.py", "a.pyc", "a.theater")

    assert list(read_sources(tmp_path)) == ["actor.py", "parts/__init__.py", "parts/words.txt"]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "secret.txt", "project/actor.py")
    (tmp_path / "project" / "words.txt").symlink_to(tmp_path / "secret.txt")

    with pytest.raises(BuildFailed, match=r"words\.txt: a link that leads out"):
        read_sources(tmp_path / "project")


def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    plant(tmp_path, "secrets/a.txt", "project/actor.py")
    (tmp_path / "project" / "data").symlink_to(tmp_path / "secrets")

    assert list(read_sources(tmp_path / "project")) == ["actor.py"]


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a.py", "b.py")
    monkeypatch.setattr(sources, "FILES_MAX", 1)
    with pytest.raises(BuildFailed, match="more than 1 files"):
        read_sources(tmp_path)

    monkeypatch.setattr(sources, "FILES_MAX", 2)
    assert len(read_sources(tmp_path)) == 2
    monkeypatch.setattr(sources, "SIZE_MAX_BYTES", 7)
    with pytest.raises(BuildFailed, match="MiB"):
        read_sources(tmp_path)
