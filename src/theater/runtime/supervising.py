"""A supervisor at work: it hears of the end of a child, decides, records the decision and sees that it is done.

The decision itself is a pure function (``theater.model.supervision``) of what stands in the supervisor's own chain, so
that a verifier can make it again. It is recorded even while a step of the supervisor is running: a lifecycle event is
no part of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from theater.errors import NotStopped, TheaterError
from theater.model.child_spec import ChildSpec, RestartFrom, Shutdown
from theater.model.event import Event, Kind
from theater.model.exit_reason import ExitKind, ExitReason
from theater.model.family import Family
from theater.model.ids import ActorId, Digest
from theater.model.ports import LIVING
from theater.model.supervision import Decision, decide, decide_root, decision_detail
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.duties import Duties, strike_off
from theater.runtime.exports import handler_form
from theater.runtime.holdings import ROOT_WINDOW, WINDOW, encode_child, encode_times
from theater.runtime.letter import Letter, nobody
from theater.runtime.life import lifecycle
from theater.runtime.loading import CHILD_EXITED
from theater.runtime.mishap import report
from theater.runtime.orders import ExitSignal, Order, Removal, Stop, encode_signal
from theater.runtime.posting import post
from theater.runtime.surroundings import Surroundings


class Supervising:
    """One actor as the supervisor of its children. Guarded by the actor's lock."""

    __slots__ = ("_being", "_heard", "duties")

    def __init__(self, being: Being, *, give_up: Callable[[Stop], None]) -> None:
        self._being = being
        self._heard: dict[ActorId, tuple[int, ExitKind]] | None = None
        self.duties = Duties(being, give_up=give_up, start_failed=self._start_failed)

    @property
    def family(self) -> Family:
        """Its children, as it knows them."""
        return self._being.holdings.family or Family(spec=self._being.anatomy.supervision.supervisor)

    # -- a child has ended -------------------------------------------------------------------------------------------

    def child_ended(self, signal: ExitSignal, *, is_stopping: bool = False) -> None:
        """Decide what is done about it. The lock is held.

        Nothing is, where the supervisor ends itself (``is_stopping``): its children are stopped with it, this one too.
        """
        reason = ExitReason.parse(signal.reason)
        is_over = is_stopping or self._being.status not in LIVING
        if self.family.child(signal.child) is None:
            self._drop(signal)
            return
        if self._was_heard(signal, reason):  # it was in the store, and on the way at the same time
            return
        if is_over or self._is_stale(signal, reason):
            self._drop(signal)
            return
        self._decide(signal, reason)

    def _was_heard(self, signal: ExitSignal, reason: ExitReason) -> bool:
        if self._heard is None:
            self._heard = {}
        before = self._heard.get(signal.child)
        self._heard[signal.child] = signal.seq, reason.kind
        return before == (signal.seq, reason.kind)

    def _is_stale(self, signal: ExitSignal, reason: ExitReason) -> bool:
        """Whether something was done about it already.

        It has been started again since, or is about to be: that was decided before, or asked for. But nobody wants back
        what he stopped: a stop is heard, and takes back the restart that was only decided.
        """
        directory = self._being.surroundings.directory
        if directory.is_living(signal.child):
            return True
        start = self.duties.start_of(signal.child)
        if start is not None:
            return reason.kind != "shutdown" or start.is_asked or self.duties.is_starting(signal.child)
        member = self.family.child(signal.child)
        return reason.kind == "shutdown" and member is not None and not member.alive

    def _decide(self, signal: ExitSignal, reason: ExitReason, *, was_sent: bool = True) -> None:
        """``was_sent``: it was put in the store, perhaps by a transaction that fails yet; then this does, too."""
        family = self.family
        member = family.child(signal.child)
        assert member is not None
        if not member.alive:  # somebody else started it again in between, as its own chain says
            family = family.restarted((signal.child,))
        decisions: list[Decision] = []

        def supervised(time_us: int) -> tuple[Kind, str, bytes]:
            decision = decide(family, signal.child, reason, time_us)
            decisions.append(decision)
            detail = decision_detail(
                decision, child=signal.child, reason=reason, seq=signal.seq, hash=Digest(signal.hash)
            )
            return lifecycle("supervised", "runtime", detail)

        def bring(made: list[Event], brought: Consequences) -> None:
            brought.drop(self._being.id, "signal", signal.key, required=was_sent)
            self.duties.call_off(signal.child, brought)
            self.keep(decisions[0].family_after, brought)
            self._owe(decisions[0], family, made[0], brought)
            self._tell_guest(signal, reason, decisions[0], made[0], brought)

        self._being.appender.commit(None, supervised, bring=bring)

    def _start_failed(self, order: Order, failure: TheaterError) -> None:
        """A child that cannot be started has ended again."""
        if order.kind != "start" or order.target == self._being.id:
            return
        reason = ExitReason(kind="crashed", crash="internal")
        signal = signal_of(self._being.surroundings, order.target, reason)
        with self._being.lock:
            is_over = self._being.status not in LIVING or self.family.child(order.target) is None
            if not is_over and not self._is_stale(signal, reason):
                self._decide(signal, reason, was_sent=False)

    def _drop(self, signal: ExitSignal) -> None:
        self._being.appender.commit(
            bring=lambda _, brought: brought.drop(self._being.id, "signal", signal.key, required=False)
        )

    def _owe(self, decision: Decision, before: Family, event: Event, brought: Consequences) -> None:
        orders = Orders(event)
        for target in decision.stop:
            self.duties.owe(orders.stop(target, self.mode_of(before, target), is_quiet=True), brought)
        due_us = event.header.time_us + decision.pause_ms * 1000 if decision.pause_ms else 0
        for target, start in zip(decision.targets, decision.start_from, strict=True):
            self.duties.owe(orders.start(target, start, due_us), brought)
        if decision.kind == "give-up":
            self.duties.owe(orders.give_up(self._being.id), brought)

    def _tell_guest(
        self, signal: ExitSignal, reason: ExitReason, decision: Decision, event: Event, brought: Consequences
    ) -> None:
        if CHILD_EXITED not in self._being.anatomy.loaded.handlers or decision.kind == "give-up":
            return
        child_exit = {
            "child": signal.child,
            "name": signal.name,
            "reason": reason.to_wit(),
            "seq": signal.seq,
            "hash": signal.hash,
            "decision": ("restarted", list(decision.targets)) if decision.kind == "restart" else ("left", None),
        }
        letter = Letter(
            id=f"exit-{event.header.seq}",
            source="supervisor",
            export=CHILD_EXITED,
            arguments=handler_form(CHILD_EXITED, (child_exit,)),
            expects_reply=False,
            done=nobody,
            sender=self._being.id,
            is_durable=True,
        )
        post(self._being.surroundings, brought, self._being.id, letter)

    def forget(self, removal: Removal) -> None:
        """An ended child leaves the list, as somebody else wants; which its own decisions depend on from now on."""
        being, family = self._being, self.family
        member = family.child(removal.child)
        if member is not None and member.alive and removal.order is None:
            who = f"actor {removal.child} is a child of {being.record.name!r}, which is about to start it again"
            removal.done(NotStopped(f"{who}: stop it first", actor=removal.child))
            return
        if member is None or member.alive:
            strike_off(being, removal.order, removal.done, removal.placed)
            return

        def bring(made: list[Event], brought: Consequences) -> None:
            del made
            if removal.order is not None:
                brought.drop(removal.order.actor, "duty", removal.order.key, required=False)
            self.keep(family.removed(removal.child), brought)
            if removal.placed is not None:
                brought.after.append(removal.placed)

        event = lifecycle("child-removed", removal.by, {"child": removal.child})
        being.appender.commit(lambda failure, _: removal.done(failure), event, bring=bring)

    # -- the supervisor itself ends, and begins again ----------------------------------------------------------------

    def ended(self, closing: Event, reason: ExitReason, brought: Consequences) -> None:
        """It has ended, and so its children have to; a root actor may be started again. In the commit of its end."""
        orders = Orders(closing)
        directory, family = self._being.surroundings.directory, self._being.holdings.family
        self.duties.forget(brought)
        for target in directory.living_below(self._being.id) + self._starting():
            self.duties.owe(orders.stop(target, self.mode_of(self.family, target), is_quiet=True), brought)
        if family is not None:
            self.keep(family.closed(), brought)
        if self._being.record.parent is None:
            self._supervise_root(orders, closing, reason, brought)

    def restarted(self, event: Event, start: RestartFrom, brought: Consequences) -> None:
        """It begins again: its children too, or from ``init`` without any."""
        family = self._being.holdings.family
        if family is None:
            return
        if start == "init":
            self.keep(Family(spec=family.spec), brought)
            return
        orders = Orders(event)
        for child in family.children:
            start_from = "init" if child.ended_normally else child.spec.restart_from
            self.duties.owe(orders.start(child.id, start_from, 0), brought)
        self.keep(family.restarted(child.id for child in family.children), brought)

    def _starting(self) -> list[ActorId]:
        """The child that is being started at this moment, and does not live yet."""
        directory = self._being.surroundings.directory
        children = directory.children(self._being.id)
        return [child for child in children if self.duties.is_starting(child) and not directory.is_living(child)]

    def _supervise_root(self, orders: Orders, closing: Event, reason: ExitReason, brought: Consequences) -> None:
        supervision = self._being.anatomy.supervision
        holdings, own = self._being.holdings, self._being.id
        time_us = closing.header.time_us
        decision = decide_root(supervision.self_spec, supervision.self_window, holdings.root_restarts, reason, time_us)
        if decision.start_from is None:
            return
        due_us = time_us + decision.pause_ms * 1000 if decision.pause_ms else 0
        holdings.root_restarts = decision.restarts
        brought.put(own, "child", ROOT_WINDOW, encode_times(decision.restarts))
        self.duties.owe(orders.start(own, decision.start_from, due_us), brought)

    # -- the family --------------------------------------------------------------------------------------------------

    def mode_of(self, family: Family, target: ActorId) -> Shutdown:
        """How a child is stopped where nobody says otherwise."""
        member = family.child(target)
        has_children = bool(self._being.surroundings.directory.children(target))
        return (member.spec if member is not None else ChildSpec()).shutdown_of(has_children=has_children)

    def keep(self, after: Family, brought: Consequences) -> None:
        """The family has changed, in this transaction."""
        own, directory = self._being.id, self._being.surroundings.directory
        before = self.family
        known = {child.id: child for child in before.children}
        for child in after.children:
            if known.pop(child.id, None) != child:
                brought.put(own, "child", child.id, encode_child(child))
        for gone in known:
            brought.drop(own, "child", gone, required=False)
            directory.remove_child(gone)
            if self._heard is not None:
                self._heard.pop(gone, None)
            brought.after.append(partial(self._being.surroundings.subscriptions.grown, gone))  # that was all of it
        if before.restarts != after.restarts:
            brought.put(own, "child", WINDOW, encode_times(after.restarts))
        self._being.holdings.family = after


