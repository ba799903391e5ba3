"""Limits: what a manifest may say of them."""

import pytest

from theater.errors import InvalidManifest
from theater.model.limits import Limits, parse_limits


@pytest.mark.parametrize(
    ("key", "value", "least"),
    [
        ("memory", 0, "64KiB"),
        ("memory", "63KiB", "64KiB"),
        ("fuel", 0, "1"),
        ("deadline", 0, "0.001ms"),
        ("deadline", "0s", "0.001ms"),
        ("mailbox", 0, "1"),
        ("state", 0, "1"),
        ("message", "0B", "1"),
        ("reply", 0, "1"),
        ("events-per-step", 0, "1"),
    ],
)
def test_a_limit_under_which_no_step_could_be_taken_is_refused(key: str, value: object, least: str) -> None:
    with pytest.raises(InvalidManifest, match=f"{key}: .* it must be at least {least}$"):
        parse_limits({key: value})


def test_where_there_may_be_none_0_is_a_limit() -> None:
    limits = parse_limits({"wait": 0, "bytes-per-step": 0, "children": 0})

    assert limits == Limits(wait_s=0, bytes_per_step=0, children=0)
    assert parse_limits(limits.to_manifest()) == limits


@pytest.mark.parametrize(
    ("key", "most"),
    [("mailbox", 100_000), ("children", 10_000), ("timers", 10_000), ("channels", 10_000), ("outstanding", 100_000)],
)
def test_what_takes_memory_of_everybody_has_a_ceiling(key: str, most: int) -> None:
    parse_limits({key: most})

    with pytest.raises(InvalidManifest, match=f"{key}: .* more than the largest that is possible, {most}$"):
        parse_limits({key: most + 1})
