"""What a live step has asked for so far, by id: so that the next call need not look at all calls before it."""

from __future__ import annotations

from collections.abc import Sequence

from theater.model.effects import Cancel, CancelTimer, CloseChannel, Effect, Reply, Schedule, Spawn
from theater.model.ids import ActorId


class Deeds:
    """The buffered calls of one step. Each is looked at once. Used by the thread that runs the step."""

    __slots__ = (
        "_effects",
        "_seen",
        "answered",
        "closed",
        "scheduled",
        "scheduled_bytes",
        "spawned",
        "taken_back",
        "unscheduled",
    )

    def __init__(self, effects: Sequence[Effect]) -> None:
        """``effects`` may grow afterwards, at its end."""
        self._effects = effects
        self._seen = 0
        self.spawned: dict[ActorId, Spawn] = {}
        self.answered: set[str] = set()
        """Requests that were answered or refused."""
        self.closed: set[str] = set()
        """Channels that were closed, or not accepted."""
        self.scheduled: dict[str, Schedule] = {}
        """Timers that this step sets and does not take back."""
        self.scheduled_bytes = 0
        """The sum of their bodies."""
        self.unscheduled: set[str] = set()
        """Timers of earlier steps that it takes back."""
        self.taken_back: list[str] = []
        """The same in the order in which it did."""

    def up_to_now(self) -> Deeds:
        """With what was asked for since."""
        while self._seen < len(self._effects):
            self._add(self._effects[self._seen])
            self._seen += 1
        return self

    def _add(self, effect: Effect) -> None:
        match effect:
            case Spawn():
                self.spawned[effect.id] = effect
            case Reply():
                self.answered.add(effect.id)
            case Cancel():
                self.answered.add(effect.id)
                self.closed.add(effect.id)
            case CloseChannel():
                self.closed.add(effect.channel)
            case Schedule():
                self.scheduled[effect.id] = effect
                self.scheduled_bytes += len(effect.body.encode())
            case CancelTimer():
                scheduled = self.scheduled.pop(effect.id, None)
                if scheduled is None:
                    self.unscheduled.add(effect.id)
                    self.taken_back.append(effect.id)
                else:
                    self.scheduled_bytes -= len(scheduled.body.encode())
            case _:
                pass
