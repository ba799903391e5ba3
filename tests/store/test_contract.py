"""Every event store passes the same suite, which ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("case", [keeps_bytes, says_what_it_lacks])
def test_a_blob_store_keeps_the_contract(case: Callable[[BlobStore], None], blobs: BlobStore) -> None:
    case(blobs)
