"""What a step does to its children when it is committed: they are born, stopped, started again, taken off the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theater.model.child_spec import ChildSpec, RestartFrom, Shutdown
from theater.model.effects import RemoveChild, RestartChild, Spawn, StopChild
from theater.model.exit_reason import ExitReason
from theater.model.ids import ActorId
from theater.runtime.conception import ChildPlan
from theater.runtime.mishap import report
from theater.runtime.offspring import spec_again
from theater.runtime.supervising import send_signal, signal_of

if TYPE_CHECKING:
    from theater.runtime.settlement import Settling


def spawn(settling: Settling, effect: Spawn) -> None:
    """A child comes to be, in this transaction, and begins right after."""
    plan = settling.neighbours.offspring.take_plan(effect.id, effect.order)
    supervising, brought = settling.supervising, settling.brought
    if not isinstance(plan, ChildPlan):
        _stillborn(settling, effect, plan)
        return
    router = settling.surroundings.router
    birth = router.conceive(plan.request, plan.permissions, effect.id, parent=settling.actor, state=effect.state)
    brought.births.append(birth.append)
    brought.after.append(birth.begin)
    brought.undone.append(birth.fail)
    supervising.keep(supervising.family.spawned(effect.id, plan.spec), brought)


def stop_child(settling: Settling, effect: StopChild) -> None:
    """A descendant ends; its own supervisor hears of it, and leaves it so.

    One that waits for its restart has no end of its own to come to, so its supervisor hears of the stop alone.
    """
    supervising, surroundings, child = settling.supervising, settling.surroundings, effect.child
    offspring = settling.neighbours.offspring
    start = offspring.pending_start(child)
    is_put_off = start is not None and start.due_us > surroundings.node.clock.now_us()
    if is_put_off and not surroundings.directory.is_living(child):
        reason = ExitReason(kind="shutdown", by=settling.actor)
        send_signal(surroundings, offspring.parent_of(child), signal_of(surroundings, child, reason), settling.brought)
        return
    mode = effect.mode if effect.mode is not None else _mode(settling, child)
    supervising.duties.owe(settling.orders.stop(child, mode, is_quiet=False), settling.brought)


def restart_child(settling: Settling, effect: RestartChild) -> None:
    """A descendant begins again; one that runs is stopped first, and nobody decides about that."""
    supervising, child = settling.supervising, effect.child
    member = settling.neighbours.offspring.member(child)
    if settling.surroundings.directory.is_living(child):
        supervising.duties.owe(settling.orders.stop(child, _mode(settling, child), is_quiet=True), settling.brought)
    start: RestartFrom = effect.start or "last-state"
    if effect.start is None and member is not None:
        start = "init" if member.ended_normally else member.spec.restart_from
    supervising.duties.owe(settling.orders.start(child, start, 0, is_asked=True), settling.brought)
    if supervising.family.child(child) is not None:
        supervising.keep(supervising.family.restarted((child,)), settling.brought)


def _mode(settling: Settling, child: ActorId) -> Shutdown:
    """As the specification of the child says, whoever supervises it."""
    member = settling.neighbours.offspring.member(child)
    has_children = bool(settling.surroundings.directory.children(child))
    return (member.spec if member is not None else ChildSpec()).shutdown_of(has_children=has_children)


def remove_child(settling: Settling, effect: RemoveChild) -> None:
    """An ended descendant leaves the list of its parent, unless it was started again while the step went on."""
    supervising = settling.supervising
    member = supervising.family.child(effect.child)
    if member is not None:
        if not member.alive:
            supervising.keep(supervising.family.removed(effect.child), settling.brought)
        return
    settling.surroundings.directory.remove_child(effect.child)
    # its own parent has to say so in its chain, since decisions follow from that
    supervising.duties.owe(settling.orders.remove(effect.child), settling.brought)


def _stillborn(settling: Settling, effect: Spawn, problem: tuple[str, object]) -> None:
    """It could be spawned when it was asked for, by a process that died since, and cannot any more.

    Its parent was told that it is there, so it is told of its end, too; nothing can be started again that never was.
    """
    report(RuntimeError(f"child {effect.id} of {settling.actor} cannot be born any more: {problem[0]}: {problem[1]}"))
    supervising, brought = settling.supervising, settling.brought
    supervising.keep(supervising.family.spawned(effect.id, spec_again(effect.order)), brought)
    signal = signal_of(settling.surroundings, effect.id, ExitReason(kind="shutdown", by="runtime"))
    send_signal(settling.surroundings, settling.actor, signal, brought)
