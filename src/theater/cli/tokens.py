"""``theater config token``: who may ask a server, and for what. A server that runs knows of each change at once."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer

from theater.cli.session import session_of
from theater.model.wire import Scope
from theater.runtime.server_files import LOCAL, load_tokens, read_token
from theater.server.tokens import add_token, remove_token

_NAME = "What it is called: what is done with it is recorded as done by that."


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help=_NAME)],
    scope: Annotated[
        str, typer.Option("--scope", metavar="read|operate", help="Look at everything; or also change things.")
    ] = "read",
) -> None:
    """Make a token and print it: it is shown this once."""
    session = session_of(context)
    if scope not in get_args(Scope):
        raise typer.BadParameter(f"--scope {scope!r}: write read or operate")
    text = add_token(session.folder(), name, cast("Scope", scope))
    if session.output.json:
        session.output.document({"name": name, "scope": scope, "token": text})
    else:
        session.output.line(text)


def list_tokens(context: typer.Context) -> None:
    """List the tokens that a server takes."""
    session = session_of(context)
    folder = session.folder()
    rows: list[tuple[str, str, str | None]] = []
    try:
        read_token(folder)
        rows.append((LOCAL, "operate", None))
    except (FileNotFoundError, NotADirectoryError):
        pass  # no server was ever started here
    rows += [(token.name, token.scope, token.created) for token in load_tokens(folder)]
    if session.output.json:
        session.output.array({"name": name, "scope": scope, "created": created} for name, scope, created in rows)
    else:
        session.output.table(
            ("NAME", "SCOPE", "CREATED"), [(name, scope, created or "-") for name, scope, created in rows]
        )


def remove(context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="Which one.")]) -> None:
    """Take a token back: from now on no server takes it."""
    session = session_of(context)
    removed = remove_token(session.folder(), name)
    if session.output.json:
        session.output.document({"removed": removed.name})
    else:
        session.output.note(f"removed the token {removed.name!r}")
