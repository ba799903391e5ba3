"""``theater rm``: actors that have ended, and all that they recorded, gone for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from theater.cli.actor_row import row_line
from theater.cli.actors import Did, Ids, show_each
from theater.cli.holder import holder
from theater.cli.local_runtime import LocalRuntime
from theater.cli.session import Session, session_of
from theater.errors import InvalidInput
from theater.model.ids import ActorId
from theater.model.ports import ActorRecord
from theater.model.wire import ActorRow
from theater.runtime.lookup import find_record
from theater.runtime.server_files import LOCAL

if TYPE_CHECKING:
    from theater.client import Client

Remove = Callable[[str], Sequence[str]]
"""What removes the actor that is named so, and returns the ids of all that were."""


def remove(
    context: typer.Context,
    ids: Ids,
    tree: Annotated[bool, typer.Option("--tree", help="Its children as well, and theirs.")] = False,  # noqa: FBT002 - an option
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Needed where nobody can be asked.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Remove actors that were stopped or have crashed: what they recorded is erased, for good."""
    session = session_of(context)
    if not yes and not session.output.is_interactive:
        raise typer.BadParameter("what is removed is gone for good, and nobody can be asked here: repeat with --yes")
    with holder(session) as client:
        if not yes:
            _ask(session, client, ids, tree=tree)
        with _remover(session, client, tree=tree) as removing:

            def removed(id: str) -> Did:
                gone = removing(id)
                return {"removed": gone}, [f"removed {actor}" for actor in gone]

            show_each(session.output, ids, removed)


@contextmanager
def _remover(session: Session, client: Client | None, *, tree: bool) -> Iterator[Remove]:
    if client is not None:
        yield lambda id: client.remove(id, tree=tree).removed
        return
    with session.store():  # before anything is made: where there is no store, there is nothing to remove
        pass
    with LocalRuntime(session, purpose="theater rm") as local:

        def gone(id: str) -> list[ActorId]:
            return local.do(local.runtime.remove(id, tree=tree, by=LOCAL))

        yield gone


def _ask(session: Session, client: Client | None, ids: Sequence[str], *, tree: bool) -> None:
    """Whether it is to be done, once for all of them. Raises ``InvalidInput`` where it is not."""
    for id in ids:
        if client is not None:
            found: ActorRow | ActorRecord = client.actor(id).actor
        else:
            with session.store() as store:
                found = find_record(store, id)
        session.output.note(row_line(found))
    what = "and what descends from it, " if tree else ""
    if not session.output.confirm(f"remove it, {what}with all that it recorded, for good?"):
        raise InvalidInput("nothing was removed")
