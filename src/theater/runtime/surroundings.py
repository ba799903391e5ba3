"""What all actors of one runtime share, and how an actor reaches others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from theater.errors import StoreError
from theater.model.ids import ActorId
from theater.model.ports import Append, Entry
from theater.runtime.denials import Denials
from theater.runtime.directory import Bounds, Card, Directory
from theater.runtime.exclusion import Exclusion
from theater.runtime.joiners import Joiners
from theater.runtime.letter import Letter
from theater.runtime.node import Node
from theater.runtime.orders import Heard
from theater.runtime.waits import Waits

if TYPE_CHECKING:
    from theater.runtime.actor import Actor
    from theater.runtime.channels import Channels
    from theater.runtime.conception import Request
    from theater.runtime.holdings import Awaited
    from theater.runtime.performer import Sampler
    from theater.runtime.permissions import Permissions
    from theater.runtime.spaces import Spaces
    from theater.runtime.subscriptions import Subscriptions
    from theater.runtime.thrift import Thrift
    from theater.runtime.timers import Timers


class Birth(Protocol):
    """An actor that is complete in memory, and on its way into the store."""

    @property
    def append(self) -> Append:
        """The transaction, or the part of one, that makes it an actor there."""

    def begin(self) -> None:
        """That has its place in the order of all transactions."""

    def fail(self, failure: StoreError) -> None:
        """That was not written: it never was."""


class Router(Protocol):
    """Finds actors, in memory or not. Any thread may use it, if it holds no actor's lock."""

    def find(self, actor: ActorId) -> Actor | None:
        """The one that is in memory."""

    def enter(self, actor: Actor) -> None:
        """A new one: from now on it is found."""

    def deliver(self, to: ActorId, letter: Letter) -> None:
        """Hand over a letter that is in the store, or on the way there; the actor is woken up for it if it lives."""

    def awake(self, actor: ActorId, action: Callable[[Actor], bool], failed: Heard) -> None:
        """Do ``action`` with the actor, once it is in memory: now, or on another thread.

        ``action`` returns False where the actor has just left memory, and is then called with the next one. ``failed``
        hears why it cannot be woken up.
        """

    def conceive(
        self,
        request: Request,
        permissions: Permissions,
        actor: ActorId,
        *,
        parent: ActorId,
        state: str | None,
        awaited: Awaited | None = None,
    ) -> Birth:
        """Make a child, all about which was checked. ``awaited``: who waits for its end."""

    def left(self, actor: Actor, letters: Sequence[Letter] = (), failure: StoreError | None = None) -> None:
        """It has gone to rest, or can no longer write its chain: whoever needs it wakes up another.

        ``letters`` had been handed over to it, and it has not begun them. ``failure`` says why its chain could not be
        written; then it is woken up by itself, later, if it has something to do.
        """

    def background(self, work: Callable[[], None]) -> bool:
        """Do ``work``, which reads from the store, on another thread. False where the runtime closes."""

    def bounds(self, card: Card) -> Bounds:
        """How much the actor takes of others."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """See above. One for all actors of a runtime."""

    node: Node
    sampler: Sampler
    exclusion: Exclusion
    directory: Directory
    waits: Waits
    router: Router
    timers: Timers
    channels: Channels
    subscriptions: Subscriptions
    joiners: Joiners
    thrift: Thrift
    spaces: Spaces
    denials: Denials

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on its way that no actor knows of yet."""
        return self.timers.is_quiet and self.subscriptions.is_quiet

    def doubt(self, actor: ActorId) -> None:
        """Something about an actor could not be written: what is known of it beside its chain is read again with it.

        Its card says at once what is so: others go by that, and whoever is not running by it is never woken up.
        """
        record = self.node.store.record(actor)
        if record is None:
            self.directory.forget(actor)
        else:
            self.directory.put(record)
        self.timers.doubt(actor)
        self.channels.doubt(actor)
        self.subscriptions.doubt(actor)
        if self.node.services is not None:
            self.node.services.doubted(actor)

    def forget(self, actor: ActorId) -> None:
        """An actor was removed: nobody knows it any more."""
        self.directory.forget(actor)
        self.timers.forget(actor)
        self.channels.forget(actor)
        self.subscriptions.forget(actor)
        if self.node.services is not None:
            self.node.services.removed(actor)

    def learn(self, actor: ActorId, entries: Sequence[Entry]) -> None:
        """An actor has been read from the store, with these entries."""
        self.timers.learn(actor, entries)
        self.channels.learn(actor, entries)
        self.subscriptions.learn(actor, entries)

    def revive(self, actor: ActorId) -> None:
        """An actor that had ended runs again."""
        self.timers.revive(actor)
        self.subscriptions.revive(actor)
