"""``list``, ``events``, ``logs``, ``state``: what the store has, read while anybody may be writing to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import msgspec
import typer

from theater.cli.guest_output import log_text
from theater.cli.output import cut
from theater.cli.salient import payload_document, salient
from theater.cli.session import session_of
from theater.errors import InvalidInput, InvalidJson, NotFound, Unsound
from theater.model.event import Event, Head, Kind
from theater.model.header import format_time
from theater.model.json_text import check_json
from theater.model.payload import Log
from theater.model.ports import ActorRecord, EventStore
from theater.runtime.history import payload_of, state_at
from theater.runtime.lookup import find_record

Id = Annotated[str, typer.Argument(metavar="ID", help="An actor: its name, its id, or 4 or more of its first digits.")]

_STATE_MAX_BYTES = 64 * 2**20
"""What a state can have at most, under whatever limit."""


def list_actors(context: typer.Context) -> None:
    """List the actors, oldest first."""
    session = session_of(context)
    found: list[tuple[ActorRecord, Head]] = []
    folder = session.folder()
    if folder.root.exists() and not folder.root.is_dir():
        raise InvalidInput(f"the data directory {folder.root} is not a folder")
    if folder.database.exists():
        with session.store() as store:
            found = [(record, store.head(record.id)) for record in store.records()]
    if session.output.json:
        session.output.document([_row(record, head) for record, head in found])
    else:
        columns = ["ID", "NAME", "STATUS", "PARENT", "SEQ", "HEAD"]
        session.output.table(columns, [_cells(record, head) for record, head in found])


def events(
    context: typer.Context,
    id: Id,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only those of this kind.")] = None,
    start: Annotated[int, typer.Option("--from", metavar="N", min=0, help="Begin with event N.")] = 0,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=0, help="At most so many.")] = None,
    full: Annotated[bool, typer.Option("--full", help="All of each payload, nothing cut.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Show an actor's events, a line each: seq, time, kind, name, and the field that says most."""
    session = session_of(context)
    output = session.output
    with session.store() as store:
        actor = find_record(store, id).id
        found = (event for event in store.events(actor, start=start) if kind is None or event.header.kind == kind)
        chosen = islice(found, limit)
        if output.json:
            output.array(_event_document(event) for event in chosen)
            return
        columns = output.columns
        for event in chosen:
            if full:
                output.line(f"{_event_line(event)}  {event.hash}")
                output.json_line(msgspec.json.encode(payload_document(event)).decode())
            else:
                output.line(cut(f"{_event_line(event)}  {salient(event)}", columns))


def logs(context: typer.Context, id: Id) -> None:
    """Show what an actor wrote: its stdout, stderr and log."""
    session = session_of(context)
    output = session.output
    with session.store() as store:
        found = _logs(store, find_record(store, id))
        if output.json:
            output.array(_log_document(event, log) for event, log in found)
            return
        for event, log in found:
            output.guest(log_text(event.header.name, log), to_stdout=True)


def state(
    context: typer.Context,
    id: Id,
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", min=0, help="As of event N; else as of the last.")
    ] = None,
) -> None:
    """Show an actor's state, now or as of any of its events."""
    session = session_of(context)
    with session.store() as store:
        record = find_record(store, id)
        seq = store.head(record.id).seq if at is None else at
        held = state_at(store, record.id, seq)
    if held is None:
        raise NotFound(f"{record.name!r} has no state as of event {seq}: none was committed until then")
    try:
        check_json(held.text, max_bytes=_STATE_MAX_BYTES)
    except InvalidJson as error:
        raise Unsound(f"event {held.seq}: the state is not JSON: {error}", seq=held.seq) from error
    if session.output.json:
        session.output.document({"id": record.id, "seq": held.seq, "state": msgspec.Raw(held.text.encode())})
    else:
        session.output.json_line(held.text)


def _row(record: ActorRecord, head: Head) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "status": record.status,
        "parent": record.parent,
        "seq": head.seq,
        "head": head.hash,
    }


def _cells(record: ActorRecord, head: Head) -> list[str]:
    status = f"{record.status}, hidden state" if record.has_hidden_state else record.status
    return [record.id, record.name, status, record.parent or "-", str(head.seq), head.hash[:12]]


def _event_line(event: Event) -> str:
    header = event.header
    return f"{header.seq:>5}  {format_time(header.time_us)}  {header.kind:<9}  {header.name}"


def _event_document(event: Event) -> dict[str, object]:
    header = event.header
    return {
        "seq": header.seq,
        "kind": header.kind,
        "name": header.name,
        "time": format_time(header.time_us),
        "hash": event.hash,
        "prev": header.prev,
        "payload": payload_document(event),
    }


def _logs(store: EventStore, record: ActorRecord) -> Iterator[tuple[Event, Log]]:
    for event in store.events(record.id):
        if event.header.kind == "log" and event.payload is not None:
            payload = payload_of(event)
            assert isinstance(payload, Log)
            yield event, payload


def _log_document(event: Event, log: Log) -> dict[str, object]:
    return {
        "seq": event.header.seq,
        "time": format_time(event.header.time_us),
        "stream": event.header.name,
        "level": log.level,
        "text": log_text("", log),
    }
