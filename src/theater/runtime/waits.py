"""Who waits for whom, in the middle of a step: to bring them what they wait for, and to refuse a circle.

An actor waits for one thing at a time, so following "waits for" from an actor is a walk along a line, and a new wait
closes a cycle exactly if the walk from the one it would wait for comes back. It makes no difference whether the other
handles the request, has it in its mailbox, or has deferred it: the asker is deaf until it is answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from theater.model.ids import ActorId

EARLY_MAX = 1000
"""Answers that are kept for whoever has not asked yet; beyond it the oldest is dropped, and is found in the store."""

Wake = Callable[[object], None]
"""Takes the answer, in the shape that the guest is given (``theater.model.wit``)."""


@dataclass(frozen=True, slots=True)
class _Wait:
    asker: ActorId
    target: ActorId
    wake: Wake


class Waits:
    """Any thread may use it. Nobody is woken under its lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, _Wait] = {}
        self._target: dict[ActorId, ActorId] = {}
        self._reserved: set[ActorId] = set()  # who is about to wait: the line goes on from there already
        self._early: dict[str, object] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self._by_id)

    def begin(self, wait_id: str, asker: ActorId, target: ActorId, wake: Wake) -> None:
        """``asker`` waits for ``target``; ``wake`` is called once, unless the wait is ended before.

        It is called at once where the answer has come already: the step was interrupted, and the answer was faster.
        """
        with self._lock:
            is_answered = wait_id in self._early
            answer = self._early.pop(wait_id, None)
            self._release(asker)
            if not is_answered:
                self._by_id[wait_id] = _Wait(asker, target, wake)
                self._target[asker] = target
        if is_answered:
            wake(answer)

    def cycle(self, asker: ActorId, target: ActorId) -> tuple[ActorId, ...] | None:
        """The circle that would close if ``asker`` waited for ``target``: it first, and each waits for the next."""
        with self._lock:
            return _circle(self._target, asker, target)

    def reserve(self, asker: ActorId, target: ActorId) -> tuple[ActorId, ...] | None:
        """``asker`` is about to wait for ``target``, unless that closes a circle: which one, as ``cycle``.

        Until ``begin`` or ``release`` nobody closes a circle with it. So of two who ask each other at the same moment,
        one may.
        """
        with self._lock:
            circle = _circle(self._target, asker, target)
            if circle is None:
                self._target[asker] = target
                self._reserved.add(asker)
            return circle

    def release(self, asker: ActorId) -> None:
        """It does not wait after all."""
        with self._lock:
            self._release(asker)

    def forget(self, wait_id: str) -> None:
        """Nobody will ask for that answer any more."""
        with self._lock:
            self._early.pop(wait_id, None)

    def answer(self, wait_id: str, answer: object) -> bool:
        """Bring the answer. False where nobody waits for it: any more, or yet."""
        with self._lock:
            wait = self._remove(wait_id)
            if wait is None:
                self._early[wait_id] = answer
                if len(self._early) > EARLY_MAX:
                    del self._early[next(iter(self._early))]
        if wait is None:
            return False
        wait.wake(answer)
        return True

    def end(self, wait_id: str) -> bool:
        """Nobody waits for that any more. False where that was so already."""
        with self._lock:
            return self._remove(wait_id) is not None

    def is_waiting(self, wait_id: str) -> bool:
        """Whether somebody does."""
        return wait_id in self._by_id

    def _release(self, asker: ActorId) -> None:
        if asker in self._reserved:
            self._reserved.discard(asker)
            del self._target[asker]

    def _remove(self, wait_id: str) -> _Wait | None:
        wait = self._by_id.pop(wait_id, None)
        if wait is not None and self._target.get(wait.asker) == wait.target:
            del self._target[wait.asker]
        return wait


def _circle(target_of: Mapping[ActorId, ActorId], asker: ActorId, target: ActorId) -> tuple[ActorId, ...] | None:
    line = [asker]
    current: ActorId | None = target
    while current is not None and current != asker:
        if len(line) > len(target_of) + 1:  # a circle that does not come back to the asker cannot have been made
            return None
        line.append(current)
        current = target_of.get(current)
    return tuple(line) if current == asker else None
