"""The step's clock, and sleeping in the middle of a step."""

import pytest

from theater.capabilities.timing import (
    SLEEP_MAX_MS,
    TimingGrant,
    monotonic,
    now,
    parse,
    sleep,
    sleep_until,
)
from theater.errors import InvalidManifest
from theater.model.capability import Denied, Wait
from theater.testing.step_context import FakeStepContext

GRANT = TimingGrant()
NOW_US = 1_700_000_000_123_456


def test_now_is_the_time_of_the_step() -> None:
    ctx = FakeStepContext(now_us=NOW_US)

    assert now(ctx, GRANT) == {"seconds": 1_700_000_000, "nanoseconds": 123_456_000}
    assert now(ctx, GRANT) == now(ctx, GRANT)


def test_monotonic_begins_at_genesis() -> None:
    ctx = FakeStepContext(now_us=NOW_US, started_us=NOW_US)
    assert monotonic(ctx, GRANT) == 0

    ctx.now_us += 5
    assert monotonic(ctx, GRANT) == 5000


# -- sleeping --------------------------------------------------------------------------------------------------------


def test_a_sleep_waits_until_its_time_and_then_is_ok() -> None:
    ctx = FakeStepContext(now_us=NOW_US)

    wait = sleep(ctx, GRANT, 1500)

    assert isinstance(wait, Wait)
    assert wait.until_us == NOW_US + 1_500_000
    ctx.now_us = wait.until_us
    assert wait.answer() == ("ok", None)


def test_a_sleep_of_nothing_does_not_wait() -> None:
    assert sleep(FakeStepContext(), GRANT, 0) == ("ok", None)


def test_a_sleep_of_the_longest_time_waits_and_a_longer_one_is_denied() -> None:
    ctx = FakeStepContext()

    assert isinstance(sleep(ctx, GRANT, 60_000), Wait)
    assert sleep(ctx, GRANT, 60_001) == Denied(("err", ("too-long", 60_000)))
    assert sleep(ctx, GRANT, 2**64 - 1) == Denied(("err", ("too-long", 60_000)))


def test_a_sleep_that_the_limit_of_the_step_ends_says_so() -> None:
    ctx = FakeStepContext(now_us=NOW_US)
    wait = sleep(ctx, GRANT, 1000)
    assert isinstance(wait, Wait)

    ctx.now_us = wait.until_us - 1

    assert wait.answer() == ("err", ("wait-exhausted", None))


def test_sleeping_until_a_time_never_ends_early() -> None:
    ctx = FakeStepContext(now_us=NOW_US)

    wait = sleep_until(ctx, GRANT, {"seconds": 1_700_000_000, "nanoseconds": 123_456_001})

    assert isinstance(wait, Wait)
    assert wait.until_us == NOW_US + 1


@pytest.mark.parametrize(
    "at",
    [
        {"seconds": 0, "nanoseconds": 0},
        {"seconds": 1_700_000_000, "nanoseconds": 123_456_000},
    ],
)
def test_sleeping_until_a_time_that_has_passed_does_not_wait(at: dict[str, int]) -> None:
    assert sleep_until(FakeStepContext(now_us=NOW_US), GRANT, at) == ("ok", None)


def test_sleeping_until_a_time_too_far_away_is_denied() -> None:
    ctx = FakeStepContext(now_us=NOW_US)

    assert isinstance(sleep_until(ctx, GRANT, {"seconds": 1_700_000_060, "nanoseconds": 123_456_000}), Wait)
    assert sleep_until(ctx, GRANT, {"seconds": 1_700_000_060, "nanoseconds": 123_456_001}) == Denied(
        ("err", ("too-long", 60_000))
    )


@pytest.mark.parametrize(
    "at",
    [
        {"seconds": 0, "nanoseconds": 1_000_000_000},
        {"seconds": 253_402_300_800, "nanoseconds": 0},
        {"seconds": 2**64 - 1, "nanoseconds": 2**32 - 1},
    ],
)
def test_a_time_that_cannot_be_is_refused(at: dict[str, int]) -> None:
    assert sleep_until(FakeStepContext(), GRANT, at) == ("err", ("invalid-datetime", None))


# -- the grant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "sleep_ms"),
    [({}, 60_000), ({"sleep": "1s"}, 1000), ({"sleep": "250ms"}, 250), ({"sleep": "24h"}, SLEEP_MAX_MS)],
)
def test_a_table_says_how_long_a_sleep_may_last(table: dict[str, object], sleep_ms: int) -> None:
    assert parse(table) == TimingGrant(sleep_ms)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            {"sleeep": "1s"},
            r"\[capabilities.timing\] has no key 'sleeep' \(it has sleep, schedule, repeat\); did you mean 'sleep'\?",
        ),
        ({"sleep": "long"}, r"\[capabilities.timing\] sleep: "),
        ({"sleep": "25h"}, r"\[capabilities.timing\] sleep: 1d is the most"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_what_goes_beyond_a_ceiling_is_named_in_manifest_lines() -> None:
    assert TimingGrant(2000).lines(TimingGrant(1500)) == ['sleep = "2s"']
    assert TimingGrant(1500).lines(None) == ['sleep = "1500ms"', 'schedule = "365d"', 'repeat = "1s"']
    assert TimingGrant(1500).lines(TimingGrant(2000)) == []
