"""What the world brings to actors by itself, and how it gets to them.

A process writes, a client asks: nobody in the system sent that. It comes to the actor as one step of one of its
handlers, recorded as any message is; and what the actor then wants done out there, it tells with the commit of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from theater.errors import TheaterError
from theater.model.ids import ActorId


@dataclass(frozen=True, slots=True)
class News:
    """One step of one of an actor's handlers.

    ``id`` is the message's, and names it for good: no other message to this actor ever has it. ``source`` says in the
    chain who it is from, by a word of the capability's own. ``arguments`` are those of the export behind the state, in
    the shapes of ``theater.model.wit``.
    """

    id: str
    source: str
    export: str
    arguments: tuple[object, ...]
    expects_reply: bool = False
    """Whether it is a question: where the handler's interface lets an answer be put off, it may then come later."""
    has_place: bool = True
    """Whether it takes one of the mailbox's places, and is refused where none is free. False, for an end that has to be
    told: only for news that are durable."""


@dataclass(frozen=True, slots=True)
class Handled:
    """The step is over and durable. ``reply`` is the JSON text of what it answered, None where that was nothing."""

    reply: str | None


Answered = Callable[[Handled | TheaterError], None]
"""Hears once what came of news: on any thread, which must not be held up."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the node keeps for an actor on behalf of a capability."""

    actor: ActorId
    key: str
    value: bytes


class Post(Protocol):
    """How a service reaches actors. Any thread may use it that was not called by the runtime with a lock held."""

    def bring(
        self,
        actor: ActorId,
        news: News,
        answered: Answered,
        *,
        is_durable: bool = False,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> Callable[[], None]:
        """Put news into an actor's mailbox; what is returned says that nobody waits for the answer any more.

        ``answered`` hears ``Handled`` when the step is over and durable, or the error: ``Refused`` and ``Crashed`` of
        the step, ``MailboxFull``, ``NotRunning``, ``NotFound``, ``InvalidComponent`` (it has no such handler), a
        ``StoreError``. Durable news survive the process, and are written in one transaction with what is kept and
        dropped by that key; of an actor that has ended they wait for its restart, and ``answered`` hears nothing then.
        """

    def keep(
        self,
        actor: ActorId,
        done: Callable[[TheaterError | None], None],
        *,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> None:
        """Keep this for an actor by these keys, in place of what was kept by them, and drop that.

        It is kept until it is dropped, or the actor removed. ``done`` hears when that is durable.
        """

    def kept(self, actor: ActorId | None = None) -> list[Kept]:
        """What is kept for this actor, or for all. Reads from the store."""

    def is_living(self, actor: ActorId) -> bool:
        """Whether it runs or is paused, and has not ended."""

    def has_handler(self, actor: ActorId, export: str) -> bool:
        """Whether an actor that is in the middle of a step has such a handler."""
