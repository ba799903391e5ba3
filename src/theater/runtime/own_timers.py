"""The timers of an actor, as one live step of it sees them: with those that it sets, without those that it takes back.

What is asked at every call (is there such a one, how many are there) costs the same however many there are.
"""

from __future__ import annotations

from theater.model.actor_system import TimerFacts
from theater.model.ids import ActorId
from theater.runtime.deeds import Deeds
from theater.runtime.timers import Measure, Timers


class OwnTimers:
    """See above. Used by the thread that runs the step."""

    __slots__ = ("_actor", "_deeds", "_held", "_taken_back", "_timers", "_weighed")

    def __init__(self, timers: Timers, actor: ActorId, deeds: Deeds) -> None:
        self._timers = timers
        self._actor = actor
        self._deeds = deeds
        self._held = 0  # how many there were when those that are taken back were weighed
        self._weighed = 0
        self._taken_back = Measure(0, 0)

    def has(self, timer_id: str) -> bool:
        """Whether it waits."""
        deeds = self._deeds.up_to_now()
        if timer_id in deeds.scheduled:
            return True
        return timer_id not in deeds.unscheduled and self._timers.size_of(self._actor, timer_id) is not None

    def measure(self) -> Measure:
        """How many wait, and the sum of their bodies."""
        deeds = self._deeds.up_to_now()
        held = self._timers.measure(self._actor)
        if held.number != self._held:  # some have fired meanwhile, and are not to be left out twice
            self._held, self._weighed, self._taken_back = held.number, 0, Measure(0, 0)
        for timer_id in deeds.taken_back[self._weighed :]:
            size_bytes = self._timers.size_of(self._actor, timer_id)
            if size_bytes is not None:
                self._taken_back = Measure(self._taken_back.number + 1, self._taken_back.size_bytes + size_bytes)
        self._weighed = len(deeds.taken_back)
        return Measure(
            held.number + len(deeds.scheduled) - self._taken_back.number,
            held.size_bytes + deeds.scheduled_bytes - self._taken_back.size_bytes,
        )

    def all(self) -> list[TimerFacts]:
        """All of them, by next firing, then id."""
        deeds = self._deeds.up_to_now()
        found = [timer for timer in self._timers.of(self._actor) if timer.id not in deeds.unscheduled]
        found += [
            TimerFacts(effect.id, effect.due_us, effect.repeat_us, effect.body) for effect in deeds.scheduled.values()
        ]
        return sorted(found, key=lambda timer: (timer.next_us, timer.id))
