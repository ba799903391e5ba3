"""``theater:actor/timing``: the step's clock, and sleeping in the middle of a step.

Recorded: a sleep, as ``intent`` (for how long) and ``host`` (the answer, and the time after it). The clocks are
not: the time of a step is that of its ``message`` event, and moves only with a wait.

Limits: one sleep lasts at most 60 s (``sleep``; 24 h is the most that can be granted): the actor is deaf meanwhile. The
sum over a step is bounded by the actor's limit ``wait``, which is 60 s as well unless the manifest says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import check_keys, manifest_lines, number_of
from theater.capabilities.registration import functions
from theater.errors import InvalidManifest
from theater.model.capability import Capability, Denied, HostClass, StepContext, Wait
from theater.model.quantity import parse_duration, show_duration

NAME = "timing"
SLEEP_DEFAULT_MS = 60_000
SLEEP_MAX_MS = 24 * 3_600_000
"""A day: the most that the actor's limit ``wait`` can be."""

_OK = ("ok", None)
_US_PER_MS = 1000
_US_PER_S = 1_000_000
_NS_PER_US = 1000
_NS_PER_S = 1_000_000_000
_LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z: beyond it a time has no form in the chain."""


@dataclass(frozen=True, slots=True)
class TimingGrant:
    """How long one sleep may last."""

    sleep_ms: int = SLEEP_DEFAULT_MS

    def __post_init__(self) -> None:
        if not 0 <= self.sleep_ms <= SLEEP_MAX_MS:
            raise InvalidManifest(f"[capabilities.{NAME}] sleep: {show_duration(SLEEP_MAX_MS // 1000)} is the most")

    def table(self) -> dict[str, object]:
        seconds, rest_ms = divmod(self.sleep_ms, 1000)
        return {"sleep": f"{self.sleep_ms}ms" if rest_ms else f"{seconds}s"}

    def lines(self, beyond: TimingGrant | None) -> list[str]:
        allowed = beyond is not None and self.sleep_ms <= beyond.sleep_ms
        return [] if allowed else manifest_lines(self.table())

    def narrowed(self, ceiling: TimingGrant) -> TimingGrant:
        return TimingGrant(min(self.sleep_ms, ceiling.sleep_ms))


def parse(table: Mapping[str, object]) -> TimingGrant:
    """Keys: ``sleep``, a duration."""
    check_keys(NAME, table, ("sleep",))
    return TimingGrant(number_of(NAME, table, "sleep", parse=_milliseconds, default=SLEEP_DEFAULT_MS))


def _milliseconds(value: object) -> int:
    return round(parse_duration(value) * 1000)


def now(ctx: StepContext, _grant: TimingGrant) -> dict[str, int]:
    """The time of the step."""
    seconds, microseconds = divmod(ctx.now_us, _US_PER_S)
    return {"seconds": seconds, "nanoseconds": microseconds * _NS_PER_US}


def monotonic(ctx: StepContext, _grant: TimingGrant) -> int:
    """Nanoseconds since the actor's genesis."""
    return (ctx.now_us - ctx.started_us) * _NS_PER_US


def sleep(ctx: StepContext, grant: TimingGrant, duration_ms: int) -> object:
    """Wait for that long."""
    if duration_ms > grant.sleep_ms:
        return Denied(("err", ("too-long", grant.sleep_ms)))
    return _wait_until(ctx, ctx.now_us + duration_ms * _US_PER_MS)


def sleep_until(ctx: StepContext, grant: TimingGrant, at: dict[str, int]) -> object:
    """Wait until that time."""
    if at["nanoseconds"] >= _NS_PER_S or at["seconds"] > _LAST_SECOND:
        return ("err", ("invalid-datetime", None))
    until_us = at["seconds"] * _US_PER_S - (-at["nanoseconds"] // _NS_PER_US)  # rounded up: never early
    if until_us - ctx.now_us > grant.sleep_ms * _US_PER_MS:
        return Denied(("err", ("too-long", grant.sleep_ms)))
    return _wait_until(ctx, until_us)


def _wait_until(ctx: StepContext, until_us: int) -> object:
    if until_us <= ctx.now_us:
        return _OK

    def answer() -> object:
        return _OK if ctx.now_us >= until_us else ("err", ("wait-exhausted", None))

    return Wait(until_us=until_us, answer=answer)


_INTERFACE = "theater:actor/timing"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *functions(_INTERFACE, HostClass.DERIVED, {"now": now, "monotonic": monotonic}),
        *functions(_INTERFACE, HostClass.WAITING, {"sleep": sleep, "sleep-until": sleep_until}),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=TimingGrant(),
)
