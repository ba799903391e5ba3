import os
import shutil
import threading
from pathlib import Path

import pytest

from theater.engine import cache as cache_module
from theater.engine.cache import Cache, Facts
from theater.engine.component_file import CoreModule
from theater.errors import InvalidInput
from theater.model.ids import Digest

DIGEST = Digest("ab" * 32)
CODE = bytes(range(256)) * 64
MODULES = (CoreModule(10, 20, 30, 40),)


def _put(cache: Cache, code: bytes = CODE, digest: Digest = DIGEST) -> Path:
    cache.put(digest, code, memories=2, modules=MODULES)
    (entry,) = cache.folder.glob(f"{digest}-*")
    return entry


def _get(cache: Cache, digest: Digest = DIGEST) -> tuple[Facts, bytes] | None:
    with cache.open(digest) as found:
        return found and (found[0], found[1].read_bytes())


def test_what_was_put_is_found_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert _get(cache) is None
    _put(cache)
    found = _get(Cache(tmp_path / "cache"))
    assert found is not None
    facts, code = found
    assert code == CODE
    assert (facts.size, facts.memories, facts.core_modules()) == (len(CODE), 2, MODULES)
    assert _get(cache, Digest("cd" * 32)) is None


def test_the_folder_is_made_private(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "deep" / "cache")
    entry = _put(cache)
    for path in (cache.folder, entry):
        assert path.stat().st_mode & 0o077 == 0
    assert not list(cache.folder.glob("tmp-*"))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o722])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(InvalidInput, match="chmod 700"):
        Cache(folder)


def test_a_link_and_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(InvalidInput, match="link or a file"):
        Cache(tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="link or a file"):
        Cache(tmp_path / "file")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InvalidInput, match="another user"):
        Cache(tmp_path / "cache")


@pytest.mark.parametrize("damage", ["flip", "truncate", "extend", "no code", "no facts", "bad facts", "other facts"])
def test_a_damaged_entry_is_none(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path / "cache")
    entry = _put(cache)
    code, facts = entry / "code", entry / "facts.json"
    match damage:
        case "flip":
            code.write_bytes(CODE[:100] + bytes([CODE[100] ^ 1]) + CODE[101:])
        case "truncate":
            code.write_bytes(CODE[:-1])
        case "extend":
            code.write_bytes(CODE + b"x")
        case "no code":
            code.unlink()
        case "no facts":
            facts.unlink()
        case "bad facts":
            facts.write_text('{"size":')
        case "other facts":
            facts.write_text('{"size":"5"}')
    assert _get(cache) is None
    _put(cache)  # made again in its place
    assert _get(cache) is not None
    assert len(list(cache.folder.iterdir())) == 1


def test_an_entry_that_is_deleted_while_open_can_still_be_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    entry = _put(cache)
    with cache.open(DIGEST) as found:
        assert found is not None
        shutil.rmtree(entry)
        assert found[1].read_bytes() == CODE


def test_many_writers_leave_one_whole_entry(tmp_path: Path) -> None:
    caches = [Cache(tmp_path / "cache") for _ in range(8)]
    start = threading.Barrier(len(caches))

    def write(number: int) -> None:
        start.wait()
        for _ in range(5):
            caches[number].put(DIGEST, bytes([number]) * 1000, memories=1, modules=())
            found = _get(caches[number])
            assert found is None or len(set(found[1])) == 1

    threads = [threading.Thread(target=write, args=(i,)) for i in range(len(caches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = _get(caches[0])
    assert found is not None
    assert len(set(found[1])) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_folders_of_processes_that_died_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Cache(folder)
    (folder / "tmp-old").mkdir()
    os.utime(folder / "tmp-old", (0, 0))
    (folder / "tmp-new").mkdir()
    Cache(folder)
    assert [path.name for path in folder.iterdir()] == ["tmp-new"]


def test_the_entries_unused_for_longest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "CACHE_MAX_BYTES", 2 * len(CODE))
    cache = Cache(tmp_path / "cache")
    digests = [Digest(f"{i:064x}") for i in range(3)]
    for age, digest in zip((10, 20), digests, strict=False):
        os.utime(_put(cache, digest=digest), (age, age))
    assert _get(cache, digests[0]) is not None  # used: now the second is the oldest
    _put(cache, digest=digests[2])
    assert [_get(cache, digest) is not None for digest in digests] == [True, False, True]


def test_other_settings_have_other_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    _put(cache)
    monkeypatch.setattr(cache_module, "fingerprint", lambda: "0123456789abcdef")
    assert _get(cache) is None


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_files_are_their_owners_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        entry = _put(Cache(tmp_path / "cache"))
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in entry.iterdir()} == {0o600}
