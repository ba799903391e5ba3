"""``theater:actor/supervisor``: starting, watching and ending children.

The guest gets: ``spawn``, ``resume`` and ``spawn-and-wait`` (in ``supervisor_spawn``); a look at its descendants (in
``supervisor_reads``); and here what ends them, begins them again, and delivers their events. It reaches its own
descendants and nobody else: any other id is ``not-found``, whether such an actor exists or not.

Recorded: everything: specifications, what was read in a directory to decide on one, states, events and answers.

Limits: a specification's ``params`` have at most 1 MiB, a state for ``resume`` the child's limit ``state`` (1 MiB). One
answer of ``child-events`` has at most 1,000 events and 1 MiB of payloads, unless its first one alone has more; a
payload beyond a quarter of ``bytes-per-step`` (4 MiB of 16) is ``too-large``, since its record might not fit. Waiting
for a child's end takes 30 s unless it says otherwise, and never longer than what is left of the step's ``wait``. To
wait for a child's step when it is stopped, or with its restart, takes a day at most, as in a manifest. The kinds that
a subscription names have at most 4 KiB together, since they are kept, and an actor has at most 1,000 subscriptions (to
an actor that has ended and left the list, one ends with the last event). A grant has at most 256 directories of 4,096
bytes. How many children there may be, and how deep, is for the system to say (``children``, 100; 1,000 descendants;
depth 16).
"""

from __future__ import annotations

from typing import Literal

from theater.capabilities.child_order import ShutdownMode, mode_problem, stop_mode_of
from theater.capabilities.guest_json import size_bytes
from theater.capabilities.registration import buffered
from theater.capabilities.supervisor_grant import NAME, SupervisorGrant, parse
from theater.capabilities.supervisor_least import LEAST
from theater.capabilities.supervisor_reads import READ_FUNCTIONS, EventFilter, is_descendant
from theater.capabilities.supervisor_spawn import INTERFACE, SPAWN_FUNCTIONS
from theater.model.actor_system import Problem
from theater.model.capability import Capability, StepContext
from theater.model.effects import RemoveChild, RestartChild, StopChild, Subscribe, Unsubscribe
from theater.model.event import SEQ_MAX
from theater.model.ids import ActorId, is_actor_id

KINDS_MAX_BYTES = 4096
"""All kinds that there are take 60."""

_OK = ("ok", None)

Answer = tuple[str, object]
RestartStart = Literal["last-state", "init"]


def stop(ctx: StepContext, _grant: SupervisorGrant, child: str, mode: ShutdownMode | None) -> object:
    """End a descendant."""
    return _answer(_nobody(child) or mode_problem(mode) or ctx.system.may_stop(ActorId(child)))


def act_stop(ctx: StepContext, answer: Answer, child: str, mode: ShutdownMode | None) -> None:
    """It ends with the commit."""
    if answer == _OK:
        ctx.act(StopChild(ActorId(child), stop_mode_of(mode)))


def restart(ctx: StepContext, _grant: SupervisorGrant, child: str, _start: RestartStart | None) -> object:
    """Begin a descendant again."""
    return _answer(_nobody(child) or ctx.system.may_restart(ActorId(child)))


def act_restart(ctx: StepContext, answer: Answer, child: str, start: RestartStart | None) -> None:
    """It begins with the commit."""
    if answer == _OK:
        ctx.act(RestartChild(ActorId(child), start))


def remove(ctx: StepContext, _grant: SupervisorGrant, child: str) -> object:
    """Take an ended descendant off the list."""
    return _answer(_nobody(child) or ctx.system.may_remove(ActorId(child)))


def act_remove(ctx: StepContext, answer: Answer, child: str) -> None:
    """It is off with the commit."""
    if answer == _OK:
        ctx.act(RemoveChild(ActorId(child)))


def subscribe(ctx: StepContext, _grant: SupervisorGrant, child: str, _start: int | None, wanted: EventFilter) -> object:
    """Have the events of a descendant delivered."""
    if sum(map(size_bytes, wanted["kinds"])) > KINDS_MAX_BYTES:
        return _answer(("other", f"too-long: {KINDS_MAX_BYTES} bytes of kinds are the most"))
    if not is_descendant(ctx, child):
        return _answer(("not-found", child))
    return _answer(ctx.system.may_subscribe(ActorId(child)))


def act_subscribe(ctx: StepContext, answer: Answer, child: str, start: int | None, wanted: EventFilter) -> None:
    """From the commit on."""
    if answer == _OK:
        first = None if start is None else min(start, SEQ_MAX)  # there is no event beyond
        kinds = tuple(dict.fromkeys(wanted["kinds"]))
        ctx.act(Subscribe(ActorId(child), first, kinds, wanted["payloads"]))


def unsubscribe(ctx: StepContext, _grant: SupervisorGrant, child: str) -> object:
    """Have them delivered no longer."""
    return _known(ctx, child)


def act_unsubscribe(ctx: StepContext, answer: Answer, child: str) -> None:
    """From the commit on."""
    if answer == _OK:
        ctx.act(Unsubscribe(ActorId(child)))


def _nobody(child: str) -> Problem | None:
    """What is no id is the id of nobody."""
    return None if is_actor_id(child) else ("not-found", child)


def _known(ctx: StepContext, child: str) -> Answer:
    return _answer(None if is_descendant(ctx, child) else ("not-found", child))


def _answer(problem: Problem | None) -> Answer:
    return _OK if problem is None else ("err", problem)


CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *SPAWN_FUNCTIONS,
        *buffered(
            INTERFACE,
            {
                "stop": (stop, act_stop),
                "restart": (restart, act_restart),
                "remove": (remove, act_remove),
                "subscribe": (subscribe, act_subscribe),
                "unsubscribe": (unsubscribe, act_unsubscribe),
            },
        ),
        *READ_FUNCTIONS,
    ),
    interfaces=(INTERFACE,),
    default_ceiling=SupervisorGrant(),
    least=LEAST,
)
