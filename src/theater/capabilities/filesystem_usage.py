"""How much the directories of a node's actors hold, as far as their quotas need to know: the service of ``filesystem``.

A directory is added up before the first write to it, and again whenever it seems to be full: what others write or
remove there is seen by then.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

from theater.capabilities.file_root import FileRoot, Parts

ROOTS_MAX = 10_000
"""Directories that are remembered: some MiB. Then all are added up anew."""


class QuotaExceededError(OSError):
    """The directory would hold more than that."""

    def __init__(self, quota_bytes: int) -> None:
        super().__init__(errno.EDQUOT, os.strerror(errno.EDQUOT))
        self.quota_bytes = quota_bytes


class Usage:
    """Implements ``Service``. Any thread may use it."""

    def __init__(self, measure: Callable[[FileRoot], int] = FileRoot.size_bytes) -> None:
        self._measure = measure
        self._lock = threading.Lock()
        self._bytes: dict[str, int] = {}

    def take(self, root: FileRoot, more_bytes: int, quota_bytes: int) -> None:
        """Before something grows by so much. Raises ``QuotaExceededError`` where it must not."""
        if more_bytes <= 0:
            return
        with self._lock:
            used = self._bytes.get(root.path)
        is_fresh = used is None
        if used is None or used + more_bytes > quota_bytes:
            used = self._measure(root)
            is_fresh = True
        if used + more_bytes > quota_bytes:
            raise QuotaExceededError(quota_bytes)
        with self._lock:
            if len(self._bytes) >= ROOTS_MAX:
                self._bytes.clear()
            known = used if is_fresh else self._bytes.get(root.path, used)
            self._bytes[root.path] = known + more_bytes

    def take_up_to(self, root: FileRoot, parts: Parts, size_bytes: int, quota_bytes: int) -> None:
        """Before a file that is there is made that long, or is not, if it is longer. Raises as ``take`` does."""
        self.take(root, size_bytes - root.facts(parts).size_bytes, quota_bytes)

    def close(self) -> None:
        """Nothing is open."""
