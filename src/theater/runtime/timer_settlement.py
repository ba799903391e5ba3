"""What a step does to its timers when it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from theater.model.effects import CancelTimer, Schedule
from theater.runtime.timers import Timer, encode_timer

if TYPE_CHECKING:
    from theater.runtime.settlement import Settling


def schedule(settling: Settling, effect: Schedule) -> None:
    """A timer is set with the step."""
    actor, timers = settling.actor, settling.surroundings.timers
    timer = Timer(effect.due_us, effect.body, effect.repeat_us, cause=settling.cause)
    settling.brought.put(actor, "timer", effect.id, encode_timer(timer))
    timers.put(actor, effect.id, timer)
    settling.brought.after.append(lambda: timers.arm(actor, effect.id))


def cancel_timer(settling: Settling, effect: CancelTimer) -> None:
    """A timer is taken back with the step. It may have fired since the guest said so."""
    settling.brought.drop(settling.actor, "timer", effect.id, required=False)
    settling.surroundings.timers.remove(settling.actor, effect.id)
