"""``theater start``: have a server start an actor, which goes on there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from theater.cli import options
from theater.cli.actor_row import row_document
from theater.cli.component import read_component
from theater.cli.grants import check_allowed, show_effective
from theater.cli.session import Session, session_of
from theater.cli.stage import Part
from theater.cli.starting import start_through
from theater.cli.subscribe import show_as_they_come
from theater.cli.talk import crash_line
from theater.errors import Crashed, NameTaken, Refused
from theater.model.wire import ActorDetail
from theater.runtime.sources import read_source

if TYPE_CHECKING:
    from theater.client import Client


def start(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST|DIR|FILE.wasm|FILE.wat", help="What to start.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGS]", help="Arguments for the program itself.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Call the actor so; no living one may be.")
    ] = None,
    params: options.Params = None,
    settings: options.Settings = None,
    allow: options.Allow = None,
    stdin: options.Stdin = None,
    id_only: Annotated[bool, typer.Option("--id-only", help="Print the id and nothing else.")] = False,  # noqa: FBT002 - an option
    subscribe: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--subscribe", help="Then show its events as they come, from the first on.")
    ] = False,
) -> None:
    """Have the server start an actor, and print its id. It goes on until it is stopped."""
    session = session_of(context)
    if id_only and (session.output.json or subscribe):
        raise typer.BadParameter("--id-only prints nothing but the id: leave out --json and --subscribe")
    texts = options.Texts()
    text = texts.read(params, "--params") if params is not None else None
    values, allowed = options.settings(settings or []), check_allowed(allow or [])
    checked_name = options.name(name)
    with session.client() as client:
        source = read_source(manifest, settings=values, params=text)
        part = Part(source, checked_name, text, tuple(arguments or []), tuple(allowed), texts.read_stdin(stdin))
        detail, failure = _started(session, client, part)
        show_effective(detail.grants, session.output)
        row = detail.actor
        if checked_name is None and row.name != source.manifest.name:
            session.output.note(f"it is called {row.name!r}: a living actor is called {source.manifest.name!r} already")
        if isinstance(failure, Refused):
            what = "" if detail.role == "command" else "refused: "
            session.output.note(f"{what}{failure.message}")
        elif failure is not None:
            session.output.note(crash_line(failure), has_lines=True)
        for line in detail.services:
            session.output.note(line)
        if session.output.json:
            session.output.document(row_document(row, failure))
        else:
            session.output.line(row.id if id_only else f"id {row.id}")
        session.output.flush()
        if failure is not None:
            raise typer.Exit(1)
        if subscribe:
            show_as_they_come(session.output, client, row, start=0)


def _started(session: Session, client: Client, part: Part) -> tuple[ActorDetail, Refused | Crashed | None]:
    """The actor; also one whose first step failed, with how it did."""
    try:
        actor = start_through(session, client, part, read_component(session, part.source)).actor.id
    except (Refused, Crashed) as failed:
        text = failed.data.get("actor")
        if not isinstance(text, str):
            raise
        return client.actor(text), failed
    except NameTaken as taken:
        raise NameTaken(f"{taken.message}; without --name it would be numbered") from None
    return client.actor(actor), None
