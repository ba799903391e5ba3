"""The real clock and the real entropy, behind the ports that tests replace."""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count

from theater.runtime.mishap import report

_SLOT_BYTES = 32  # the seed of a step; a salt takes half of one
_POOL_BYTES = 8192  # one system call serves 50 steps
_SWEEP_MIN = 64  # cancelled timers, before it is worth looking for them


class _Alarm:
    """One thing to do. ``action`` is None once it was cancelled, so that nothing it held is held any longer."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action


class SystemClock:
    """Wall-clock time, and one thread that runs what falls due. The thread starts with the first timer."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[int, int, _Alarm]] = []
        self._cancelled = 0
        self._numbers = count()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def call_at(self, when_us: int, action: Callable[[], None]) -> Callable[[], None]:
        """Run ``action`` soon after ``when_us`` on the clock's thread; the returned call cancels it."""
        alarm = _Alarm(action)
        with self._condition:
            is_first = not self._heap or when_us < self._heap[0][0]
            heapq.heappush(self._heap, (when_us, next(self._numbers), alarm))
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="theater-clock", daemon=True)
                self._thread.start()
            elif is_first:
                self._condition.notify()

        def cancel() -> None:
            with self._condition:
                if alarm.action is not None:
                    alarm.action = None
                    self._cancelled += 1
                    self._sweep()

        return cancel

    def close(self) -> None:
        """Forget all timers and join the thread."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._is_closed and not self._is_due():
                    self._condition.wait(self._delay_s())
                if self._is_closed:
                    return
                alarm = heapq.heappop(self._heap)[2]
                action, alarm.action = alarm.action, None
                if action is None:
                    self._cancelled -= 1
                    continue
            try:
                action()
            except Exception as error:  # noqa: BLE001 - one timer's failure must not take the others with it
                report(error)

    def _sweep(self) -> None:
        """Most timers are deadlines that are not reached: those that were cancelled must not pile up until then."""
        if self._cancelled > _SWEEP_MIN and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _is_due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self.now_us()

    def _delay_s(self) -> float | None:
        # bounded, since a wall clock that is set back or forward must not leave a timer hanging for long
        return min(1.0, max(0, self._heap[0][0] - self.now_us()) / 1e6) if self._heap else None


class SystemEntropy:
    """The operating system's random bytes, fetched in larger pieces and given out in slots of 32.

    A slot is taken by one step of a counter, which no other thread can come between. A lock would make all threads
    queue behind one that loses the interpreter while it holds it: with a dozen of them that cost half of everything.
    """

    def __init__(self) -> None:
        self._pool = _fresh_pool()

    def take(self, size_bytes: int) -> bytes:
        """Fresh random bytes; none is handed out twice."""
        if size_bytes > _SLOT_BYTES:
            return os.urandom(size_bytes)
        while True:
            data, slots = self._pool
            start = next(slots)
            if start < _POOL_BYTES:
                return data[start : start + size_bytes]
            self._pool = _fresh_pool()  # two threads may come to it at once: one piece is then never given out


def _fresh_pool() -> tuple[bytes, Iterator[int]]:
    return os.urandom(_POOL_BYTES), count(step=_SLOT_BYTES)
