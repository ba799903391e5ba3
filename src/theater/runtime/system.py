"""The real clock and the real entropy, behind the ports that tests replace."""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable
from itertools import count

from theater.runtime.mishap import report

_POOL_BYTES = 4096  # one system call serves 80 steps


class SystemClock:
    """Wall-clock time, and one thread that runs what falls due. The thread starts with the first timer."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._cancelled: set[int] = set()
        self._numbers = count()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def call_at(self, when_us: int, action: Callable[[], None]) -> Callable[[], None]:
        """Run ``action`` soon after ``when_us`` on the clock's thread; the returned call cancels it."""
        with self._condition:
            number = next(self._numbers)
            heapq.heappush(self._heap, (when_us, number, action))
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="theater-clock", daemon=True)
                self._thread.start()
            self._condition.notify()

        def cancel() -> None:
            with self._condition:
                self._cancelled.add(number)

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
                _, number, action = heapq.heappop(self._heap)
                if number in self._cancelled:
                    self._cancelled.discard(number)
                    continue
            try:
                action()
            except Exception as error:  # noqa: BLE001 - one timer's failure must not take the others with it
                report(error)

    def _is_due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self.now_us()

    def _delay_s(self) -> float | None:
        # bounded, since a wall clock that is set back or forward must not leave a timer hanging for long
        return min(1.0, max(0, self._heap[0][0] - self.now_us()) / 1e6) if self._heap else None


class SystemEntropy:
    """The operating system's random bytes, fetched in larger pieces."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = b""
        self._at = 0

    def take(self, size_bytes: int) -> bytes:
        """Fresh random bytes; none is handed out twice."""
        if size_bytes > _POOL_BYTES:
            return os.urandom(size_bytes)
        with self._lock:
            if self._at + size_bytes > len(self._pool):
                self._pool = os.urandom(_POOL_BYTES)
                self._at = 0
            start = self._at
            self._at += size_bytes
            return self._pool[start : self._at]
