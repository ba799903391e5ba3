"""A message on its way to an actor, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from theater.errors import TheaterError
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.model.payload import Cause


class Reply(msgspec.Struct, frozen=True):
    """The answer to a message. ``receipt`` is the event that closed its step: what was answered can be proved by it."""

    text: str | None
    """The reply's JSON text, exactly as the guest wrote it; None where there was none."""
    receipt: Head
    shutdown: str | None = None
    has_shutdown: bool = False


Answer = Reply | TheaterError


class Letter(msgspec.Struct, frozen=True):
    """One message. ``export`` names the guest's function; ``done`` hears the answer once it is durable."""

    id: str
    source: str
    export: str
    arguments: tuple[object, ...]
    """The export's own arguments, but for the state, in the shapes of ``theater.model.wit``."""
    expects_reply: bool
    done: Callable[[Answer], None]
    sender: ActorId | None = None
    cause: Cause | None = None


def nobody(answer: Answer) -> None:
    """The ``done`` of a letter for whose answer nobody waits."""
    del answer
