"""``theater run``: start an actor or go on with one, give it messages, show what it answers.

No server is needed; where one holds the data directory, the actor runs in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from theater.capabilities.registry import installed
from theater.cli import options
from theater.cli.grants import check_allowed, decide_or_ask, show_grants
from theater.cli.holder import holder
from theater.cli.local_stage import LocalStage
from theater.cli.performance import Item, Waking, perform
from theater.cli.server_stage import ServerStage
from theater.cli.session import Command, Session, session_of
from theater.cli.stage import Part, Stage
from theater.runtime.config import Config
from theater.runtime.history import read_genesis
from theater.runtime.lookup import find_record
from theater.runtime.permissions import Permissions, decide, decide_again
from theater.runtime.sources import Source, read_source

if TYPE_CHECKING:
    from theater.client import Client

_ORDER = "theater.run.order"
_MESSAGES = ("request", "send")


class RunCommand(Command):
    """``run`` keeps the order in which ``--request`` and ``--send`` stand, each among the other."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - typer's own types are private
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[_ORDER] = [parameter.name for parameter in order if parameter.name in _MESSAGES]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for, before anything was looked at."""

    manifest: Path | None
    id: str | None
    name: str | None
    params: str | None
    settings: dict[str, object]
    allowed: list[str]
    arguments: list[str]
    stdin: bytes


def run(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    manifest: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MANIFEST|DIR|FILE.wasm|FILE.wat]",
            help="What to run; may be left out with --id.",
            show_default=False,
        ),
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGS]", help="Arguments for the program itself.", show_default=False),
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Go on with this actor, from its stored state.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Call the actor so.")] = None,
    params: options.Params = None,
    settings: options.Settings = None,
    allow: options.Allow = None,
    stdin: options.Stdin = None,
    request: Annotated[
        list[str] | None,
        typer.Option("--request", metavar="JSON", help="Send this, wait, and print the reply. - is stdin."),
    ] = None,
    send: Annotated[
        list[str] | None,
        typer.Option("--send", metavar="JSON", help="Send this without asking for a reply. - is stdin."),
    ] = None,
) -> None:
    """Start an actor, or go on with one, and give it messages in the order given.

    Prints each reply, then the actor's id and the head of its chain; of a command, what it writes. Exits 1 after a
    refusal or a crash.
    """
    session = session_of(context)
    texts = options.Texts()
    items = _in_order(context.meta[_ORDER], request or [], send or [], texts)
    wanted = _Wanted(
        manifest=manifest,
        id=id,
        name=options.name(name),
        params=texts.read(params, "--params") if params is not None else None,
        settings=options.settings(settings or []),
        allowed=check_allowed(allow or []),
        arguments=arguments or [],
        stdin=texts.read_stdin(stdin),
    )
    _refuse_misuse(wanted)
    source = None
    if wanted.manifest is not None:
        source = read_source(wanted.manifest, settings=wanted.settings, params=wanted.params)
    with holder(session) as client:
        if client is None:
            what = _decided(session, wanted, source)
            stage: Stage = LocalStage(session)
        else:
            what = _asked(session, client, wanted, source)
            stage = ServerStage(session, client)
        raise typer.Exit(perform(session, stage, what, items))


def _in_order(order: list[str], requests: list[str], sends: list[str], texts: options.Texts) -> tuple[Item, ...]:
    waiting = {"request": iter(requests), "send": iter(sends)}
    return tuple(Item(texts.read(next(waiting[kind]), f"--{kind}"), expects_reply=kind == "request") for kind in order)


def _refuse_misuse(wanted: _Wanted) -> None:
    if wanted.id is None and wanted.manifest is None:
        raise typer.BadParameter("name a manifest, a folder or a component, or go on with an actor by --id")
    if wanted.id is not None:
        for option, value in (
            ("--name", wanted.name),
            ("--params", wanted.params),
            ("--set", wanted.settings),
            ("arguments", wanted.arguments),
            ("--stdin", wanted.stdin),
        ):
            if value:
                raise typer.BadParameter(
                    f"{option} cannot be changed with --id: an actor keeps what it was started with"
                )


def _asked(session: Session, client: Client, wanted: _Wanted, source: Source | None) -> Part | Waking:
    """What a server is asked for; what is allowed is for it to decide."""
    if wanted.id is None:
        return _part(wanted, source, tuple(wanted.allowed))
    if source is not None:
        detail = client.actor(wanted.id)
        _compare(session, wanted, source, name=detail.actor.name, manifest=detail.manifest or "")
    return Waking(wanted.id, tuple(wanted.allowed))


def _decided(session: Session, wanted: _Wanted, source: Source | None) -> Part | Waking:
    """What is to be done here, with every question asked: from here on nobody is waited for but the actor."""
    config = session.config()
    if wanted.id is None:
        assert source is not None
        permissions = _of_manifest(session, config, wanted, source)
        show_grants(permissions.effective, session.output)
        return _part(wanted, source, permissions.allowed)
    actor, permissions = _of_stored(session, config, wanted, source)
    show_grants(permissions.effective, session.output)
    return Waking(actor, permissions.allowed)


def _part(wanted: _Wanted, source: Source | None, allowed: tuple[str, ...]) -> Part:
    assert source is not None
    return Part(source, wanted.name, wanted.params, tuple(wanted.arguments), allowed, wanted.stdin)


def _of_manifest(session: Session, config: Config, wanted: _Wanted, source: Source) -> Permissions:
    def decided(allowed: Sequence[str]) -> Permissions:
        manifest = source.manifest
        return decide(
            installed(), manifest.capabilities, ceiling=config.ceiling, allowed=allowed, folder=manifest.folder
        )

    return decide_or_ask(decided, allowed=wanted.allowed, output=session.output)


def _of_stored(session: Session, config: Config, wanted: _Wanted, source: Source | None) -> tuple[str, Permissions]:
    """The actor to go on with, and its grants, if this node still allows as much.

    The runtime decides them again when it wakes the actor. Here it is done before anything is opened, since a person
    may be asked.
    """
    assert wanted.id is not None
    with session.store() as store:
        record = find_record(store, wanted.id)
        _, genesis = read_genesis(store, record.id)

    def decided(allowed: Sequence[str]) -> Permissions:
        claimed = genesis.asked, genesis.effective
        return decide_again(installed(), *claimed, ceiling=config.ceiling, allowed=allowed, folder=genesis.folder)

    permissions = decide_or_ask(decided, allowed=wanted.allowed, output=session.output)
    if source is not None:
        _compare(session, wanted, source, name=record.name, manifest=genesis.manifest)
    return record.id, permissions


def _compare(session: Session, wanted: _Wanted, source: Source, *, name: str, manifest: str) -> None:
    if source.manifest.text != manifest:
        session.output.note(
            f"warning: {wanted.manifest} is not what {name!r} was started with; it goes on with its own manifest"
        )
