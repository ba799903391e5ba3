"""Counting the calls of guests that went beyond their grants, for whoever watches a node."""

from __future__ import annotations

import threading
from collections import Counter


class Denials:
    """Of one node, since it was opened. Any thread may use it.

    Counted when the call is answered, whatever becomes of its step: who tries all doors and crashes has tried them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_interface: Counter[str] = Counter()

    def count(self, interface: str) -> None:
        """One more."""
        with self._lock:
            self._by_interface[interface] += 1

    def by_interface(self) -> Counter[str]:
        """How many there were."""
        with self._lock:
            return self._by_interface.copy()
