"""The timers of all actors: each waits in the store, and in memory under one alarm of the node's clock.

A timer that falls due becomes a letter in its actor's mailbox, in one transaction with its own end or its next time:
the entry has to be there to be dropped, so that a firing is never doubled, and a timer that was taken back does not
fire. The letter is delivered when that is durable. Nobody is woken up for a timer that is not due.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from theater.errors import HeadConflict, StoreError
from theater.model.actor_system import TimerFacts
from theater.model.ids import ActorId
from theater.model.payload import Cause
from theater.model.ports import Append, Appended, Entry, EntryKey
from theater.runtime.directory import Card, Directory
from theater.runtime.letter import Letter, encode_letter
from theater.runtime.mishap import report
from theater.runtime.node import Node
from theater.runtime.posting import accepted

if TYPE_CHECKING:
    from theater.runtime.surroundings import Router

RETRY_US = 1_000_000
"""How long a firing that finds the mailbox full, or the disk, waits before it is tried again."""

TROUBLE_US = 60_000_000
"""The same where its actor cannot even be looked at: each attempt is reported."""

SOURCE = "timer"

_SWEEP_MIN = 64  # what waits in the queue and is for no timer any more, before it is worth looking for it


class Timer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One timer, as it stands in the store under its id."""

    due_us: int
    body: str
    repeat_us: int | None = None
    number: int = 0
    """How often it has fired."""
    cause: Cause | None = None
    """The event that closed the step which set it."""

    def after(self, now_us: int) -> Timer | None:
        """What it is once it has fired: it keeps its rhythm, and what it missed is not made up for."""
        if self.repeat_us is None:
            return None
        periods = 1 + max(0, now_us - self.due_us) // self.repeat_us
        return msgspec.structs.replace(self, due_us=self.due_us + periods * self.repeat_us, number=self.number + 1)


class Measure(NamedTuple):
    """How many timers, and the bytes of their bodies."""

    number: int
    size_bytes: int


_decoder = msgspec.msgpack.Decoder(Timer)


def encode_timer(timer: Timer) -> bytes:
    """As it stands in the store."""
    return msgspec.msgpack.encode(timer)


