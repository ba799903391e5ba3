"""``top``: rates between two looks, and ages."""

import pytest

from tests.cli.conftest import Theater
from tests.cli.test_tree import row
from theater.cli.top import age_text, busiest
from theater.model.wire import ActorRow

US = 1_000_000
NOW_US = 1_767_225_600 * US  # 2026-01-01


def by_id(*rows: ActorRow) -> dict[str, ActorRow]:
    return {item.id: item for item in rows}


def test_the_busiest_comes_first() -> None:
    before = by_id(row("a", steps=1, seq=10), row("b", steps=5, seq=10), row("c", steps=0, seq=10))
    now = by_id(row("a", steps=2, seq=12), row("b", steps=25, seq=50), row("c", steps=0, seq=30))

    found = busiest(before, now, 2.0)

    assert [(item.row.id[0], item.steps_per_s, item.events_per_s) for item in found] == [
        ("b", 10.0, 20.0),
        ("a", 0.5, 1.0),
        ("c", 0.0, 10.0),
    ]


def test_an_actor_that_is_new_did_all_that_it_has_done() -> None:
    (found,) = busiest({}, by_id(row("a", steps=4, seq=7)), 1.0)

    assert (found.steps_per_s, found.events_per_s) == (4.0, 8.0)


def test_a_server_that_counts_from_0_again_has_no_negative_rates() -> None:
    (found,) = busiest(by_id(row("a", steps=100, seq=7)), by_id(row("a", steps=3, seq=7)), 1.0)

    assert (found.steps_per_s, found.events_per_s) == (3.0, 0.0)


def test_an_actor_that_was_removed_is_not_shown() -> None:
    assert busiest(by_id(row("a")), {}, 1.0) == []


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("2026-01-01T00:00:00.000000Z", "0s"),
        ("2026-01-01T00:00:09.000000Z", "0s"),
        ("2025-12-31T23:59:01.000000Z", "59s"),
        ("2025-12-31T23:59:00.000000Z", "1m"),
        ("2025-12-31T20:00:00.000000Z", "4h"),
        ("2025-12-22T00:00:00.000000Z", "10d"),
        (None, "-"),
        ("yesterday", "-"),
    ],
)
def test_ages(text: str | None, age: str) -> None:
    assert age_text(text, NOW_US) == age


@pytest.mark.parametrize("interval", ["0s", "1ms", "2h", "x", "-1s"])
def test_an_interval_that_cannot_be_is_wrong_usage(theater: Theater, interval: str) -> None:
    assert theater("top", "--interval", interval).code == 2
