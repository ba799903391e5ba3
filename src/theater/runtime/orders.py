"""What a supervisor owes its children, as it stands in the store until it is done: the orders that follow a decision.

An order is put into the store with the event that it follows from, and leaves it with the event that it brings about in
the chain of the child. So it is carried out once, whenever the process dies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from theater.errors import TheaterError
from theater.model.child_spec import RestartFrom, Shutdown
from theater.model.exit_reason import ExitReason
from theater.model.ids import ActorId
from theater.model.ports import EntryKey

OrderKind = Literal["stop", "start", "remove", "give-up"]


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing to do. ``key`` sorts behind those of all earlier ones of the same holder."""

    key: str
    kind: OrderKind
    target: ActorId
    seq: int
    """The event that it follows from, in the holder's chain."""
    hash: str
    mode: Shutdown | None = None
    """How to stop; None: as the child's specification says."""
    is_quiet: bool = False
    """Whether the end is part of a decision, so that no other one has to be made of it."""
    start: RestartFrom = "last-state"
    due_us: int = 0
    """Not before."""
    is_asked: bool = False
    """Whether somebody asked for the start, who knew that the target had ended or was to be stopped."""
    by: str | None = None
    """Who wants it, where that is not the holder."""
    detail: dict[str, object] | None = None
    """What the event of the end says beside."""


_encode = msgspec.msgpack.encode
_decoder = msgspec.msgpack.Decoder(Order)


def encode_order(order: Order) -> bytes:
    """As it stands in the store."""
    return _encode(order)


def decode_order(data: bytes) -> Order:
    """One that stood in the store."""
    return _decoder.decode(data)


class ExitSignal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of a child, for its parent. ``reason`` as in the chain; ``seq`` and ``hash`` are those of the event."""

    child: ActorId
    name: str
    reason: dict[str, object]
    seq: int
    hash: str
    has_event: bool = True
    """False where it came about without an event of its own, and these are of the last one that the child has."""

    @property
    def key(self) -> str:
        """Under which it waits in the store."""
        own = f"{self.child}:{self.seq}"
        return own if self.has_event else f"{own}:{self.reason['kind']}"


_signal_decoder = msgspec.msgpack.Decoder(ExitSignal)


def encode_signal(signal: ExitSignal) -> bytes:
    """As it waits in the store."""
    return _encode(signal)


def decode_signal(data: bytes) -> ExitSignal:
    """One that waited in the store."""
    return _signal_decoder.decode(data)


Heard = Callable[[TheaterError | None], None]


@dataclass(frozen=True, slots=True)
class Stop:
    """An actor is to end. ``order``: what that fulfils, in the store.

    ``done`` hears when it is durable, or why it cannot be done; ``placed`` is called when it has its place in the order
    of all transactions.
    """

    by: str
    mode: Shutdown | None
    done: Heard
    is_quiet: bool = False
    order: EntryKey | None = None
    reason: ExitReason | None = None
    """Why it ends; None: since somebody stops it."""
    detail: dict[str, object] | None = None
    """What the event of its end says beside."""
    placed: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """An actor is to begin again. ``cause``: the event of its supervisor that says so, as ``(seq, hash)``.

    ``done`` and ``placed`` as in ``Stop``.
    """

    by: str
    done: Heard
    start: RestartFrom = "last-state"
    cause: tuple[int, str] | None = None
    order: EntryKey | None = None
    placed: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """A child is to leave the list of its supervisor, as somebody above both wants, or somebody outside.

    ``order`` and ``placed`` as in ``Stop``; without an order, ``done`` hears ``NotStopped`` where the child has not
    ended as far as its supervisor is concerned.
    """

    child: ActorId
    by: str
    done: Heard
    order: EntryKey | None = None
    placed: Callable[[], None] | None = None
