"""The one appender of a chain.

Here an event gets its place (``seq``, ``prev``), its time and its hash. Events are handed to the store in batches, one
under way at a time: what is added meanwhile goes with the next. A caller may go on with what it added before it is
durable -- order in the chain is enough between the steps of one actor -- but what leaves the node waits for its
``on_durable``.

Once an append failed, the chain is closed to this holder: everything that waits hears the error, and so does whoever
adds or commits afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from theater.chain.sealing import seal
from theater.errors import StoreError
from theater.model.event import Event, Head, Kind
from theater.model.ids import ActorId
from theater.model.ports import ActorRecord, Append, Appended, Clock, Entropy, EventStore
from theater.runtime.mishap import report

OnDurable = Callable[[StoreError | None, list[Event]], None]
"""Hears why it failed, or None, and the events that its commit itself made."""

_Batch = tuple[Append, Callable[[Appended | StoreError], None]]

FLUSH_AFTER_US = 100_000
FLUSH_AFTER_EVENTS = 256


class Appender:
    """See above. Any thread may use it."""

    def __init__(
        self, store: EventStore, actor: ActorId, *, head: Head, time_us: int, clock: Clock, entropy: Entropy
    ) -> None:
        self._store = store
        self._actor = actor
        self._clock = clock
        self._entropy = entropy
        self._lock = threading.Lock()
        self._head = head
        self._durable = head
        self._time_us = time_us
        self._pending: list[Event] = []
        self._pending_since_us = 0
        self._waiting: list[tuple[OnDurable, list[Event]]] = []
        self._record: ActorRecord | None = None
        self._attempt: int | None = None
        self._is_wanted = False
        self._is_under_way = False
        self._failure: StoreError | None = None
        self._when_failed: Callable[[StoreError], None] | None = None

    def when_failed(self, action: Callable[[StoreError], None]) -> None:
        """Call ``action`` once, on a thread of the store's, if the chain fails; behind everybody who waits."""
        self._when_failed = action

    @property
    def head(self) -> Head:
        """The last event added, durable or not."""
        return self._head

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
            return not (self._is_under_way or self._is_wanted or self._pending or self._waiting)

    def add(self, kind: Kind, name: str, payload: bytes) -> Event:
        """Put an event at the chain's end. It becomes durable with the next commit, or soon by itself."""
        with self._lock:
            event = self._seal(kind, name, payload)
            want = len(self._pending) >= FLUSH_AFTER_EVENTS
        if want:
            self.commit()
        return event

    def commit(
        self,
        on_durable: OnDurable | None = None,
        *last: tuple[Kind, str, bytes],
        record: ActorRecord | None = None,
        attempt: int | None = None,
        hurry: bool = True,
    ) -> list[Event]:
        """Make everything added so far durable, in one transaction with ``last``, ``record`` and ``attempt``.

        ``on_durable`` is called once, on the thread that wrote (or at once, on this one, where the chain has failed).
        Returns the events made of ``last``.
        """
        batch = None
        with self._lock:
            events = [self._seal(*entry) for entry in last]
            failure = self._failure
            if failure is None:
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

    def reach(self, time_us: int) -> int:
        """Let no event from here on be earlier than ``time_us`` or now; returns the later of the two."""
        with self._lock:
            self._time_us = max(self._time_us, time_us, self._clock.now_us())
            return self._time_us

    def flush_if_due(self) -> None:
        """Commit if something has waited for 100 ms."""
        with self._lock:
            due = bool(self._pending) and self._clock.now_us() - self._pending_since_us >= FLUSH_AFTER_US
        if due:
            self.commit()

    def _seal(self, kind: Kind, name: str, payload: bytes) -> Event:
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
        self._head = Head(event.header.seq, event.hash)
        return event

    def _take(self) -> _Batch | None:
        """The next batch, if one is wanted and none is under way. The lock is held."""
        if self._is_under_way or not self._is_wanted:
            return None
        events, waiting = tuple(self._pending), self._waiting
        batch = Append(self._actor, self._durable, events, record=self._record, attempt=self._attempt)
        self._pending = []
        self._waiting = []
        self._record = None
        self._attempt = None
        self._is_wanted = False
        if not events and batch.record is None and batch.attempt is None and not waiting:
            return None
        self._is_under_way = True
        return batch, lambda result: self._done(result, waiting)

    def _done(self, result: Appended | StoreError, waiting: list[tuple[OnDurable, list[Event]]]) -> None:
        with self._lock:
            self._is_under_way = False
            batch = None
            if isinstance(result, StoreError):
                self._failure = result
                waiting += self._waiting
                self._waiting = []
                self._pending = []
            else:
                self._durable = result.head
                batch = self._take()
        failure = result if isinstance(result, StoreError) else None
        for on_durable, made in waiting:
            try:
                on_durable(failure, made)
            except Exception as error:  # noqa: BLE001 - the others hear it all the same, and the chain goes on
                report(error)
        if failure is not None and self._when_failed is not None:
            try:
                self._when_failed(failure)
            except Exception as error:  # noqa: BLE001 - nobody is left who could hear of it
                report(error)
        if batch is not None:
            self._hand_over(batch, hurry=False)  # this thread is writing, and looks again before it stops

    def _hand_over(self, batch: _Batch, *, hurry: bool) -> None:
        append, done = batch
        try:
            self._store.append(append, done, hurry=hurry)
        except Exception as error:  # noqa: BLE001 - a bug of ours, and everybody who waits must hear of it
            report(error)
            done(StoreError(f"the store did not take a batch: {error!r}; this is a bug of Theater"))
