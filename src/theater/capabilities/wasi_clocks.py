"""``wasi:clocks``: the step's standing clock, in WASI's words. Both clocks move only when a wait was answered.

Recorded: nothing; the time of a step is that of its ``message`` event. The time zone is UTC.

Limits: none of its own; how long a poll may wait is the actor's limit ``wait``.
"""

from __future__ import annotations

from theater.capabilities.registration import drops, functions
from theater.capabilities.wasi_poll import Pollable
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import HostClass, StepContext

_US_PER_S = 1_000_000
_NS_PER_US = 1000


def monotonic_now(ctx: StepContext, _grant: WasiGrant) -> int:
    """Nanoseconds since the actor's genesis."""
    return (ctx.now_us - ctx.started_us) * _NS_PER_US


def monotonic_resolution(_ctx: StepContext, _grant: WasiGrant) -> int:
    """A microsecond, in nanoseconds."""
    return _NS_PER_US


def subscribe_instant(ctx: StepContext, _grant: WasiGrant, when: int) -> int:
    """Ready when ``monotonic-clock.now`` shows ``when``."""
    return ctx.resources.add(Pollable(ready_at_us=ctx.started_us + _whole_us(when)))


def subscribe_duration(ctx: StepContext, _grant: WasiGrant, duration: int) -> int:
    """Ready when that many nanoseconds have passed."""
    return ctx.resources.add(Pollable(ready_at_us=ctx.now_us + _whole_us(duration)))


def wall_now(ctx: StepContext, _grant: WasiGrant) -> dict[str, int]:
    """The time of the step."""
    seconds, microseconds = divmod(ctx.now_us, _US_PER_S)
    return {"seconds": seconds, "nanoseconds": microseconds * _NS_PER_US}


def wall_resolution(_ctx: StepContext, _grant: WasiGrant) -> dict[str, int]:
    """A microsecond."""
    return {"seconds": 0, "nanoseconds": _NS_PER_US}


def display(_ctx: StepContext, _grant: WasiGrant, _when: dict[str, int]) -> dict[str, object]:
    """UTC, always."""
    return {"utc-offset": 0, "name": "UTC", "in-daylight-saving-time": False}


def utc_offset(_ctx: StepContext, _grant: WasiGrant, _when: dict[str, int]) -> int:
    """Seconds from UTC: none."""
    return 0


def _whole_us(nanoseconds: int) -> int:
    """Rounded up: a timer never fires early."""
    return -(-nanoseconds // _NS_PER_US)


_MONOTONIC = "wasi:clocks/monotonic-clock"

CAPABILITY = wasi_capability(
    "wasi-clocks",
    (
        *functions(
            _MONOTONIC,
            HostClass.DERIVED,
            {
                "now": monotonic_now,
                "resolution": monotonic_resolution,
                "subscribe-instant": subscribe_instant,
                "subscribe-duration": subscribe_duration,
            },
        ),
        *drops(_MONOTONIC, "pollable"),
        *functions("wasi:clocks/wall-clock", HostClass.DERIVED, {"now": wall_now, "resolution": wall_resolution}),
        *functions("wasi:clocks/timezone", HostClass.DERIVED, {"display": display, "utc-offset": utc_offset}),
    ),
)
