"""Taking in a bundle: all of it is looked at before any of it is kept, and an interrupted import can be finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from theater.errors import BadBundle, InvalidInput, StoreError, TheaterError, Unsound
from theater.model.event import EMPTY
from theater.model.ids import Digest
from theater.model.payload import BOUNDARY, EngineFacts, Genesis, encode_payload
from theater.model.ports import Append, AppendDone
from theater.runtime import importing
from theater.runtime.bundle import write_bundle
from theater.runtime.importing import import_bundle
from theater.runtime.loading import HANDLE, RUN
from theater.store import MemoryBlobStore, MemoryEventStore
from theater.testing.chains import ChainMaker

COMPONENT = b"\0asm a component"
DIGEST = Digest(hashlib.sha256(COMPONENT).hexdigest())


def genesis(*, name: str = "counter", program: str = DIGEST, parent: str | None = None) -> bytes:
    return encode_payload(
        Genesis(
            program=program,
            manifest="",
            asked={},
            ceiling={},
            effective={},
            limits={},
            instance="fresh",
            params="{}",
            environment=[],
            arguments=[],
            parent=parent,
            name=name,
            node="",
            version="",
            engine=EngineFacts(name="", version="", settings="", architecture=""),
            boundary=BOUNDARY,
        )
    )


def made(first: bytes, *, steps: int = 3, state: str = '{"count":1}') -> ChainMaker:
    maker = ChainMaker()
    maker.add("genesis", "genesis", first)
    for _ in range(steps):
        message = {"id": "m", "source": "local", "export": "x", "arguments": [], "seed": ""}
        maker.add("message", "x", json.dumps(message, separators=(",", ":")).encode())
        maker.add("state", "x", json.dumps({"fuel": 1, "state": state}, separators=(",", ":")).encode())
    return maker


MESSAGE = {
    "id": "m",
    "source": "local",
    "export": HANDLE,
    "arguments": [{"id": "m", "sender": None, "expects-reply": True, "body": "1"}],
    "seed": "ab" * 32,
    "state": 6,
}
ENGINE = {"name": "wasmtime", "version": "1", "settings": "", "architecture": "x86_64"}


def left_open(*, name: str = HANDLE, **changes: object) -> ChainMaker:
    """A chain whose last step, event 7, was interrupted. What an event says of it may be changed."""
    maker = made(genesis())
    maker.add("message", name, json.dumps({**MESSAGE, **changes}).encode())
    maker.add("log", "stdout", b'{"text":"so far"}')
    return maker


def bundle(folder: Path, maker: ChainMaker, *, with_component: bool = True) -> Path:
    component = folder / "component.wasm"
    component.write_bytes(COMPONENT)
    path = folder / "x.theater"
    components = {DIGEST: component} if with_component else {}
    with path.open("wb") as file:
        write_bundle(file, head=maker.head, manifest="", events=maker.events, components=components)
    return path


@pytest.fixture
def store() -> Iterator[MemoryEventStore]:
    store = MemoryEventStore()
    yield store
    store.close()


@pytest.fixture
def blobs() -> Iterator[MemoryBlobStore]:
    blobs = MemoryBlobStore()
    yield blobs
    blobs.close()


def test_an_actor_arrives_stopped_with_its_whole_chain(
    tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore
) -> None:
    maker = made(genesis(parent="cd" * 16))

    record = import_bundle(bundle(tmp_path, maker), store, blobs)

    assert (record.name, record.status, record.parent, record.program) == ("counter", "stopped", "cd" * 16, DIGEST)
    assert record.created_us == maker.events[0].header.time_us
    assert store.record(record.id) == record
    assert list(store.events(record.id)) == list(maker.events)
    assert blobs.has(DIGEST)


def test_an_actor_that_is_here_is_refused(tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore) -> None:
    path = bundle(tmp_path, made(genesis()))
    import_bundle(path, store, blobs)

    with pytest.raises(InvalidInput, match="is here already"):
        import_bundle(path, store, blobs)


def test_an_actor_that_was_upgraded_goes_on_with_its_last_component(
    tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore
) -> None:
    newer = Digest(hashlib.sha256(b"newer").hexdigest())
    maker = made(genesis())
    detail = {"by": "local", "detail": {"from": DIGEST, "to": newer}}
    maker.add("lifecycle", "upgraded", json.dumps(detail).encode())
    path = bundle(tmp_path, maker)

    with pytest.raises(BadBundle, match=f"the component sha256:{newer} that its chain names is missing"):
        import_bundle(path, store, blobs)
    blobs.put(b"newer")

    assert import_bundle(path, store, blobs).program == newer


@pytest.mark.parametrize(("verb", "detail"), [("upgraded", {"to": "x"}), ("restarted", {"start": "moon"})])
def test_a_lifecycle_that_cannot_be_is_refused(
    tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore, verb: str, detail: dict[str, str]
) -> None:
    maker = made(genesis())
    maker.add("lifecycle", verb, json.dumps({"by": "local", "detail": detail}).encode())

    with pytest.raises(Unsound, match="event 7: "):
        import_bundle(bundle(tmp_path, maker), store, blobs)


def test_a_component_may_be_here_already(tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore) -> None:
    blobs.put(COMPONENT)

    assert import_bundle(bundle(tmp_path, made(genesis()), with_component=False), store, blobs).program == DIGEST


@pytest.mark.parametrize(
    ("first", "state", "error", "why"),
    [
        (genesis(program="ab" * 32), "1", BadBundle, "is missing"),
        (genesis(name="\x1b[31m"), "1", Unsound, "no name"),
        (genesis(program="../../x"), "1", Unsound, "no component"),
        (genesis(parent="nobody"), "1", Unsound, "its parent"),
        (b'{"program":1}', "1", Unsound, "cannot be read"),
        (genesis(), "[1,", Unsound, "event 2: the state is not JSON"),
    ],
)
def test_nothing_is_kept_of_what_cannot_be(
    tmp_path: Path,
    store: MemoryEventStore,
    blobs: MemoryBlobStore,
    first: bytes,
    state: str,
    error: type[TheaterError],
    why: str,
) -> None:
    maker = made(first, state=state)

    with pytest.raises(error, match=why):
        import_bundle(bundle(tmp_path, maker), store, blobs)

    assert store.size_events() == 0
    assert store.records() == []
    assert not blobs.has(DIGEST)


def test_a_step_that_was_left_open_comes_along(tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore) -> None:
    maker = left_open()

    record = import_bundle(bundle(tmp_path, maker), store, blobs)

    assert store.head(record.id) == maker.head


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seed": "zz"}, "its seed"),
        ({"seed": ""}, "its seed"),
        ({"seed": "AB" * 32}, "its seed"),
        ({"export": "a:b/c#d", "name": "a:b/c#d"}, "no export"),
        ({"name": "another"}, "no export"),
        ({"arguments": []}, "its arguments"),
        ({"arguments": [{"id": "m"}]}, "its arguments"),
        ({"id": "other"}, "its arguments"),
        ({"state": 4}, "names event 4"),
        ({"state": None}, "names event None"),
        ({"export": RUN, "name": RUN, "arguments": [], "state": None}, "a first step"),
    ],
)
def test_a_step_that_was_left_open_and_cannot_be_one_is_refused_by_its_event(
    tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unsound, match=f"event 7: .*{why}") as caught:
        import_bundle(bundle(tmp_path, left_open(**changes)), store, blobs)

    assert caught.value.data["seq"] == 7
    assert store.records() == []


def test_a_withheld_state_is_not_held_against_the_step_that_was_left_open(
    tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore
) -> None:
    maker = left_open()
    maker.events[6] = msgspec.structs.replace(maker.events[6], payload=None, salt=None)

    assert import_bundle(bundle(tmp_path, maker), store, blobs).status == "stopped"


@pytest.mark.parametrize("detail", [None, {}, {**ENGINE, "name": 1}, {"name": "wasmtime"}])
def test_an_engine_that_is_not_named_is_refused_by_its_event(
    tmp_path: Path, store: MemoryEventStore, blobs: MemoryBlobStore, detail: dict[str, object] | None
) -> None:
    maker = made(genesis())
    maker.add("lifecycle", "engine", json.dumps({"by": "runtime", "detail": ENGINE}).encode())
    maker.add("lifecycle", "engine", json.dumps({"by": "runtime", "detail": detail}).encode())

    with pytest.raises(Unsound, match="event 8: the engine is not named"):
        import_bundle(bundle(tmp_path, maker), store, blobs)

    assert store.records() == []


class FailingStore(MemoryEventStore):
    """Fails with the given append, counted from 0."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.left = fails_at

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        self.left -= 1
        if self.left == -1:
            done(StoreError("no more"))
        else:
            super().append(batch, done, hurry=hurry)


@pytest.mark.parametrize("fails_at", range(4))
def test_an_import_that_was_interrupted_shows_nothing_and_can_be_done_again(
    tmp_path: Path, blobs: MemoryBlobStore, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 2)
    maker = made(genesis())  # 7 events: three batches of 2, one of 1
    path = bundle(tmp_path, maker)
    store = FailingStore(fails_at)
    try:
        with pytest.raises(StoreError):
            import_bundle(path, store, blobs)
        assert store.records() == []

        record = import_bundle(path, store, blobs)

        assert list(store.events(record.id)) == list(maker.events)
        assert store.head(record.id) == maker.head != EMPTY
    finally:
        store.close()


def test_an_interrupted_import_is_not_finished_with_another_chain(
    tmp_path: Path, blobs: MemoryBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 2)
    store = FailingStore(2)
    try:
        with pytest.raises(StoreError):
            import_bundle(bundle(tmp_path, made(genesis())), store, blobs)

        with pytest.raises(InvalidInput, match="another chain"):
            import_bundle(bundle(tmp_path, made(genesis(), state="2")), store, blobs)
    finally:
        store.close()
