"""``theater:actor/random``: values computed from the step's recorded seed. For ids and shuffling, never for keys.

Recorded: nothing; the seed stands in the ``message`` event, and a replay computes the same values again. A call for too
many bytes is, as a ``host`` event.

Limits: 65,536 bytes a call (``bytes``), since the binding handles a byte list one element at a time, at some 30
bytes of memory each.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from theater.capabilities.grant_table import check_keys, manifest_lines, number_of
from theater.capabilities.registration import functions
from theater.errors import InvalidManifest
from theater.model.capability import Capability, Denied, HostClass, StepContext
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall, size_within
from theater.model.quantity import parse_size, show_size

NAME = "random"
CALL_MAX_BYTES = 64 * 1024

_STREAM: Final = "theater"
_U64_BYTES = 8
_U64_VALUES = 2**64
_FLOAT_BITS = 53  # of an f64's significand
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class RandomGrant:
    """How many bytes one call may have."""

    call_bytes: int = CALL_MAX_BYTES

    def __post_init__(self) -> None:
        if not 0 <= self.call_bytes <= CALL_MAX_BYTES:
            raise InvalidManifest(f"[capabilities.{NAME}] bytes: {show_size(CALL_MAX_BYTES)} is the most")

    def table(self) -> dict[str, object]:
        return {"bytes": show_size(self.call_bytes)}

    def lines(self, beyond: RandomGrant | None) -> list[str]:
        allowed = beyond is not None and self.call_bytes <= beyond.call_bytes
        return [] if allowed else manifest_lines(self.table())

    def narrowed(self, ceiling: RandomGrant) -> RandomGrant:
        return RandomGrant(min(self.call_bytes, ceiling.call_bytes))


def parse(table: Mapping[str, object]) -> RandomGrant:
    """Keys: ``bytes``, a size."""
    check_keys(NAME, table, ("bytes",))
    return RandomGrant(number_of(NAME, table, "bytes", parse=parse_size, default=CALL_MAX_BYTES))


def random_bytes(ctx: StepContext, grant: RandomGrant, length: int) -> object:
    """That many bytes."""
    return _limited(ctx, grant, length, bytes)


def random_hex(ctx: StepContext, grant: RandomGrant, length: int) -> object:
    """That many bytes in hex."""
    return _limited(ctx, grant, length, bytes.hex)


def random_u64(ctx: StepContext, _grant: RandomGrant) -> int:
    """8 bytes, big-endian."""
    return _u64(ctx)


def random_range(ctx: StepContext, _grant: RandomGrant, low: int, high: int) -> object:
    """An integer of ``low <= n < high``: 8 bytes, and 8 more each time that they fall in the uneven rest.

    The rest is less than half of all values, so the loop ends after two rounds on average; 128 rounds in vain have the
    probability that a seed is guessed.
    """
    if low >= high:
        return ("err", ("empty-range", None))
    values = high - low
    even = _U64_VALUES - _U64_VALUES % values
    drawn = _u64(ctx)
    while drawn >= even:
        drawn = _u64(ctx)
    return ("ok", low + drawn % values)


def random_float(ctx: StepContext, _grant: RandomGrant) -> float:
    """The upper 53 of 64 bits, as a fraction."""
    return float(_u64(ctx) >> (64 - _FLOAT_BITS)) / 2.0**_FLOAT_BITS


def random_uuid(ctx: StepContext, _grant: RandomGrant) -> str:
    """16 bytes, six bits of them replaced by version and variant."""
    return str(uuid.UUID(bytes=ctx.random(_STREAM, _UUID_BYTES), version=4))


def _limited(ctx: StepContext, grant: RandomGrant, length: int, shape: Callable[[bytes], object]) -> object:
    if length > grant.call_bytes:
        return Denied(("err", ("too-large", grant.call_bytes)))
    return ("ok", shape(ctx.random(_STREAM, length)))


def _u64(ctx: StepContext) -> int:
    return int.from_bytes(ctx.random(_STREAM, _U64_BYTES), "big")


def needs(call: SeenCall) -> Iterator[Need]:
    """``bytes`` with how many."""
    match call.function, call.arguments:
        case "random-bytes" | "random-hex", (int(length),):
            yield "bytes", AS_GRANTED if _is_refused(call.answer) else length


def _is_refused(answer: object) -> bool:
    return isinstance(answer, tuple) and answer[0] == "err"


def least_grant(granted: RandomGrant, found: Collection[Need]) -> RandomGrant:
    """As many as were asked for at once."""
    return RandomGrant(size_within(found, "bytes", granted.call_bytes))


_INTERFACE = "theater:actor/random"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=functions(
        _INTERFACE,
        HostClass.DERIVED,
        {
            "random-bytes": random_bytes,
            "random-hex": random_hex,
            "random-u64": random_u64,
            "random-range": random_range,
            "random-float": random_float,
            "random-uuid": random_uuid,
        },
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=RandomGrant(),
    least=Least(needs, least_grant),
)
