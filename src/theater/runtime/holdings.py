"""What an actor holds beside its state: read from the store when it wakes up, changed by what its steps commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from theater.model.family import Child, Family
from theater.model.ids import ActorId
from theater.model.ports import Entry
from theater.model.supervisor_spec import SupervisorSpec
from theater.runtime.letter import Deferred, Letter, decode_deferred, decode_letter
from theater.runtime.orders import ExitSignal, Order, decode_order, decode_signal

WINDOW = "window"
"""The key of the entry with the times at which children were restarted; others of its space are ids of children."""

ROOT_WINDOW = "root-window"
"""The key of the entry with the times at which a root actor was restarted itself."""

AWAITED = "awaited"
"""The key of the entry of a child for whose end its parent waits in the middle of a step."""


class Awaited(msgspec.Struct, frozen=True):
    """Who waits for the end of an actor, by which wait, and until when."""

    asker: ActorId
    id: str
    until_us: int


_encode = msgspec.msgpack.encode
_awaited_decoder = msgspec.msgpack.Decoder(Awaited)
_child_decoder = msgspec.msgpack.Decoder(Child)
_times_decoder = msgspec.msgpack.Decoder(tuple[int, ...])


class Holdings:
    """Guarded by the actor's lock. A dictionary is made when there is something to put into it."""

    __slots__ = ("answers", "awaited", "deferred", "family", "root_restarts")

    def __init__(self) -> None:
        self.deferred: dict[str, Deferred] | None = None
        """By the id of the request, the oldest first."""
        self.family: Family | None = None
        """Its children, as it supervises them; None where it never had any."""
        self.answers: set[str] | None = None
        """Answers in the store that nobody may be waiting for any more: they go with the next step that is closed."""
        self.awaited: Awaited | None = None
        """Who waits for its end."""
        self.root_restarts: tuple[int, ...] = ()
        """When it was restarted, where it is a root actor."""

    def defer(self, request: Deferred) -> None:
        """A request has been handled without an answer."""
        if self.deferred is None:
            self.deferred = {}
        self.deferred[request.id] = request

    def pending(self, request_id: str) -> Deferred | None:
        """A request that waits for its answer."""
        return self.deferred.get(request_id) if self.deferred else None

    def answered(self, request_id: str) -> Deferred | None:
        """It does no longer."""
        return self.deferred.pop(request_id, None) if self.deferred else None

    def keep_answer(self, wait_id: str) -> None:
        """An answer is in the store."""
        self.answers = {*(self.answers or ()), wait_id}

    def take_expired(self, now_us: int) -> list[str]:
        """The requests for whose answer nobody waits any more; they are forgotten."""
        expired = [id for id, request in (self.deferred or {}).items() if request.is_expired(now_us)]
        for id in expired:
            self.answered(id)
        return expired

    def all_deferred(self) -> list[Deferred]:
        """Every request that waits for an answer, the oldest first."""
        return list(self.deferred.values()) if self.deferred else []


@dataclass(slots=True)
class Held:
    """All that an actor has in the store beside its chain."""

    holdings: Holdings
    letters: list[Letter]
    signals: list[ExitSignal]
    orders: list[Order]


def holdings_of(entries: Iterable[Entry], spec: SupervisorSpec) -> Held:
    """What an actor holds by its entries in the store. ``spec``: how it supervises its children."""
    held = Held(Holdings(), [], [], [])
    children: list[Child] = []
    restarts: tuple[int, ...] = ()
    for entry in entries:
        match entry.space, entry.key:
            case "answer", _:
                held.holdings.keep_answer(entry.key)
            case "mailbox", _:
                held.letters.append(decode_letter(entry.value))
            case "deferred", _:
                held.holdings.defer(decode_deferred(entry.key, entry.value))
            case "signal", _:
                held.signals.append(decode_signal(entry.value))
            case "duty", _:
                held.orders.append(decode_order(entry.value))
            case "child", key if key == WINDOW:
                restarts = decode_times(entry.value)
            case "child", key if key == ROOT_WINDOW:
                held.holdings.root_restarts = decode_times(entry.value)
            case "child", key if key == AWAITED:
                held.holdings.awaited = _awaited_decoder.decode(entry.value)
            case "child", _:
                children.append(decode_child(entry.value))
            case _:
                pass
    if children or restarts:  # a window may outlast the child that filled it
        held.holdings.family = Family(spec=spec, children=tuple(children), restarts=restarts)
    return held


def encode_child(child: Child) -> bytes:
    """A child as it stands in the store."""
    return _encode(child)


def decode_child(data: bytes) -> Child:
    """A child that stood in the store."""
    return _child_decoder.decode(data)


def encode_awaited(awaited: Awaited) -> bytes:
    """As it stands in the store."""
    return _encode(awaited)


def encode_times(times: tuple[int, ...]) -> bytes:
    """Times of restarts as they stand in the store."""
    return _encode(times)


def decode_times(data: bytes) -> tuple[int, ...]:
    """Times of restarts that stood in the store."""
    return _times_decoder.decode(data)