class Timers:
    """See above. One for a node; any thread may use it. Its lock is never held while anything else is called on."""

    def __init__(self, node: Node, directory: Directory, router: Router) -> None:
        self._node = node
        self._directory = directory
        self._router = router
        self._lock = threading.Lock()
        self._timers: dict[ActorId, dict[str, Timer]] = {}
        self._bytes: dict[ActorId, int] = {}  # of their bodies
        self._queue: list[tuple[int, ActorId, str]] = []  # what is no longer as it was when it was put is passed over
        self._number = 0  # of all timers
        self._swept = 0  # how long the queue was when it was looked through
        self._firing: set[tuple[ActorId, str]] = set()
        self._busy = 0
        self._resting: set[ActorId] = set()  # whose due timers wait until they run again
        self._doubted: set[ActorId] = set()
        self._alarm_us: int | None = None
        self._cancel: Callable[[], None] | None = None
        self._is_closed = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is firing."""
        return self._busy == 0

    def of(self, actor: ActorId) -> list[TimerFacts]:
        """The timers of one actor, by next firing, then id."""
        with self._lock:
            held = list(self._timers.get(actor, {}).items())
        facts = [TimerFacts(id, timer.due_us, timer.repeat_us, timer.body) for id, timer in held]
        return sorted(facts, key=lambda each: (each.next_us, each.id))

    def measure(self, actor: ActorId) -> Measure:
        """How many an actor has, and the sum of their bodies."""
        with self._lock:
            return Measure(len(self._timers.get(actor, ())), self._bytes.get(actor, 0))

    def size_of(self, actor: ActorId, timer_id: str) -> int | None:
        """The bytes of one's body; None where there is no such timer."""
        with self._lock:
            timer = self._timers.get(actor, {}).get(timer_id)
        return len(timer.body.encode()) if timer is not None else None

    def put(self, actor: ActorId, timer_id: str, timer: Timer) -> None:
        """A new one. It does not fire before ``arm``."""
        with self._lock:
            self._remove(actor, timer_id)
            self._add(actor, timer_id, timer)

    def arm(self, actor: ActorId, timer_id: str) -> None:
        """It is in the store, or will be before whatever is written from now on."""
        with self._lock:
            timer = self._timers.get(actor, {}).get(timer_id)
            if timer is not None:
                self._expect(timer.due_us, actor, timer_id)

    def remove(self, actor: ActorId, timer_id: str) -> None:
        """It is taken back."""
        with self._lock:
            self._remove(actor, timer_id)

    def revive(self, actor: ActorId) -> None:
        """The actor runs again: what fell due meanwhile fires, once."""
        with self._lock:
            if actor in self._resting:
                self._resting.discard(actor)
                self._expect_all(actor)

    # -- coming and going --------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take all that are in the store, as after a start of the process. No actor is woken up for that."""
        store = self._node.store
        for actor in store.holders("timer"):
            self._take(actor, store.entries(actor, "timer"))

    def doubt(self, actor: ActorId) -> None:
        """Something about the actor could not be written: what is in memory may not be what is in the store."""
        with self._lock:
            self._doubted.add(actor)

    def learn(self, actor: ActorId, entries: Iterable[Entry]) -> None:
        """The actor was read from the store."""
        if actor in self._doubted:
            self._doubted.discard(actor)
            self._take(actor, entries)

    def forget(self, actor: ActorId) -> None:
        """The actor was removed."""
        self._doubted.discard(actor)
        self._take(actor, ())
        with self._lock:
            self._resting.discard(actor)

    def close(self) -> None:
        """Nothing fires any more."""
        with self._lock:
            self._is_closed = True
            cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def _take(self, actor: ActorId, entries: Iterable[Entry]) -> None:
        held = {entry.key: _decoder.decode(entry.value) for entry in entries if entry.space == "timer"}
        with self._lock:
            self._number -= len(self._timers.pop(actor, ()))
            self._bytes.pop(actor, None)
            for timer_id, timer in held.items():
                self._add(actor, timer_id, timer)
            self._expect_all(actor)

    # -- the alarm; the lock is held ---------------------------------------------------------------------------------

    def _expect_all(self, actor: ActorId) -> None:
        for timer_id, timer in self._timers.get(actor, {}).items():
            self._expect(timer.due_us, actor, timer_id)

    def _expect(self, when_us: int, actor: ActorId, timer_id: str) -> None:
        heapq.heappush(self._queue, (when_us, actor, timer_id))
        self._sweep()
        self._set_alarm()

    def _sweep(self) -> None:
        """A timer may be set for in a year, and taken back at once: its place must not pile up until then."""
        if len(self._queue) > 2 * max(self._number, self._swept) + _SWEEP_MIN:
            self._queue = [each for each in set(self._queue) if each[2] in self._timers.get(each[1], ())]
            heapq.heapify(self._queue)
            self._swept = len(self._queue)

    def _set_alarm(self) -> None:
        if not self._queue or self._is_closed:
            return
        earliest_us = self._queue[0][0]
        if self._alarm_us is None or earliest_us < self._alarm_us:
            if self._cancel is not None:
                self._cancel()
            self._alarm_us = earliest_us
            self._cancel = self._node.clock.call_at(earliest_us, self._ring)

    def _add(self, actor: ActorId, timer_id: str, timer: Timer) -> None:
        self._timers.setdefault(actor, {})[timer_id] = timer
        self._number += 1
        self._bytes[actor] = self._bytes.get(actor, 0) + len(timer.body.encode())

    def _remove(self, actor: ActorId, timer_id: str) -> None:
        held = self._timers.get(actor)
        timer = held.pop(timer_id, None) if held is not None else None
        if timer is not None:
            self._number -= 1
            self._bytes[actor] -= len(timer.body.encode())
            if not held:
                del self._timers[actor], self._bytes[actor]

    # -- firing ------------------------------------------------------------------------------------------------------

    def _ring(self) -> None:
        """On the clock's thread: something is due."""
        now_us = self._node.clock.now_us()
        due: list[tuple[ActorId, str, Timer]] = []
        with self._lock:
            self._alarm_us = self._cancel = None
            while self._queue and self._queue[0][0] <= now_us and not self._is_closed:
                _, actor, timer_id = heapq.heappop(self._queue)
                timer = self._timers.get(actor, {}).get(timer_id)
                if timer is not None and timer.due_us <= now_us and (actor, timer_id) not in self._firing:
                    self._firing.add((actor, timer_id))
                    self._busy += 1
                    due.append((actor, timer_id, timer))
            self._set_alarm()
        for actor, timer_id, timer in due:
            try:
                self._fire(actor, timer_id, timer, now_us)
            except Exception as error:  # noqa: BLE001 - one actor's trouble must not keep the others' timers
                report(error)
                self._again(actor, timer_id, now_us + TROUBLE_US)
                self._over()
        self._node.store.flush()

    def _fire(self, actor: ActorId, timer_id: str, timer: Timer, now_us: int) -> None:
        card = self._directory.card(actor)
        if card is None or not card.is_living:
            self._rest(actor, timer_id)
            self._over()
            return
        if not self._directory.take_place(card, most=self._router.bounds(card).mailbox):
            self._again(actor, timer_id, now_us + RETRY_US)
            self._over()
            return
        letter = _letter(actor, timer_id, timer)
        after = timer.after(now_us)
        puts = [Entry(actor, "mailbox", letter.id, encode_letter(letter), once=True)]
        if after is not None:
            puts.append(Entry(actor, "timer", timer_id, encode_timer(after)))

        def done(result: Appended | StoreError) -> None:
            if isinstance(result, Appended):
                self._fired(actor, timer_id, timer, after)
                self._router.deliver(actor, letter)
            else:
                self._failed(card, timer_id, result)
            self._over()

        drops = (EntryKey(actor, "timer", timer_id),)
        self._node.store.append(Append(actor, None, (), puts=tuple(puts), drops=drops), done, hurry=False)

    def _fired(self, actor: ActorId, timer_id: str, timer: Timer, after: Timer | None) -> None:
        with self._lock:
            self._firing.discard((actor, timer_id))
            if self._timers.get(actor, {}).get(timer_id) is not timer:
                return  # taken back meanwhile: its message has been sent
            if after is None:
                self._remove(actor, timer_id)
            else:
                self._timers[actor][timer_id] = after
                self._expect(after.due_us, actor, timer_id)

    def _failed(self, card: Card, timer_id: str, error: StoreError) -> None:
        """Nothing was written: it has been taken back, or the disk is in trouble."""
        actor = card.record.id
        self._directory.free_place(card)
        if not isinstance(error, HeadConflict):
            self._again(actor, timer_id, self._node.clock.now_us() + RETRY_US)
            return
        entry = self._node.store.entry(actor, "timer", timer_id)
        with self._lock:
            self._firing.discard((actor, timer_id))
            self._remove(actor, timer_id)
        if entry is not None:
            self.put(actor, timer_id, _decoder.decode(entry.value))
            self.arm(actor, timer_id)

    def _over(self) -> None:
        with self._lock:
            self._busy -= 1

    def _again(self, actor: ActorId, timer_id: str, when_us: int) -> None:
        with self._lock:
            self._firing.discard((actor, timer_id))
            self._expect(when_us, actor, timer_id)

    def _rest(self, actor: ActorId, timer_id: str) -> None:
        """Until the actor runs again."""
        with self._lock:
            self._firing.discard((actor, timer_id))
            self._resting.add(actor)
        if self._directory.is_living(actor):  # since a moment ago: whoever said so did not find it resting
            self.revive(actor)


def _letter(actor: ActorId, timer_id: str, timer: Timer) -> Letter:
    """The same for the same firing, whoever makes it."""
    letter_id = timer_id if timer.repeat_us is None else f"{timer_id}-{timer.number}"
    return accepted(letter_id, timer.body, source=SOURCE, sender=actor, cause=timer.cause)
