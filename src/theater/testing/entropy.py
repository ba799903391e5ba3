"""Random bytes that are the same in every run."""

from __future__ import annotations

import hashlib
import threading


class SeededEntropy:
    """Implements ``Entropy``: what it gives depends on the seed and on what was taken before. Any thread may use it.

    Where several threads take from it, which one gets which bytes is up to them. Never for anything real.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._taken = 0

    def take(self, size_bytes: int) -> bytes:
        """Bytes that no call before got."""
        with self._lock:
            number = self._taken
            self._taken += 1
        return hashlib.shake_256(f"theater/testing/entropy\n{self._seed}\n{number}".encode()).digest(size_bytes)
