"""``wasi:random``: bytes computed from the step's recorded seed. Whoever reads the chain can compute them again.

Recorded: nothing; the seed stands in the ``message`` event.

Limits: 65,536 bytes a call, since the binding handles a byte list one element at a time, at some 30 bytes of memory
each. WASI has no error for more, so it ends the step with the reason ``host-data``.
"""

from __future__ import annotations

from collections.abc import Callable

from theater.capabilities.registration import functions
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import HostClass, StepContext
from theater.model.crash import StepCrash
from theater.model.randomness import Stream

CALL_MAX_BYTES = 64 * 1024
_U64_BYTES = 8


def random_bytes(stream: Stream) -> Callable[[StepContext, WasiGrant, int], bytes]:
    """What gives bytes of a stream."""

    def get(ctx: StepContext, _grant: WasiGrant, length: int) -> bytes:
        if length > CALL_MAX_BYTES:
            raise StepCrash("host-data", f"asked for {length} random bytes at once; {CALL_MAX_BYTES} is the most")
        return ctx.random(stream, length)

    return get


def random_u64(stream: Stream) -> Callable[[StepContext, WasiGrant], int]:
    """What gives any u64: 8 bytes of a stream, big-endian."""

    def get(ctx: StepContext, _grant: WasiGrant) -> int:
        return _u64(ctx, stream)

    return get


def insecure_seed(ctx: StepContext, _grant: WasiGrant) -> tuple[int, int]:
    """128 bits to seed a hash map with."""
    return _u64(ctx, "wasi-insecure"), _u64(ctx, "wasi-insecure")


def _u64(ctx: StepContext, stream: Stream) -> int:
    return int.from_bytes(ctx.random(stream, _U64_BYTES), "big")


CAPABILITY = wasi_capability(
    "wasi-random",
    (
        *functions(
            "wasi:random/random",
            HostClass.DERIVED,
            {"get-random-bytes": random_bytes("wasi"), "get-random-u64": random_u64("wasi")},
        ),
        *functions(
            "wasi:random/insecure",
            HostClass.DERIVED,
            {
                "get-insecure-random-bytes": random_bytes("wasi-insecure"),
                "get-insecure-random-u64": random_u64("wasi-insecure"),
            },
        ),
        *functions("wasi:random/insecure-seed", HostClass.DERIVED, {"insecure-seed": insecure_seed}),
    ),
)
