"""Having a server start an actor: its component is sent along, and what goes beyond the ceiling is asked of a person.

The ceiling is the server's. Beyond it only the owner of its data directory can allow something: by a file there that
the order names. So that can be done on the server's own machine, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from theater.cli.component import Component, upload
from theater.cli.grants import decide_or_ask
from theater.cli.holder import own_folder
from theater.cli.session import Session
from theater.cli.stage import Part
from theater.errors import Denied, InvalidInput
from theater.model.wire import Started, StartOrder
from theater.runtime.allowances import write_allowance

if TYPE_CHECKING:
    from theater.client import Client


def start_through(session: Session, client: Client, part: Part, component: Component) -> Started:
    """Start an actor on a server.

    Raises:
        InvalidInput and its children: nothing was started.
        Refused, Crashed: ``init`` did; ``data["actor"]`` has the id of the actor that stays to be looked at.
    """
    own = own_folder(session, client)
    if part.allowed and own is None:
        raise InvalidInput(
            f"--allow is for the owner of the server's data directory, which is not {session.folder().root}: what its "
            "actors may have is for the ceiling in config.toml there to say"
        )
    with session.output.working("uploading"):
        upload(client, component)

    def started(allowed: Sequence[str]) -> Started:
        allowance = None
        if allowed and own is not None:
            allowance = write_allowance(own, allowed, manifest=part.source.manifest.text)
        with session.output.working("compiling and starting"):
            return client.start(_order(part, component, allowance))

    try:
        if own is not None:
            return decide_or_ask(started, allowed=part.allowed, output=session.output)
        return started(())
    except Denied as denied:
        raise denied if own is not None else _elsewhere(denied) from None


def _order(part: Part, component: Component, allowance: str | None) -> StartOrder:
    return StartOrder(
        manifest=part.source.manifest.text,
        component=None if component.data is None else component.digest,
        name=part.name,
        params=msgspec.UNSET if part.params is None else msgspec.Raw(part.params.encode()),
        settings=part.source.manifest.settings,
        arguments=list(part.arguments),
        rename=part.name is None,
        allowance=allowance,
    )


def _elsewhere(denied: Denied) -> Denied:
    """The same, for whoever cannot allow it here."""
    asked = denied.data.get("asked")
    lines = [str(line) for line in asked] if isinstance(asked, list) else []
    shown = "".join(f"\n    {line}" for line in lines)
    return Denied(
        f"the manifest asks for more than the server allows:{shown}\n"
        "only there can that be allowed: once with --allow, or for ever by the same lines as [ceiling.…] in its "
        "config.toml"
    )
