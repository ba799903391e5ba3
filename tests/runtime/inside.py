"""Where tests look inside an actor: the only place of the tests that knows how it is put together."""

from __future__ import annotations

from collections.abc import Callable

from theater.errors import StoreError
from theater.model.crash import Crash
from theater.model.event import Event
from theater.runtime.actor import Actor
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.reference import ActorRef
from theater.runtime.step import Step
from theater.runtime.warm import Warm
from theater.testing.harness import Actor as Played
from theater.testing.harness import Harness


def inner(actor: Played | ActorRef) -> Actor:
    """The actor itself, which has to be in memory."""
    ref = actor.ref if isinstance(actor, Played) else actor
    found = ref._runtime.find(ref.id)
    assert found is not None
    return found


def dispatcher_of(harness: Harness) -> Dispatcher:
    """Who has the actors."""
    return harness.runtime._dispatcher


def step_of(actor: Actor) -> Step | None:
    """The step that is running."""
    return actor._performer.step


def kept_of(actor: Actor) -> Warm | None:
    """The instance that it keeps."""
    keeper = actor._performer._warm
    return keeper._kept if keeper is not None else None


def commit(actor: Actor, heard: Callable[[StoreError | None, list[Event]], None]) -> None:
    """Have everything that is in its chain made durable."""
    actor._being.appender.commit(heard)


def kill_step(actor: Actor) -> None:
    """Have the running step end as terminated, and nothing else happen to the actor."""
    step = step_of(actor)
    assert step is not None
    step.kill(Crash("terminated", message="a test ended it"))


def settle(actor: Played) -> None:
    """Wait until nothing runs in it, and everything is durable."""
    found = inner(actor)
    assert found.wait_idle(10.0)
    assert found.wait_durable(10.0)