class Orders:
    """Makes the orders that follow from one event, in their order."""

    __slots__ = ("_event", "_number")

    def __init__(self, event: Event) -> None:
        self._event = event
        self._number = 0

    def stop(self, target: ActorId, mode: Shutdown | None, *, is_quiet: bool) -> Order:
        """Stop a child."""
        seq, hash = self._event.header.seq, self._event.hash
        return Order(self._key(), "stop", target, seq, hash, mode=mode, is_quiet=is_quiet)

    def start(self, target: ActorId, start: RestartFrom, due_us: int, *, is_asked: bool = False) -> Order:
        """Start a child again, not before ``due_us``."""
        seq, hash = self._event.header.seq, self._event.hash
        return Order(self._key(), "start", target, seq, hash, start=start, due_us=due_us, is_asked=is_asked)

    def remove(self, target: ActorId) -> Order:
        """Have a descendant taken off the list of its parent."""
        return Order(self._key(), "remove", target, self._event.header.seq, self._event.hash)

    def give_up(self, own: ActorId) -> Order:
        """End as the supervisor whose children failed too often."""
        return Order(self._key(), "give-up", own, self._event.header.seq, self._event.hash)

    def _key(self) -> str:
        self._number += 1
        return f"{self._event.header.seq:016d}:{self._number:06d}"


