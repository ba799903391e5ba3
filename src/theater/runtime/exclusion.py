"""The lock of an actor, and what must not be done while any of them is held.

Actors hand things to each other. Whoever did so under its own lock would take a second one, and two that did it at
the same time could wait for each other for ever. So a thread that holds the lock of an actor puts off what concerns
others until it has let go of the last one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from theater.runtime.mishap import report

Action = Callable[[], None]


class _Held(threading.local):
    depth = 0
    later: list[Action] | None = None


class Exclusion:
    """Knows, for each thread, how many locks it holds and what it put off. One for all actors of a runtime."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = _Held()

    def afterwards(self, action: Action) -> None:
        """Do ``action`` on this thread as soon as it holds no actor's lock: now, if it holds none."""
        held = self._held
        if held.depth == 0:
            action()
        elif held.later is None:
            held.later = [action]
        else:
            held.later.append(action)

    def lock(self) -> ActorLock:
        """A lock for one actor."""
        return ActorLock(self._held)


class ActorLock:
    """Reentrant; ``with`` it."""

    __slots__ = ("_held", "_lock")

    def __init__(self, held: _Held) -> None:
        self._held = held
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._held.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        held.depth -= 1
        self._lock.release()
        if held.depth == 0 and held.later is not None:
            later, held.later = held.later, None
            for action in later:
                try:
                    action()
                except Exception as failure:  # noqa: BLE001 - a bug of ours; the others must be done all the same
                    report(failure)
