"""The channels of ``theater:actor/messaging``; what is recorded and the limits stand in ``messaging``.

Opening one is speaking to an actor, within the grant. What goes over an open channel needs none: the other side has
accepted it, or this one has.
"""

from __future__ import annotations

from theater.capabilities.guest_json import json_problem, size_bytes
from theater.capabilities.messaging_grant import MessagingGrant, unreachable
from theater.capabilities.moment import wait_for
from theater.capabilities.registration import buffered, functions, waiting
from theater.model.capability import Denied, HostClass, StepContext
from theater.model.effects import CloseChannel, OpenChannel, SendOnChannel
from theater.model.ids import ActorId

INTERFACE = "theater:actor/messaging"

_OK = ("ok", None)


def check_open_channel(
    ctx: StepContext, grant: MessagingGrant, to: str, opening: str, _timeout_ms: int | None
) -> Denied | None:
    """Whether it can be opened now."""
    problem = (
        json_problem(opening, most_bytes=ctx.limits.message_bytes)
        or unreachable(ctx, grant, to)
        or ctx.system.may_open_channel(ActorId(to), size_bytes(opening))
    )
    return None if problem is None else Denied(("err", problem))


def open_channel(ctx: StepContext, _grant: MessagingGrant, to: str, opening: str, timeout_ms: int | None) -> object:
    """Open one and wait until it is accepted."""
    return wait_for(ctx, lambda until_us: OpenChannel(ctx.call_id, ActorId(to), opening, until_us), timeout_ms)


def send_on_channel(ctx: StepContext, _grant: MessagingGrant, id: str, body: str) -> object:
    """Take a place at the other side of an open channel."""
    problem = json_problem(body, most_bytes=ctx.limits.message_bytes)
    problem = problem or ctx.system.may_send_on_channel(id, size_bytes(body))
    return _OK if problem is None else ("err", problem)


def act_send_on_channel(ctx: StepContext, answer: tuple[str, object], id: str, body: str) -> None:
    """The message goes out with the commit."""
    if answer == _OK:
        ctx.act(SendOnChannel(id, body))


def close_channel(ctx: StepContext, _grant: MessagingGrant, id: str) -> object:
    """Close one that is open."""
    return _OK if ctx.system.has_channel(id) else ("err", ("unknown-channel", id))


def act_close_channel(ctx: StepContext, answer: tuple[str, object], id: str) -> None:
    """It ends with the commit."""
    if answer == _OK:
        ctx.act(CloseChannel(id))


def list_channels(ctx: StepContext, _grant: MessagingGrant) -> list[dict[str, object]]:
    """Those that are open, by id."""
    return [
        {"id": channel.id, "peer": channel.peer, "opened-here": channel.opened_here}
        for channel in ctx.system.channels()
    ]


CHANNEL_FUNCTIONS = (
    *waiting(INTERFACE, {"open-channel": (open_channel, check_open_channel)}, giving_ids=("open-channel",)),
    *buffered(
        INTERFACE,
        {
            "send-on-channel": (send_on_channel, act_send_on_channel),
            "close-channel": (close_channel, act_close_channel),
        },
    ),
    *functions(INTERFACE, HostClass.READ, {"list-channels": list_channels}),
)
