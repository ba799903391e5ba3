"""``subscribe``: an actor's last events, and then each one as it comes, also from a server that was restarted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from theater.cli.output import Output
from theater.cli.salient import event_document, event_summary
from theater.cli.session import session_of
from theater.errors import Busy, Closing, NotFound
from theater.model.wire import ActorRow, EventRow

if TYPE_CHECKING:  # what it needs takes longer to import than most commands take to run
    from theater.client import Client

LAST_EVENTS = 10

_ID_MAX_CHARS = 1024  # no line with an id or a name on it is longer


def subscribe(
    context: typer.Context,
    id: Annotated[
        str, typer.Argument(metavar="ID|-", help="An actor, as for events; - reads its id from standard input.")
    ],
    start: Annotated[
        int | None,
        typer.Option("--from", metavar="N", min=0, help=f"Begin with event N; else with the last {LAST_EVENTS}."),
    ] = None,
) -> None:
    """Show an actor's last events, and then each one as it comes.

    Ends when it is interrupted, or when the actor is removed. Goes on when the server was restarted.
    """
    session = session_of(context)
    with session.client() as client:
        actor = client.actor(_id_from_stdin() if id == "-" else id).actor
        first = max(0, actor.seq + 1 - LAST_EVENTS) if start is None else start
        show_as_they_come(session.output, client, actor, start=first)


def show_as_they_come(output: Output, client: Client, actor: ActorRow, *, start: int) -> None:
    """The events of an actor from ``start`` on, as they come, until it is removed."""
    for row in followed(client, actor, start, output):
        _show(output, row)


def followed(client: Client, actor: ActorRow, start: int, output: Output) -> Iterator[EventRow]:
    """The actor's events from ``start`` on as they come, until it is removed; says where it has to wait for a server.

    Raises: as ``Client.follow``.
    """
    is_waiting = False

    def tell(error: Busy) -> None:
        nonlocal is_waiting
        if not is_waiting:
            why = error.message if isinstance(error, Closing) else f"the server at {client.url} is away"
            output.note(f"{why}; going on when it is back")
        is_waiting = True

    begun = False
    try:
        for row in client.follow(actor.id, start=start, on_break=tell):
            begun = True
            is_waiting = False
            yield row
    except NotFound:
        if not begun:
            raise
    output.note(f"{actor.name} was removed")


def _id_from_stdin() -> str:
    if sys.stdin is None:
        raise typer.BadParameter("-: standard input is closed")
    try:
        text = sys.stdin.readline(_ID_MAX_CHARS).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"-: standard input cannot be read: {error}") from error
    if not text:
        raise typer.BadParameter("-: there is no id on standard input")
    return text


def _show(output: Output, row: EventRow) -> None:
    if output.json:
        output.document(event_document(row))
    else:
        output.spans([(event_summary(row, output.columns), "")], is_whole=False)
        output.flush()
