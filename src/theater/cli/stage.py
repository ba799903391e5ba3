"""Where ``theater run`` runs an actor: in this process, or in the server that holds the data directory.

What is shown is the same from both, so both are asked through this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from theater.errors import TheaterError
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.model.payload import Payload
from theater.model.ports import Status
from theater.runtime.sources import Source


@dataclass(frozen=True, slots=True)
class Part:
    """An actor to be started. Without a ``name`` it has its manifest's, or that and a number where it is taken."""

    source: Source
    name: str | None
    params: str | None
    arguments: tuple[str, ...]
    allowed: tuple[str, ...]
    stdin: bytes = b""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, as far as whoever watches a run wants to know it."""

    seq: int
    name: str
    payload: Payload


class Player(Protocol):
    """The actor of a run."""

    id: ActorId
    role: str
    """``actor`` or ``command``."""
    status: Status
    """When it was found."""
    failure: TheaterError | None
    """What its ``init``, or the command, came to, if it was just started and that failed."""

    def request(self, body: str, *, timeout_s: float) -> str | None:
        """Have it answer a message; the reply's JSON text, None where it gave none. Raises as an actor does."""

    def handle(self, body: str) -> None:
        """Have it handle a message, and wait until it has. Raises as an actor does."""

    def restart(self) -> None:
        """Begin again after a stop or a crash; returns once an ``init`` that this takes has been recorded."""

    def resume(self) -> None:
        """Go on after a pause."""

    def events(self, start: int) -> Iterator[Seen]:
        """What its chain has from event ``start`` on, but for what was erased."""

    def head(self) -> Head:
        """The last event of its chain."""

    def services(self) -> list[str]:
        """What the node has open for it, a line each."""

    def stay(self) -> None:
        """Where what is open ends with this process: wait until somebody interrupts it."""


class Stage(Protocol):
    """Open in a ``with`` statement: what it holds is let go of at its end."""

    def __enter__(self) -> object:
        """Open it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what it holds."""

    def role_of(self, source: Source) -> str:
        """What the component of a manifest would be. Nothing is started."""

    def start(self, part: Part) -> Player:
        """Start an actor; also one whose ``init`` fails is returned. Raises ``TheaterError`` if there is none."""

    def wake(self, actor: str, allowed: tuple[str, ...]) -> Player:
        """An actor that there is. Raises ``NotFound``; ``Denied`` where it has more than this node allows."""
