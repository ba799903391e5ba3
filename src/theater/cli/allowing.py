"""Having a server do what may go beyond its ceiling: a person is asked, and a file says what was allowed.

The ceiling is the server's. Beyond it only the owner of its data directory can allow something: by a file there that
the order names. So that can be done on the server's own machine, and nowhere else. The same file says in which folder a
manifest lies that asks for something with paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from theater.cli.grants import asked_lines, decide_or_ask
from theater.cli.holder import own_folder
from theater.cli.session import Session
from theater.errors import Denied, InvalidInput
from theater.runtime.allowances import write_allowance

if TYPE_CHECKING:
    from theater.client import Client

T = TypeVar("T")


def with_allowance(
    session: Session,
    client: Client,
    act: Callable[[str | None], T],
    *,
    allowed: Sequence[str],
    manifest: Callable[[], str],
    manifest_folder: str | None = None,
) -> T:
    """What ``act`` makes of the name of an allowance, for what is ``allowed`` to an actor of that ``manifest``.

    The owner is asked once whether what goes beyond the ceiling is allowed, where he can be. ``manifest_folder`` is
    where the manifest lies, if the server is to know that; it hears of it from the owner alone.

    Raises:
        InvalidInput: something is allowed, and the server's data directory is not the one in force here.
        Denied: nobody allowed it.
        Others: as ``act`` and ``manifest``.
    """
    own = own_folder(session, client)
    if own is None:
        if allowed:
            raise InvalidInput(
                f"--allow is for the owner of the server's data directory, which is not {session.folder().root}: what "
                "its actors may have is for the ceiling in config.toml there to say"
            )
        try:
            return act(None)
        except Denied as denied:
            raise _elsewhere(denied) from None

    def acted(allowed: Sequence[str]) -> T:
        if not allowed and manifest_folder is None:
            return act(None)
        return act(write_allowance(own, allowed, manifest=manifest(), manifest_folder=manifest_folder))

    return decide_or_ask(acted, allowed=allowed, output=session.output)


def manifest_of(client: Client, id: str) -> str:
    """The manifest of an actor. Raises ``InvalidInput`` where it was withheld or erased, and as ``Client.actor``."""
    manifest = client.actor(id).manifest
    if manifest is None:
        raise InvalidInput(f"the manifest of {id!r} was withheld: nobody knows what would be allowed")
    return manifest


def _elsewhere(denied: Denied) -> Denied:
    """The same, for whoever cannot allow it here."""
    shown = "".join(f"\n    {line}" for line in asked_lines(denied))
    return Denied(
        f"the manifest asks for more than the server allows:{shown}\n"
        "only there can that be allowed: once with --allow, or for ever by the same lines as [ceiling.…] in its "
        "config.toml"
    )
