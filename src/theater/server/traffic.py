"""How many requests there were, and how many streams there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Traffic:
    """Counts. Its keys come from our own tables: what a client sends cannot make them grow. Belongs to one loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        """By route template, method and status; 0 where the client went away before there was one."""
        self.streams = 0

    def count(self, route: str, method: str, status: int) -> None:
        """One request has been answered, or given up."""
        self.requests[route, method if method in _METHODS else "other", status] += 1

    @contextmanager
    def stream(self) -> Iterator[None]:
        """A stream is being sent meanwhile."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1
