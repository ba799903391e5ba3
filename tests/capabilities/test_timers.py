"""Timers: how far ahead, how often, how many."""

import pytest

from tests.capabilities.neighbours import Neighbours, call, error_of, is_ok, step
from theater.capabilities.timing import SCHEDULE_MAX_MS, TimingGrant, parse, schedule
from theater.errors import InvalidManifest
from theater.model.actor_system import TimerFacts
from theater.model.capability import Denied
from theater.model.effects import CancelTimer, Schedule
from theater.model.ids import derived_id
from theater.model.limits import Limits
from theater.testing.step_context import ACTOR

GRANT = TimingGrant()
NOW_US = 1_700_000_000_123_456
WAITING = [TimerFacts("a" * 32, NOW_US + 5, None, "1"), TimerFacts("b" * 32, NOW_US + 6, 1_500_000, '"ü"')]


def at(time_us: int) -> tuple[str, dict[str, int]]:
    return ("at", {"seconds": time_us // 1_000_000, "nanoseconds": time_us % 1_000_000 * 1000})


def test_a_timer_has_a_derived_id_and_counts_from_the_time_of_the_step() -> None:
    ctx = step(now_us=NOW_US)

    first = call("timing#schedule", ctx, GRANT, '"ü"', ("after-ms", 1500), None)
    second = call("timing#schedule", ctx, GRANT, "2", ("after-ms", 0), 1000)

    ids = [derived_id(ACTOR, ctx.message_id, index) for index in (0, 1)]
    assert [first, second] == [("ok", ids[0]), ("ok", ids[1])]
    assert ctx.effects == [
        Schedule(ids[0], '"ü"', NOW_US + 1_500_000, None),
        Schedule(ids[1], "2", NOW_US, 1_000_000),
    ]


@pytest.mark.parametrize(
    ("when", "due_us"),
    [
        ({"seconds": 1_700_000_001, "nanoseconds": 1}, 1_700_000_001_000_001),
        ({"seconds": 1_700_000_000, "nanoseconds": 123_456_000}, NOW_US),
        ({"seconds": 0, "nanoseconds": 0}, 0),
    ],
)
def test_a_timer_may_be_set_to_a_time_and_is_never_early(when: dict[str, int], due_us: int) -> None:
    ctx = step(now_us=NOW_US)

    assert is_ok(call("timing#schedule", ctx, GRANT, "1", ("at", when), None))
    assert ctx.effects == [Schedule(derived_id(ACTOR, ctx.message_id, 0), "1", due_us, None)]


@pytest.mark.parametrize(
    "when",
    [
        {"seconds": 0, "nanoseconds": 1_000_000_000},
        {"seconds": 253_402_300_800, "nanoseconds": 0},
        {"seconds": 2**64 - 1, "nanoseconds": 2**32 - 1},
    ],
)
def test_a_time_that_cannot_be_is_refused(when: dict[str, int]) -> None:
    assert call("timing#schedule", step(), GRANT, "1", ("at", when), None) == ("err", ("invalid-datetime", None))


@pytest.mark.parametrize("after_ms", [SCHEDULE_MAX_MS + 1, 2**64 - 1])
def test_a_timer_may_be_a_year_ahead_and_no_further(after_ms: int) -> None:
    ctx = step(now_us=NOW_US)
    too_long = ("err", ("too-long", SCHEDULE_MAX_MS))
    year_us = SCHEDULE_MAX_MS * 1000

    assert is_ok(call("timing#schedule", ctx, GRANT, "1", ("after-ms", SCHEDULE_MAX_MS), SCHEDULE_MAX_MS))
    assert is_ok(call("timing#schedule", ctx, GRANT, "1", at(NOW_US + year_us), None))
    assert call("timing#schedule", ctx, GRANT, "1", ("after-ms", after_ms), None) == too_long
    assert call("timing#schedule", ctx, GRANT, "1", at(NOW_US + year_us + 1), None) == too_long
    assert call("timing#schedule", ctx, GRANT, "1", ("after-ms", 0), after_ms) == too_long


def test_a_year_ahead_does_not_lead_beyond_the_year_9999() -> None:
    ctx = step(now_us=253_402_300_799_999_998)

    assert is_ok(call("timing#schedule", ctx, GRANT, "1", ("after-ms", 1), None))
    assert ctx.effects == [Schedule(derived_id(ACTOR, ctx.message_id, 0), "1", 253_402_300_799_999_999, None)]


def test_a_timer_may_repeat_once_a_second_and_not_more_often() -> None:
    assert is_ok(call("timing#schedule", step(), GRANT, "1", ("after-ms", 0), 1000))
    for repeat_ms in (999, 0):
        answer = call("timing#schedule", step(), GRANT, "1", ("after-ms", 0), repeat_ms)
        assert answer == ("err", ("too-frequent", 1000))


def test_a_grant_says_how_far_and_how_often() -> None:
    grant = parse({"schedule": "1h", "repeat": "100ms"})

    assert is_ok(call("timing#schedule", step(), grant, "1", ("after-ms", 3_600_000), 100))
    assert call("timing#schedule", step(), grant, "1", ("after-ms", 3_600_001), 100) == (
        "err",
        ("too-long", 3_600_000),
    )
    assert schedule(step(), grant, "1", ("after-ms", 0), 99) == Denied(("err", ("too-frequent", 100)))


def test_an_actor_may_have_as_many_timers_as_its_limit_and_no_more() -> None:
    ctx = step(Neighbours(waiting_timers=WAITING), limits=Limits(timers=3))

    assert is_ok(call("timing#schedule", ctx, GRANT, "1", ("after-ms", 0), None))
    ctx.limits = Limits(timers=2)
    assert call("timing#schedule", ctx, GRANT, "1", ("after-ms", 0), None) == ("err", ("too-many", 2))


def test_a_body_may_be_as_large_as_a_message_and_no_larger() -> None:
    ctx = step(limits=Limits(message_bytes=4))

    assert is_ok(call("timing#schedule", ctx, GRANT, '"ü"', ("after-ms", 0), None))
    assert call("timing#schedule", ctx, GRANT, '"üx"', ("after-ms", 0), None) == ("err", ("too-large", 4))
    assert error_of(call("timing#schedule", ctx, GRANT, "{", ("after-ms", 0), None)) == "not-json"


def test_a_timer_is_taken_back() -> None:
    ctx = step(Neighbours(waiting_timers=WAITING))

    assert call("timing#cancel", ctx, GRANT, "b" * 32) == ("ok", None)
    assert ctx.effects == [CancelTimer("b" * 32)]


@pytest.mark.parametrize("id", ["c" * 32, "", "A" * 32])
def test_a_timer_that_is_not_there_is_not_taken_back(id: str) -> None:
    ctx = step(Neighbours(waiting_timers=WAITING))

    assert call("timing#cancel", ctx, GRANT, id) == ("err", ("unknown-timer", id))


def test_the_waiting_timers_are_listed() -> None:
    assert call("timing#list-timers", step(Neighbours(waiting_timers=WAITING)), GRANT) == [
        {
            "id": "a" * 32,
            "next": {"seconds": 1_700_000_000, "nanoseconds": 123_461_000},
            "repeat-ms": None,
            "body": "1",
        },
        {
            "id": "b" * 32,
            "next": {"seconds": 1_700_000_000, "nanoseconds": 123_462_000},
            "repeat-ms": 1500,
            "body": '"ü"',
        },
    ]


# -- the grant ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"schedule": "366d"}, r"\[capabilities.timing\] schedule: 365d is the most"),
        ({"repeat": "99ms"}, r"\[capabilities.timing\] repeat: write 100ms to 365d"),
        ({"repeat": "366d"}, r"\[capabilities.timing\] repeat: write 100ms to 365d"),
        ({"repeat": "often"}, r"\[capabilities.timing\] repeat: "),
        ({"repeats": "1s"}, r"did you mean 'repeat'\?"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)


def test_only_the_keys_that_go_beyond_a_ceiling_are_named() -> None:
    asked = parse({"schedule": "30d", "repeat": "500ms"})

    assert asked.lines(TimingGrant()) == ['repeat = "500ms"']
    assert asked.lines(parse({"schedule": "7d", "repeat": "100ms"})) == ['schedule = "30d"']
    assert asked.lines(None) == ['sleep = "60s"', 'schedule = "30d"', 'repeat = "500ms"']


def test_narrowing_takes_the_nearer_and_the_less_frequent() -> None:
    left = parse({"schedule": "30d", "repeat": "500ms"})
    right = parse({"schedule": "7d", "repeat": "2s"})

    assert left.narrowed(right) == parse({"schedule": "7d", "repeat": "2s"})
