"""After an unclean stop: those that had work to do are suspects, and are let go on one at a time.

Nobody knows which of them took the process down. So the first step of each is begun under a durable mark, and the next
one waits until that step has come to rest: until it is closed, or waits for others, which takes no process down. If
the process dies again, the mark tells which step it was, and that is not run a third time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from theater.model.ids import ActorId

Go = Callable[[Callable[[], None]], None]
"""Lets a suspect go on; it calls what it is given once it has come to rest."""


class Recovery:
    """Any thread may use it; nobody is let go on under its lock."""

    def __init__(self, suspects: Iterable[ActorId]) -> None:
        self._lock = threading.Lock()
        self._suspects = set(suspects)
        self._waiting: deque[Go] = deque()
        self._is_busy = False

    def is_suspect(self, actor: ActorId) -> bool:
        """Whether it has to be let go on. That is asked, and answered with yes, once."""
        with self._lock:
            if actor not in self._suspects:
                return False
            self._suspects.discard(actor)
            return True

    @property
    def is_over(self) -> bool:
        """Whether nobody waits to be let go on."""
        return not self._waiting and not self._is_busy

    def admit(self, go: Go) -> None:
        """Let a suspect go on when it is its turn."""
        with self._lock:
            self._waiting.append(go)
        self._next()

    def _next(self) -> None:
        with self._lock:
            if self._is_busy or not self._waiting:
                return
            self._is_busy = True
            go = self._waiting.popleft()
        is_rested = threading.Lock()

        def rested() -> None:
            if not is_rested.acquire(blocking=False):
                return  # it has said so before
            with self._lock:
                self._is_busy = False
            self._next()

        go(rested)
