"""Reading events in pages: where the next one begins, and when there is none."""

from __future__ import annotations

from theater.errors import InternalError
from theater.model.wire import EventPage, EventRow

PAGE_EVENTS = 1000
"""As many as a server gives at once."""


class EventPages:
    """The events from ``start`` on, at most ``limit``."""

    def __init__(self, start: int, limit: int | None) -> None:
        self.start = start
        """Of the next page."""
        self._left = limit
        self.is_over = limit is not None and limit <= 0

    @property
    def size(self) -> int:
        """How many the next page has at most."""
        return PAGE_EVENTS if self._left is None else min(self._left, PAGE_EVENTS)

    def took(self, page: EventPage) -> list[EventRow]:
        """The events of the next page.

        Raises:
            InternalError: a server that would send the same page again and again.
        """
        rows = page.events
        if self._left is not None:
            rows = rows[: self._left]
            self._left -= len(rows)
        self.is_over = page.next is None or self._left == 0
        if page.next is not None:
            if page.next <= self.start:
                raise InternalError(f"the server sends the page of events from {self.start} on for ever")
            self.start = page.next
        return rows
