"""``theater fork``: a new actor that goes on from where another one once was, with the state alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from theater.cli import options
from theater.cli.actor_row import row_document, row_line
from theater.cli.allowing import manifest_of, with_allowance
from theater.cli.component import Component, named_component, upload
from theater.cli.grants import check_allowed, decide_or_ask, show_effective
from theater.cli.holder import holder
from theater.cli.local_runtime import LocalRuntime
from theater.cli.look import Id
from theater.cli.session import Session, session_of
from theater.cli.talk import crash_line
from theater.errors import Crashed, Refused
from theater.model.event import SEQ_MAX
from theater.model.wire import ActorDetail, ForkOrder
from theater.runtime.lookup import find_record
from theater.runtime.server_files import LOCAL
from theater.runtime.views import actor_detail

if TYPE_CHECKING:
    from theater.client import Client

Fork = Callable[[], str]
"""Makes the fork, and returns its id."""

Look = Callable[[str], ActorDetail]
"""Looks at the actor of that id."""


def fork(
    context: typer.Context,
    id: Id,
    at: Annotated[
        int,
        typer.Option(
            "--at",
            metavar="N",
            min=1,
            max=SEQ_MAX,
            help="Go on from the last step that was closed before event N, which may be one behind the last.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Call the fork so; else NAME-fork of the other's name.")
    ] = None,
    component: Annotated[
        str | None,
        typer.Option(
            "--component",
            metavar="NEW.wasm|NEW.wat|DIR|sha256:DIGEST",
            help="Let it go on with this component; else with the one that the other had there.",
        ),
    ] = None,
    allow: options.Allow = None,
) -> None:
    """Make a new actor that goes on from where another one once was, with the state alone."""
    session = session_of(context)
    checked = options.name(name)
    allowed = check_allowed(allow or [])
    failure: Refused | Crashed | None = None
    with holder(session) as client:
        new = named_component(session, component) if component is not None else None
        order = ForkOrder(at=at, name=checked, component=new.digest if new else None, rename=checked is None)
        with _forking(session, client, id, order, new, allowed) as (make, look):
            try:
                detail = look(make())
            except (Refused, Crashed) as failed:  # to take over the state: the fork is there all the same
                actor = failed.data.get("actor")
                if not isinstance(actor, str):
                    raise
                detail, failure = look(actor), failed
    _show(session, detail, failure)
    if failure is not None:
        raise typer.Exit(1)


@contextmanager
def _forking(
    session: Session, client: Client | None, id: str, order: ForkOrder, new: Component | None, allowed: Sequence[str]
) -> Iterator[tuple[Fork, Look]]:
    """How it is done: by the server, or on the store itself, which is held meanwhile."""
    if client is None:
        with _on_the_store(session, id, order, new, allowed) as both:
            yield both
        return

    def forked(allowance: str | None) -> str:
        with session.output.working("compiling and forking"):
            if new is not None:
                upload(client, new)
            return client.fork(id, msgspec.structs.replace(order, allowance=allowance)).actor.id

    yield (
        lambda: with_allowance(session, client, forked, allowed=allowed, manifest=lambda: manifest_of(client, id)),
        client.actor,
    )


@contextmanager
def _on_the_store(
    session: Session, id: str, order: ForkOrder, new: Component | None, allowed: Sequence[str]
) -> Iterator[tuple[Fork, Look]]:
    with session.store():  # before anything is made: where there is no store, there is nothing to go on from
        pass
    with LocalRuntime(session, purpose="theater fork") as local:
        runtime = local.runtime

        async def forked(allowed: Sequence[str]) -> str:
            if new is not None and new.data is not None:
                await runtime.put_component(new.data)
            actor = await runtime.fork(
                id,
                at=order.at,
                name=order.name,
                component=new.digest if new is not None else None,
                allowed=allowed,
                by=LOCAL,
                rename=order.rename,
            )
            return actor.id

        def decided(allowed: Sequence[str]) -> str:
            with session.output.working("compiling and forking"):
                return local.do(forked(allowed))

        def look(actor: str) -> ActorDetail:
            record = find_record(runtime.store, actor)
            return actor_detail(runtime.store, runtime.node.registry, record, runtime.live)

        yield lambda: decide_or_ask(decided, allowed=allowed, output=session.output), look


def _show(session: Session, detail: ActorDetail, failure: Refused | Crashed | None) -> None:
    row = detail.actor
    show_effective(detail.grants, session.output)
    if isinstance(failure, Refused):
        session.output.note(f"it goes on with the component of the other: the new one refused: {failure.message}")
    elif failure is not None:
        session.output.note(f"it goes on with the component of the other: {crash_line(failure)}", has_lines=True)
    if session.output.json:
        session.output.document(row_document(row, failure))
    else:
        session.output.line(row_line(row))
