"""What recorded calls need of a grant: how each capability finds the least one under which they may still be made.

Calls are looked at one by one, as a history is replayed, and many of them are alike. So of each call no more is kept
than a few small facts, its *needs*, and the least grant is made of those: what is kept does not grow with the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from theater.model.ids import ActorId

Need = tuple[str | int, ...]
"""A fact about a call that a grant can be held against: ``("url", "GET", "https://example.com/")``."""

AS_GRANTED: Final = "as-granted"
"""In place of a number, or as a need of its own: how much was needed cannot be told."""

SIZE_LEAST_BYTES = 1024
"""Smaller sizes would say more of the day than of the actor."""

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call as a replay saw it, with its values in the shapes of ``theater.model.wit``.

    The first argument of a method is the resource itself, not its number. ``answer`` is None for a function without a
    result, and for a call in which the step ended. ``now_us`` is the step's clock when the call began.
    """

    actor: ActorId
    parent: ActorId | None
    interface: str
    function: str
    arguments: tuple[object, ...]
    answer: object
    now_us: int


@dataclass(frozen=True, slots=True)
class Least(Generic[G]):
    """How a capability narrows its grant.

    ``needs(call)`` is asked of each call of the capability's functions, of those of the capabilities under it, and of
    the interfaces in ``also``. It knows no grant, and takes whatever a guest may have said.

    ``grant(granted, needs)`` is within ``granted``, allows whatever of ``needs`` that allowed, and is the wider the
    more is needed. What cannot be told from the needs stays as it was granted.
    """

    needs: Callable[[SeenCall], Iterable[Need]]
    grant: Callable[[G, Collection[Need]], G]
    also: tuple[str, ...] = ()
    """Interfaces of others, whose calls show what this grant is needed for."""


def number_within(needs: Iterable[Need], kind: str, granted: int) -> int:
    """The largest number of the needs of a kind, within what was granted; 0 where there is none."""
    found = 0
    for need in needs:
        if need[0] == kind:
            value = need[-1]
            found = max(found, value if isinstance(value, int) else granted)
    return min(found, granted)


def size_within(needs: Iterable[Need], kind: str, granted: int) -> int:
    """The same for bytes, rounded up to a power of two from 1 KiB on."""
    return min(granted, rounded_size(number_within(needs, kind, granted)))


def rounded_size(size_bytes: int) -> int:
    """The next power of two, from 1 KiB on."""
    return 1 << (max(size_bytes, SIZE_LEAST_BYTES) - 1).bit_length()
