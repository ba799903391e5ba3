"""``stop``, ``restart``, ``pause``, ``resume``: what a person does to actors that a server runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from theater.cli import options
from theater.cli.actor_row import row_document, row_line
from theater.cli.exits import exit_of
from theater.cli.grants import check_allowed
from theater.cli.output import Output
from theater.cli.session import session_of
from theater.cli.starting import restart_through
from theater.errors import TheaterError
from theater.model.wire import ActorRow

if TYPE_CHECKING:
    from theater.client import Client

Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Actors: each its name, its id, or 4 or more of its first digits."),
]

Did = tuple[Mapping[str, object], Sequence[str]]
"""What was done to an actor, as a document and as lines."""


def stop(
    context: typer.Context,
    ids: Ids,
    now: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--now", help="Do not wait for the step that is running: it ends as terminated.")
    ] = False,
) -> None:
    """Stop actors, each with its children; they take no more messages until they are restarted."""
    _each(context, ids, lambda client, id: client.stop(id, now=now))


def restart(
    context: typer.Context,
    ids: Ids,
    from_init: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--from-init", help="With a fresh init; else from the last committed state.")
    ] = False,
    allow: options.Allow = None,
) -> None:
    """Have actors begin again that were stopped or have crashed; what waits in their mailboxes is still there."""
    session, allowed = session_of(context), check_allowed(allow or [])

    def restarted(client: Client, id: str) -> ActorRow:
        return restart_through(session, client, id, from_init=from_init, allowed=allowed)

    _each(context, ids, restarted)


def pause(context: typer.Context, ids: Ids) -> None:
    """Have actors begin no further step: messages are taken, and wait."""
    _each(context, ids, lambda client, id: client.pause(id))


def resume(context: typer.Context, ids: Ids) -> None:
    """Have actors go on that were paused."""
    _each(context, ids, lambda client, id: client.resume(id))


def show_each(output: Output, ids: Sequence[str], act: Callable[[str], Did]) -> None:
    """Do something to each actor, and show what it came to: the document of one, an array of more; a line of each.

    What fails for one of several is shown, and the others' turn comes all the same; the exit code is that of the worst.

    Raises:
        TheaterError: it was only one, and that failed.
    """
    documents: list[Mapping[str, object]] = []
    code = 0
    for id in ids:
        try:
            document, lines = act(id)
        except TheaterError as error:
            if len(ids) == 1:
                raise
            code = max(code, exit_of(error))
            documents.append({"error": {"code": error.code, "message": error.message}})
            output.error(error)
            continue
        documents.append(document)
        if not output.json:
            for line in lines:
                output.line(line)
    if output.json:
        output.document(documents[0] if len(ids) == 1 else documents)
    if code:
        raise typer.Exit(code)


def _each(context: typer.Context, ids: Sequence[str], act: Callable[[Client, str], ActorRow]) -> None:
    session = session_of(context)

    def done(id: str) -> Did:
        row = act(client, id)
        return row_document(row), [row_line(row)]

    with session.client() as client:
        show_each(session.output, ids, done)
