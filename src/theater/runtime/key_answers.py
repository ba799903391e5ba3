"""The answer to a request as its actor's chain has it: for whoever asks again with the same key."""

from __future__ import annotations

from theater.capabilities.messaging import REASON_MAX_BYTES
from theater.capabilities.messaging_channels import INTERFACE
from theater.errors import Damaged, NotFound, NotRunning, Refused
from theater.model.crash import Crash
from theater.model.event import Event, Head
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, HostCall, Lifecycle, Message, RefusedPayload, State
from theater.model.ports import EventStore
from theater.runtime.history import event_at, payload_of
from theater.runtime.key import KeyRow
from theater.runtime.letter import Answer, Reply
from theater.runtime.outcome import Outcome, answer_of

REPLY = f"{INTERFACE}#reply"
CANCEL = f"{INTERFACE}#cancel"


def recorded_answer(store: EventStore, actor: ActorId, row: KeyRow) -> Answer:
    """What the asker of a settled row was told. Blocks while it reads the step in which that was.

    Raises:
        Damaged: what it was cannot be read any more.
    """
    if row.seq is None:
        return NotRunning(row.ended or "")
    closing = event_at(store, actor, row.seq)
    said = _said_in_step(store, actor, row)
    return said if said is not None else _answer_of_closing(store, actor, closing)


def _said_in_step(store: EventStore, actor: ActorId, row: KeyRow) -> Answer | None:
    """The answer by a call of the step that event ``row.seq`` closed; None where the step was that of the request."""
    assert row.seq is not None
    closing = event_at(store, actor, row.seq)
    if closing.header.kind != "state":  # what a step said that failed, nobody heard
        return None
    receipt = Head(row.seq, closing.hash)
    for event in store.events_reversed(actor, start=row.seq - 1):
        if event.header.kind == "message":
            message = payload_of(event)
            if isinstance(message, Message) and message.id == row.id:
                return None
            break
        if event.header.kind == "host" and event.header.name in (REPLY, CANCEL):
            call = payload_of(event)
            match call:
                case HostCall(arguments=[str() as asked, str() as text], answer={"ok": _}) if asked == row.id:
                    return _called(event.header.name, text, receipt)
    raise Damaged(f"the step closed by event {row.seq} of {actor} does not answer the request {row.id}", seq=row.seq)


def _called(name: str, text: str, receipt: Head) -> Answer:
    if name == REPLY:
        return Reply(text, receipt)
    reason = text.encode()[:REASON_MAX_BYTES].decode("utf-8", "ignore")
    return Refused(reason, text=reason, receipt=receipt)


def _answer_of_closing(store: EventStore, actor: ActorId, closing: Event) -> Answer:
    receipt = Head(closing.header.seq, closing.hash)
    payload = payload_of(closing)
    value, has_shutdown = _shutdown(store, actor, closing.header.seq + 1)
    match payload:
        case State():
            outcome = Outcome("state", payload, payload.fuel, state=None, reply=payload.reply)
        case RefusedPayload():
            outcome = Outcome("refused", payload, payload.fuel, state=None, refusal=payload.text)
        case CrashedPayload():
            crash = Crash(payload.reason, payload.code or "", payload.message or "", payload.backtrace or "")
            outcome = Outcome("crashed", payload, payload.fuel, state=None, crash=crash)
        case _:
            raise Damaged(f"event {closing.header.seq} of {actor} should close a step", seq=closing.header.seq)
    return answer_of(outcome, receipt, value=value, has_shutdown=has_shutdown)


def _shutdown(store: EventStore, actor: ActorId, seq: int) -> tuple[str | None, bool]:
    """The value with which the actor ended in the step before event ``seq``, and whether it did."""
    try:
        event = event_at(store, actor, seq)
    except NotFound:
        return None, False
    stopped = payload_of(event) if event.header.name == "stopped" else None
    if isinstance(stopped, Lifecycle) and stopped.detail is not None and "value" in stopped.detail:
        value = stopped.detail["value"]
        return value if isinstance(value, str) else None, True
    return None, False
