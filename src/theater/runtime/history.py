"""What a chain says: its beginning, its state as of any event, and where it left off."""

from __future__ import annotations

from dataclasses import dataclass

from theater.errors import Damaged, NotFound, Unsound
from theater.model.event import CLOSING_KINDS, Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.payload import Genesis, Lifecycle, Message, Payload, State, decode_payload
from theater.model.ports import EventStore
from theater.runtime.exports import MIGRATE
from theater.runtime.messages import components_named, starts_anew


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step without its closing event. ``recorded`` is what it had recorded, without what is not part of it."""

    message: Event
    payload: Message
    recorded: list[Event]


@dataclass(frozen=True, slots=True)
class StateAt:
    """The state that holds after an event. ``seq`` is the event that holds it."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class LeftOff:
    """Where a chain ends."""

    head: Head
    time_us: int
    state: StateAt | None
    open_step: OpenStep | None
    next_instance: int


def payload_of(event: Event) -> Payload:
    """An event's payload, decoded. Raises ``Damaged`` where it was withheld or erased."""
    if event.payload is None:
        raise Damaged(f"event {event.header.seq} of {event.header.actor}: its payload was erased", seq=event.header.seq)
    return decode_payload(event.header.kind, event.payload, seq=event.header.seq)


def event_at(store: EventStore, actor: ActorId, seq: int) -> Event:
    """One event. Raises ``NotFound``."""
    for event in store.events(actor, start=seq, stop=seq + 1):
        return event
    raise NotFound(f"actor {actor} has no event {seq}; its last is {store.head(actor).seq}")


def read_genesis(store: EventStore, actor: ActorId) -> tuple[Event, Genesis]:
    """Event 0 and what it says."""
    event = event_at(store, actor, 0)
    payload = payload_of(event)
    if not isinstance(payload, Genesis):
        raise Damaged(f"the first event of {actor} is not its genesis", seq=0)
    return event, payload


def state_at(store: EventStore, actor: ActorId, seq: int) -> StateAt | None:
    """The state as of event ``seq``, or None before there was one, and where the actor began anew since.

    Raises ``NotFound`` beyond the chain's end.
    """
    if not 0 <= seq <= store.head(actor).seq:
        raise NotFound(f"actor {actor} has no event {seq}; its last is {store.head(actor).seq}")
    for event in store.events_reversed(actor, start=seq):
        header = event.header
        tells = header.kind in ("state", "message", "genesis") or header.name == "restarted"
        match payload_of(event) if tells else None:
            case State(state=str() as text) | Genesis(state=str() as text):
                return StateAt(event.header.seq, text)
            case Message(state=int() as holder):
                return _state_in(store, actor, holder)
            case Lifecycle() as restarted if starts_anew(restarted):
                return None
            case _:
                continue
    return None


def program_at(store: EventStore, actor: ActorId, seq: int) -> Digest:
    """The component that goes with the state as of event ``seq``: what the actor was upgraded to last, or began with.

    Between a migration and the upgrade that it was for, it is already the new one.

    Raises:
        Damaged: an event that tells was erased.
        Unsound: it names no component.
    """
    has_migrated = False
    for event in store.events_reversed(actor, start=seq):
        kind, name = event.header.kind, event.header.name
        has_migrated = has_migrated or (kind == "state" and name == MIGRATE)
        if kind == "genesis" or (kind == "lifecycle" and name == "upgraded") or (kind == "message" and has_migrated):
            try:
                return components_named(name, payload_of(event))[-1]
            except (ValueError, IndexError) as error:
                raise Unsound(f"event {event.header.seq} names no component", seq=event.header.seq) from error
    raise Damaged(f"the chain of {actor} does not begin with its genesis", seq=0)


def left_off(store: EventStore, actor: ActorId, *, is_warm: bool) -> LeftOff:
    """Where the chain ends: read backwards from its head, no further than needed."""
    head = store.head(actor)
    time_us = event_at(store, actor, head.seq).header.time_us
    state = state_at(store, actor, head.seq)
    return LeftOff(
        head=head,
        time_us=time_us,
        state=state,
        open_step=_open_step(store, actor, head.seq),
        next_instance=_next_instance(store, actor, head.seq) if is_warm else 0,
    )


def _state_in(store: EventStore, actor: ActorId, seq: int) -> StateAt:
    payload = payload_of(event_at(store, actor, seq))
    if not isinstance(payload, State | Genesis) or payload.state is None:
        raise Damaged(f"event {seq} of {actor} should hold a state and does not", seq=seq)
    return StateAt(seq, payload.state)


def _open_step(store: EventStore, actor: ActorId, seq: int) -> OpenStep | None:
    recorded: list[Event] = []
    for event in store.events_reversed(actor, start=seq):
        kind = event.header.kind
        if kind in CLOSING_KINDS or kind == "genesis":
            return None
        if kind == "message":
            payload = payload_of(event)
            assert isinstance(payload, Message)
            return OpenStep(event, payload, recorded[::-1])
        if kind != "lifecycle":
            recorded.append(event)
    return None


def _next_instance(store: EventStore, actor: ActorId, seq: int) -> int:
    # No number is used twice, so the last message that has one has the highest.
    for event in store.events_reversed(actor, start=seq):
        if event.header.kind == "message":
            payload = payload_of(event)
            assert isinstance(payload, Message)
            if payload.instance is not None:
                return payload.instance + 1
    return 0
