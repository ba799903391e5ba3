"""What the steps of a history took, as it is recorded: the largest of each thing that an actor's limits bound."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from theater.errors import Unsound
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.payload import (
    CrashedPayload,
    Genesis,
    HostCall,
    Intent,
    Lifecycle,
    Message,
    Payload,
    RefusedPayload,
    State,
    decode_payload,
)
from theater.runtime.exports import FIRST
from theater.runtime.messages import upgrade_of

PAGE_SHARE = 4
"""What a supervisor reads of another chain is cut by a quarter of ``bytes-per-step``: so much is left for that."""


@dataclass(slots=True)
class Consumption:
    """Of one history. Sizes in bytes; each the largest of all steps, with the event that says so."""

    actor: ActorId
    genesis: Genesis
    program: str
    events: int = 0
    steps: int = 0
    largest: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By key of ``[limits]``: how much, and in which step, by the seq of its ``message``."""
    struck: set[str] = field(default_factory=set)
    """The limits that ended a step, or may have: any other would be another history."""
    is_open: bool = False
    """Whether it ends in the middle of a step."""


_STRIKES = {
    "fuel": ("fuel",),
    "memory": ("memory",),
    "events": ("events-per-step",),
    "bytes": ("bytes-per-step",),
    "state-size": ("state",),
    "not-json": ("state", "reply"),
}
"""By the reason of a crash: what may have been the limit behind it."""


def consumption_of(events: Iterable[Event]) -> Consumption:
    """Read a history that has been verified.

    Raises:
        Unsound: it has not been.
    """
    meter: _Meter | None = None
    for event in events:
        if event.payload is None:
            raise Unsound(f"event {event.header.seq}: its payload is withheld or erased", seq=event.header.seq)
        payload = decode_payload(event.header.kind, event.payload, seq=event.header.seq)
        if meter is None:
            if not isinstance(payload, Genesis):
                raise Unsound("event 0: the chain does not begin with a genesis", seq=0)
            meter = _Meter(Consumption(event.header.actor, payload, payload.program))
        meter.feed(event, payload)
    if meter is None:
        raise Unsound("the chain has no events")
    return meter.found


class _Meter:
    """Follows one chain."""

    def __init__(self, found: Consumption) -> None:
        self.found = found
        self._seq = 0
        self._recorded = 0
        self._recorded_bytes = 0
        self._page_bytes = 0

    def feed(self, event: Event, payload: Payload) -> None:
        self.found.events += 1
        size_bytes = len(event.payload or b"")
        match payload:
            case Genesis():
                self._take("state", _size(payload.state))
            case Message():
                self._seq = event.header.seq
                self._recorded = self._recorded_bytes = self._page_bytes = 0
                self.found.is_open = True
                if payload.export not in FIRST:  # which is given params, and no message
                    self._take("message", _largest_text_within(payload.arguments))
            case Lifecycle() if event.header.name == "upgraded":
                self.found.program = upgrade_of(payload)[1]
            case State() | RefusedPayload() | CrashedPayload():
                self._close(payload)
            case HostCall() | Intent():
                self._record(size_bytes, payload.arguments or [])
                if isinstance(payload, HostCall):
                    self._page_bytes = max(self._page_bytes, size_bytes)
            case _ if event.header.kind == "log":
                self._record(size_bytes, [])

    def _record(self, size_bytes: int, arguments: list[object]) -> None:
        self._recorded += 1
        self._recorded_bytes += size_bytes
        # a text among the arguments may be a message, or a reply: which it is, only its capability knows
        text_bytes = _largest_text(arguments)
        self._take("message", text_bytes)
        self._take("reply", text_bytes)

    def _close(self, result: State | RefusedPayload | CrashedPayload) -> None:
        self.found.steps += 1
        self.found.is_open = False
        self._take("fuel", result.fuel)
        is_too_large = isinstance(result, CrashedPayload) and result.reason == "bytes"
        self._take("events-per-step", self._recorded + is_too_large)  # the one that was too large was counted
        self._take("bytes-per-step", max(self._recorded_bytes, PAGE_SHARE * self._page_bytes))
        if isinstance(result, State):
            self._take("state", _size(result.state))
            self._take("reply", _size(result.reply))
        elif isinstance(result, CrashedPayload):
            self.found.struck.update(_STRIKES.get(result.reason, ()))

    def _take(self, key: str, amount: int) -> None:
        if amount > self.found.largest.get(key, (-1, 0))[0]:
            self.found.largest[key] = amount, self._seq


def _size(text: str | None) -> int:
    return len(text.encode("utf-8", "surrogatepass")) if text is not None else 0


def _largest_text(values: Iterable[object]) -> int:
    return max((_size(value) for value in values if isinstance(value, str)), default=0)


def _largest_text_within(value: object) -> int:
    """Of a handler's arguments, which nest as deep as its interface says: a batch of events is a list of records."""
    match value:
        case str():
            return _size(value)
        case dict():
            return max(map(_largest_text_within, value.values()), default=0)
        case list():
            return max(map(_largest_text_within, value), default=0)
    return 0
