"""Group commit: whatever has come together since the last write is written in one transaction.

Nothing waits for company: a lone batch is written at once, and while a write is under way the next group gathers. So
the group grows with the load and the cost of a transaction is shared by as many as there are.

A group is written by a thread of our own, or by whoever calls ``flush``: a thread that has just made batches and is
about to sleep writes them itself, which saves waking another one and waiting until it has the interpreter. Where a
write waits for the disk (``inline`` is False) it is always our own thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import TypeVar

from theater.errors import StoreError
from theater.model.ports import Append, AppendDone, Appended, Observer, Written

_T = TypeVar("_T")

GROUP_MAX = 256
"""Batches in one transaction: bounds what the first of them waits for the last."""

Commit = Callable[[list[Append]], list[Appended | StoreError]]
"""Write batches in one transaction; one result a batch. Raises nothing."""


def _nothing() -> None:
    """Nobody wants to know."""


class Committer:
    """Writes one group at a time; callbacks run on the thread that wrote, in the order of ``put``.

    The queue holds one batch with events a chain at most, since a chain has never two under way; how many there are of
    entries alone is for whoever hands them over to bound.
    """

    def __init__(self, commit: Commit, *, inline: bool = True) -> None:
        self._commit = commit
        self._inline = inline
        self._observers: tuple[Observer, ...] = ()
        self._queue: deque[tuple[Append, AppendDone]] = deque()
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by whoever writes
        self._wake: SimpleQueue[bool] = SimpleQueue()  # True: look at the queue; False: and end
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="theater-committer", daemon=True)
        self._thread.start()

    def put(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        """Write ``batch`` soon; without ``hurry``, at the next ``flush`` or hurried batch.

        Behind ``close`` it is not written, and ``done`` hears that on this thread.
        """
        with self._lock:
            is_open = not self._is_closed
            if is_open:
                self._queue.append((batch, done))
        if not is_open:
            done(StoreError("the store is closed"))
        elif hurry:
            self._wake.put(True)

    def flush(self, written: Callable[[], None] = _nothing) -> None:
        """Write what is queued, on this thread, unless another one is at it (it will then write this, too).

        ``written`` is called once the first group is written, before its callbacks: what may take long is over then.
        """
        if not self._queue:
            return
        if self._inline:
            self._drain(written)
        else:
            self._wake.put(True)

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` behind the callbacks of each group of which anything was written."""
        with self._lock:
            self._observers = (*self._observers, observer)

    def take_turn(self, action: Callable[[], _T]) -> _T:
        """Run ``action`` on this thread while nobody writes. Waits for the group under way; never from a callback.

        Before it, one group is written here if any waits: who takes turn after turn would else keep everybody out,
        since those who find the turn taken leave.

        Raises:
            StoreError: it is closed. And what ``action`` raises.
        """
        try:
            with self._turn:  # ``close`` waits for the turn, too, so the store is open for as long as it is held
                if self._is_closed:
                    raise StoreError("the store is closed")
                self._write_group()
                return action()
        finally:
            if self._queue:  # who put it found the turn taken, and left
                self._wake.put(True)

    def between(self, action: Callable[[], _T]) -> _T:
        """Run ``action`` on this thread while nobody writes, and everybody has heard of what was written.

        Unlike ``take_turn`` it writes nothing itself, so that nobody is called back on this thread. Never from a
        callback, and not again and again.

        Raises:
            StoreError: it is closed. And what ``action`` raises.
        """
        try:
            with self._turn:
                if self._is_closed:
                    raise StoreError("the store is closed")
                return action()
        finally:
            if self._queue:  # who put it found the turn taken, and left
                self._wake.put(True)

    def close(self) -> None:
        """Write what was put, call everybody back, and join the thread."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._wake.put(False)
        self._thread.join()

    def _run(self) -> None:
        while self._wake.get():
            self._drain()
        while self._queue:
            with self._turn:
                self._write_group()
        with self._turn:  # whoever writes through ``flush`` is done, so the store may be closed
            pass

    def _drain(self, written: Callable[[], None] = _nothing) -> None:
        # Whoever finds the turn taken may leave: the other one looks at the queue again once it has let go of the turn.
        while self._queue and self._turn.acquire(blocking=False):
            try:
                self._write_group(written)
            finally:
                self._turn.release()

    def _write_group(self, written: Callable[[], None] = _nothing) -> None:
        group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_MAX))]
        if not group:
            return
        observers = self._observers
        begun = monotonic() if observers else 0.0
        results = self._results(group)
        took_s = monotonic() - begun if observers else 0.0
        written()
        for (_, done), result in zip(group, results, strict=True):
            try:
                done(result)
            except Exception as error:  # noqa: BLE001 - a callback must not take the others' commits with it
                _report(error)
        if observers:
            _tell(
                observers, [batch for (batch, _), result in zip(group, results, strict=True) if _is_in(result)], took_s
            )

    def _results(self, group: list[tuple[Append, AppendDone]]) -> list[Appended | StoreError]:
        try:
            return self._commit([batch for batch, _ in group])
        except Exception as error:  # noqa: BLE001 - a bug of ours, and everybody who waits must hear of it
            _report(error)
            return [StoreError(f"the store failed: {error!r}; this is a bug of Theater")] * len(group)


def _is_in(result: Appended | StoreError) -> bool:
    return isinstance(result, Appended)


def _tell(observers: tuple[Observer, ...], batches: list[Append], took_s: float) -> None:
    if not batches:
        return
    written = Written(tuple(batches), took_s)
    for observer in observers:
        try:
            observer(written)
        except Exception as error:  # noqa: BLE001 - who watches the writing must not stop it
            _report(error)


def _report(error: Exception) -> None:
    """To whoever watches threads: by default it is printed."""
    threading.excepthook(
        threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
    )
