"""The subscriptions of all actors: who is told of whose events, and how far that has come.

A subscriber gets one batch at a time; the next is made once that has been handled. So whoever is watched is never
slowed: that something has become durable in its chain is noted, and its events are read from the store, on another
thread. Each batch advances the subscription in the transaction that puts it into the mailbox, so that no event is
delivered twice, or lost, whenever the process dies.

The subscription to an actor that has ended, and is on no list of children any more, ends when its last events have been
delivered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from theater.errors import HeadConflict, StoreError
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Entry, EntryKey
from theater.runtime.directory import Directory
from theater.runtime.event_batches import Batch, Subscription, next_batch
from theater.runtime.exports import CHILD_EVENTS, handler_form
from theater.runtime.letter import Letter, encode_letter, nobody
from theater.runtime.mishap import report
from theater.runtime.node import Node

if TYPE_CHECKING:
    from theater.runtime.surroundings import Router

RETRY_US = 1_000_000
"""How long a batch that could not be written waits before it is tried again."""

SOURCE = "supervisor"

_decoder = msgspec.msgpack.Decoder(Subscription)


def encode_subscription(subscription: Subscription) -> bytes:
    """As it stands in the store."""
    return msgspec.msgpack.encode(subscription)


def report_failure(result: Appended | StoreError) -> None:
    """Where what is left over could not be cleared away: it is when it is looked at after the next start."""
    if isinstance(result, StoreError):
        report(result)


@dataclass(slots=True, eq=False)
class Watch:
    """One subscription in memory. Whoever set ``is_busy`` serves it alone."""

    subscriber: ActorId
    child: ActorId
    subscription: Subscription
    is_armed: bool = True
    is_busy: bool = False
    is_stirred: bool = False
    """Whether there may be something new since it was last looked at."""
    waits_for: str | None = None
    """The batch that was delivered and not handled."""


class Subscriptions:
    """See above. One for a node; any thread may use it. Under its lock nothing is called but queues."""

    def __init__(self, node: Node, directory: Directory, router: Router) -> None:
        self._node = node
        self._directory = directory
        self._router = router
        self._lock = threading.RLock()
        self._of: dict[ActorId, dict[ActorId, Watch]] = {}  # by subscriber, then by whom it watches
        self._watched: dict[ActorId, dict[ActorId, Watch]] = {}  # the other way round
        self._doubted: set[ActorId] = set()
        self._busy = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is being read or written."""
        return self._busy == 0

    # -- what happens ------------------------------------------------------------------------------------------------

    def grown(self, actor: ActorId) -> None:
        """Something has become durable in an actor's chain. Costs nothing where nobody watches it."""
        if actor in self._watched:
            with self._lock:
                for watch in self._watched.get(actor, {}).values():
                    self._stir(watch)

    def handled(self, subscriber: ActorId, letter_id: str) -> None:
        """The step that was given a batch is over."""
        with self._lock:
            for watch in self._of.get(subscriber, {}).values():
                if watch.waits_for == letter_id:
                    watch.waits_for = None
                    self._stir(watch)

    def revive(self, subscriber: ActorId) -> None:
        """It runs again."""
        with self._lock:
            for watch in self._of.get(subscriber, {}).values():
                self._stir(watch)

    def watched_by(self, subscriber: ActorId) -> set[ActorId]:
        """Whom an actor watches."""
        with self._lock:
            return set(self._of.get(subscriber, ()))

    def put(self, watch: Watch) -> None:
        """A new one, in place of any earlier to the same child."""
        with self._lock:
            self._of.setdefault(watch.subscriber, {})[watch.child] = watch
            self._watched.setdefault(watch.child, {})[watch.subscriber] = watch

    def arm(self, watch: Watch) -> None:
        """It is in the store."""
        with self._lock:
            watch.is_armed = True
            self._stir(watch)

    def remove(self, subscriber: ActorId, child: ActorId) -> None:
        """It ends."""
        with self._lock:
            for table, holder, key in ((self._of, subscriber, child), (self._watched, child, subscriber)):
                held = table.get(holder)
                if held is not None:
                    held.pop(key, None)
                    if not held:
                        del table[holder]

    # -- coming and going --------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take all that are in the store, as after a start of the process, before anybody is woken up."""
        store = self._node.store
        for actor in store.holders("subscription"):
            self._take(actor, store.entries(actor, "subscription"))
        for watches in list(self._of.values()):
            for watch in watches.values():
                batch = watch.subscription.batch
                if batch is not None and store.entry(watch.subscriber, "mailbox", batch) is not None:
                    watch.waits_for = batch

    def begin(self) -> None:
        """Deliver what came while the node was down."""
        for actor in list(self._of):
            self.revive(actor)

    def doubt(self, actor: ActorId) -> None:
        """Something about the actor could not be written: what is in memory may not be what is in the store."""
        with self._lock:
            self._doubted.add(actor)

    def learn(self, actor: ActorId, entries: Iterable[Entry]) -> None:
        """The actor was read from the store."""
        if actor not in self._doubted:
            return
        self._doubted.discard(actor)
        held = list(entries)
        letters = {entry.key for entry in held if entry.space == "mailbox"}
        with self._lock:
            self._take(actor, held)
            for watch in self._of.get(actor, {}).values():
                batch = watch.subscription.batch
                watch.waits_for = batch if batch in letters else None
                self._stir(watch)

    def forget(self, actor: ActorId) -> None:
        """The actor was removed: it watches nobody any more, and nobody it."""
        with self._lock:
            self._doubted.discard(actor)
            self._take(actor, ())
        self.grown(actor)

    def _take(self, actor: ActorId, entries: Iterable[Entry]) -> None:
        with self._lock:
            for child in list(self._of.get(actor, ())):
                self.remove(actor, child)
            for entry in entries:
                if entry.space == "subscription":
                    self.put(Watch(actor, ActorId(entry.key), _decoder.decode(entry.value)))

    # -- delivering --------------------------------------------------------------------------------------------------

    def _stir(self, watch: Watch) -> None:
        """Have it looked at. The lock is held."""
        watch.is_stirred = True
        if watch.is_armed and not watch.is_busy and watch.waits_for is None:
            watch.is_busy = self._router.background(lambda: self._serve(watch))
            self._busy += watch.is_busy

    def _serve(self, watch: Watch) -> None:
        """On a thread that may read: deliver what comes next, if anything does."""
        with self._lock:
            watch.is_stirred = False
        batch: Batch | None = None
        if self._is_current(watch) and self._directory.is_living(watch.subscriber):
            try:
                batch = next_batch(self._node.store, watch.child, watch.subscription)
                if batch.events:
                    self._deliver(watch, batch)
                    return
            except Exception as error:  # noqa: BLE001 - a chain that cannot be read; it is looked at when it grows
                report(error)
                batch = None
        if batch is not None:
            watch.subscription = batch.after
            if batch.is_all and self._is_over(watch, batch):
                self._end(watch)
        self._rest(watch, is_stirred=batch is not None and not batch.is_all)

    def _is_over(self, watch: Watch, batch: Batch) -> bool:
        """Whether nothing can come any more: also nothing that is on its way into the store."""
        found = self._router.find(watch.child)
        if found is not None and found.head.seq >= batch.after.next:
            return False
        card = self._directory.card(watch.child)
        if watch.is_stirred or card is None or card.is_living:
            return card is None and not watch.is_stirred
        parent = card.record.parent
        return parent is not None and watch.child not in self._directory.children(parent)

    def _end(self, watch: Watch) -> None:
        """Everything has been delivered, and nothing more will come."""
        drop = EntryKey(watch.subscriber, "subscription", watch.child, required=False)
        with self._lock:  # whoever makes a new one meanwhile is written behind it
            if self._is_current(watch):
                self.remove(watch.subscriber, watch.child)
                self._node.store.append(Append(watch.subscriber, None, (), drops=(drop,)), report_failure, hurry=False)
        self._node.store.flush()

    def _deliver(self, watch: Watch, batch: Batch) -> None:
        subscriber, child, store = watch.subscriber, watch.child, self._node.store
        letter_id = f"events-{child}-{watch.subscription.made}-{batch.events[0].header.seq}"
        card = self._directory.card(subscriber)
        payload_max_bytes = self._router.bounds(card).message_bytes if card is not None else 0
        value = batch.value(child, payload_max_bytes=payload_max_bytes)
        letter = Letter(
            id=letter_id,
            source=SOURCE,
            export=CHILD_EVENTS,
            arguments=handler_form(CHILD_EVENTS, (value,)),
            expects_reply=False,
            done=nobody,
            sender=subscriber,
            is_durable=True,
        )
        after = msgspec.structs.replace(batch.after, batch=letter_id)
        puts = (
            Entry(subscriber, "subscription", child, encode_subscription(after)),
            Entry(subscriber, "mailbox", letter_id, encode_letter(letter), once=True),
        )
        drops = (EntryKey(subscriber, "subscription", child),)

        def done(result: Appended | StoreError) -> None:
            if isinstance(result, Appended):
                watch.subscription, watch.waits_for = after, letter_id
                self._rest(watch)
                self._router.deliver(subscriber, letter)
            else:
                self._failed(watch, result)

        with self._lock:  # whoever replaces it meanwhile is written behind it
            is_current = self._is_current(watch)
            if is_current:
                store.append(Append(subscriber, None, (), puts=puts, drops=drops), done, hurry=False)
        if is_current:
            store.flush()
        else:
            self._rest(watch)

    def _failed(self, watch: Watch, error: StoreError) -> None:
        """Nothing was written: it has ended, or the disk is in trouble."""
        if isinstance(error, HeadConflict):
            with self._lock:
                if self._is_current(watch):
                    self.remove(watch.subscriber, watch.child)
            self._rest(watch)
            return
        clock = self._node.clock

        def again() -> None:
            with self._lock:
                self._stir(watch)

        self._rest(watch)
        clock.call_at(clock.now_us() + RETRY_US, again)

    def _rest(self, watch: Watch, *, is_stirred: bool = False) -> None:
        with self._lock:
            watch.is_busy = False
            self._busy -= 1
            if watch.is_stirred or is_stirred:
                self._stir(watch)

    def _is_current(self, watch: Watch) -> bool:
        return self._of.get(watch.subscriber, {}).get(watch.child) is watch
