"""Channels: opened to an actor, and then both sides say what they like, when they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from theater.errors import ChannelClosed, InvalidInput
from theater.model import wire
from theater.runtime.channel_ref import Channel
from theater.server.actor_path import ID, reach
from theater.server.channel_table import HeldChannel
from theater.server.endpoint import (
    EVENT_STREAM,
    Answer,
    Call,
    Endpoint,
    Parameter,
    any_json,
    document,
    duration,
    nothing,
    stream,
)
from theater.server.event_stream import BEAT, BEAT_S, UNBUFFERED, chunked, end, named
from theater.server.routes_actors import CANNOT_NOW
from theater.server.routes_messages import raw_of

HEAR_MAX_S: Final = 60.0
"""Whoever waits longer asks again; proxies let go of silent connections at about that time."""

HEARD_MAX: Final = 1000
HEARD_MAX_BYTES: Final = 4 * 2**20
"""What one answer brings; it ends with the message that reaches it."""

CHANNEL: Final = Parameter[str](
    "id",
    "path",
    Annotated[str, Meta(min_length=1, max_length=200)],
    "A channel that this token opened.",
)
WAIT: Final = duration("wait", "query", "How long to wait for a message, 60s at most.", default=0.0)


async def open_channel(call: Call) -> Response:
    """The actor accepts, or refuses."""
    table = call.service.channels
    table.require_room()
    actor = await reach(call)
    channel = await actor.open_channel_json(call.text)
    try:
        table.hold(channel, call.caller.name)
    except BaseException:
        await channel.close()
        raise
    opened = wire.ChannelOpened(channel=channel.id, actor=channel.actor, reply=raw_of(channel.reply))
    return document(opened, status=201, headers={"Location": f"/v1/channels/{channel.id}/messages"})


async def say(call: Call) -> Response:
    """One message to the actor."""
    with call.service.channels.used(call.value(CHANNEL), call.caller.name) as held:
        return document(wire.Accepted(id=await held.channel.send_json(call.text)), status=202)


async def hear(call: Call) -> Response:
    """What the actor said."""
    wait_s = call.value(WAIT)
    if wait_s > HEAR_MAX_S:
        raise InvalidInput(f"wait={wait_s:g}s: it can be {HEAR_MAX_S:g}s at most; ask again when that is over")
    with call.service.channels.used(call.value(CHANNEL), call.caller.name) as held:
        if call.accepts(EVENT_STREAM):
            call.service.streams.require_free()
            return stream(_stream(call), EVENT_STREAM, headers=UNBUFFERED)
        return document(await _heard(held, wait_s, call.service.stopping))


async def close(call: Call) -> Response:
    """Nothing more is said. What the actor has said can still be read."""
    with call.service.channels.used(call.value(CHANNEL), call.caller.name) as held:
        await held.channel.close()
    return nothing()


async def _heard(held: HeldChannel, wait_s: float, stopping: asyncio.Event) -> wire.ChannelMessages:
    """What is there, or comes in time. Why nothing more comes is told once, behind the last message."""
    try:
        messages = _there(held.channel)
        if not messages:
            await _readable(held.channel, wait_s, stopping)
            messages = _there(held.channel)
    except ChannelClosed as error:
        if held.has_told_end:
            raise
        held.has_told_end = True
        return wire.ChannelMessages(messages=[], closed=held.channel.reason or error.message)
    return wire.ChannelMessages(messages=messages, closed=None)


def _there(channel: Channel) -> list[msgspec.Raw]:
    """What the actor has said, as much as one answer brings. Raises ``ChannelClosed`` where there is nothing else."""
    messages: list[msgspec.Raw] = []
    size_bytes = 0
    while len(messages) < HEARD_MAX and size_bytes < HEARD_MAX_BYTES:
        try:
            body = channel.receive_nowait()
        except ChannelClosed:
            if messages:
                break
            raise
        if body is None:
            break
        messages.append(msgspec.Raw(body.encode()))
        size_bytes += len(body)
    return messages


async def _readable(channel: Channel, wait_s: float, stopping: asyncio.Event) -> None:
    """Wait until there is something to hear, so long at most, and not when the server stops."""
    waiting = {asyncio.ensure_future(channel.wait_readable()), asyncio.ensure_future(stopping.wait())}
    try:
        await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _stream(call: Call) -> AsyncGenerator[bytes, None]:
    """Each message as ``event: message``, and last of all ``event: end`` with the reason."""
    service = call.service
    with service.streams, service.channels.used(call.value(CHANNEL), call.caller.name) as held:
        yield BEAT
        while not service.stopping.is_set():
            heard = await _heard(held, BEAT_S, service.stopping)
            if heard.closed is not None:
                yield end(heard.closed)
                return
            if not heard.messages:
                yield BEAT
            for chunk in chunked(named("message", bytes(message)) for message in heard.messages):
                yield chunk
        yield end("stopping")


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/actors/{id}/channels",
        "openChannel",
        "Open a channel to an actor",
        "operate",
        open_channel,
        (Answer(201, wire.ChannelOpened, headers={"Location": "Where its messages are."}),),
        parameters=(ID,),
        body=any_json("What the actor is given to decide by whether it accepts."),
        errors=(
            "invalid-json",
            "not-found",
            "denied",
            "not-running",
            "no-channels",
            "mailbox-full",
            "refused",
            "crashed",
            *CANNOT_NOW,
        ),
        description="It is let go when nobody has said or heard anything on it, or waited for that, for five minutes.",
        ends_with_asker=True,
    ),
    Endpoint(
        "POST",
        "/v1/channels/{id}/messages",
        "sayOnChannel",
        "Say something on a channel",
        "operate",
        say,
        (Answer(202, wire.Accepted),),
        parameters=(CHANNEL,),
        body=any_json("What is said."),
        errors=("invalid-json", "not-found", "channel-closed", "not-running", "mailbox-full", *CANNOT_NOW),
    ),
    Endpoint(
        "GET",
        "/v1/channels/{id}/messages",
        "hearChannel",
        "Hear what the actor says on a channel",
        "operate",
        hear,
        (
            Answer(
                200,
                wire.ChannelMessages,
                (EVENT_STREAM,),
                "What it has said since this was asked last; or, for a client that accepts `text/event-stream`, each"
                " message as `event: message`, and in the end `event: end` with the reason.",
            ),
        ),
        parameters=(CHANNEL, WAIT),
        errors=("invalid-input", "not-found", "channel-closed", "busy"),
        time_limit_s=HEAR_MAX_S + 30.0,
        description=(
            "Each message is given out once. When everything was, `closed` says why nothing more comes; who asks again"
            " after that is answered with `channel-closed`."
        ),
        ends_with_asker=True,
    ),
    Endpoint(
        "DELETE",
        "/v1/channels/{id}",
        "closeChannel",
        "Close a channel",
        "operate",
        close,
        (Answer(204),),
        parameters=(CHANNEL,),
        errors=("not-found", *CANNOT_NOW),
        description="What the actor has said until then can still be heard.",
    ),
)
