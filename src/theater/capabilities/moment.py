"""Points in time as guests see them (``values.datetime``), and how long a guest waits for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from theater.model.capability import StepContext, Wait
from theater.model.effects import AtOnce

LAST_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z: beyond it a time has no form in the chain."""

TIMEOUT_DEFAULT_MS = 30_000
"""How long a guest waits for others when it does not say: longer than a slow answer, shorter than the limit ``wait``,
so that a step can ask twice."""

US_PER_MS = 1000
US_PER_DAY = 86_400_000_000
_US_PER_S = 1_000_000
_NS_PER_US = 1000
_NS_PER_S = 1_000_000_000


def datetime_of(time_us: int) -> dict[str, int]:
    """Microseconds since 1970 as a ``datetime``."""
    seconds, microseconds = divmod(time_us, _US_PER_S)
    return {"seconds": seconds, "nanoseconds": microseconds * _NS_PER_US}


def microseconds_of(at: Mapping[str, int]) -> int | None:
    """A ``datetime`` as microseconds since 1970, rounded up, so that nothing is early; None for one that cannot be."""
    if at["nanoseconds"] >= _NS_PER_S or at["seconds"] > LAST_US // _US_PER_S:
        return None
    return at["seconds"] * _US_PER_S - (-at["nanoseconds"] // _NS_PER_US)


def wait_for(ctx: StepContext, effect_until: Callable[[int], AtOnce], timeout_ms: int | None) -> Wait:
    """Wait for what comes of an effect, which is made of the time at which the guest stops waiting."""
    wait = wait_at_most(ctx, TIMEOUT_DEFAULT_MS if timeout_ms is None else timeout_ms)
    return replace(wait, effect=effect_until(wait.until_us))


def wait_at_most(ctx: StepContext, timeout_ms: int) -> Wait:
    """Wait for what is still to be said, a time at most.

    The answer is ``timeout`` then, or ``wait-exhausted`` where the step's limit ``wait`` ended it before.
    """
    until_us = min(ctx.now_us + timeout_ms * US_PER_MS, LAST_US)

    def answer() -> object:
        return ("err", ("timeout" if ctx.now_us >= until_us else "wait-exhausted", None))

    return Wait(until_us, answer)
