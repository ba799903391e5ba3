"""The least limits under which histories would have been the same.

Most follow from what is recorded. How much memory a step needs does not stand in a chain: it is found by replaying with
less and less of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from theater.model.limits import Limits, limits_from_json, parse_limits
from theater.model.narrowing import rounded_size
from theater.runtime.conditions import Conditions
from theater.runtime.consumption import Consumption
from theater.runtime.trials import Trials

MEMORY_TRIALS_MAX = 8
"""Replays to find the memory: four for the power of two, and four for what lies between that and the one below."""

PAGE_BYTES = 64 * 1024
"""A memory grows by these."""

_SIZES = ("state", "message", "reply", "bytes-per-step")
_COUNTS = ("fuel", "events-per-step")
_DIGITS = 2


@dataclass(frozen=True, slots=True)
class LeastLimit:
    """One that may be lower than it was, and what it follows from."""

    key: str
    value: int
    why: str


def recorded_limits(histories: Iterable[Consumption]) -> Limits:
    """The highest of each that a history had."""
    several = [limits_from_json(each.genesis.limits).to_json() for each in histories]
    return parse_limits({key: max(each[key] for each in several) for key in several[0]})


def least_limits(histories: Sequence[Consumption], recorded: Limits, *, margin: float) -> list[LeastLimit]:
    """Those that the record shows, with ``margin`` times what was needed, where that is lower than it was."""
    struck = {key for each in histories for key in each.struck}
    found: list[LeastLimit] = []
    most = recorded.to_json()
    for key in (*_COUNTS, *_SIZES):
        if key in struck:
            continue
        amount, seq = max((each.largest.get(key, (0, 0)) for each in histories), default=(0, 0))
        needed = -int(-amount * margin // 1)
        value = rounded_size(needed) if key in _SIZES else _rounded_count(needed)
        if value < most[key]:
            why = f"{amount} at most, in the step of event {seq}" if amount else "none was needed"
            found.append(LeastLimit(key, value, why))
    return found


def lowered(limits: Limits, found: Iterable[LeastLimit]) -> Limits:
    """With these in place of its own."""
    table = {**limits.to_json(), **{each.key: each.value for each in found}}
    return parse_limits(table)


def least_memory(trials: Trials, conditions: Conditions, histories: Sequence[Consumption]) -> LeastLimit | None:
    """The least memory that the histories pass with, as far as so many replays tell; None where it is not less."""
    limits = conditions.limits
    if any("memory" in each.struck for each in histories):
        return None
    tried = 0

    def passes(memory_bytes: int) -> bool:
        nonlocal tried
        tried += 1
        less = replace(conditions, limits=replace(limits, memory_bytes=memory_bytes))
        return trials.passes(less, doing=f"with {memory_bytes // PAGE_BYTES * 64} KiB of memory")

    enough = limits.memory_bytes
    too_little = 0
    powers = [PAGE_BYTES << step for step in range(17) if PAGE_BYTES << step < enough]
    low, high = 0, len(powers)  # everything from ``high`` on is enough
    while low < high and tried < MEMORY_TRIALS_MAX:
        middle = (low + high) // 2
        if passes(powers[middle]):
            high, enough = middle, powers[middle]
        else:
            low, too_little = middle + 1, powers[middle]
    while tried < MEMORY_TRIALS_MAX and enough - too_little > PAGE_BYTES:
        between = (enough + too_little) // 2 // PAGE_BYTES * PAGE_BYTES
        if between in (enough, too_little):
            break
        if passes(between):
            enough = between
        else:
            too_little = between
    if enough >= limits.memory_bytes:
        return None
    less = f"a history fails with {too_little // PAGE_BYTES * 64}KiB" if too_little else "less is not possible"
    return LeastLimit("memory", enough, f"found in {tried} replays: {less}")


def _rounded_count(count: int) -> int:
    """Up to two digits."""
    unit: int = 10 ** max(0, len(str(count)) - _DIGITS)
    return max(1, -(-count // unit) * unit)
