"""A supervisor's orders, carried out one after the other: children are stopped and started in the order decided.

A start that is put off (``due_us``) waits for the clock apart from the others, so that the pause of one child holds
nobody else up. Whoever orders something else of that child meanwhile means that in its place.

An order is begun when the transaction that it came with has its place in the order of all transactions, and it is done
when what it brings about has its own place: so whatever the child does next, its end included, is heard of behind that.

Until that is durable too, it is kept in mind: where it could not be written, the order is carried out once more after a
pause. So is a start for which the name of the child is not free, since a living actor took it in the moment between the
end of the child and the decision: that is no failure of the child. From the decision on its name is kept for it, for as
long as its start is owed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from theater.errors import NameTaken, NotFound, NotRunning, StoreError, TheaterError
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.ports import EntryKey
from theater.runtime.being import Being
from theater.runtime.consequences import Consequences
from theater.runtime.mishap import report
from theater.runtime.orders import Heard, Order, Removal, Restart, Stop, encode_order

RETRY_US = 1_000_000
"""How long an order waits that could not be carried out for a reason that may pass."""


class Duties:
    """Guarded by the actor's lock, but for what is done to others: that is put off until it is let go of."""

    __slots__ = (
        "_alarms",
        "_being",
        "_give_up",
        "_is_beginning",
        "_is_chosen",
        "_is_closed",
        "_orders",
        "_promised",
        "_start_failed",
        "_tried",
        "_under_way",
        "_unsure",
        "_when_done",
    )

    def __init__(
        self,
        being: Being,
        *,
        give_up: Callable[[Stop], None],
        start_failed: Callable[[Order, TheaterError], None],
    ) -> None:
        self._being = being
        self._give_up = give_up
        self._start_failed = start_failed
        self._orders: list[Order] = []
        self._promised: set[str] = set()
        self._unsure: dict[str, Order] = {}
        """What was begun, and may not be durable yet."""
        self._tried: set[str] = set()
        """What waits to be tried again."""
        self._alarms: dict[str, Callable[[], None]] = {}
        self._under_way: Order | None = None
        self._is_chosen = False
        self._is_beginning = False
        self._is_closed = False
        self._when_done: list[Callable[[], None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do, now or later."""
        return not (self._orders or self._unsure) and self._under_way is None

    @property
    def is_resting(self) -> bool:
        """Whether there is nothing to do now: nothing, or what waits for the clock."""
        return self._under_way is None and len(self._alarms) == len(self._orders)

    @property
    def is_quiet(self) -> bool:
        """Whether whatever there is to do now has been handed over to others, so that the next move is theirs."""
        return self.is_resting or not (self._is_chosen or self._is_beginning or self._under_way is None)

    def when_done(self, action: Callable[[], None]) -> None:
        """Call ``action`` when there is nothing to do now any more: at once, if that is so. The lock is held."""
        if self.is_resting:
            action()
        else:
            self._when_done.append(action)

    def start_of(self, target: ActorId) -> Order | None:
        """By what it is about to be started. May be asked without the lock."""
        return next((order for order in tuple(self._orders) if order.kind == "start" and order.target == target), None)

    def is_starting(self, target: ActorId) -> bool:
        """Whether it is being started at this moment."""
        order = self._under_way
        return order is not None and order.kind == "start" and order.target == target

    def owe(self, order: Order, brought: Consequences) -> None:
        """Put an order into this transaction, to be carried out when that has its place."""
        if order.kind == "start" or order.is_quiet:  # a stop that is to be heard of needs an end that can be
            self.call_off(order.target, brought)
        brought.put(self._being.id, "duty", order.key, encode_order(order))
        self._keep_name(order)
        brought.undone.append(lambda _: self._release_name(order))
        self._orders.append(order)
        self._promised.add(order.key)
        brought.after.append(lambda: self._placed(order))

    def take(self, orders: Iterable[Order]) -> None:
        """These stood in the store."""
        for order in orders:
            self._keep_name(order)
            self._orders.append(order)

    def go_on(self) -> None:
        """Carry out what there is."""
        with self._being.lock:
            self._next()

    def call_off(self, target: ActorId, brought: Consequences) -> None:
        """It is not to be started any more, unless that is under way."""
        for order in tuple(self._orders):
            if order.kind == "start" and order.target == target and order is not self._under_way:
                self._strike(order, brought)
        for order in tuple(self._unsure.values()):
            if order.kind == "start" and order.target == target and order is not self._under_way:
                self._unsure.pop(order.key, None)  # it is done, or will not be
                brought.drop(self._being.id, "duty", order.key, required=False)

    def forget(self, brought: Consequences) -> None:
        """Nothing of what is not begun is to be done any more."""
        for order in tuple(self._orders):
            self._strike(order, brought)
        for order in tuple(self._unsure.values()):
            if order.kind == "start":
                self._unsure.pop(order.key, None)
                brought.drop(self._being.id, "duty", order.key, required=False)

    def close(self) -> None:
        """The runtime closes: what is not begun waits in the store. The lock is held."""
        self._is_closed = True
        for cancel in self._alarms.values():
            cancel()

    def _strike(self, order: Order, brought: Consequences) -> None:
        brought.drop(self._being.id, "duty", order.key, required=False)
        self._orders.remove(order)
        self._release_name(order)
        self._promised.discard(order.key)
        self._tried.discard(order.key)
        cancel = self._alarms.pop(order.key, None)
        if cancel is not None:
            cancel()

    def _placed(self, order: Order) -> None:
        with self._being.lock:
            self._promised.discard(order.key)
            self._next()

    def _next(self) -> None:
        if self._under_way is not None or self._is_closed:
            return
        clock = self._being.surroundings.node.clock
        for order in self._orders:
            if order.key in self._promised:
                return
            if order.due_us <= clock.now_us():
                self._under_way = order
                self._is_chosen = True
                self._being.surroundings.exclusion.afterwards(self._work)
                return
            if order.key not in self._alarms:
                self._alarms[order.key] = clock.call_at(order.due_us, self._alarm(order))
        waiting, self._when_done = self._when_done, []
        for action in waiting:
            action()

    def _alarm(self, order: Order) -> Callable[[], None]:
        def due() -> None:
            with self._being.lock:
                if self._alarms.pop(order.key, None) is not None:
                    self._next()

        return due

    def _work(self) -> None:
        """Begin what was chosen. One that is done at once chooses the next one, which is begun here, and not deeper."""
        while True:
            with self._being.lock:
                order = self._under_way
                if self._is_beginning or not self._is_chosen or order is None:
                    return
                self._is_chosen = False
                self._is_beginning = order in self._orders
                if not self._is_beginning:  # it was forgotten in between
                    self._under_way = None
                    self._next()
                    continue
            try:
                self._begin(order)
            finally:
                with self._being.lock:
                    self._is_beginning = False

    def _begin(self, order: Order) -> None:
        router, own = self._being.surroundings.router, self._being.id
        key = EntryKey(own, "duty", order.key)

        self._unsure[order.key] = order

        def placed() -> None:
            self._done(order, None)

        def done(failure: TheaterError | None) -> None:
            if failure is None:
                self._unsure.pop(order.key, None)
            else:  # whoever says so may hold his own lock
                self._being.surroundings.exclusion.afterwards(lambda: self._failed(order, failure))

        match order.kind:
            case "stop":
                by = order.by or own
                stop = Stop(by, order.mode, done, order.is_quiet, order=key, detail=order.detail, placed=placed)
                router.awake(order.target, lambda actor: actor.stop(stop), done)
            case "start":
                by = "runtime" if order.target == own else own
                cause = order.seq, order.hash
                restart = Restart(by=by, done=done, placed=placed, start=order.start, cause=cause, order=key)
                router.awake(order.target, lambda actor: actor.restart(restart), done)
            case "remove":
                card = self._being.surroundings.directory.card(order.target)
                if card is None or card.record.parent is None:
                    done(NotFound(f"there is no child {order.target}"))
                    return
                removal = Removal(order.target, own, done, key, placed)
                router.awake(card.record.parent, lambda actor: actor.forget_child(removal), done)
            case "give-up":
                self._give_up(Stop(by="runtime", mode=None, done=done, placed=placed, order=key))

    def _failed(self, order: Order, failure: TheaterError) -> None:
        """It could not be done: tried again, or given up."""
        with self._being.lock:
            is_wanted = self._unsure.pop(order.key, None) is order
            is_passing = isinstance(failure, StoreError) or (isinstance(failure, NameTaken) and order.kind == "start")
            if is_wanted and is_passing and not self._is_closed and self._being.appender.failure is None:
                self._try_again(order, failure)
                return
        self._done(order, failure)

    def _try_again(self, order: Order, failure: TheaterError) -> None:
        """After a pause, unless it is taken back meanwhile. The lock is held."""
        if order.key not in self._tried:
            self._tried.add(order.key)
            report(RuntimeError(f"actor {order.target} cannot be made to {order.kind}, tried again: {failure}"))
        again = msgspec.structs.replace(order, due_us=self._being.surroundings.node.clock.now_us() + RETRY_US)
        if self._under_way is order:
            self._under_way = None
        if order in self._orders:
            self._orders[self._orders.index(order)] = again
        else:
            self._keep_name(again)
            self._orders.insert(0, again)
        self._next()

    def _keep_name(self, order: Order) -> None:
        directory = self._being.surroundings.directory
        card = directory.card(order.target)
        if order.kind == "start" and card is not None:
            directory.keep_name(card.record.name, order.target)

    def _release_name(self, order: Order) -> None:
        directory = self._being.surroundings.directory
        card = directory.card(order.target)
        if order.kind == "start" and card is not None:
            directory.give_up_name(card.record.name, order.target)

    def _done(self, order: Order, failure: TheaterError | None) -> None:
        with self._being.lock:
            if self._under_way is not order:
                return
            if isinstance(failure, NotRunning):  # the runtime is closing: it is done after the next start
                self._is_closed = True
            if self._is_closed:
                return
            is_wanted = order in self._orders
            if is_wanted:
                self._orders.remove(order)
                self._release_name(order)
                self._tried.discard(order.key)
        if failure is not None:
            key = order.key
            self._being.appender.commit(
                bring=lambda _, brought: brought.drop(self._being.id, "duty", key, required=False)
            )
            is_there = self._being.surroundings.directory.card(order.target) is not None  # or it was removed meanwhile
            if is_there:
                report(RuntimeError(f"actor {order.target} could not be made to {order.kind}: {failure}"))
            try:
                if is_wanted and is_there:
                    self._start_failed(order, failure)
            except Exception as error:  # noqa: BLE001 - a bug of ours; the other orders must be carried out
                report(error)
        with self._being.lock:
            self._under_way = None
            self._next()


def strike_off(being: Being, order: EntryKey | None, done: Heard, placed: Callable[[], None] | None = None) -> None:
    """What was ordered is so already: it is owed no longer."""

    def bring(made: list[Event], brought: Consequences) -> None:
        del made
        if order is not None:
            brought.drop(order.actor, "duty", order.key, required=False)
        if placed is not None:
            brought.after.append(placed)

    being.appender.commit(lambda failure, _: done(failure), bring=bring)
