"""Starting children: the part of ``theater:actor/supervisor`` that makes new actors.

What is recorded and the limits stand in ``supervisor``.
"""

from __future__ import annotations

from msgspec.structs import replace

from theater.capabilities.child_order import ChildSpecValue, note_of, order_of, spec_problem
from theater.capabilities.grant_table import manifest_line
from theater.capabilities.guest_json import json_problem
from theater.capabilities.moment import wait_for
from theater.capabilities.registration import buffered, waiting
from theater.capabilities.supervisor_grant import SupervisorGrant, plain_path
from theater.errors import InvalidInput
from theater.model.actor_system import Problem
from theater.model.capability import Denied, Noted, StepContext
from theater.model.effects import ChildOrder, Spawn, SpawnAndWait
from theater.model.ids import ActorId
from theater.model.manifest import parse_manifest

INTERFACE = "theater:actor/supervisor"
PARAMS_MAX_BYTES = 2**20
"""As in a manifest: they are recorded in the child's first event."""

Answer = tuple[str, object]


def spawn(ctx: StepContext, grant: SupervisorGrant, child: ChildSpecValue) -> object:
    """Check everything about a child; gives its id."""
    return _decide(ctx, grant, child, state=None)


def act_spawn(ctx: StepContext, answer: Answer, child: ChildSpecValue) -> None:
    """It begins with the commit."""
    if answer[0] == "ok":
        ctx.act(Spawn(ActorId(ctx.call_id), order_of(child, ctx.note)))


def resume(ctx: StepContext, grant: SupervisorGrant, child: ChildSpecValue, state: str) -> object:
    """As ``spawn``, with a state."""
    return _decide(ctx, grant, child, state=state)


def act_resume(ctx: StepContext, answer: Answer, child: ChildSpecValue, state: str) -> None:
    """It begins with the commit."""
    if answer[0] == "ok":
        ctx.act(Spawn(ActorId(ctx.call_id), order_of(child, ctx.note), state))


def check_spawn_and_wait(
    ctx: StepContext, _grant: SupervisorGrant, child: ChildSpecValue, _timeout_ms: int | None
) -> Denied | None:
    """Whether it can be started now.

    What stands in a directory may change between two looks at it, and a call that waits is made again from its
    arguments alone when its step is resumed. So it takes none.
    """
    kind, _ = child["source"]
    if kind == "directory":
        return Denied(("err", ("denied", "spawn-and-wait takes a manifest and no directory, whatever is granted")))
    problem = _spec_problem(child) or ctx.system.may_spawn(ActorId(ctx.call_id), _temporary(child))
    return None if problem is None else Denied(("err", problem))


def spawn_and_wait(ctx: StepContext, _grant: SupervisorGrant, child: ChildSpecValue, timeout_ms: int | None) -> object:
    """Start one at once and wait for its end."""
    order = _temporary(child)
    return wait_for(ctx, lambda until_us: SpawnAndWait(ActorId(ctx.call_id), order, until_us), timeout_ms)


def _decide(ctx: StepContext, grant: SupervisorGrant, child: ChildSpecValue, *, state: str | None) -> object:
    problem = _spec_problem(child)
    if problem is not None:
        return ("err", problem)
    kind, text = child["source"]
    if kind == "manifest":
        return _answer(ctx, order_of(child), state)
    directory = plain_path(text)
    if directory is None:
        return Denied(("err", ("denied", f"{text!r} is no absolute path without '..'")))
    if not grant.allows(directory):
        return Denied(("err", ("denied", f"{manifest_line('directories', [directory])} is not granted")))
    found = ctx.system.read_child(directory)
    if not isinstance(found, ChildOrder):
        return ("err", found)
    note = note_of(found)
    return Noted(_answer(ctx, order_of(child, note), state), note)


def _answer(ctx: StepContext, order: ChildOrder, state: str | None) -> Answer:
    problem = None if state is None else json_problem(state, most_bytes=_state_max_bytes(ctx, order))
    problem = problem or ctx.system.may_spawn(ActorId(ctx.call_id), order)
    return ("ok", ctx.call_id) if problem is None else ("err", problem)


def _state_max_bytes(ctx: StepContext, order: ChildOrder) -> int:
    """The child's own limit ``state``; this actor's where the manifest is wrong, which is then said anyway."""
    try:
        return parse_manifest(order.manifest, params=order.params).limits.state_bytes
    except InvalidInput:
        return ctx.limits.state_bytes


def _spec_problem(child: ChildSpecValue) -> Problem | None:
    params = child["params"]
    return spec_problem(child) or (None if params is None else json_problem(params, most_bytes=PARAMS_MAX_BYTES))


def _temporary(child: ChildSpecValue) -> ChildOrder:
    """An order without any policy of restart."""
    return replace(order_of(child), restart="temporary", restart_from=None, backoff_ms=None)


SPAWN_FUNCTIONS = (
    *buffered(INTERFACE, {"spawn": (spawn, act_spawn), "resume": (resume, act_resume)}, giving_ids=("spawn", "resume")),
    *waiting(INTERFACE, {"spawn-and-wait": (spawn_and_wait, check_spawn_and_wait)}, giving_ids=("spawn-and-wait",)),
)
