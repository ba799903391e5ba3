"""``list``, ``events``, ``logs``, ``state``: what actors are and did, asked of a server or read from the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from theater.cli.actor_row import row_document, status_text
from theater.cli.guest_output import log_text
from theater.cli.output import Output
from theater.cli.salient import event_document, event_line, event_summary, payload_document, payload_in
from theater.cli.session import session_of
from theater.cli.subscribe import followed
from theater.model.event import Kind
from theater.model.payload import Log
from theater.model.ports import Status
from theater.model.wire import ActorRow, EventRow

Id = Annotated[str, typer.Argument(metavar="ID", help="An actor: its name, its id, or 4 or more of its first digits.")]


def list_actors(
    context: typer.Context,
    status: Annotated[Status | None, typer.Option("--status", help="Only those that are so.")] = None,
) -> None:
    """List the actors, oldest first."""
    session = session_of(context)
    with session.reading() as reading:
        found = list(reading.actors(status=status))
    if session.output.json:
        session.output.document([row_document(row) for row in found])
    else:
        session.output.table(["ID", "NAME", "STATUS", "PARENT", "SEQ", "HEAD"], [_cells(row) for row in found])


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
    with session.reading() as reading:
        actor = reading.actor(id).actor.id
        chosen = reading.events(actor, start=start, kind=kind, limit=limit)
        if output.json:
            output.array(event_document(row) for row in chosen)
            return
        for row in chosen:
            if full:
                output.line(f"{event_line(row)}  {row.hash}")
                output.json_line(msgspec.json.encode(payload_document(row)).decode())
            else:
                output.spans([(event_summary(row, output.columns), "")], is_whole=False)


def logs(
    context: typer.Context,
    id: Id,
    follow: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until interrupted. Needs a server.")
    ] = False,
) -> None:
    """Show what an actor wrote: its stdout, stderr and log."""
    session = session_of(context)
    if follow:
        with session.client() as client:
            for row, log in _logs(followed(client, client.actor(id).actor, 0, session.output)):
                _show_log(session.output, row, log, is_streamed=True)
        return
    with session.reading() as reading:
        found = _logs(reading.events(reading.actor(id).actor.id, kind="log"))
        if session.output.json:
            session.output.array(_log_document(row, log) for row, log in found)
            return
        for row, log in found:
            _show_log(session.output, row, log, is_streamed=False)


def state(
    context: typer.Context,
    id: Id,
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", min=0, help="As of event N; else as of the last.")
    ] = None,
) -> None:
    """Show an actor's state, now or as of any of its events."""
    session = session_of(context)
    with session.reading() as reading:
        held = reading.state(id, at=at)
    if session.output.json:
        session.output.document({"id": held.id, "seq": held.seq, "state": held.state})
    else:
        session.output.json_line(bytes(held.state).decode())


def _cells(row: ActorRow) -> list[str]:
    return [row.id, row.name, status_text(row), row.parent or "-", str(row.seq), row.head[:12]]


def _logs(rows: Iterator[EventRow]) -> Iterator[tuple[EventRow, Log]]:
    for row in rows:
        if row.kind == "log" and row.payload is not None:
            payload = payload_in(row)
            assert isinstance(payload, Log)
            yield row, payload


def _show_log(output: Output, row: EventRow, log: Log, *, is_streamed: bool) -> None:
    if is_streamed and output.json:
        output.document(_log_document(row, log))
    else:
        output.guest(log_text(row.name, log), to_stdout=True)


def _log_document(row: EventRow, log: Log) -> dict[str, object]:
    return {"seq": row.seq, "time": row.time, "stream": row.name, "level": log.level, "text": log_text("", log)}
