"""What a guest sets going before it waits: it goes out with the event of the intent, and is answered later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Never

from theater.errors import TheaterError
from theater.model.effects import AtOnce, OpenChannel, Request, SpawnAndWait
from theater.model.ids import ActorId
from theater.model.payload import Cause
from theater.runtime.channel_settlement import open_channel
from theater.runtime.conception import ChildPlan
from theater.runtime.consequences import Consequences
from theater.runtime.holdings import AWAITED, Awaited, encode_awaited
from theater.runtime.mishap import report
from theater.runtime.neighbours import Neighbours
from theater.runtime.orders import Stop
from theater.runtime.posting import accepted, post
from theater.runtime.surroundings import Surroundings


class Asking:
    """One call that is about to wait. Used once, in the commit of its intent."""

    __slots__ = ("actor", "brought", "cause", "neighbours", "surroundings")

    def __init__(
        self,
        surroundings: Surroundings,
        actor: ActorId,
        neighbours: Neighbours,
        cause: Cause | None,
        brought: Consequences,
    ) -> None:
        self.surroundings = surroundings
        self.actor = actor
        self.neighbours = neighbours
        self.cause = cause
        self.brought = brought


def target_of(effect: AtOnce) -> ActorId:
    """Who is waited for."""
    return effect.id if isinstance(effect, SpawnAndWait) else effect.to


def abandon(surroundings: Surroundings, actor: ActorId, effect: AtOnce) -> None:
    """Nobody waits for it any more: a child that was started to be waited for is stopped."""
    if isinstance(effect, SpawnAndWait):
        stop = Stop(by=actor, mode=None, done=_nobody, is_quiet=True)
        surroundings.exclusion.afterwards(
            lambda: surroundings.router.awake(effect.id, lambda child: child.stop(stop), _nobody)
        )


def ask(asking: Asking, effect: AtOnce) -> None:
    """Have it sent."""
    _ASK[type(effect)](asking, effect)  # type: ignore[arg-type]  # the table pairs each type with its function


def _request(asking: Asking, effect: Request) -> None:
    asking.neighbours.use_place(effect.to)
    own = asking.actor
    letter = accepted(effect.id, effect.body, source=own, sender=own, cause=asking.cause, until_us=effect.until_us)
    post(asking.surroundings, asking.brought, effect.to, letter)


def _spawn_and_wait(asking: Asking, effect: SpawnAndWait) -> None:
    plan = asking.neighbours.offspring.take_plan(effect.id, effect.order)
    surroundings, brought = asking.surroundings, asking.brought
    if not isinstance(plan, ChildPlan):  # it was checked a moment ago, in this very process
        report(RuntimeError(f"child {effect.id} of {asking.actor} cannot be born any more: {plan}"))
        return
    awaited = Awaited(asking.actor, effect.id, effect.until_us)
    birth = surroundings.router.conceive(
        plan.request, plan.permissions, effect.id, parent=asking.actor, state=None, awaited=awaited
    )
    brought.births.append(birth.append)
    brought.put(effect.id, "child", AWAITED, encode_awaited(awaited))
    brought.after.append(birth.begin)
    brought.undone.append(birth.fail)


def _nobody(failure: TheaterError | None) -> None:
    """The child has ended by itself, or will be found by whoever looks after it next."""
    del failure


_ASK: Mapping[type, Callable[[Asking, Never], None]] = {
    SpawnAndWait: _spawn_and_wait,
    OpenChannel: open_channel,
    Request: _request,
}
