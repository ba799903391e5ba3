"""A clock that stands still until a test moves it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

from theater.errors import TimedOut

START_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""

_PATIENCE_S = 10.0


class MockClock:
    """Implements ``Clock``. Any thread may use it; it can be used again after ``close``.

    Timers run in ``advance``, on the caller's thread, in order of their times; the clock shows the time of each while
    it runs. One that is already due when it is set runs with the next ``advance``, ``advance(0)`` for one. Wait for a
    timer with ``wait_for_timers`` before moving the clock past it: no test needs to sleep.
    """

    def __init__(self, start_us: int = START_US) -> None:
        self._condition = threading.Condition()
        self._now_us = start_us
        self._numbers = count()
        self._timers: dict[int, tuple[int, Callable[[], None]]] = {}

    def now_us(self) -> int:
        """The time that it was set to."""
        with self._condition:
            return self._now_us

    def call_at(self, when_us: int, action: Callable[[], None]) -> Callable[[], None]:
        """Run ``action`` in the ``advance`` that reaches ``when_us``; the returned call cancels it."""
        with self._condition:
            number = next(self._numbers)
            self._timers[number] = (when_us, action)
            self._condition.notify_all()
        return lambda: self._cancel(number)

    def close(self) -> None:
        """Forget all timers."""
        with self._condition:
            self._timers.clear()

    @property
    def timers(self) -> tuple[int, ...]:
        """When those that wait are due, in order."""
        with self._condition:
            return tuple(sorted(when_us for when_us, _ in self._timers.values()))

    def wait_for_timers(self, least: int = 1, *, timeout_s: float = _PATIENCE_S) -> None:
        """Wait until so many timers wait. Raises ``TimedOut`` (after real seconds) where they do not come."""
        with self._condition:
            if not self._condition.wait_for(lambda: len(self._timers) >= least, timeout_s):
                raise TimedOut(f"{len(self._timers)} timers wait after {timeout_s:g} s, and {least} should")

    def advance(self, seconds: float) -> None:
        """Move on, running what falls due on the way."""
        self.advance_us(round(seconds * 1_000_000))

    def advance_us(self, microseconds: int) -> None:
        """``advance``, exactly."""
        assert microseconds >= 0
        with self._condition:
            until_us = self._now_us + microseconds
        while (action := self._next_due(until_us)) is not None:
            action()
        with self._condition:
            self._now_us = max(self._now_us, until_us)

    def set_back(self, seconds: float) -> None:
        """Go back, as a wall clock may."""
        with self._condition:
            self._now_us -= round(seconds * 1_000_000)

    def _next_due(self, until_us: int) -> Callable[[], None] | None:
        with self._condition:
            due = [(when_us, number) for number, (when_us, _) in self._timers.items() if when_us <= until_us]
            if not due:
                return None
            when_us, number = min(due)
            self._now_us = max(self._now_us, when_us)
            return self._timers.pop(number)[1]

    def _cancel(self, number: int) -> None:
        with self._condition:
            self._timers.pop(number, None)
