"""Removing actors that have ended: what they recorded is erased, and nobody knows them any more.

An actor is removed with all that is below it, or not at all. First every one of them is taken out of memory, and kept
from being woken up, so that nobody can start it again meanwhile; if one of them lives, or is about to, all are let go
of, and nothing has happened. Then the supervisor of the topmost takes it off its list, which is recorded in the
supervisor's own chain, since decisions follow from that. Then each gets its last event, the children before their
parents, in the transaction that takes its row and all that it holds. The payloads are erased in the background.

A process that dies in between leaves some of them removed, and the rest as they were: whoever asks again goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from theater.errors import Damaged, NotStopped, StoreError, TheaterError
from theater.model.ids import ActorId
from theater.model.ports import LIVING, Append, Appended
from theater.runtime.appender import Appender
from theater.runtime.being import Being
from theater.runtime.duties import Duties
from theater.runtime.life import lifecycle
from theater.runtime.orders import Removal, decode_signal

if TYPE_CHECKING:
    from theater.runtime.dispatcher import Dispatcher

PATIENCE_S = 60.0
"""How long the disk may take for one of the transactions."""


def require_over(being: Being, duties: Duties, *, is_busy: bool) -> None:
    """Whether an actor has ended for good. Its lock is held; ``is_busy``: something of it goes on.

    Raises:
        NotStopped: it has not.
    """
    name = being.record.name
    if being.status in LIVING:
        raise NotStopped(f"actor {name!r} is {being.status}: stop it first", actor=being.id)
    if duties.start_of(being.id) is not None:
        raise NotStopped(f"actor {name!r} is to be started again, as its manifest asks: stop it first", actor=being.id)
    if is_busy or not duties.is_idle:
        raise NotStopped(f"actor {name!r} has something to finish: try again", actor=being.id)


def remove(dispatcher: Dispatcher, actor: ActorId, *, tree: bool, by: str) -> list[ActorId]:
    """Remove an actor, with ``tree`` all below it as well; returns them, children before their parents. Blocks.

    Raises:
        NotFound: there is no such actor, or it is being removed.
        NotStopped: one of them has not ended, or there are some below it, and no ``tree``. Nothing has happened.
        StoreError: it could not be recorded; those before it in the order were removed.
        TheaterError: its supervisor cannot be woken up. Nothing has happened.
    """
    doomed = _doomed(dispatcher, actor, tree=tree)
    seized: list[ActorId] = []
    removed: list[ActorId] = []
    try:
        for each in reversed(doomed):
            dispatcher.seize(each)
            seized.append(each)
        if _doomed(dispatcher, actor, tree=tree) != doomed:
            raise NotStopped(f"actor {actor} got children meanwhile: try again", actor=actor)
        if not _is_in_circle(dispatcher, actor, doomed):
            _leave_family(dispatcher, actor, by)
        for each in doomed:
            _erase(dispatcher, each, by)
            seized.remove(each)
            dispatcher.bury(each)
            removed.append(each)
    finally:
        for each in seized:
            dispatcher.release(each)
        if removed:
            dispatcher.erasing.begin()
    return removed


def _doomed(dispatcher: Dispatcher, actor: ActorId, *, tree: bool) -> list[ActorId]:
    below = dispatcher.surroundings.directory.everybody_below(actor)
    if below and not tree:
        raise NotStopped(f"there are {len(below)} actors below {actor}: remove them first, or all of the tree")
    return [*below, actor]


def _is_in_circle(dispatcher: Dispatcher, actor: ActorId, doomed: list[ActorId]) -> bool:
    """Whether its supervisor goes with it. That cannot be, but two chains that were taken in may say so."""
    card = dispatcher.surroundings.directory.card(actor)
    return card is not None and card.record.parent in doomed


def _leave_family(dispatcher: Dispatcher, child: ActorId, by: str) -> None:
    """The supervisor, if it is on this node, hears of the end if it has not yet, and takes the child off its list."""
    directory, store = dispatcher.surroundings.directory, dispatcher.surroundings.node.store
    card = directory.card(child)
    parent = card.record.parent if card is not None else None
    if parent is None or directory.card(parent) is None:
        return
    signals = [decode_signal(entry.value) for entry in store.entries(parent, "signal")]
    for signal in signals:
        if signal.child == child:  # it is in the store with the end itself, and may be on the way still
            dispatcher.awake(parent, lambda found, signal=signal: found.child_ended(signal), _unheard)  # type: ignore[misc]

    def order(done: Callable[[TheaterError | None], None]) -> None:
        removal = Removal(child, by, done)
        dispatcher.awake(parent, lambda found: found.forget_child(removal), done)

    _wait(order)
    directory.remove_child(child)


def _erase(dispatcher: Dispatcher, actor: ActorId, by: str) -> None:
    """Its last event, and with that its row and all that it holds go."""
    node = dispatcher.surroundings.node
    head = node.store.head(actor)
    time_us = 0
    with contextlib.suppress(Damaged):  # what cannot be read can be removed all the same
        time_us = max(event.header.time_us for event in node.store.events(actor, start=head.seq))
    appender = Appender(node.store, actor, head=head, time_us=time_us, clock=node.clock, entropy=node.entropy)
    event = appender.add(*lifecycle("erased", by, None))

    def order(done: Callable[[TheaterError | None], None]) -> None:
        def written(result: Appended | StoreError) -> None:
            done(result if isinstance(result, StoreError) else None)

        node.store.append(Append(actor, head, (event,), erases=True), written)

    _wait(order)


def _wait(order: Callable[[Callable[[TheaterError | None], None]], None]) -> None:
    """Until it is durable. Raises why it cannot be done."""
    future: Future[TheaterError | None] = Future()
    order(future.set_result)
    try:
        failure = future.result(PATIENCE_S)
    except TimeoutError as error:
        raise StoreError(f"nothing was heard of it for {PATIENCE_S:g} s: look whether it is removed") from error
    if failure is not None:
        raise failure


def _unheard(failure: TheaterError | None) -> None:
    """The supervisor cannot be woken up: what is asked of it next says why."""
    del failure
