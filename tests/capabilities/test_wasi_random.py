"""Bytes from the step's seed, in two streams."""

import pytest

from theater.capabilities.wasi_random import CALL_MAX_BYTES, insecure_seed, random_bytes, random_u64
from theater.capabilities.wasi_world import EMPTY_WORLD as GRANT
from theater.model.crash import StepCrash
from theater.model.randomness import RandomStream, Stream
from theater.testing.step_context import FakeStepContext

SEED = bytes(range(32))
STREAMS: list[Stream] = ["wasi", "wasi-insecure"]


@pytest.mark.parametrize("stream", STREAMS)
def test_bytes_are_those_of_the_stream_in_the_order_of_calls(stream: Stream) -> None:
    ctx, expected = FakeStepContext(seed=SEED), RandomStream(stream, SEED)

    assert random_bytes(stream)(ctx, GRANT, 10) == expected.take(10)
    assert random_u64(stream)(ctx, GRANT) == int.from_bytes(expected.take(8), "big")
    assert random_bytes(stream)(ctx, GRANT, 0) == b""


def test_a_seed_for_hash_maps_comes_from_the_insecure_stream() -> None:
    expected = RandomStream("wasi-insecure", SEED)

    assert insecure_seed(FakeStepContext(seed=SEED), GRANT) == (
        int.from_bytes(expected.take(8), "big"),
        int.from_bytes(expected.take(8), "big"),
    )


@pytest.mark.parametrize("stream", STREAMS)
def test_the_most_bytes_are_given_and_one_more_ends_the_step(stream: Stream) -> None:
    ctx = FakeStepContext()

    assert len(random_bytes(stream)(ctx, GRANT, CALL_MAX_BYTES)) == CALL_MAX_BYTES
    with pytest.raises(StepCrash, match="asked for 65537 random bytes at once") as caught:
        random_bytes(stream)(ctx, GRANT, CALL_MAX_BYTES + 1)

    assert caught.value.crash.reason == "host-data"
