"""Following events over any number of connections: where to go on, whether to, and after how long.

It does nothing itself: a client opens what ``call`` says, hands over what comes, and asks after each break. No event is
missed and none comes twice: each place has to be the one behind the last, and an actor's events name the one before.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from theater.client import calls
from theater.client.calls import Call
from theater.client.event_stream import StreamEvent
from theater.client.exchange import decoded
from theater.client.finding import Where
from theater.errors import Busy, InternalError, NoServer, Unsound
from theater.model.wire import EventRow

BACKOFF_MIN_S = 0.1
BACKOFF_MAX_S = 5.0


OnBreak = Callable[[Busy], None]
"""Is told of a connection that broke or could not be made, before the next one is tried."""


def tell_nobody(_: Busy) -> None:
    """Whoever follows does not want to know of breaks."""


class _End(msgspec.Struct, frozen=True):
    reason: str = ""


class Following:
    """One actor's events, or those of all (``id`` is None), from place ``start`` on.

    A broken connection is opened again for ``patience_s`` after the last good moment; None: for ever. The first one
    has to succeed.
    """

    def __init__(
        self, id: str | None, start: int, *, patience_s: float | None = None, on_break: OnBreak = tell_nobody
    ) -> None:
        self._id = id
        self._next = start
        self._patience_s = patience_s
        self._on_break = on_break
        self._last_hash: str | None = None
        self._delay_s = BACKOFF_MIN_S
        self._was_open = False
        self._opened_s: float | None = None  # of the connection that there is
        self._failing_since_s: float | None = None
        self.is_over = False
        """Whether nothing can come any more: the actor was removed."""

    def call(self) -> Call[EventRow]:
        """What to ask for now."""
        return calls.follow(self._id, self._next)

    def opened(self, now_s: float) -> None:
        """The server began to answer."""
        self._opened_s = now_s
        self._was_open = True

    def take(self, where: Where, event: StreamEvent) -> EventRow | None:
        """The event of the chain that came, if it is one.

        Raises:
            InternalError: it is not the one that had to come.
            Unsound: it does not name the one before it.
        """
        if event.type == "end":
            self.is_over = decoded(where, _End, event.data).reason == "removed"
        if event.type != "event":
            return None
        row = decoded(where, EventRow, event.data)
        place = row.index if self._id is None else row.seq
        if place != self._next:
            raise InternalError(f"the server at {where.url} sent event {place} where {self._next} was to come")
        if self._id is not None:
            if self._last_hash is not None and row.prev != self._last_hash:
                raise Unsound(
                    f"event {place} of {self._id!r} does not name the one before: is it another chain?", seq=place
                )
            self._last_hash = row.hash
        self._next += 1
        self._went_well()
        return row

    def ended(self, where: Where) -> NoServer:
        """What it means that a stream ended, and the actor is still there."""
        return NoServer(f"the server at {where.url} stopped")

    def delay_s(self, error: Busy, now_s: float) -> float:
        """How long to wait before it is tried again.

        Raises: ``error``, where it was never good, or has not been for too long.
        """
        if not self._was_open:
            raise error
        if self._opened_s is not None and now_s - self._opened_s >= BACKOFF_MAX_S:
            self._went_well()  # one that is only let in and sent away again has not gone well
        self._opened_s = None
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if self._patience_s is not None and now_s - self._failing_since_s >= self._patience_s:
            raise error
        self._on_break(error)
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, BACKOFF_MAX_S)
        return delay_s

    def _went_well(self) -> None:
        self._failing_since_s = None
        self._delay_s = BACKOFF_MIN_S
