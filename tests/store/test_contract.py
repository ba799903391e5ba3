"""Every event store passes the same suite, which ships."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from theater.errors import NotFound
from theater.model.ports import BlobStore, Durability, EventStore
from theater.store import DataDir, FileBlobStore, MemoryBlobStore, MemoryEventStore, SqliteEventStore
from theater.testing.event_store_suite import CASES, Case


@pytest.fixture(params=["sqlite process", "sqlite power", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventStore]:
    where, _, durability = str(request.param).partition(" ")
    if where == "memory":
        memory = MemoryEventStore()
        yield memory
        memory.close()
        return
    data_dir = DataDir(tmp_path / "data")
    data_dir.hold("test")
    level: Durability = "power" if durability == "power" else "process"
    sqlite = SqliteEventStore.open(data_dir, durability=level)
    yield sqlite
    sqlite.close()
    data_dir.release()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_an_event_store_keeps_the_contract(case: Case, store: EventStore) -> None:
    case(store)


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    if request.param == "file":
        yield FileBlobStore(tmp_path / "components")
        return
    memory = MemoryBlobStore()
    yield memory
    memory.close()


def keeps_bytes(blobs: BlobStore) -> None:
    digest = blobs.put(b"\0asm")
    assert digest == "cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f"
    assert blobs.put(b"\0asm") == digest
    assert blobs.has(digest)
    assert blobs.path(digest).read_bytes() == b"\0asm"


def says_what_it_lacks(blobs: BlobStore) -> None:
    for name in ("ab" * 32, "../../etc/passwd", "", "AB" * 32):
        assert not blobs.has(name)  # type: ignore[arg-type] # a name from outside
        with pytest.raises(Exception, match=r"there is no component|this is no digest"):
            blobs.path(name)  # type: ignore[arg-type] # a name from outside


def says_what_it_keeps(blobs: BlobStore) -> None:
    assert list(blobs.kept()) == []
    sizes = {blobs.put(data): len(data) for data in (b"", b"one", b"three")}
    assert {kept.digest: kept.size_bytes for kept in blobs.kept()} == sizes
    now_us = time.time_ns() // 1000
    assert all(abs(now_us - kept.since_us) < 60_000_000 for kept in blobs.kept())


def keeps_no_longer_what_was_removed(blobs: BlobStore) -> None:
    first, second = blobs.put(b"first"), blobs.put(b"second")
    path = blobs.path(first)
    for _ in range(2):
        blobs.remove(first)
        assert not blobs.has(first)
        assert not path.exists()
        assert [kept.digest for kept in blobs.kept()] == [second]
        with pytest.raises(NotFound):
            blobs.path(first)
    assert blobs.put(b"first") == first
    assert blobs.path(first).read_bytes() == b"first"
    with pytest.raises(NotFound):
        blobs.remove("../second")  # type: ignore[arg-type] # a name from outside


def says_when_it_was_last_put(blobs: BlobStore) -> None:
    digest = blobs.put(b"again")
    path = blobs.path(digest)
    os.utime(path, (1, 1))
    assert [kept.since_us for kept in blobs.kept()] == [1_000_000]
    assert blobs.put(b"again") == digest
    assert all(kept.since_us > 1_000_000 for kept in blobs.kept())


@pytest.mark.parametrize(
    "case",
    [
        keeps_bytes,
        says_what_it_lacks,
        says_what_it_keeps,
        keeps_no_longer_what_was_removed,
        says_when_it_was_last_put,
    ],
)
def test_a_blob_store_keeps_the_contract(case: Callable[[BlobStore], None], blobs: BlobStore) -> None:
    case(blobs)
