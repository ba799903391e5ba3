"""``theater upgrade``: another component for an actor that goes on with its state."""

from __future__ import annotations

from typing import Annotated

import typer

from theater.cli.actor_row import row_document, row_line
from theater.cli.component import named_component, upload
from theater.cli.look import Id
from theater.cli.session import session_of


def upgrade(
    context: typer.Context,
    id: Id,
    component: Annotated[
        str,
        typer.Argument(
            metavar="NEW.wasm|NEW.wat|DIR|sha256:DIGEST",
            help="The component: a file, that of a project, or one that the server has.",
            show_default=False,
        ),
    ],
) -> None:
    """Have an actor go on with another component, between two steps, with its state, mailbox and grants."""
    session = session_of(context)
    with session.client() as client:
        new = named_component(session, component)
        with session.output.working("uploading, compiling and upgrading"):
            upload(client, new)
            row = client.upgrade(id, new.digest)
    if session.output.json:
        session.output.document(row_document(row) | {"component": new.digest})
    else:
        session.output.line(f"{row_line(row)}  sha256:{new.digest}")
