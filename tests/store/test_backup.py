"""A copy of a data directory, made while it is written to: whole or not there, a prefix, and restored by starting."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.older import make_older
from tests.store.opened_store import die, in_child, opened
from theater.errors import Damaged, DiskFull, InvalidInput, NotFound, StoreError
from theater.model.event import EMPTY, Event
from theater.store import BackupReport, DataDir, FileBlobStore, SqliteEventStore, back_up, backup
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.removal_suite import LARGE, erased, removal
from theater.testing.store_calls import WAIT_S, append, append_chain, append_together, only, put, record_of

COMPONENT = b"\0asm a component"
WRITTEN_BEFORE = 50  # events, before the first copy is made


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A data directory with all kinds of things in it."""
    root = tmp_path / "origin"
    maker = chain_with_large()
    with opened(root) as store:
        append_chain(store, maker)
        append(store, maker.actor, maker.head, record=record_of(maker.actor), attempt=3)
        append_together(store, only(maker, put(maker, "a", b"1")))
        FileBlobStore(root / "components").put(COMPONENT)
    for name, content in {
        "token": b"secret",
        "tokens.json": b"{}",
        "server.json": b"{}",
        "cache/thing": b"x",
        "components/readme.txt": b"foreign",
        f"components/{'ab' * 32}.wasm.new": b"half",
        f"payloads/{maker.actor}/99": b"of no event",
    }.items():
        (root / name).write_bytes(content)
        (root / name).chmod(0o600)
    return root


def chain_with_large(number: int = 0) -> ChainMaker:
    maker = chain_of(2, number=number)
    maker.add("lifecycle", "x", LARGE)
    maker.step()
    return maker


def all_events(store: SqliteEventStore) -> list[Event]:
    return [event for _, event in store.events_by_index(start=0, limit=1_000_000)]


