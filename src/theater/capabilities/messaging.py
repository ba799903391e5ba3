"""``theater:actor/messaging``: messages, requests, answers given later, and channels.

The guest gets: ``send`` to go on at once, ``request`` to wait for the reply; ``outstanding``, ``reply`` and ``cancel``
for the requests that it has not answered yet; ``whereis`` for the names that its grant names; channels (their functions
are in ``messaging_channels``). Speaking to actors that the grant does not name is ``denied``, whether they exist or
not; answering, and what goes over a channel that is open, is always allowed.

Recorded: everything, bodies and answers included. A request and the opening of a channel are recorded before they go
out, and go out once, also when the process dies meanwhile.

Limits: a body has at most the actor's limit ``message`` (1 MiB), a reply ``reply`` (1 MiB), the reason of a refusal
8,192 bytes, which is a page of text for a person; what is longer is cut. A request waits 30 s unless it says otherwise,
and never longer than what is left of the step's ``wait`` (60 s). At most ``outstanding`` (1,000) requests and
``channels`` (100) on both sides, and never more messages in a mailbox than its ``mailbox`` (1,000): each of them takes
memory of somebody else. A grant has at most 256 items.
"""

from __future__ import annotations

from theater.capabilities.grant_table import manifest_line
from theater.capabilities.guest_json import json_problem, size_bytes
from theater.capabilities.messaging_channels import CHANNEL_FUNCTIONS, INTERFACE
from theater.capabilities.messaging_grant import (
    NAME,
    NAME_PREFIX,
    RELATIVES,
    MessagingGrant,
    parse,
    unreachable,
)
from theater.capabilities.messaging_least import LEAST
from theater.capabilities.moment import datetime_of, wait_for
from theater.capabilities.registration import buffered, functions, waiting
from theater.model.actor_system import Problem
from theater.model.capability import Capability, Denied, HostClass, StepContext
from theater.model.effects import Cancel, Reply, Request, Send
from theater.model.ids import ActorId
from theater.model.manifest import is_name

REASON_MAX_BYTES = 8192

_OK = ("ok", None)

Answer = tuple[str, object]


def send(ctx: StepContext, grant: MessagingGrant, to: str, body: str) -> object:
    """Take a place in the mailbox of ``to``; gives the message's id."""
    problem = (
        json_problem(body, most_bytes=ctx.limits.message_bytes)
        or unreachable(ctx, grant, to)
        or ctx.system.reserve(ActorId(to), size_bytes(body))
    )
    return _answer(problem, ctx.call_id)


def act_send(ctx: StepContext, answer: Answer, to: str, body: str) -> None:
    """The message goes out with the commit."""
    if answer[0] == "ok":
        ctx.act(Send(ctx.call_id, ActorId(to), body))


def check_request(
    ctx: StepContext, grant: MessagingGrant, to: str, body: str, _timeout_ms: int | None
) -> Denied | None:
    """Whether it can be asked now."""
    problem = (
        json_problem(body, most_bytes=ctx.limits.message_bytes)
        or unreachable(ctx, grant, to)
        or ctx.system.may_request(ActorId(to), size_bytes(body))
    )
    return None if problem is None else Denied(("err", problem))


def request(ctx: StepContext, _grant: MessagingGrant, to: str, body: str, timeout_ms: int | None) -> object:
    """Ask and wait for the reply."""
    return wait_for(ctx, lambda until_us: Request(ctx.call_id, ActorId(to), body, until_us), timeout_ms)


def reply(ctx: StepContext, _grant: MessagingGrant, id: str, body: str) -> object:
    """Answer a request that waits."""
    return _answer(json_problem(body, most_bytes=ctx.limits.reply_bytes) or _unknown_request(ctx, id), None)


def act_reply(ctx: StepContext, answer: Answer, id: str, body: str) -> None:
    """The asker hears it with the commit."""
    if answer == _OK:
        ctx.act(Reply(id, body))


def cancel(ctx: StepContext, _grant: MessagingGrant, id: str, _reason: str) -> object:
    """Refuse a request that waits."""
    return _answer(_unknown_request(ctx, id), None)


def act_cancel(ctx: StepContext, answer: Answer, id: str, reason: str) -> None:
    """The asker hears it with the commit."""
    if answer == _OK:
        ctx.act(Cancel(id, reason.encode()[:REASON_MAX_BYTES].decode("utf-8", "ignore")))


def outstanding(ctx: StepContext, _grant: MessagingGrant) -> list[dict[str, object]]:
    """The requests that wait, the oldest first."""
    return [
        {"id": waiting.id, "sender": waiting.sender, "expires": datetime_of(waiting.expires_us)}
        for waiting in ctx.system.pending_requests()
    ]


def whereis(ctx: StepContext, grant: MessagingGrant, name: str) -> object:
    """The living actor of a name that the grant names."""
    if not grant.knows(name):
        return Denied(("err", ("denied", f"{manifest_line('to', [NAME_PREFIX + name])} is not granted")))
    return ("ok", ctx.system.whereis(name) if is_name(name) else None)


def _unknown_request(ctx: StepContext, id: str) -> Problem | None:
    return None if ctx.system.is_pending(id) else ("unknown-request", id)


def _answer(problem: Problem | None, value: str | None) -> Answer | Denied:
    if problem is None:
        return ("ok", value)
    answer = ("err", problem)
    return Denied(answer) if problem[0] == "denied" else answer


CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *buffered(
            INTERFACE,
            {"send": (send, act_send), "reply": (reply, act_reply), "cancel": (cancel, act_cancel)},
            giving_ids=("send",),
        ),
        *waiting(INTERFACE, {"request": (request, check_request)}, giving_ids=("request",)),
        *functions(INTERFACE, HostClass.READ, {"outstanding": outstanding, "whereis": whereis}),
        *CHANNEL_FUNCTIONS,
    ),
    interfaces=(INTERFACE,),
    default_ceiling=MessagingGrant(RELATIVES),
    least=LEAST,
)
