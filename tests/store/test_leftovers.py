"""Files that nobody names are found and removed, and nothing else is."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from tests.store.opened_store import die, in_child, opened
from theater.errors import Damaged
from theater.model.event import EMPTY, Head
from theater.model.ports import Append, Appended, Swept
from theater.store import DataDir, FileBlobStore, MemoryBlobStore, MemoryEventStore, SqliteEventStore
from theater.store.faults import FaultPoint
from theater.testing.chains import ChainMaker
from theater.testing.removal_suite import LARGE, removal
from theater.testing.store_calls import WAIT_S, append, append_chain, append_together


def large(number: int = 0, *, count: int = 4) -> ChainMaker:
    maker = ChainMaker(number)
    maker.genesis()
    for _ in range(count):
        maker.add("lifecycle", "x", LARGE)
    return maker


def all_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_what_a_death_left_behind_is_removed_and_what_chains_name_is_not(tmp_path: Path) -> None:
    maker, unborn = large(), large(1)
    is_armed = False

    def fault(point: FaultPoint) -> None:
        if is_armed and point == "payloads-written":
            die()

    def live_until_then() -> None:
        nonlocal is_armed
        with opened(tmp_path, fault=fault) as store:
            append_chain(store, maker, batch=2)
            is_armed = True
            head = maker.head
            more = maker.add_all([("lifecycle", "x", LARGE)] * 2)
            together = (Append(maker.actor, head, more), Append(unborn.actor, EMPTY, tuple(unborn.events)))
            append_together(store, *together)

    assert in_child(live_until_then) == signal.SIGKILL
    with opened(tmp_path) as store:
        small = ChainMaker(salt="another life")
        small.events = [*maker.events]
        append(store, maker.actor, maker.head, (small.add("lifecycle", "y", b"{}"),))  # in the place of a large one
        (tmp_path / "payloads" / maker.actor / "2.new").write_bytes(b"half")
        assert store.sweep() == Swept(7, 6 * len(LARGE) + 4)
        assert all_files(tmp_path / "payloads") == sorted(
            [maker.actor, *(f"{maker.actor}/{seq}" for seq in range(1, 5))]
        )
        assert store.check() == len(maker.events) + 1
        assert store.sweep() == Swept()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    payloads = tmp_path / "payloads"
    with opened(tmp_path) as store:
        for name in ("notes", large().actor.upper(), large(1).actor):
            (payloads / name).mkdir()
            for file in ("1x", "01", "-1", "new", "1.new.old", "99999999999999999999", " 1"):
                (payloads / name / file).touch()
        (payloads / "1").touch()
        (payloads / large(2).actor).touch()  # a file where a folder would be
        before = all_files(payloads)
        assert store.sweep() == Swept()
        assert all_files(payloads) == before


def test_a_payload_that_is_about_to_be_committed_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    maker = large()
    written, swept = threading.Event(), threading.Event()
    results: list[Swept] = []

    def fault(point: FaultPoint) -> None:
        if point == "payloads-written" and not written.is_set():
            written.set()
            assert not swept.wait(0.05), "it did not wait for its turn"

    with opened(tmp_path, fault=fault) as store:

        def sweep() -> None:
            assert written.wait(WAIT_S)
            results.append(store.sweep())
            swept.set()

        sweeper = threading.Thread(target=sweep)
        sweeper.start()
        assert isinstance(append(store, maker.actor, EMPTY, maker.events), Appended)
        sweeper.join()
        assert results == [Swept()]
        assert list(store.events(maker.actor)) == maker.events


def test_many_files_are_swept_in_slices(tmp_path: Path) -> None:
    unborn = large(1)
    with opened(tmp_path) as store:
        folder = tmp_path / "payloads" / unborn.actor
        folder.mkdir()
        for number in range(600):
            (folder / str(number)).write_bytes(b"12")
        assert store.sweep() == Swept(600, 1200)
        assert not folder.exists()


def test_files_of_a_damaged_segment_are_left_alone(tmp_path: Path) -> None:
    maker = large()
    with opened(tmp_path) as store:
        append_chain(store, maker)
        assert store._connection is not None
        store._connection.execute("UPDATE segments SET frames = substr(frames, 1, 20)")
        assert store.sweep() == Swept()
        assert len(all_files(tmp_path / "payloads")) == 5


def test_files_of_a_removed_actor_are_no_leftovers_until_it_is_wiped(tmp_path: Path) -> None:
    maker = large()
    with opened(tmp_path) as store:
        append_chain(store, maker)
        append_together(store, removal(maker))
        assert store.sweep() == Swept()
        assert list(store.events(maker.actor)) == maker.events
        store.wipe()
        (tmp_path / "payloads" / maker.actor).mkdir()
        (tmp_path / "payloads" / maker.actor / "2").write_bytes(b"back again")
        assert store.sweep() == Swept(1, 10)
        assert store.head(maker.actor) == Head(len(maker.events) - 1, maker.events[-1].hash)


def test_who_only_reads_sweeps_nothing(tmp_path: Path) -> None:
    with opened(tmp_path):
        reader = SqliteEventStore.open(DataDir(tmp_path), read_only=True)
        with pytest.raises(Damaged, match="for reading only"):
            reader.sweep()
        reader.close()


def test_half_written_components_are_removed(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"component")
    (tmp_path / f"{digest}.wasm.new").write_bytes(b"half")
    (tmp_path / "notes.wasm.new").write_bytes(b"of somebody")
    assert blobs.sweep() == Swept(1, 4)
    assert all_files(tmp_path) == sorted([f"{digest}.wasm", "notes.wasm.new"])
    assert FileBlobStore(tmp_path / "nowhere").sweep() == Swept()


def test_without_a_disk_nothing_is_left_behind() -> None:
    store, blobs = MemoryEventStore(), MemoryBlobStore()
    assert (store.sweep(), blobs.sweep()) == (Swept(), Swept())
    store.close()
    blobs.close()
