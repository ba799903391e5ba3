"""The documents about actors and events, made from the store alone or, where a node runs, with what it knows beyond.

They change nothing, block while they read, and may be made on any thread. A chain that was taken in may be strange, and
withheld in part: what it does not tell is null in a document, or empty, and nothing here fails for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from theater.capabilities.registry import Registry
from theater.errors import Damaged, InvalidInput, NotFound, TheaterError
from theater.model.event import EMPTY, Event, Head
from theater.model.header import format_time
from theater.model.ids import ActorId
from theater.model.json_text import check_json
from theater.model.payload import CrashedPayload, Genesis, RefusedPayload
from theater.model.ports import LIVING, ActorRecord, EventStore
from theater.model.wire import ActorDetail, ActorRow, Child, EventRow, Failure, StateDocument
from theater.runtime.exports import COMMAND
from theater.runtime.genesis_view import GenesisView, view_genesis
from theater.runtime.history import StateAt, payload_of, read_genesis, state_at

if TYPE_CHECKING:  # whoever only reads a store need not import all that runs actors
    from theater.runtime.live import Live

FAILURE_EVENTS = 4096
FAILURE_BYTES = 16 * 2**20
"""How far back the last failure is looked for: as many events, and as much payload."""

ROLE_EVENTS = 64
"""How far the first message is looked for; it comes right behind what was recorded when the actor was made."""

_JSON_MAX_BYTES = 2**31


def actor_row(store: EventStore, record: ActorRecord, live: Live | None = None) -> ActorRow:
    """One actor."""
    return _row(record, store.head(record.id), _waiting(store, record.id, live), live)


def actor_rows(store: EventStore, records: Sequence[ActorRecord], live: Live | None = None) -> list[ActorRow]:
    """Many actors, in their order; quicker than one by one."""
    heads = store.heads([record.id for record in records])
    held = store.size_entries("mailbox")
    rows: list[ActorRow] = []
    for record in records:
        waiting = live.waiting(record.id) if live is not None else None
        if waiting is None:
            waiting = held.get(record.id, 0)
        rows.append(_row(record, heads.get(record.id, EMPTY), waiting, live))
    return rows


def actor_detail(store: EventStore, registry: Registry, record: ActorRecord, live: Live | None = None) -> ActorDetail:
    """Everything about one actor."""
    row = actor_row(store, record, live)
    genesis = _genesis(store, record.id)
    children = children_of(store, record, live)
    seen = view_genesis(store, registry, record, genesis, has_children=bool(children)) if genesis else GenesisView()
    state = _state(store, record.id, row.seq)
    deferred = live.deferred(record.id) if live is not None else None
    return ActorDetail(
        actor=row,
        program=record.program,
        role=_role(store, record.id, genesis, live),
        instance=genesis.instance if genesis else None,
        manifest=genesis.manifest if genesis else None,
        params=_raw(genesis.params) if genesis else None,
        arguments=genesis.arguments if genesis else [],
        grants=seen.grants,
        allowed=genesis.allowed if genesis else [],
        limits=seen.limits,
        limits_set=seen.limits_set,
        supervision=seen.supervision,
        children=children,
        deferred=store.size_entries("deferred").get(record.id, 0) if deferred is None else deferred,
        timers=store.size_entries("timer").get(record.id, 0),
        channels=store.size_entries("channel").get(record.id, 0),
        services=live.services(record.id) if live is not None else [],
        chain_bytes=store.size_bytes(record.id),
        state_seq=state.seq if state else None,
        state_bytes=len(state.text.encode("utf-8", "surrogatepass")) if state else None,
        failure=_failure(store, record.id, row.seq),
        engine=f"{genesis.engine.name} {genesis.engine.version}" if genesis else None,
        version=genesis.version if genesis else None,
        node=genesis.node if genesis else None,
        durability=store.facts().durability,
    )


def children_of(store: EventStore, record: ActorRecord, live: Live | None = None) -> list[Child]:
    """The children of an actor, the oldest first, without those that it took off its list."""
    listed = {entry.key for entry in store.entries(record.id, "child")}
    children: list[Child] = []
    for found in store.records():
        if found.parent != record.id:
            continue
        child = (live.record(found.id) if live is not None else None) or found
        if child.status in LIVING or child.id in listed:
            children.append(Child(id=child.id, name=child.name, status=child.status, restarts=child.restarts))
    return children


def event_row(event: Event, index: int | None = None) -> EventRow:
    """One event. ``index`` is its node-wide index, where that was asked for.

    The payload stands on one line: between the values of one that a stranger wrote, ends of lines become spaces.
    """
    header, payload = event.header, event.payload
    if payload is not None and (b"\n" in payload or b"\r" in payload):
        payload = payload.replace(b"\n", b" ").replace(b"\r", b" ")  # within a string of JSON they cannot be
    return EventRow(
        seq=header.seq,
        kind=header.kind,
        name=header.name,
        time=format_time(header.time_us),
        hash=event.hash,
        prev=header.prev,
        payload=None if payload is None else msgspec.Raw(payload),
        actor=header.actor,
        commit=header.commit,
        size=header.size_bytes,
        salt=None if event.salt is None else event.salt.hex(),
        trace=header.trace,
        index=index,
    )


def state_document(store: EventStore, record: ActorRecord, at: int | None = None) -> StateDocument:
    """The state of an actor as of event ``at``, or the last committed one.

    Raises:
        NotFound: there is no such event, or there was no state at that time.
        Damaged: what holds it was erased, or is none.
    """
    seq = store.head(record.id).seq if at is None else at
    found = state_at(store, record.id, seq) if seq >= 0 or at is not None else None
    if found is None:
        when = "yet" if at is None else f"as of event {at}"
        raise NotFound(f"actor {record.name!r} has no state {when}")
    state = _raw(found.text)
    if state is None:
        raise Damaged(f"the state of {record.name!r} in event {found.seq} is no JSON", seq=found.seq)
    return StateDocument(id=record.id, seq=found.seq, state=state)


def _row(record: ActorRecord, head: Head, waiting: int, live: Live | None) -> ActorRow:
    now = (live.record(record.id) if live is not None else None) or record
    return ActorRow(
        id=now.id,
        name=now.name,
        status=now.status,
        parent=now.parent,
        seq=head.seq,
        head=head.hash,
        created=format_time(now.created_us),
        restarts=now.restarts,
        hidden_state=now.has_hidden_state,
        waiting=waiting,
        steps=live.steps(now.id) if live is not None else None,
    )


def _waiting(store: EventStore, actor: ActorId, live: Live | None) -> int:
    waiting = live.waiting(actor) if live is not None else None
    return store.size_entries("mailbox").get(actor, 0) if waiting is None else waiting


def _genesis(store: EventStore, actor: ActorId) -> Genesis | None:
    try:
        return read_genesis(store, actor)[1]
    except TheaterError:
        return None


def _role(store: EventStore, actor: ActorId, genesis: Genesis | None, live: Live | None) -> str | None:
    """By its component where that is in memory, else by its first message: commands are run, actors are not."""
    known = live.role(actor) if live is not None else None
    if known is None and genesis is not None and genesis.state is not None:
        return "actor"
    if known is not None:
        return known
    try:
        for event in store.events(actor, start=0, stop=ROLE_EVENTS):
            if event.header.kind == "message":
                return "command" if event.header.name.startswith(COMMAND) else "actor"
    except TheaterError:
        return None
    return None


def _state(store: EventStore, actor: ActorId, seq: int) -> StateAt | None:
    try:
        return state_at(store, actor, seq) if seq >= 0 else None
    except TheaterError:
        return None


def _failure(store: EventStore, actor: ActorId, seq: int) -> Failure | None:
    size_bytes = 0
    try:
        for event in store.events_reversed(actor, start=seq):
            if event.header.kind in ("refused", "crashed"):
                return _told(event)
            size_bytes += event.header.size_bytes
            if seq - event.header.seq >= FAILURE_EVENTS or size_bytes > FAILURE_BYTES:
                return None
    except TheaterError:
        return None
    return None


def _told(event: Event) -> Failure:
    reason: str | None = None
    message = ""
    try:
        match payload_of(event):
            case RefusedPayload(text=text):
                message = text
            case CrashedPayload() as crashed:
                reason, message = crashed.reason, crashed.message or ""
            case _:
                pass
    except TheaterError:
        message = "what it said was erased"
    return Failure(
        seq=event.header.seq,
        time=format_time(event.header.time_us),
        kind="refused" if event.header.kind == "refused" else "crashed",
        reason=reason,
        message=message,
    )


def _raw(text: str) -> msgspec.Raw | None:
    """A JSON text to stand in a document as it is; None where it is none, as in a stranger's chain it may be."""
    try:
        check_json(text, max_bytes=_JSON_MAX_BYTES)
        return msgspec.Raw(text.encode())
    except (InvalidInput, UnicodeEncodeError):
        return None
