"""What a step does to others, as values: collected while it runs, carried out when it is committed, or not at all.

A *buffered* host function adds one of these to its step; the commit of the step carries them out in the order of the
calls, in the same transaction. What a *waiting* function sets going (``AtOnce``) goes out with the event that records
the intent, and stands even if the step fails. A replay makes the same values again, and carries out none.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from theater.model.ids import ActorId, Digest

StopMode = int | Literal["infinity", "brutal"]
"""How a child is stopped: so many milliseconds for the step that is running, as long as it takes, or at once."""


class Send(msgspec.Struct, frozen=True):
    """A message to another actor."""

    id: str
    to: ActorId
    body: str


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request that was deferred, or that this very step handles."""

    id: str
    body: str


class Cancel(msgspec.Struct, frozen=True):
    """A refusal in place of an answer."""

    id: str
    reason: str


class Shutdown(msgspec.Struct, frozen=True):
    """The actor itself ends with this value."""

    value: str | None


class ChildOrder(msgspec.Struct, frozen=True):
    """A child to be started. None: what the manifest says, or else the default.

    ``component`` is None where the manifest names it by its digest.
    """

    manifest: str
    component: Digest | None = None
    name: str | None = None
    params: str | None = None
    restart: Literal["permanent", "transient", "temporary"] | None = None
    restart_from: Literal["last-state", "init"] | None = None
    shutdown: StopMode | None = None
    backoff_ms: tuple[int, int] | None = None
    """The first pause and the longest, in milliseconds."""


class Spawn(msgspec.Struct, frozen=True):
    """A new child; with ``state`` it begins with that in place of a run of ``init``."""

    id: ActorId
    order: ChildOrder
    state: str | None = None


class StopChild(msgspec.Struct, frozen=True):
    """A descendant and its own descendants end."""

    child: ActorId
    mode: StopMode | None


class RestartChild(msgspec.Struct, frozen=True):
    """A descendant begins again."""

    child: ActorId
    start: Literal["last-state", "init"] | None


class RemoveChild(msgspec.Struct, frozen=True):
    """An ended descendant leaves the list of its parent's children."""

    child: ActorId


class Subscribe(msgspec.Struct, frozen=True):
    """A descendant's events are delivered: all kinds where ``kinds`` is empty, from now on where ``start`` is None."""

    child: ActorId
    start: int | None
    kinds: tuple[str, ...]
    payloads: bool


class Unsubscribe(msgspec.Struct, frozen=True):
    """They are no longer."""

    child: ActorId


class Schedule(msgspec.Struct, frozen=True):
    """A message to the actor itself, later; again and again with ``repeat_us``."""

    id: str
    body: str
    due_us: int
    repeat_us: int | None


class CancelTimer(msgspec.Struct, frozen=True):
    """A timer is taken back."""

    id: str


class SendOnChannel(msgspec.Struct, frozen=True):
    """A message to the other side of a channel."""

    channel: str
    body: str


class CloseChannel(msgspec.Struct, frozen=True):
    """A channel ends."""

    channel: str


class PutBlob(msgspec.Struct, frozen=True):
    """A blob is kept. ``space`` is the guest's word for where: ``self``, ``tree`` or a name."""

    space: str
    blob: Digest
    content: bytes


class RemoveBlob(msgspec.Struct, frozen=True):
    """A blob is kept no longer."""

    space: str
    blob: Digest


class SetLabel(msgspec.Struct, frozen=True):
    """A label names this blob."""

    space: str
    label: str
    blob: Digest


class RemoveLabel(msgspec.Struct, frozen=True):
    """A label is no more."""

    space: str
    label: str


class Tell(msgspec.Struct, frozen=True):
    """The service of a capability is told something, and the node keeps this for it from then on, by these keys."""

    capability: str
    order: object
    """A frozen value of the capability's own."""
    keeps: tuple[tuple[str, bytes], ...] = ()
    drops: tuple[str, ...] = ()


Effect = (
    Send
    | Reply
    | Cancel
    | Shutdown
    | Spawn
    | StopChild
    | RestartChild
    | RemoveChild
    | Subscribe
    | Unsubscribe
    | Schedule
    | CancelTimer
    | SendOnChannel
    | CloseChannel
    | PutBlob
    | RemoveBlob
    | SetLabel
    | RemoveLabel
    | Tell
)


class Request(msgspec.Struct, frozen=True):
    """A message that is answered. ``until_us``: when the asker stops waiting."""

    id: str
    to: ActorId
    body: str
    until_us: int


class OpenChannel(msgspec.Struct, frozen=True):
    """A channel that is accepted or refused."""

    id: str
    to: ActorId
    opening: str
    until_us: int


class SpawnAndWait(msgspec.Struct, frozen=True):
    """A child that is waited for."""

    id: ActorId
    order: ChildOrder
    until_us: int


AtOnce = Request | OpenChannel | SpawnAndWait
