"""What a capability keeps for all actors of a node: connections, processes, open folders."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from theater.model.ids import ActorId
from theater.model.news import Post
from theater.model.ports import Clock, Entropy


class Place(Protocol):
    """Where a capability's service is opened: what the node has for it."""

    @property
    def folder(self) -> Path:
        """A folder of its own in the data directory; made when it is asked for."""

    @property
    def clock(self) -> Clock:
        """The node's."""

    @property
    def entropy(self) -> Entropy:
        """The node's."""

    @property
    def post(self) -> Post:
        """How the service reaches actors."""

    def secret(self, name: str) -> str | None:
        """The value of one of the node's secrets, as of now; None where the node names none of that name.

        It must not come into a chain, an answer, an error or a log.
        """

    def report(self, error: BaseException) -> None:
        """Have the node say what nobody expected: a bug of the capability, which nobody else can be told."""

    def certificate(self, name: str) -> tuple[str, str] | None:
        """The files, in PEM, of a certificate and its key; None where the node names none of that name."""


class Service(Protocol):
    """What a capability keeps for all actors of a node: connections, processes, open folders."""

    def close(self) -> None:
        """Let go of everything, and join every thread."""


@runtime_checkable
class Resident(Service, Protocol):
    """A service that lives on between the calls of actors: steps tell it something, and their actors end.

    One is opened with the node where something is kept for it. Each method is called on any thread, must not wait, and
    must not use its post: it has its own thread for that.
    """

    def told(self, actor: ActorId, order: object) -> None:
        """A step of ``actor`` that told this (``effects.Tell``) has closed: its next step sees it. A lock is held."""

    def confirmed(self, actor: ActorId, order: object) -> None:
        """That is durable: now it can be done in the world. In the order of the steps."""

    def doubted(self, actor: ActorId) -> None:
        """Something that it was told could not be written: what holds is what is kept."""

    def ended(self, actor: ActorId) -> None:
        """It runs no longer; it may be started again."""

    def removed(self, actor: ActorId) -> None:
        """There is no such actor any more, and nothing is kept for it."""

    def shown(self, actor: ActorId) -> list[str]:
        """What a person who looks at the actor should know, a line each: where it listens, what it runs."""
