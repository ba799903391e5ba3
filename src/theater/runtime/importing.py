"""Taking an actor in from a bundle: its whole chain, checked event by event, and the components that it names.

Only the structure is checked here, and what the actor goes on from when it is woken up: the engine, and a step that was
left open. That what the chain says did happen is for a verification to find. The actor arrives stopped. It becomes
visible with the last batch of its events: an import that was interrupted before leaves nothing that anybody finds, and
the same import goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from theater.chain.links import ChainChecker
from theater.errors import BadBundle, InvalidInput, InvalidJson, StoreError, Unsound
from theater.model.event import CLOSING_KINDS, Event, Head
from theater.model.ids import ActorId, Digest, is_actor_id, is_digest
from theater.model.json_text import check_json
from theater.model.manifest import is_name
from theater.model.payload import Genesis, Lifecycle, Message, Payload, State, decode_payload
from theater.model.ports import ActorRecord, Append, Appended, BlobStore, EventStore
from theater.runtime.bundle import Bundle, open_bundle
from theater.runtime.messages import components_named, engine_of, message_problem, starts_anew, upgrade_of

BATCH_EVENTS = 256
BATCH_BYTES = 2**20
"""A transaction ends with the event that goes beyond: what is held in memory stays small."""

STATE_MAX_BYTES = 64 * 2**20


def import_bundle(path: Path, store: EventStore, blobs: BlobStore) -> ActorRecord:
    """Take in the actor of the bundle in ``path``, stopped.

    Raises:
        BadBundle, Unsound: it is not a sound bundle; nothing of it was kept.
        InvalidInput: the actor is here already.
        StoreError: it could not be written.
    """
    with open_bundle(path) as bundle:
        if store.record(bundle.actor) is not None:
            raise InvalidInput(f"actor {bundle.actor} is here already; an actor has one chain")
        record = _checked(bundle, blobs)
        bundle.put_components(blobs)
        _append_all(bundle, store, record)
    return record


def _checked(bundle: Bundle, blobs: BlobStore) -> ActorRecord:
    """Look at all of it before any of it is kept. Returns the row under which the actor will be found."""
    record: ActorRecord | None = None
    left_off = _LeftOff()
    there = set(bundle.components)
    for event in _sound_events(bundle):
        payload = None if event.payload is None else _decoded(event, event.payload)
        if event.header.seq == 0:
            record = _record(event, payload)
        for digest in _components(event, payload):
            if digest not in there and not blobs.has(digest):
                raise BadBundle(f"the component sha256:{digest} that its chain names is missing")
            if digest not in there:
                blobs.put(blobs.path(digest).read_bytes())  # again, so that nobody removes it in the meantime
            there.add(digest)
        left_off.feed(event, payload)
    left_off.check_open_step()
    assert record is not None
    return replace(record, program=left_off.component or record.program)


class _LeftOff:
    """What the actor will go on from. A withheld payload is not judged: whoever wakes the actor up hears of it."""

    def __init__(self) -> None:
        self.component: Digest | None = None
        """The one to which it was upgraded last."""
        self._params = ""
        self._state_seq: int | None = None
        self._has_withheld_state = False
        self._open: tuple[Event, Message] | None = None

    def feed(self, event: Event, payload: Payload | None) -> None:
        """The next event. Raises ``Unsound`` where it says what became of the actor, and that cannot be."""
        header = event.header
        if header.kind in CLOSING_KINDS:
            self._open = None
        match payload:
            case Genesis():
                self._params = payload.params
                self._state_seq = None if payload.state is None else header.seq
            case Message():
                self._open = event, payload
            case State(state=str()):
                self._state_seq = header.seq
                self._has_withheld_state = False
            case Lifecycle():
                try:
                    self._note(header.name, payload)
                except ValueError as error:
                    raise Unsound(f"event {header.seq}: {error}", seq=header.seq) from error
            case None if header.kind == "state":
                self._has_withheld_state = True
            case _:
                pass

    def _note(self, name: str, lifecycle: Lifecycle) -> None:
        match name:
            case "engine":
                engine_of(lifecycle)
            case "upgraded":
                self.component = upgrade_of(lifecycle)[1]
            case "restarted" if starts_anew(lifecycle):
                self._state_seq = None
                self._has_withheld_state = False

    def check_open_step(self) -> None:
        """There are no more events. Raises ``Unsound`` where the step that was left open cannot be one."""
        if self._open is None:
            return
        event, message = self._open
        state_seq = message.state if self._has_withheld_state else self._state_seq
        problem = message_problem(event, message, state_seq=state_seq, params=self._params)
        if problem is not None:
            raise Unsound(f"event {event.header.seq}: {problem}", seq=event.header.seq)


def _sound_events(bundle: Bundle) -> Iterator[Event]:
    checker = ChainChecker(actor=bundle.actor)
    for event in bundle.events():
        checker.feed(event)
        yield event
    checker.finish(head=bundle.head)


def _decoded(event: Event, data: bytes) -> Payload:
    seq = event.header.seq
    payload = decode_payload(event.header.kind, data, seq=seq)
    texts: dict[str, str | None] = {}
    match payload:
        case State():
            texts = {"state": payload.state, "reply": payload.reply}
        case Genesis():
            texts = {"state": payload.state}
    for what, text in texts.items():
        try:
            if text is not None:
                check_json(text, max_bytes=STATE_MAX_BYTES)
        except InvalidJson as error:
            raise Unsound(f"event {seq}: the {what} is not JSON: {error}", seq=seq) from error
    return payload


def _components(event: Event, payload: Payload | None) -> tuple[Digest, ...]:
    try:
        return () if payload is None else components_named(event.header.name, payload)
    except ValueError as error:
        raise Unsound(f"event {event.header.seq}: {error}", seq=event.header.seq) from error


def _record(event: Event, genesis: Payload | None) -> ActorRecord:
    if not isinstance(genesis, Genesis):
        raise BadBundle("its first event is withheld or erased, and nobody can go on without that")
    if not is_name(genesis.name) or not is_digest(genesis.program):
        raise Unsound("event 0: it has no name or no component that an actor can have", seq=0)
    parent = genesis.parent
    if parent is not None and (not is_actor_id(parent) or parent == event.header.actor):
        raise Unsound("event 0: its parent is no actor", seq=0)
    return ActorRecord(
        id=event.header.actor,
        name=genesis.name,
        status="stopped",
        parent=ActorId(parent) if parent is not None else None,
        created_us=event.header.time_us,
        program=Digest(genesis.program),
    )


def _append_all(bundle: Bundle, store: EventStore, record: ActorRecord) -> None:
    head = store.head(record.id)  # not EMPTY where an import of it was interrupted
    resumed = head
    batch: list[Event] = []
    size_bytes = 0
    for event in _sound_events(bundle):
        seq = event.header.seq
        if seq <= resumed.seq:
            if seq == resumed.seq and event.hash != resumed.hash:
                raise InvalidInput(f"another chain of actor {record.id} was taken in before, up to event {seq}")
            continue
        batch.append(event)
        size_bytes += event.header.size_bytes
        if len(batch) >= BATCH_EVENTS or size_bytes >= BATCH_BYTES:
            head = _append(store, Append(record.id, head, tuple(batch)))
            batch, size_bytes = [], 0
    _append(store, Append(record.id, head, tuple(batch), record=record))


def _append(store: EventStore, batch: Append) -> Head:
    done: Future[Appended | StoreError] = Future()
    store.append(batch, done.set_result)
    result = done.result()
    if isinstance(result, StoreError):
        raise result
    if batch.events:
        return result.head
    assert batch.expected is not None  # a batch without events and without a head would be of entries alone
    return batch.expected
