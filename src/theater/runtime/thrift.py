"""What an actor lacks that nothing is wrong with, so that it begins no further step: room in its chain, or on the disk.

Its chain may take so much, as its manifest says; the step that goes beyond may end, and is bounded by other limits. Of
the disk a part is kept free, the reserve, so that whatever is under way can be recorded to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from theater.errors import DiskFull, StoreError, TheaterError
from theater.model.quantity import show_size
from theater.runtime.node import Node
from theater.runtime.orders import Stop

if TYPE_CHECKING:
    from theater.runtime.being import Being

LOOK_US = 500_000
"""How long it is believed what the system said of the disk: asking takes longer than a step may."""

SOURCE = "runtime"


class Thrift:
    """Watches over the reserve of a node. Any thread may use it."""

    __slots__ = ("_free_bytes", "_looked_us", "_node")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._free_bytes = 0
        self._looked_us = -LOOK_US

    @property
    def reserve_bytes(self) -> int:
        """What is kept free. 0: nothing is, and the disk is never looked at."""
        return self._node.reserve_bytes

    @property
    def free_bytes(self) -> int:
        """How much room there is, half a second ago at most. Several may look at once, and see the same."""
        now_us = self._node.clock.now_us()
        if not 0 <= now_us - self._looked_us < LOOK_US:
            try:
                self._free_bytes = self._node.store.free_bytes()
            except StoreError:  # the system does not say: whether there is room shows when something is written
                self._free_bytes = self.reserve_bytes
            self._looked_us = now_us
        return self._free_bytes

    @property
    def is_short(self) -> bool:
        """Whether there is less than the reserve."""
        return self.reserve_bytes > 0 and self.free_bytes < self.reserve_bytes

    def require(self) -> None:
        """Whether new work may be begun.

        Raises:
            DiskFull: there is less room than the reserve.
        """
        if self.is_short:
            raise DiskFull(
                f"{show_size(self._free_bytes)} of the disk are free, less than the reserve of"
                f" {show_size(self.reserve_bytes)}: nothing new is begun; make room, or set another reserve",
                free_bytes=self._free_bytes,
                reserve_bytes=self.reserve_bytes,
            )


def has_full_chain(being: Being) -> bool:
    """Whether the chain has reached the limit of the actor's manifest."""
    return being.appender.size_bytes >= being.anatomy.limits.chain_bytes


def stop_for_shortage(being: Being, *, has_work: bool) -> Stop | None:
    """How an actor ends that may begin no further step; None where it may. ``has_work``: it is about to begin one."""
    if has_full_chain(being):
        limit, taken = being.anatomy.limits.chain_bytes, being.appender.size_bytes
        return _stop({"reason": "chain", "limit": limit, "bytes": taken})
    thrift = being.surroundings.thrift
    if has_work and thrift.is_short:
        return _stop({"reason": "reserve", "limit": thrift.reserve_bytes, "bytes": thrift.free_bytes})
    return None


def shortage_in_words(being: Being) -> str:
    """What an actor lacks, behind a sentence that says that it is stopped; "" where it lacks nothing."""
    if has_full_chain(being):
        limit = show_size(being.anatomy.limits.chain_bytes)
        return (
            f". Its chain has reached the limit of {limit}, which stays what it was at its start: "
            "start another actor, with a higher chain under [limits] in its manifest"
        )
    thrift = being.surroundings.thrift
    if thrift.is_short:
        return f". Less of the disk is free than the reserve, {show_size(thrift.reserve_bytes)}: make room"
    return ""


def _stop(detail: dict[str, object]) -> Stop:
    return Stop(by=SOURCE, mode=None, done=_heard, detail=detail)


def _heard(failure: TheaterError | None) -> None:
    """Nobody waits for that; an actor that could not be stopped comes by here again."""
    del failure
