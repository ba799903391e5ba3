"""Bringing an actor to its end: its step gets some time, then its children end, and then it does itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

from theater.errors import NotRunning, StoreError, TheaterError
from theater.model.child_spec import ChildSpec, Shutdown
from theater.model.crash import Crash
from theater.model.event import Event
from theater.model.exit_reason import ExitReason
from theater.model.ids import ActorId
from theater.model.ports import LIVING, EntryKey
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.duties import strike_off
from theater.runtime.life import Control, stopped_by
from theater.runtime.mishap import report
from theater.runtime.orders import Order, Restart, Stop, encode_order
from theater.runtime.performer import Performer
from theater.runtime.settlement import Told, tell
from theater.runtime.step import Step
from theater.runtime.supervising import Supervising


class Ending(Protocol):
    """The actor, as far as its stop knows it. Called under its lock."""

    def end(self, closing: Event, reason: ExitReason, brought: Consequences, told: Told) -> None:
        """It ends with this event. In the commit of that event."""


class Stopping:
    """See above. Guarded by the actor's lock."""

    __slots__ = ("_being", "_ending", "_performer", "_supervising", "under_way")

    def __init__(self, being: Being, performer: Performer, supervising: Supervising, ending: Ending) -> None:
        self._being = being
        self._performer = performer
        self._supervising = supervising
        self._ending = ending
        self.under_way: Stop | None = None
        """What is being done: no step is begun any more."""

    def begin(self, stop: Stop, between_steps: Callable[[Control], None]) -> None:
        """End it as soon as nothing is running; what is running may go on as long as ``stop.mode`` says."""
        step = self._performer.step
        mode = stop.mode if stop.mode is not None else self._own_mode()
        if self._being.status in LIVING and self.under_way is None:
            self.under_way = stop
            if step is not None:
                self._limit(step, mode)
        elif step is not None and mode == "brutal":
            step.kill(Crash("terminated", message=f"stopped by {stop.by}"))
        between_steps(Control(lambda: self._end(stop, mode), stop.done))

    def begin_before(self, restart: Restart, between_steps: Callable[[Control], None]) -> None:
        """It runs, and has children: they are to begin again with it, or not at all."""
        router, own = self._being.surroundings.router, self._being.id

        def stopped(failure: TheaterError | None) -> None:
            if failure is not None:
                restart.done(failure)
            else:
                router.awake(own, lambda actor: actor.restart(restart), restart.done)

        self.begin(Stop(by=restart.by, mode=None, done=stopped, is_quiet=True), between_steps)

    def _own_mode(self) -> Shutdown:
        spec = self._being.anatomy.supervision.self_spec or ChildSpec()
        return spec.shutdown_of(has_children=bool(self._being.surroundings.directory.children(self._being.id)))

    def _limit(self, step: Step, mode: Shutdown) -> None:
        """The step that is running may go on for so long."""

        def terminate() -> None:
            step.kill(Crash("terminated", message="it was to be stopped, and its step did not end in time"))

        if mode == "brutal":
            terminate()
        elif isinstance(mode, int):
            clock = self._being.surroundings.node.clock
            cancel = clock.call_at(clock.now_us() + mode * 1000, terminate)
            self._performer.when_rested(cancel)

    def _end(self, stop: Stop, mode: Shutdown) -> None:
        """Nothing is running: its children end, and then it does itself.

        That takes a while, and half a family is worse than none. So once begun it is finished, by the next process if
        need be: the stop becomes something that the actor owes itself.
        """
        if stop.order is None and self._being.status in LIVING and self.has_children:
            head = self._being.appender.head
            key = EntryKey(self._being.id, "duty", f"{head.seq:016d}:stop")
            stop = replace(stop, order=key)
            order = Order(
                key.key,
                "stop",
                key.actor,
                head.seq,
                head.hash,
                mode=stop.mode,
                is_quiet=stop.is_quiet,
                by=stop.by,
                detail=stop.detail,
            )
            self._being.appender.commit(
                bring=lambda _, brought: brought.put(key.actor, "duty", key.key, encode_order(order))
            )
        self._stop_children(stop, mode)

    @property
    def has_children(self) -> bool:
        """Whether somebody has to be stopped first."""
        return self._next_child(()) is not None

    def _next_child(self, left: Collection[ActorId]) -> ActorId | None:
        directory = self._being.surroundings.directory
        return next((child for child in directory.living_below(self._being.id) if child not in left), None)

    def _stop_children(self, stop: Stop, mode: Shutdown, left: Collection[ActorId] = ()) -> None:
        """The living children, and those below ended ones, are stopped, and then it is its own turn.

        ``left`` are those that cannot be stopped, since they cannot even be read: they take nobody else along.
        """
        child = self._next_child(left) if self._being.status in LIVING else None
        if child is None:
            self._stop(stop)
            return

        def stopped(failure: TheaterError | None) -> None:
            if isinstance(failure, NotRunning):  # the runtime is closing
                stop.done(failure)
                return
            if failure is not None:
                report(RuntimeError(f"child {child} of {self._being.id} could not be stopped: {failure}"))
            with self._being.lock:
                self._stop_children(stop, mode, left if failure is None else (*left, child))

        child_mode = "brutal" if mode == "brutal" else self._supervising.mode_of(self._supervising.family, child)
        router, exclusion = self._being.surroundings.router, self._being.surroundings.exclusion

        def done(failure: TheaterError | None) -> None:
            exclusion.afterwards(lambda: stopped(failure))

        order = Stop(by=self._being.id, mode=child_mode, done=done, is_quiet=True)
        exclusion.afterwards(lambda: router.awake(child, lambda actor: actor.stop(order), done))

    def _stop(self, stop: Stop) -> None:
        being = self._being
        is_enough = being.status == "stopped" or stop.is_quiet or stop.reason is not None  # nobody need hear of it
        if being.status not in LIVING and is_enough:
            self.under_way = None
            strike_off(being, stop.order, stop.done, stop.placed)
            return
        reason = stop.reason or ExitReason(kind="shutdown", by=stop.by)
        told: Told = []
        being.become(replace(being.record, status="stopped"))

        def bring(made: list[Event], brought: Consequences) -> None:
            if stop.order is not None:
                brought.drop(stop.order.actor, "duty", stop.order.key, required=False)
            self._supervising.duties.forget(brought)
            self._ending.end(made[0], reason, brought, told)
            if stop.placed is not None:
                brought.after.append(stop.placed)

        def heard(failure: StoreError | None, made: list[Event]) -> None:
            del made
            stop.done(failure)
            tell(told, failure, None)

        being.appender.commit(heard, stopped_by(stop.by, reason, stop.detail), record=being.record, bring=bring)
        self.under_way = None
        self._performer.drop_warm()
