"""Seats: how many may do something costly at once. There is no waiting for one: whoever finds none comes again."""

from __future__ import annotations

from types import TracebackType

from theater.errors import Busy


class Seats:
    """``with seats:`` takes one for as long as the block lasts. Belongs to one event loop."""

    __slots__ = ("_free", "_most", "_what")

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._free = most
        self._what = what

    @property
    def taken(self) -> int:
        """How many are."""
        return self._most - self._free

    @property
    def is_full(self) -> bool:
        """Whether none is free."""
        return self._free <= 0

    def require_free(self) -> None:
        """Raise ``Busy`` where none is free."""
        if self.is_full:
            raise Busy(f"{self._most} {self._what} are under way, as many as there may be; try again later")

    def __enter__(self) -> None:
        """Take one. Raises ``Busy``."""
        self.require_free()
        self._free -= 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._free += 1
