"""Values that come from the step's seed alone."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.capabilities.random import (
    CALL_MAX_BYTES,
    RandomGrant,
    parse,
    random_bytes,
    random_float,
    random_hex,
    random_range,
    random_u64,
    random_uuid,
)
from theater.errors import InvalidManifest
from theater.model.capability import Denied
from theater.model.randomness import RandomStream
from theater.testing.step_context import FakeStepContext

GRANT = RandomGrant()
SEED = bytes(range(32))


def fresh() -> FakeStepContext:
    return FakeStepContext(seed=SEED)


def stream() -> RandomStream:
    return RandomStream("theater", SEED)


def test_bytes_are_those_of_the_stream_in_the_order_of_calls() -> None:
    ctx, expected = fresh(), stream()

    assert random_bytes(ctx, GRANT, 5) == ("ok", expected.take(5))
    assert random_hex(ctx, GRANT, 3) == ("ok", expected.take(3).hex())
    assert random_u64(ctx, GRANT) == int.from_bytes(expected.take(8), "big")
    assert random_float(ctx, GRANT) == (int.from_bytes(expected.take(8), "big") >> 11) / 2**53
    assert uuid.UUID(random_uuid(ctx, GRANT)) == uuid.UUID(bytes=expected.take(16), version=4)
    assert random_bytes(ctx, GRANT, 0) == ("ok", b"")


def test_a_uuid_is_one_of_version_4_in_lower_case() -> None:
    text = random_uuid(fresh(), GRANT)

    assert uuid.UUID(text).version == 4
    assert uuid.UUID(text).variant == uuid.RFC_4122
    assert text == text.lower()


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_number_of_a_range_is_within_it(low: int, high: int, seed: bytes) -> None:
    answer = random_range(FakeStepContext(seed=seed), GRANT, low, high)

    if low >= high:
        assert answer == ("err", ("empty-range", None))
    else:
        assert isinstance(answer, tuple)
        assert answer[0] == "ok"
        assert low <= answer[1] < high


def test_a_number_of_a_range_is_drawn_again_rather_than_reduced() -> None:
    class Drawn(FakeStepContext):
        """Draws the largest value first: of 2^64 values, 3 leaves one over."""

        def random(self, stream: str, size_bytes: int) -> bytes:
            assert (stream, size_bytes) == ("theater", 8)
            return draws.pop(0).to_bytes(8, "big")

    draws = [2**64 - 1, 5]

    assert random_range(Drawn(), GRANT, 10, 13) == ("ok", 12)
    assert draws == []


def test_the_most_bytes_are_given_and_one_more_is_denied_and_consumes_nothing() -> None:
    ctx = fresh()

    assert random_bytes(ctx, GRANT, CALL_MAX_BYTES + 1) == Denied(("err", ("too-large", CALL_MAX_BYTES)))
    assert random_hex(ctx, GRANT, 2**32 - 1) == Denied(("err", ("too-large", CALL_MAX_BYTES)))
    assert random_bytes(ctx, GRANT, CALL_MAX_BYTES) == ("ok", stream().take(CALL_MAX_BYTES))


def test_a_grant_may_allow_fewer() -> None:
    grant = parse({"bytes": 16})

    assert random_bytes(fresh(), grant, 16) == ("ok", stream().take(16))
    assert random_bytes(fresh(), grant, 17) == Denied(("err", ("too-large", 16)))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"byte": 1}, r"\[capabilities.random\] has no key 'byte' \(it has bytes\); did you mean 'bytes'\?"),
        ({"bytes": "all"}, r"\[capabilities.random\] bytes: "),
        ({"bytes": "65KiB"}, r"\[capabilities.random\] bytes: 64KiB is the most"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidManifest, match=reason):
        parse(table)