def tell_parent(being: Being, closing: Event, reason: ExitReason, brought: Consequences) -> None:
    """Let the supervisor of an actor hear of its end, in the transaction of that end."""
    parent = being.record.parent
    if parent is None or being.surroundings.directory.card(parent) is None:
        return
    signal = ExitSignal(being.id, being.record.name, reason.to_json(), closing.header.seq, closing.hash)
    send_signal(being.surroundings, parent, signal, brought)


def send_signal(surroundings: Surroundings, parent: ActorId, signal: ExitSignal, brought: Consequences) -> None:
    """Let a supervisor hear of an end, in this transaction."""
    brought.put(parent, "signal", signal.key, encode_signal(signal), once=True)
    router = surroundings.router
    brought.after.append(lambda: router.awake(parent, lambda actor: actor.child_ended(signal), _in_the_store))


def signal_of(surroundings: Surroundings, child: ActorId, reason: ExitReason) -> ExitSignal:
    """The end of an actor that came about without an event of its own: at the last one that it has."""
    card, found = surroundings.directory.card(child), surroundings.router.find(child)
    head = found.head if found is not None else surroundings.node.store.head(child)
    name = card.record.name if card is not None else ""
    return ExitSignal(child, name, reason.to_json(), max(head.seq, 0), head.hash, has_event=False)


def _in_the_store(failure: TheaterError | None) -> None:
    """The supervisor cannot be woken up now; when it is, it finds the signal."""
    if failure is not None:
        report(RuntimeError(f"a supervisor could not be told of the end of its child: {failure}"))
