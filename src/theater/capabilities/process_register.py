"""Who runs what on a node, and how many there may be."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from theater.capabilities.moment import datetime_of
from theater.capabilities.process_life import LOST, Life, Status
from theater.capabilities.process_report import Report
from theater.model.actor_system import Problem
from theater.model.ids import ActorId

PROCESSES_MAX: Final = 256
"""On one node: each takes four descriptors, and a process that watches it."""
CLOSED: Final[Problem] = ("io", "the node closes")


@dataclass(slots=True)
class Started:
    """A process of ``start``, until its end has been heard. What an earlier node started has no life any more."""

    id: str
    program: str
    started_us: int
    life: Life | None = None
    report: Report | None = None

    @property
    def status(self) -> Status | None:
        return LOST if self.life is None else self.life.status

    @property
    def info(self) -> dict[str, object]:
        """As in WIT."""
        return {
            "id": self.id,
            "program": self.program,
            "started": datetime_of(self.started_us),
            "status": self.status,
        }


class Register:
    """All that run, and those of ``start`` until their end has been heard. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._lives: dict[Life, ActorId] = {}
        self._started: dict[ActorId, dict[str, Started]] = {}
        self._is_closed = False

    def enter(self, actor: ActorId, life: Life, found: Started | None = None) -> Problem | None:
        """Let one more run, unless there are too many."""
        most = life.order.grant.processes
        with self._lock:
            if self._is_closed:
                return CLOSED
            if sum(owner == actor for owner in self._lives.values()) >= most:
                return ("too-many", most)
            if len(self._lives) >= PROCESSES_MAX:
                return ("other", f"busy: {PROCESSES_MAX} processes run on this node, the most")
            self._lives[life] = actor
            if found is not None:
                self._started.setdefault(actor, {})[found.id] = found
        return None

    def leave(self, life: Life) -> None:
        """It runs no longer."""
        with self._lock:
            self._lives.pop(life, None)
            self._lock.notify_all()

    def add(self, actor: ActorId, found: Started) -> None:
        """One that an earlier node started."""
        with self._lock:
            self._started.setdefault(actor, {})[found.id] = found

    def forget(self, actor: ActorId, id: str) -> None:
        """Its end has been heard."""
        with self._lock:
            own = self._started.get(actor, {})
            own.pop(id, None)
            if not own:
                self._started.pop(actor, None)

    def find(self, actor: ActorId, id: str) -> Started | None:
        """One of this actor."""
        with self._lock:
            return self._started.get(actor, {}).get(id)

    def all_of(self, actor: ActorId) -> list[Started]:
        """Those of this actor, by start, then id."""
        with self._lock:
            return sorted(self._started.get(actor, {}).values(), key=lambda found: (found.started_us, found.id))

    def everything(self) -> list[Started]:
        """Those of all actors."""
        with self._lock:
            return [found for own in self._started.values() for found in own.values()]

    def lives(self) -> list[Life]:
        """All that run, those that are waited for included."""
        with self._lock:
            return list(self._lives)

    def close(self) -> None:
        """Let none run any more."""
        with self._lock:
            self._is_closed = True

    def wait_empty(self, wait_s: float) -> bool:
        """Wait until none runs, so long at most; whether that is so."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._lives, wait_s)
