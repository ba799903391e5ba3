"""The other actors, as a host function sees them in a live step: the port that the runtime implements.

It belongs to one step of one actor, so what it answers counts the step's own buffered calls as made, and what it
reserves is given back if the step fails. A replay has none: what was seen is in the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from theater.model.effects import ChildOrder
from theater.model.event import Event
from theater.model.ids import ActorId, Digest
from theater.model.service import Service

Problem = tuple[str, object]
"""Why a call cannot be made now: a case of the interface's own ``variant error``, with its payload."""

Relation = Literal["self", "parent", "children", "siblings", "descendants"]


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """An actor that exists, and what it is to the one that asks. ``descendants`` has the children, too."""

    id: ActorId
    name: str
    relations: frozenset[Relation]


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that was received and not answered."""

    id: str
    sender: ActorId | None
    expires_us: int


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """An open channel."""

    id: str
    peer: ActorId | None
    opened_here: bool


@dataclass(frozen=True, slots=True)
class TimerFacts:
    """A waiting timer."""

    id: str
    next_us: int
    repeat_us: int | None
    body: str


@dataclass(frozen=True, slots=True)
class ChildFacts:
    """A descendant. ``status`` is a value of ``supervision.actor-status`` as in WIT, ready to be handed to a guest."""

    id: ActorId
    name: str
    parent: ActorId
    status: tuple[str, object]
    component: str
    restart: Literal["permanent", "transient", "temporary"]
    restarts: int


@dataclass(frozen=True, slots=True)
class SpaceLimits:
    """How much a space for blobs may hold, as far as whoever writes to it is concerned."""

    quota_bytes: int
    blobs: int
    labels: int


@dataclass(frozen=True, slots=True)
class SpaceUsage:
    """How much it holds."""

    used_bytes: int
    blobs: int
    labels: int


class SpaceView(Protocol):
    """A space for blobs, as one step sees it. Every method may raise ``StoreError``: the disk failed.

    What is reserved is room: it is used when the step commits, or given back.
    """

    def size_of(self, blob: Digest) -> int | None:
        """How large a blob is; None where there is none."""

    def read(self, blob: Digest, *, offset: int, size_bytes: int) -> bytes | None:
        """At most so many bytes of a blob from ``offset`` on; None where it is gone meanwhile."""

    def blob_of(self, label: str) -> Digest | None:
        """What a label names; None where there is none."""

    def labels(self, prefix: str, *, after: str, limit: int) -> list[tuple[str, Digest]]:
        """Labels with what they name, by the bytes of their names."""

    def blobs(self, *, after: str, limit: int) -> list[tuple[Digest, int]]:
        """Blobs with their sizes, by digest."""

    def usage(self) -> SpaceUsage:
        """How much there is."""

    def may_put(self, blob: Digest, size_bytes: int, label: str | None, most: SpaceLimits) -> Problem | None:
        """Take room for a blob, and for a label that is to name it. Problems: quota, too-many, other."""

    def may_label(self, label: str, blob: Digest, most: SpaceLimits) -> Problem | None:
        """Take room for a label. Problems: not-found, too-many, quota (the blob is about to be replaced by others)."""

    def may_remove(self, blob: Digest) -> Problem | None:
        """Count on a blob's removal. Problems: not-found, labelled."""

    def may_remove_label(self, label: str) -> Problem | None:
        """Count on a label's removal. Problems: unknown-label."""


class ActorSystem(Protocol):
    """See above. Sizes are bytes of UTF-8; a ``Problem`` means that nothing happened."""

    # -- store

    def space(self, name: str) -> SpaceView:
        """The space for blobs that this actor means by ``self``, ``tree`` or another name."""

    # -- services of capabilities

    def service(self, capability: str) -> Service:
        """What that capability keeps for the node."""

    def hold(self, release: Callable[[], None]) -> None:
        """Something in the world was reserved for what this step will have done: ``release`` is called if it fails."""

    def is_client_waiting(self, request_id: str) -> bool:
        """Whether an HTTP client waits for an answer of this actor to that request."""

    # -- messaging

    def acquaintance(self, actor: str) -> Acquaintance | None:
        """The actor with this id: any on this node, ended or not, and those that this step spawns."""

    def whereis(self, name: str) -> ActorId | None:
        """The living actor of this name."""

    def reserve(self, to: ActorId, size_bytes: int) -> Problem | None:
        """Take a place in a mailbox for a message, until the step ends.

        Problems: not-found, not-running, mailbox-full, too-large.
        """

    def may_request(self, to: ActorId, size_bytes: int) -> Problem | None:
        """Take a place for a request, which is about to be made.

        Problems: as ``reserve``, and not-started, too-many, cycle.
        """

    def pending_requests(self) -> list[PendingRequest]:
        """What waits for an answer of this actor, the oldest first, without what this step has answered."""

    def is_pending(self, request_id: str) -> bool:
        """Whether it is one of those."""

    def may_open_channel(self, to: ActorId, size_bytes: int) -> Problem | None:
        """As ``may_request``, and no-channels."""

    def may_send_on_channel(self, channel: str, size_bytes: int) -> Problem | None:
        """Take a place for a message at the other side. Problems: unknown-channel, mailbox-full, too-large."""

    def channels(self) -> list[ChannelFacts]:
        """The open channels of this actor, by id."""

    def has_channel(self, channel: str) -> bool:
        """Whether it is one of those."""

    # -- timing

    def timers(self) -> list[TimerFacts]:
        """The waiting timers of this actor, by next firing, then id."""

    def has_timer(self, timer_id: str) -> bool:
        """Whether it is one of those."""

    def count_timers(self) -> int:
        """How many those are."""

    def timers_bytes(self) -> int:
        """The sum of their bodies."""

    # -- supervisor

    def read_child(self, directory: str) -> ChildOrder | Problem:
        """The order for the child in a directory (a ``theater.toml`` and the component that it names).

        Problems: invalid-manifest, component-not-found, component-refused, other.
        """

    def may_spawn(self, child: ActorId, order: ChildOrder) -> Problem | None:
        """Check everything about a child that is about to be spawned, and reserve its name until the step ends.

        Problems: invalid-manifest, grants-exceeded, component-not-found, component-refused, name-taken, too-many,
        too-deep, not-json, too-large.
        """

    def descendant(self, child: str) -> ChildFacts | None:
        """A descendant; None where it is none, or does not exist."""

    def children(self, parent: ActorId | None) -> list[ChildFacts]:
        """The children of this actor (None) or of a descendant, in the order of their start, removed ones left out."""

    def may_stop(self, child: ActorId) -> Problem | None:
        """Problems: not-found, not-running."""

    def may_restart(self, child: ActorId) -> Problem | None:
        """Problems: not-found, not-running (it has not started, or its parent does not run), name-taken."""

    def may_subscribe(self, child: ActorId) -> Problem | None:
        """Problems: too-many."""

    def may_remove(self, child: ActorId) -> Problem | None:
        """Problems: not-found, still-running."""

    def child_state(self, child: ActorId) -> tuple[str, int] | Problem:
        """The last committed state of a descendant and the number of the event that holds it.

        Problems: not-found, not-running (it has no state yet), too-large.
        """

    def child_events(self, child: ActorId, start: int, limit: int) -> list[Event] | Problem:
        """Committed events of a descendant, at least one where there are any. Problems: not-found."""
