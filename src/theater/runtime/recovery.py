"""After an unclean stop: those that had work to do are suspects, and are let go on one at a time.

Nobody knows which of them took the process down. So the first step of each is begun under a durable mark, and the next
one waits until that step has come to rest: until it is closed, or waits for others, which takes no process down. If
the process dies again, the mark tells which step it was, and that is not run a third time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from theater.model.ids import ActorId
from theater.runtime.mishap import report

Go = Callable[[Callable[[], None]], None]
"""Lets a suspect go on; it calls what it is given once it has come to rest."""


class Recovery:
    """Any thread may use it; nobody is let go on under its lock."""

    def __init__(self, suspects: Iterable[ActorId]) -> None:
        self._lock = threading.Lock()
        self._suspects = set(suspects)
        self._waiting: deque[Go] = deque()
        self._current: object | None = None
        """Stands for the one that was let go on and has not come to rest."""
        self._is_letting_go = False

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
        return not self._waiting and self._current is None

    def admit(self, go: Go) -> None:
        """Let a suspect go on when it is its turn."""
        with self._lock:
            self._waiting.append(go)
        self._go_on()

    def _go_on(self) -> None:
        """Let go on whose turn it is: one after the other in this loop, since many have nothing to begin with."""
        with self._lock:
            if self._is_letting_go:
                return  # whoever does sees what has changed
            self._is_letting_go = True
        while True:
            with self._lock:
                if self._current is not None or not self._waiting:
                    self._is_letting_go = False
                    return
                go, current = self._waiting.popleft(), object()
                self._current = current
            try:
                go(partial(self._rested, current))
            except Exception as error:  # noqa: BLE001 - a bug of ours; the others must not wait for ever
                report(error)
                self._rested(current)

    def _rested(self, current: object) -> None:
        with self._lock:
            if self._current is not current:
                return  # it has said so before
            self._current = None
        self._go_on()
