"""Components by digest: what is handed out is what the digest says."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest

from theater.errors import Damaged, DiskFull
from theater.store import FileBlobStore


def test_a_file_that_was_changed_is_not_handed_out(tmp_path: Path) -> None:
    digest = FileBlobStore(tmp_path).put(b"component")
    path = FileBlobStore(tmp_path).path(digest)
    path.write_bytes(b"componenT")

    with pytest.raises(Damaged, match="is not what its name says"):
        FileBlobStore(tmp_path).path(digest)
    path.write_bytes(b"compo")
    with pytest.raises(Damaged):
        FileBlobStore(tmp_path).path(digest)


def test_putting_a_component_again_mends_its_file(tmp_path: Path) -> None:
    digest = FileBlobStore(tmp_path).put(b"component")
    FileBlobStore(tmp_path).path(digest).write_bytes(b"damaged")
    blobs = FileBlobStore(tmp_path)

    assert blobs.put(b"component") == digest
    assert blobs.path(digest).read_bytes() == b"component"


def test_a_file_is_hashed_once_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = FileBlobStore(tmp_path).put(b"component")
    blobs = FileBlobStore(tmp_path)
    path = blobs.path(digest)
    monkeypatch.setattr("theater.store.content._is_intact", lambda *_: pytest.fail("hashed again"))

    assert blobs.path(digest) == path
    assert blobs.put(b"component") == digest


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("theater.store.content.write_whole", fail)
    with pytest.raises(DiskFull):
        FileBlobStore(tmp_path).put(b"component")


def test_files_are_whole_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "components"
    path = FileBlobStore(folder).path(FileBlobStore(folder).put(b"component"))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_what_a_dead_process_left_half_written_is_overwritten(tmp_path: Path) -> None:
    digest = FileBlobStore(tmp_path / "one").put(b"component")
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / f"{digest}.wasm.new").write_bytes(b"half of something longer than the component")

    assert not FileBlobStore(folder).has(digest)
    FileBlobStore(folder).put(b"component")
    assert FileBlobStore(folder).path(digest).read_bytes() == b"component"


def test_what_is_no_component_is_not_listed(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"component")
    for name in ("notes.txt", "ab.wasm", f"{'ab' * 32}.wasm.new", f"{'AB' * 32}.wasm", "ab" * 32):
        (tmp_path / name).touch()
    (tmp_path / f"{'cd' * 32}.wasm").mkdir()
    (tmp_path / f"{'ef' * 32}.wasm").symlink_to(tmp_path / "notes.txt")

    assert [kept.digest for kept in blobs.kept()] == [digest]
    assert list(FileBlobStore(tmp_path / "nowhere").kept()) == []


def test_a_component_that_somebody_else_removed_is_written_again(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"component")
    FileBlobStore(tmp_path).remove(digest)

    assert blobs.put(b"component") == digest
    assert blobs.path(digest).read_bytes() == b"component"


def test_another_component_in_the_place_of_a_removed_one_is_found(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"component")
    path = blobs.path(digest)
    blobs.remove(digest)
    path.write_bytes(b"another")
    with pytest.raises(Damaged):
        blobs.path(digest)
