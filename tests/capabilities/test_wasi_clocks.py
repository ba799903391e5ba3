"""The step's standing clock in WASI's words."""

import pytest

from theater.capabilities.wasi_clocks import (
    display,
    monotonic_now,
    monotonic_resolution,
    subscribe_duration,
    subscribe_instant,
    utc_offset,
    wall_now,
    wall_resolution,
)
from theater.capabilities.wasi_world import EMPTY_WORLD as GRANT
from theater.testing.step_context import FakeStepContext

STARTED_US = 1_700_000_000_000_000


def at(microseconds: int) -> FakeStepContext:
    """A step so long after genesis."""
    return FakeStepContext(now_us=STARTED_US + microseconds, started_us=STARTED_US)


def test_the_wall_clock_shows_the_time_of_the_step() -> None:
    assert wall_now(at(1_000_005), GRANT) == {"seconds": 1_700_000_001, "nanoseconds": 5000}


def test_the_monotonic_clock_begins_at_genesis() -> None:
    assert monotonic_now(at(0), GRANT) == 0
    assert monotonic_now(at(7), GRANT) == 7000


def test_both_clocks_stand_still_until_a_wait_was_answered() -> None:
    ctx = at(3)

    assert [monotonic_now(ctx, GRANT) for _ in range(3)] == [3000] * 3
    assert wall_now(ctx, GRANT) == wall_now(ctx, GRANT)


def test_both_clocks_count_in_microseconds() -> None:
    assert monotonic_resolution(at(0), GRANT) == 1000
    assert wall_resolution(at(0), GRANT) == {"seconds": 0, "nanoseconds": 1000}


@pytest.mark.parametrize(
    ("nanoseconds", "microseconds"), [(0, 0), (1, 1), (1000, 1), (1001, 2), (2**64 - 1, 2**64 // 1000 + 1)]
)
def test_a_timer_is_never_early(nanoseconds: int, microseconds: int) -> None:
    ctx = at(10)

    assert ctx.resources.get(subscribe_duration(ctx, GRANT, nanoseconds)).ready_at_us == ctx.now_us + microseconds
    assert ctx.resources.get(subscribe_instant(ctx, GRANT, nanoseconds)).ready_at_us == STARTED_US + microseconds


def test_the_time_zone_is_utc() -> None:
    when = {"seconds": 0, "nanoseconds": 0}

    assert display(at(0), GRANT, when) == {"utc-offset": 0, "name": "UTC", "in-daylight-saving-time": False}
    assert utc_offset(at(0), GRANT, when) == 0
