"""The instance that a warm actor keeps between two steps, and its place in the numbering.

Each ``message`` event of a warm actor names the instance (``number``, never used twice) and which step of it this is
(``nth``, from 0), so that a replay can run the same steps one after the other in one instance.
"""

from __future__ import annotations

from dataclasses import dataclass

from theater.model.capability import Resources
from theater.model.execution import Closed, Instance
from theater.runtime.outcome import Outcome


@dataclass(slots=True)
class Warm:
    """One kept instance. ``instance`` is None before its first step has ended."""

    number: int
    nth: int
    resources: Resources
    instance: Instance | None = None


class WarmKeeper:
    """Keeps one instance at a time. Guarded by the actor's lock."""

    __slots__ = ("_kept", "_next_number")

    def __init__(self, next_number: int) -> None:
        self._next_number = next_number
        self._kept: Warm | None = None

    def take(self) -> Warm:
        """The instance for the next step: the one that is kept, or a new one."""
        if self._kept is None:
            self._kept = Warm(self._next_number, 0, Resources())
            self._next_number += 1
        return self._kept

    def give_back(self, warm: Warm, instance: Instance | None) -> None:
        """The step is over; ``instance`` is None where it did not survive that."""
        warm.instance = instance
        if instance is None:
            self._kept = None
        elif warm is not self._kept:  # dropped while the step ran
            instance.close()
        else:
            warm.nth += 1

    def drop(self, *, is_running: bool) -> None:
        """Let go of it; the instance of a step that is running is closed when that is over."""
        if self._kept is not None and self._kept.instance is not None and not is_running:
            self._kept.instance.close()
        self._kept = None


def survivor(closed: Closed, outcome: Outcome) -> Instance | None:
    """The instance, unless the step crashed: then nobody knows what it holds."""
    if closed.instance is not None and outcome.kind == "crashed":
        closed.instance.close()
        return None
    return closed.instance
