"""Giving an actor messages: sent, or asked and waited for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from theater.errors import InternalError, InvalidInput
from theater.model import wire
from theater.model.ids import ActorId
from theater.model.payload import Message
from theater.model.ports import EventStore
from theater.runtime.history import payload_of
from theater.runtime.letter import Reply
from theater.server.actor_path import ID, reach
from theater.server.endpoint import Answer, Call, Endpoint, Parameter, any_json, document, duration
from theater.server.routes_actors import CANNOT_NOW

REPLY_DEFAULT_S: Final = 30.0
REPLY_MAX_S: Final = 300.0
"""Who waits longer holds a connection for nothing: a key makes the same request again, and gets the answer then."""

KEY: Final = Parameter[str | None](
    "Idempotency-Key",
    "header",
    Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,255}$", examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"])],
    "The same key from the same token to the same actor: the message is handled once, and answered as it was.",
)
WAIT: Final = Parameter[bool]("wait", "query", bool, "Answer when it has been handled.", default=False)
TIMEOUT: Final = duration("timeout", "query", "How long to wait, 300s at most.", default=REPLY_DEFAULT_S)


_REFUSED: Final = (
    "invalid-input",
    "invalid-json",
    "not-found",
    "denied",
    "not-running",
    "mailbox-full",
    "idempotency-mismatch",
    *CANNOT_NOW,
)


async def send(call: Call) -> Response:
    """No reply is wanted."""
    actor = await reach(call)
    key = call.value(KEY)
    if not call.value(WAIT):
        return document(wire.Accepted(id=await actor.send_json(call.text, key=key)), status=202)
    if key is not None:
        raise InvalidInput(
            "a send with a key is not waited for: leave out wait, or the Idempotency-Key, or ask instead"
        )
    reply = await actor.send_and_wait_json(call.text)
    message_id = await asyncio.to_thread(_message_id, call.service.runtime.store, actor.id, reply.receipt.seq)
    return document(wire.Accepted(id=message_id, receipt=receipt_of(reply)))


async def request(call: Call) -> Response:
    """A reply is waited for."""
    timeout_s = call.value(TIMEOUT)
    if timeout_s > REPLY_MAX_S:
        raise InvalidInput(f"timeout: it can be {REPLY_MAX_S:g}s at most")
    actor = await reach(call)
    reply = await actor.request_json(call.text, timeout_s=timeout_s, key=call.value(KEY))
    return document(wire.Replied(reply=raw_of(reply.text), receipt=receipt_of(reply), has_reply=reply.text is not None))


def raw_of(text: str | None) -> msgspec.Raw | None:
    """A guest's JSON text, to stand in a document as exactly that."""
    return None if text is None else msgspec.Raw(text.encode())


def receipt_of(reply: Reply) -> wire.Receipt:
    """The event that closed the step."""
    return wire.Receipt(seq=reply.receipt.seq, hash=reply.receipt.hash)


def _message_id(store: EventStore, actor: ActorId, seq: int) -> str:
    """The id of the message whose step an event closed. Blocks."""
    for event in store.events_reversed(actor, start=seq):
        if event.header.kind == "message":
            payload = payload_of(event)
            assert isinstance(payload, Message)
            return payload.id
    raise InternalError(f"event {seq} of {actor} closed no step")


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/actors/{id}/send",
        "sendMessage",
        "Send a message",
        "operate",
        send,
        (
            Answer(202, wire.Accepted, description="It will be handled once, also if the process dies."),
            Answer(200, wire.Accepted, description="With `wait`: it has been handled; `receipt` is the event."),
        ),
        parameters=(ID, WAIT, KEY),
        body=any_json("The message."),
        errors=(*_REFUSED, "refused", "crashed"),
        time_limit_s=REPLY_MAX_S,
        description="With `wait`, a refusal or a crash of the step is answered as such; with a key, `wait` is refused.",
        ends_with_asker=True,
    ),
    Endpoint(
        "POST",
        "/v1/actors/{id}/request",
        "requestReply",
        "Send a message and wait for the reply",
        "operate",
        request,
        (Answer(200, wire.Replied),),
        parameters=(ID, TIMEOUT, KEY),
        body=any_json("The message."),
        errors=(*_REFUSED, "refused", "crashed", "timed-out"),
        time_limit_s=REPLY_MAX_S + 30.0,
        description=(
            "After `timed-out` the step goes on; the same request with the same key waits for its answer again, or has"
            " it. Who goes away without a key does not hear of it: the step runs all the same."
        ),
        ends_with_asker=True,
    ),
)