def test_a_copy_is_all_that_the_original_was(tmp_path: Path, origin: Path) -> None:
    maker, to = chain_with_large(), tmp_path / "copy"
    report = back_up(DataDir(origin), to)

    files = sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file())
    (named,) = (path.name for path in (to / "components").iterdir())
    assert files == sorted(
        [f"components/{named}", "events.db", "node.key", f"payloads/{maker.actor}/11", "token", "tokens.json"]
    )
    assert report == BackupReport(
        len(maker.events), sum(path.stat().st_size for path in to.rglob("*") if path.is_file()), 1
    )
    for path in [to, *to.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert [path.name for path in tmp_path.iterdir()] in (["origin", "copy"], ["copy", "origin"])
    with opened(origin) as first, opened(to) as second:
        assert second.facts() == first.facts()
        assert second.check() == first.check() == len(maker.events)
        assert list(second.events(maker.actor)) == maker.events
        assert second.records() == first.records()
        assert second.entries(maker.actor) == first.entries(maker.actor)
        assert second.attempt(maker.actor) == 3
        head = maker.head
        append(second, maker.actor, head, maker.step())
        assert second.check() == first.check() + 5
    assert FileBlobStore(to / "components").path(next(FileBlobStore(to / "components").kept()).digest).is_file()


def test_a_copy_of_a_node_that_ran_is_taken_up_as_after_a_death(tmp_path: Path, origin: Path) -> None:
    to = tmp_path / "running", tmp_path / "closed"
    with opened(origin):
        back_up(DataDir(origin), to[0])
    back_up(DataDir(origin), to[1])
    for copy, unclean in zip(to, (True, False), strict=True):
        with opened(copy) as store:
            assert store.facts().unclean == unclean


def write_all_the_time(root: Path, ready: Callable[[], object], is_over: Callable[[], bool]) -> None:
    makers = [ChainMaker(number) for number in range(4)]
    with opened(root) as store:
        for turn in itertools.count():
            maker = makers[turn % len(makers)]
            head = maker.head
            append(store, maker.actor, head, (maker.add("lifecycle", "x", LARGE if turn % 40 == 0 else b"{}"),))
            if turn == WRITTEN_BEFORE:
                ready()
            if is_over():
                return


def require_prefixes(root: Path, reports: list[BackupReport]) -> None:
    with opened(root) as store:
        everything = all_events(store)
    for number, report in enumerate(reports):
        with opened(root.with_name(f"copy-{number}")) as store:
            assert store.facts().unclean
            assert store.check() == report.events >= WRITTEN_BEFORE
            assert all_events(store) == everything[: report.events]
    assert reports[0].events < reports[-1].events


@pytest.mark.slow
def test_copies_made_while_another_process_writes_all_the_time_are_prefixes(tmp_path: Path) -> None:
    root = tmp_path / "origin"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write_all_the_time(root, lambda: os.write(writing, b"."), lambda: False)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read(1) == b"."
    reports = [back_up(DataDir(root), tmp_path / f"copy-{number}") for number in range(3)]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    require_prefixes(root, reports)


@pytest.mark.slow
def test_copies_made_while_this_process_writes_all_the_time_are_prefixes(tmp_path: Path) -> None:
    root = tmp_path / "origin"
    ready, over = threading.Event(), threading.Event()
    writer = threading.Thread(target=write_all_the_time, args=(root, ready.set, over.is_set))
    writer.start()
    try:
        assert ready.wait(WAIT_S)
        reports = [back_up(DataDir(root), tmp_path / f"copy-{number}") for number in range(3)]
    finally:
        over.set()
        writer.join()
    require_prefixes(root, reports)


@pytest.mark.parametrize("made", [None, "empty folder", "full folder", "file", "link", "no parent"])
def test_a_copy_is_made_where_nothing_is(tmp_path: Path, origin: Path, made: str | None) -> None:
    to = tmp_path / "copy"
    if made == "file":
        to.touch()
    elif made == "link":
        to.symlink_to(tmp_path / "nowhere")
        back_up(DataDir(origin), to)
        assert (tmp_path / "nowhere" / "events.db").exists()
        return
    elif made == "no parent":
        to = to / "below"
    elif made is not None:
        to.mkdir()
        if made == "full folder":
            (to / "thing").touch()
    if made in ("file", "full folder", "no parent"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InvalidInput, match=r"there already|no folder"):
            back_up(DataDir(origin), to)
        assert sorted(tmp_path.rglob("*")) == before
    else:
        back_up(DataDir(origin), to)
        assert (to / "events.db").exists()


def test_there_is_nothing_to_copy_where_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        back_up(DataDir(tmp_path / "nowhere"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(DiskFull):
        back_up(DataDir(origin), tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


def test_a_death_in_the_middle_leaves_no_copy_and_the_next_one_is_made(
    tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_and_die() -> None:
        monkeypatch.setattr(backup._Copy, "_copy_components", lambda _copy: die())
        back_up(DataDir(origin), tmp_path / "copy")

    assert in_child(copy_and_die) == signal.SIGKILL
    assert not (tmp_path / "copy").exists()
    back_up(DataDir(origin), tmp_path / "copy")
    with opened(tmp_path / "copy") as store:
        assert store.check() == len(chain_with_large().events)


def test_an_actor_that_is_removed_meanwhile_is_removed_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "origin"
    makers = [chain_with_large(number) for number in range(3)]
    victims = makers[:2]
    with opened(root) as store:
        for maker in makers:
            append_chain(store, maker)
        copy_payloads = backup._Copy._copy_payloads

        def remove_first(self: backup._Copy) -> None:
            if victims:
                append_together(store, removal(victims.pop()))
                store.wipe()
            copy_payloads(self)

        monkeypatch.setattr(backup._Copy, "_copy_payloads", remove_first)
        report = back_up(DataDir(root), tmp_path / "copy")
        everything = all_events(store)
    with opened(tmp_path / "copy") as store:
        assert store.check() == report.events
        assert all_events(store) == everything
        assert list(store.events(makers[0].actor)) == erased(makers[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "origin"]


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_component_that_is_put_or_collected_meanwhile_is_in_the_copy(
    tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch, *, is_removed: bool
) -> None:
    blobs, copied = FileBlobStore(origin / "components"), backup._Copy._copy_database
    (kept,) = blobs.kept()

    def copy_database(copy: backup._Copy) -> int:
        if not is_removed:  # a chain of that moment may name it
            blobs.put(b"another")
        events = copied(copy)
        if is_removed:  # none names it any more, but those of that moment do
            blobs.remove(kept.digest)
        return events

    monkeypatch.setattr(backup._Copy, "_copy_database", copy_database)
    report = back_up(DataDir(origin), tmp_path / "copy")

    copies = {each.digest for each in FileBlobStore(tmp_path / "copy" / "components").kept()}
    assert copies == {kept.digest, *(each.digest for each in blobs.kept())}
    assert report.components == len(copies) == (1 if is_removed else 2)


def test_the_copy_gives_up_where_actors_are_removed_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "origin"
    monkeypatch.setattr(backup, "TRIES_MAX", 2)
    makers = [chain_with_large(number) for number in range(3)]
    with opened(root) as store:
        for maker in makers:
            append_chain(store, maker)
        copy_payloads = backup._Copy._copy_payloads

        def remove_first(self: backup._Copy) -> None:
            append_together(store, removal(makers.pop()))
            store.wipe()
            copy_payloads(self)

        monkeypatch.setattr(backup._Copy, "_copy_payloads", remove_first)
        with pytest.raises(StoreError, match="try again later"):
            back_up(DataDir(root), tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["origin"]


def test_what_is_not_wiped_yet_is_wiped_in_the_copy(tmp_path: Path) -> None:
    root, to, maker = tmp_path / "origin", tmp_path / "copy", chain_with_large()
    with opened(root) as store:
        append_chain(store, maker)
        append_together(store, removal(maker))
        back_up(DataDir(root), to)
    assert list((to / "payloads").iterdir()) == []
    with opened(to) as store:
        assert store.check() == len(maker.events)
        assert store.wipe() > 0
        assert list(store.events(maker.actor)) == erased(maker)
        assert store.check() == len(maker.events)


@pytest.mark.parametrize("content", [None, b"another size"])
def test_a_payload_that_is_missing_is_said(tmp_path: Path, origin: Path, content: bytes | None) -> None:
    (path,) = (origin / "payloads").glob("*/11")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Damaged, match="payload of event 11"):
        back_up(DataDir(origin), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_older_store_is_copied_as_it_is(tmp_path: Path, origin: Path) -> None:
    connection = sqlite3.connect(origin / "events.db", isolation_level=None)
    make_older(connection, 2)
    connection.close()
    back_up(DataDir(origin), tmp_path / "copy")
    with opened(tmp_path / "copy") as store:
        assert store.check() == len(chain_with_large().events)


def test_a_reader_cannot_be_fooled_by_an_empty_store(tmp_path: Path) -> None:
    with opened(tmp_path / "origin"):
        pass
    assert back_up(DataDir(tmp_path / "origin"), tmp_path / "copy").events == 0
    with opened(tmp_path / "copy") as store:
        assert store.head(ChainMaker().actor) == EMPTY
