"""What is on the disk is not what was written: it is found when it is read, and the event is named."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.store.opened_store import opened
from theater.errors import Damaged
from theater.model.event import EMPTY, Head
from theater.store import DataDir, SqliteEventStore
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.store_calls import append, append_chain

LARGE = b'"' + b"x" * 100_000 + b'"'


@pytest.fixture
def maker() -> ChainMaker:
    maker = chain_of(3)
    maker.add("lifecycle", "x", LARGE)
    maker.step(4)
    return maker


def written(root: Path, maker: ChainMaker, *, batch: int = 4) -> DataDir:
    with opened(root) as store:
        append_chain(store, maker, batch=batch)
    return DataDir(root)


def change(data_dir: DataDir, *statements: str) -> None:
    connection = sqlite3.connect(data_dir.database, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def flip(data_dir: DataDir, first_seq: int, offset: int) -> None:
    """Change one byte in the frames of a segment."""
    connection = sqlite3.connect(data_dir.database, isolation_level=None)
    (frames,) = connection.execute("SELECT frames FROM segments WHERE first_seq = ?", (first_seq,)).fetchone()
    changed = bytearray(frames)
    changed[offset] ^= 1
    connection.execute("UPDATE segments SET frames = ? WHERE first_seq = ?", (bytes(changed), first_seq))
    connection.close()


def read_only(data_dir: DataDir) -> SqliteEventStore:
    return SqliteEventStore.open(data_dir, read_only=True)


@pytest.mark.slow
def test_any_changed_byte_of_a_segment_is_found_when_it_is_read(tmp_path: Path, maker: ChainMaker) -> None:
    data_dir = written(tmp_path, maker)
    store = read_only(data_dir)
    size = sum(len(event.header_bytes) + 25 + len(event.payload or b"") for event in maker.events[4:8])
    for offset in range(0, size, 37):
        flip(data_dir, 4, offset)
        with pytest.raises(Damaged, match=r"event [4567] of actor"):
            list(store.events(maker.actor))
        with pytest.raises(Damaged):
            list(store.events_reversed(maker.actor, start=100))
        with pytest.raises(Damaged):
            list(store.events_by_index(start=5, limit=1))
        with pytest.raises(Damaged):
            store.check()
        assert list(store.events(maker.actor, stop=4)) == maker.events[:4]
        flip(data_dir, 4, offset)
    assert list(store.events(maker.actor)) == maker.events
    store.close()


def test_damage_at_the_end_is_found_on_opening(tmp_path: Path, maker: ChainMaker) -> None:
    data_dir = written(tmp_path, maker)
    flip(data_dir, 20, 40)
    data_dir.hold("test")
    with pytest.raises(Damaged, match="event 20"):
        SqliteEventStore.open(data_dir)
    data_dir.release()
    with pytest.raises(Damaged, match="event 20"):
        read_only(data_dir)


@pytest.mark.parametrize("content", [None, b"", LARGE[:-1], LARGE + b" ", LARGE.replace(b"xx", b"xy", 1)])
def test_a_large_payload_that_is_gone_or_changed_is_found(
    tmp_path: Path, maker: ChainMaker, content: bytes | None
) -> None:
    data_dir = written(tmp_path, maker)
    store = read_only(data_dir)
    path = data_dir.payloads / maker.actor / "16"
    assert path.read_bytes() == LARGE
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Damaged, match="event 16"):
        list(store.events(maker.actor))
    with pytest.raises(Damaged, match="event 16"):
        store.check()
    store.close()


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("DELETE FROM segments WHERE first_seq = 8", "index 8 to 12 are missing"),
        ("DELETE FROM segments WHERE first_seq = 0", "index 0 to 4 are missing"),
        ("UPDATE segments SET first_index = 99 WHERE first_seq = 8", "index 8 to 12 are missing"),
        ("UPDATE segments SET first_seq = 9 WHERE first_seq = 8", "event 9 of actor"),
        ("UPDATE segments SET count = 3 WHERE first_seq = 8", "event 10 of actor"),
        ("UPDATE segments SET count = 5 WHERE first_seq = 8", "event 12 of actor"),
        ("UPDATE segments SET last_hash = zeroblob(32) WHERE first_seq = 8", "event 11 of actor"),
        ("UPDATE segments SET frames = x'' WHERE first_seq = 8", "event 8 of actor"),
        ("UPDATE chains SET actor = 'ffffffffffffffffffffffffffffffff'", "event 0 of actor ffff"),
    ],
)
def test_the_full_check_finds_rows_that_are_not_as_they_were(
    tmp_path: Path, maker: ChainMaker, statement: str, where: str
) -> None:
    data_dir = written(tmp_path, maker)
    store = read_only(data_dir)
    assert store.check() == len(maker.events)
    change(data_dir, statement)

    with pytest.raises(Damaged, match=where):
        store.check()
    store.close()


@pytest.mark.parametrize("hole", [0, 8])
def test_a_hole_in_a_chain_is_found_from_all_sides(tmp_path: Path, maker: ChainMaker, hole: int) -> None:
    data_dir = written(tmp_path, maker)
    store = read_only(data_dir)
    change(data_dir, f"DELETE FROM segments WHERE first_seq = {hole}")

    for start in range(hole + 4):
        with pytest.raises(Damaged):
            list(store.events(maker.actor, start=start))
        with pytest.raises(Damaged):
            list(store.events_by_index(start=start, limit=100))
    for start in range(hole, 23):
        with pytest.raises(Damaged):
            list(store.events_reversed(maker.actor, start=start))
    store.close()


def test_segments_that_are_exchanged_for_those_of_another_history_are_found(tmp_path: Path) -> None:
    ours, theirs = chain_of(4), ChainMaker(salt="another")
    theirs.genesis()
    for step in range(4):
        theirs.step(step)
    written(tmp_path / "theirs", theirs, batch=7)
    data_dir = written(tmp_path / "ours", ours, batch=7)
    change(
        data_dir,
        f"ATTACH '{tmp_path / 'theirs' / 'events.db'}' AS theirs",
        "UPDATE segments SET (last_hash, frames) ="
        " (SELECT last_hash, frames FROM theirs.segments WHERE first_seq = 7) WHERE first_seq = 7",
    )
    with pytest.raises(Damaged, match=r"event 7 of actor .* does not follow event 6"):
        read_only(data_dir)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.database.write_bytes(content)
    data_dir.hold("test")
    with pytest.raises(Damaged):
        SqliteEventStore.open(data_dir)
    data_dir.release()
    with pytest.raises(Damaged):
        read_only(data_dir)


def test_a_chain_that_lost_its_end_is_not_appended_to(tmp_path: Path, maker: ChainMaker) -> None:
    data_dir = written(tmp_path, maker)
    change(data_dir, "DELETE FROM segments WHERE first_seq = 20")
    with opened(tmp_path) as store:
        head = store.head(maker.actor)
        assert head == Head(19, maker.events[19].hash)
        assert not hasattr(append(store, maker.actor, maker.head), "first_index")
        assert not hasattr(append(store, maker.actor, EMPTY), "first_index")
