"""Having a server start an actor, or start one again: what goes beyond its ceiling is asked of a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from theater.capabilities.registry import installed
from theater.cli.allowing import manifest_of, with_allowance
from theater.cli.component import Component, upload
from theater.cli.session import Session
from theater.cli.stage import Part
from theater.model.stdin import stdin_of
from theater.model.wire import ActorRow, Started, StartOrder
from theater.runtime.permissions import has_paths

if TYPE_CHECKING:
    from theater.client import Client


def start_through(session: Session, client: Client, part: Part, component: Component) -> Started:
    """Start an actor on a server, which is sent its component.

    Raises:
        InvalidInput and its children: nothing was started.
        Refused, Crashed: ``init`` did; ``data["actor"]`` has the id of the actor that stays to be looked at.
    """

    def started(allowance: str | None) -> Started:
        with session.output.working("uploading"):
            upload(client, component)
        with session.output.working("compiling and starting"):
            return client.start(_order(part, component, allowance))

    manifest = part.source.manifest
    folder = manifest.folder if has_paths(installed(), manifest.capabilities) else None
    return with_allowance(
        session, client, started, allowed=part.allowed, manifest=lambda: manifest.text, manifest_folder=folder
    )


def restart_through(
    session: Session, client: Client, id: str, *, from_init: bool = False, allowed: Sequence[str] = ()
) -> ActorRow:
    """Have a server begin an actor again. Raises as ``with_allowance`` and ``Client.restart``."""

    def restarted(allowance: str | None) -> ActorRow:
        return client.restart(id, from_init=from_init, allowance=allowance)

    return with_allowance(session, client, restarted, allowed=allowed, manifest=lambda: manifest_of(client, id))


def _order(part: Part, component: Component, allowance: str | None) -> StartOrder:
    return StartOrder(
        manifest=part.source.manifest.text,
        component=None if component.data is None else component.digest,
        name=part.name,
        params=msgspec.UNSET if part.params is None else msgspec.Raw(part.params.encode()),
        settings=part.source.manifest.settings,
        arguments=list(part.arguments),
        stdin=stdin_of(part.stdin) if part.stdin else None,
        rename=part.name is None,
        allowance=allowance,
    )
