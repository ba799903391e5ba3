"""The one appender of a chain.

Here an event gets its place (``seq``, ``prev``), its time and its hash. Events are handed to the store in batches, one
under way at a time: what is added meanwhile goes with the next. A caller may go on with what it added before it is
durable -- order in the chain is enough between the steps of one actor -- but what leaves the node waits for its
``on_durable``.

A commit may bring consequences for others along (``Consequences``): they are written in the same transaction, and what
is to be done in memory is done as soon as the transaction has been handed to the store, in the order of the chain.
What goes into the chain of a step that is still open is written only where what it rests on is in the store.

Once an append failed, the chain is closed to this holder: everything that waits hears the error, and so does whoever
adds or commits afterwards.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from theater.chain.sealing import seal
from theater.errors import StoreError
from theater.model.event import Event, Head, Kind
from theater.model.ids import ActorId
from theater.model.ports import ActorRecord, Append, Appended, Clock, Entropy, EventStore
from theater.runtime.consequences import Bring, Consequences
from theater.runtime.exclusion import Exclusion
from theater.runtime.grounds import Grounds
from theater.runtime.mishap import report

Last = tuple[Kind, str, bytes] | Callable[[int], tuple[Kind, str, bytes]]
"""An event to be made, or what makes it of the time that it will have."""

OnDurable = Callable[[StoreError | None, list[Event]], None]
"""Hears why it failed, or None, and the events that its commit itself made."""


class _Afterwards:
    """What is to be done once its batch has been handed over."""

    __slots__ = ("actions", "is_due")

    def __init__(self, actions: list[Callable[[], None]]) -> None:
        self.actions = actions
        self.is_due = False


_Batch = tuple[Append, Callable[[Appended | StoreError], None], _Afterwards | None]

FLUSH_AFTER_US = 100_000
FLUSH_AFTER_EVENTS = 256


class Appender:
    """See above. Any thread may use it."""

    __slots__ = (
        "_actor",
        "_afterwards",
        "_attempt",
        "_clock",
        "_consequences",
        "_durable",
        "_entropy",
        "_exclusion",
        "_failure",
        "_grounds",
        "_head",
        "_is_tidying",
        "_is_under_way",
        "_is_wanted",
        "_lock",
        "_pending",
        "_pending_since_us",
        "_promised_us",
        "_record",
        "_size_bytes",
        "_store",
        "_telling",
        "_time_us",
        "_waiting",
        "_when_durable",
        "_when_failed",
    )

    def __init__(
        self,
        store: EventStore,
        actor: ActorId,
        *,
        head: Head,
        time_us: int,
        clock: Clock,
        entropy: Entropy,
        exclusion: Exclusion | None = None,
        size_bytes: int = 0,
    ) -> None:
        """``head`` is that of the chain, and ``size_bytes`` what it takes in the store."""
        self._store = store
        self._actor = actor
        self._clock = clock
        self._entropy = entropy
        self._exclusion = exclusion or Exclusion()
        self._lock = threading.Lock()
        self._head = head
        self._durable = head
        self._time_us = time_us
        self._size_bytes = size_bytes
        self._pending: list[Event] = []
        self._pending_since_us = 0
        self._promised_us = 0
        self._waiting: list[tuple[OnDurable, list[Event]]] = []
        self._consequences: Consequences | None = None
        self._grounds: Grounds | None = None
        self._afterwards: deque[_Afterwards] | None = None
        self._is_tidying = False
        self._record: ActorRecord | None = None
        self._attempt: int | None = None
        self._is_wanted = False
        self._is_under_way = False
        self._telling = 0
        self._failure: StoreError | None = None
        self._when_durable: Callable[[ActorId], None] | None = None
        self._when_failed: Callable[[StoreError], None] | None = None

    def when_durable(self, action: Callable[[ActorId], None]) -> None:
        """Call ``action`` whenever something has become durable, on the thread that wrote."""
        self._when_durable = action

    def when_failed(self, action: Callable[[StoreError], None]) -> None:
        """Call ``action`` once, on a thread of the store's, if the chain fails; behind everybody who waits."""
        self._when_failed = action

    @property
    def head(self) -> Head:
        """The last event added, durable or not."""
        return self._head

    @property
    def size_bytes(self) -> int:
        """What the chain takes, headers and payloads; what is not durable yet included."""
        return self._size_bytes

    @property
    def failure(self) -> StoreError | None:
        """Why nothing more can be appended, if so."""
        return self._failure

    @property
    def durable(self) -> Head:
        """The last event that is known to be durable."""
        return self._durable

    @property
    def is_settled(self) -> bool:
        """Whether nothing that was added waits to become durable, and nobody to hear of it."""
        with self._lock:
            return not (self._is_under_way or self._is_wanted or self._pending or self._waiting or self._telling)

    @property
    def is_written(self) -> bool:
        """Whether nothing that was added waits to become durable; somebody may be about to hear of it."""
        with self._lock:
            return not (self._is_under_way or self._is_wanted or self._pending or self._waiting)

    @property
    def is_due(self) -> bool:
        """Whether what was added waits for longer, or is more, than it should: 100 ms, or 256 events."""
        pending = len(self._pending)
        return pending >= FLUSH_AFTER_EVENTS or (
            pending > 0 and self._clock.now_us() - self._pending_since_us >= FLUSH_AFTER_US
        )

    def add(self, kind: Kind, name: str, payload: bytes, *, grounds: Grounds | None = None) -> Event:
        """Put an event at the chain's end. It becomes durable with the next commit.

        ``grounds``: it opens a step, which rests on these.
        """
        with self._lock:
            if grounds is not None:
                self._grounds = grounds
            return self._seal(kind, name, payload)

    def rest_on(self, grounds: Grounds | None) -> None:
        """A step that was open before goes on, or the one that is open ends: the latter in the commit of its end."""
        self._grounds = grounds

    def entrust(self, batch: Append) -> None:
        """Everything added so far is in ``batch``, which somebody else hands to the store, before anything else is."""
        with self._lock:
            assert batch.events == tuple(self._pending)
            self._pending = []
            self._durable = self._head

    def fail(self, failure: StoreError) -> None:
        """What was entrusted to somebody else was not written."""
        self._done(failure, [], [])

    def commit(
        self,
        on_durable: OnDurable | None = None,
        *last: Last,
        record: ActorRecord | None = None,
        attempt: int | None = None,
        bring: Bring | None = None,
        hurry: bool = True,
    ) -> list[Event]:
        """Make everything added so far durable, in one transaction with ``last``, ``record`` and ``attempt``.

        ``on_durable`` is called once, on the thread that wrote (or at once, on this one, where the chain has failed).
        ``bring`` adds consequences; it is called at once, and not where the chain has failed. Returns the events made
        of ``last``.
        """
        batch = None
        with self._lock:
            events = [self._seal(*(entry(self._tell_time()) if callable(entry) else entry)) for entry in last]
            failure = self._failure
            if failure is None:
                if bring is not None:
                    if self._consequences is None:
                        self._consequences = Consequences()
                    bring(events, self._consequences)
                if on_durable is not None:
                    self._waiting.append((on_durable, events))
                if record is not None:
                    self._record = record
                if attempt is not None:
                    self._attempt = attempt
                self._is_wanted = True
                batch = self._take()
        if failure is not None:
            if on_durable is not None:
                on_durable(failure, events)
        elif batch is not None:
            self._hand_over(batch, hurry=hurry)
        return events

    def wait_durable(self, timeout_s: float) -> bool:
        """Wait until everything that was added is durable. False where that took longer, or never will be."""
        if self.is_settled:
            return self._failure is None
        durable: list[bool] = []
        done = threading.Event()

        def heard(failure: StoreError | None, made: list[Event]) -> None:
            del made
            durable.append(failure is None)
            done.set()

        self.commit(heard)
        return done.wait(timeout_s) and durable[0]

    def reach(self, time_us: int) -> int:
        """Let no event from here on be earlier than ``time_us`` or now; returns the later of the two."""
        with self._lock:
            self._time_us = max(self._time_us, time_us, self._clock.now_us())
            return self._time_us

    def _tell_time(self) -> int:
        """The time that the next event will have: what depends on that can be told before it is made."""
        self._time_us = self._promised_us = max(self._time_us, self._clock.now_us())
        return self._time_us

    def _seal(self, kind: Kind, name: str, payload: bytes) -> Event:
        if self._promised_us:
            self._promised_us = 0
        else:
            self._time_us = max(self._time_us, self._clock.now_us())
        event = seal(
            self._head,
            actor=self._actor,
            kind=kind,
            name=name,
            payload=payload,
            salt=self._entropy.take(16),
            time_us=self._time_us,
        )
        if not self._pending:
            self._pending_since_us = self._time_us
        self._pending.append(event)
        self._size_bytes += len(event.header_bytes) + len(payload)
        self._head = Head(event.header.seq, event.hash)
        return event

    def _take(self) -> _Batch | None:
        """The next batch, if one is wanted and none is under way. The lock is held."""
        if self._is_under_way or not self._is_wanted:
            return None
        events, waiting, brought = tuple(self._pending), self._waiting, self._consequences
        if events and self._grounds is not None:
            brought = self._grounds.require(brought)
        if not events and self._record is None and self._attempt is None and not waiting and brought is None:
            self._is_wanted = False
            return None
        if brought is None:
            batch = Append(self._actor, self._durable, events, record=self._record, attempt=self._attempt)
        else:
            batch = Append(
                self._actor,
                self._durable,
                events,
                record=self._record,
                attempt=self._attempt,
                puts=tuple(brought.puts.values()),
                drops=(*brought.drops.values(), *brought.twice),
                births=tuple(brought.births),
                requires=tuple(brought.requires.values()),
                blobs=tuple(brought.blobs),
            )
        self._pending = []
        self._waiting = []
        self._consequences = None
        self._record = None
        self._attempt = None
        self._is_wanted = False
        self._is_under_way = True
        afterwards = None
        if brought is not None and brought.after:
            afterwards = _Afterwards(brought.after)
            if self._afterwards is None:
                self._afterwards = deque()
            self._afterwards.append(afterwards)  # here, and not when it is due, so that it keeps its place
        undone = brought.undone if brought is not None else []
        return batch, lambda result: self._done(result, waiting, undone), afterwards

    def _done(
        self,
        result: Appended | StoreError,
        waiting: list[tuple[OnDurable, list[Event]]],
        undone: list[Callable[[StoreError], None]],
    ) -> None:
        with self._lock:
            self._is_under_way = False
            self._telling += 1
            batch = None
            if isinstance(result, StoreError):
                self._failure = result
                waiting += self._waiting
                self._waiting = []
                self._pending = []
                undone = [*undone, *(self._consequences.undone if self._consequences is not None else ())]
                self._consequences = None
            else:
                self._durable = result.head
                batch = self._take()
            failure = self._failure
        for on_durable, made in waiting:
            try:
                on_durable(failure, made)
            except Exception as error:  # noqa: BLE001 - the others hear it all the same, and the chain goes on
                report(error)
        if failure is None and self._when_durable is not None:
            try:
                self._when_durable(self._actor)
            except Exception as error:  # noqa: BLE001 - whoever watches must not hold the chain up
                report(error)
        with self._lock:
            self._telling -= 1
        if failure is not None:
            for action in (*undone, *((self._when_failed,) if self._when_failed is not None else ())):
                try:
                    action(failure)
                except Exception as error:  # noqa: BLE001 - nobody is left who could hear of it
                    report(error)
        if batch is not None:
            self._hand_over(batch, hurry=False)  # this thread is writing, and looks again before it stops

    def _hand_over(self, batch: _Batch, *, hurry: bool) -> None:
        append, done, afterwards = batch
        try:
            self._store.append(append, done, hurry=hurry)
        except Exception as error:  # noqa: BLE001 - a bug of ours, and everybody who waits must hear of it
            report(error)
            done(StoreError(f"the store did not take a batch: {error!r}; this is a bug of Theater"))
        if afterwards is not None:
            afterwards.is_due = True
            self._exclusion.afterwards(self._tidy)

    def _tidy(self) -> None:
        """Do what is due, in the order of the batches, on one thread at a time: a second one leaves it to the first."""
        while True:
            with self._lock:
                queue = self._afterwards
                if self._is_tidying or not queue or not queue[0].is_due:
                    return
                self._is_tidying = True
                actions = queue.popleft().actions
            for action in actions:
                try:
                    action()
                except Exception as error:  # noqa: BLE001 - a bug of ours; the others must be done all the same
                    report(error)
            with self._lock:
                self._is_tidying = False
