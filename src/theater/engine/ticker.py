"""The clock that cuts guests into slices: a thread that increments the engine's epoch.

It needs the GIL for a moment each time, and gets it: a poll of a guest gives it away, or holds it only until the guest
has used a bounded amount of fuel (``execution.HELD_FUEL``). (A POSIX timer whose notify function is
``wasmtime_engine_increment_epoch`` needs none, and was used first. But nothing tells when its last notification has
run, so its engine could never be freed: see docs/design/0003.)
"""

from __future__ import annotations

import threading

from theater.engine import native

SLICE_S = 0.01
"""A runaway guest delays a short one by that at most, and a tick costs 50 us."""


class Ticker:
    """Ticks an engine every 10 ms between ``start`` and ``rest``."""

    def __init__(self, engine: int) -> None:
        self._engine = engine
        self._is_wanted = threading.Event()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="theater-ticker", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it ticks."""
        return self._is_wanted.is_set() and not self._is_closed.is_set()

    def start(self) -> None:
        """Tick, if it does not already."""
        self._is_wanted.set()

    def rest(self) -> None:
        """Stop ticking until the next ``start``: an idle engine costs nothing."""
        self._is_wanted.clear()

    def close(self) -> None:
        """Stop for good, before the engine goes."""
        self._is_closed.set()
        self._is_wanted.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _tick(self) -> None:
        while not self._is_closed.is_set():
            self._is_wanted.wait()
            self._is_closed.wait(SLICE_S)
            native.increment_epoch(self._engine)
