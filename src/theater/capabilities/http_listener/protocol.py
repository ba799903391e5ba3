"""uvicorn's HTTP protocol with bounds on everything that a connection can cost before there is a request.

What uvicorn does itself: it reads no further while a body waits to be read or requests are queued, and closes a
connection that is idle between two requests. What it leaves open, and what is closed here:

* the head of a request: its bytes, the number of its headers, the length of its target, the time it takes;
* requests sent ahead of their answers, all those in one read being queued;
* trailers and chunk extensions, which are read and kept or skipped without end;
* the rest of a body that was answered without being read: it is skipped for a while, so that whoever sends it gets to
  see the answer, and then the connection is closed;
* an answer that nobody takes: when it is complete, and does not get out;
* answers that nobody takes, all of them together: whoever has taken nothing for the longest is let go first;
* how many connections there are;
* answers to what is not HTTP, which look like all others;
* requests ahead of which a connection is lost: each of them gets to know, not the last one alone.

The node's own server is made of it, and so are the servers of actors. ``Connections`` is what all protocols of a server
share; uvicorn hands it to each as its ``ServerState``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from theater.capabilities.http_listener.refusals import (
    bad_request,
    head_too_large,
    head_too_slow,
    target_too_long,
    too_many_connections,
)
from theater.errors import TheaterError


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """What one connection may cost. Sizes in bytes, durations in seconds."""

    connections_max: int = 2000
    target_max_bytes: int = 8 * 2**10
    head_max_bytes: int = 32 * 2**10
    headers_max: int = 100
    head_s: float = 10.0
    """From the connection, or the first byte of a further request, to the end of its head."""
    ahead_max: int = 16
    """Requests that wait for the answers to those before them."""
    linger_s: float = 3.0
    linger_max_bytes: int = 4 * 2**20
    """How long, and how much of, a body is skipped that was answered without being read."""
    stuck_s: float = 30.0
    """How long the end of an answer may wait for its reader."""
    stalled_s: float = 60.0
    """How long a reader may take nothing of an answer that is being sent."""
    untaken_max_bytes: int = 2**30
    """What all answers together may hold that are made and not taken."""
    overhead_max_bytes: int = 2**20
    """What may come of a body without a byte of it: the framing of chunks."""


Refusal = Callable[[TheaterError], bytes]
"""The whole answer to what cannot be handed on, head and all; the connection is closed behind it."""

REFUSED_MAX: Final = 200
"""Connections beyond the most that are told so; the others are closed without a word."""


PAGE_BYTES: Final = 3 * 2**20
"""What an answer that waits for its reader holds beside what waits in its socket: what the next piece is cut from."""

_SEPARATORS_BYTES: Final = 4  # a colon, a space, the end of the line


class Connections(ServerState):
    """What all connections of a server share."""

    def __init__(self, bounds: ConnectionBounds, refusal: Refusal) -> None:
        super().__init__()
        self.bounds = bounds
        self.refusal = refusal
        self.gone = asyncio.Event()
        """Set when a connection ends: whoever waits for the last one looks again."""
        self._untaken: dict[BoundedProtocol, int] = {}

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.connections)

    def keep_untaken(self, connection: BoundedProtocol, size_bytes: int) -> None:
        """The answer on a connection waits for its reader. Where they hold too much, the oldest are given up."""
        self._untaken[connection] = size_bytes + PAGE_BYTES
        while sum(self._untaken.values()) > self.bounds.untaken_max_bytes:
            oldest = next(iter(self._untaken))
            del self._untaken[oldest]
            oldest.transport.abort()

    def is_taken(self, connection: BoundedProtocol) -> None:
        """It goes on, or has ended."""
        self._untaken.pop(connection, None)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(server_state, Connections)
        self._shared = server_state
        self._bounds = server_state.bounds
        self._deadline: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self._refusal: TheaterError | None = None
        self._running: RequestResponseCycle | None = None
        """The request that is being answered, or was last."""
        self._is_over = False
        """Nothing that comes is looked at any more."""
        self._is_in_head = False
        self._is_in_body = False
        self._head_bytes = 0
        """What came of this head in whole reads; the parser keeps an unfinished header to itself."""
        self._header_bytes = 0
        self._unread_bytes = 0
        """What came since there was last a head, or a byte of a body that somebody reads."""

    # -- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        excess = self._excess()
        if excess > REFUSED_MAX:
            self._is_over = True
            transport.abort()
        elif excess > 0:
            self._refuse(too_many_connections(self._bounds.connections_max))
        else:
            self._set_deadline(self._bounds.head_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        self._clear_stalling()
        self._shared.is_taken(self)
        self._unset_keepalive_if_required()
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        if self._running is not None:  # uvicorn tells the last one that came
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
        self._is_over = True
        self._shared.gone.set()

    def data_received(self, data: bytes) -> None:
        self._unread_bytes += len(data)
        if self._is_over:
            self._skip()
            return
        self._unset_keepalive_if_required()
        if self._deadline is None and not self._is_in_body and self._is_idle:
            self._set_deadline(self._bounds.head_s, self._head_is_late)
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._refusal or bad_request())
            return
        if self._is_in_head and self._head_bytes > self._bounds.head_max_bytes + self._bounds.target_max_bytes:
            self._refuse(head_too_large("the head of the request is too large"))
        elif self._is_in_head and self._is_idle and self._deadline is None:
            self._set_deadline(self._bounds.head_s, self._head_is_late)
        elif self._is_in_body and self._is_idle:
            self._skip()
        elif self._is_in_body and self._unread_bytes > self._bounds.overhead_max_bytes:
            self._refuse(bad_request("the body is framed in more bytes than it has"))

    def shutdown(self) -> None:
        self._clear_deadline()
        super().shutdown()

    # -- a reader who is slower than what is sent to him ---------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_stalling()
        self._shared.keep_untaken(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._clear_stalling()
        self._shared.is_taken(self)

    def _watch_stalling(self) -> None:
        unsent = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() < unsent:
                self._watch_stalling()
            else:
                self.transport.abort()

        self._stalling = self.loop.call_later(self._bounds.stalled_s, look)

    def _clear_stalling(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    # -- the parser's callbacks --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._bounds.target_max_bytes:
            self._fail(target_too_long(self._bounds.target_max_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            self._fail(bad_request("a body has no trailers here"))
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value) + _SEPARATORS_BYTES
        if len(self.headers) > self._bounds.headers_max:
            self._fail(head_too_large(f"the request has more than {self._bounds.headers_max} headers"))
        if self._header_bytes > self._bounds.head_max_bytes:
            self._fail(head_too_large(f"the headers have more than {self._bounds.head_max_bytes} bytes"))

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/"):
            self._fail(bad_request("the target of a request is a path here"))
        if len(self.pipeline) >= self._bounds.ahead_max:
            self._fail(bad_request("too many requests were sent ahead of their answers"))
        super().on_headers_complete()
        self._unset_keepalive_if_required()  # set again, where a body that was skipped ended in this very read
        self._is_in_head = False
        self._is_in_body = True
        self._unread_bytes = 0
        self._clear_deadline()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_body = False
        super().on_message_complete()
        if self._is_idle:  # answered before it was all here: from now on it is an idle connection like any other
            self._clear_deadline()
            self._wait_for_more()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._set_deadline(self._bounds.stuck_s, self.transport.abort)
        elif self._is_in_body and not self.pipeline and self._is_idle:
            self._unset_keepalive_if_required()
            self._unread_bytes = 0
            self._set_deadline(self._bounds.linger_s, self._close)
        elif self._is_in_head and self._is_idle:
            self._unset_keepalive_if_required()
            self._set_deadline(self._bounds.head_s, self._head_is_late)

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    # -- what others do otherwise ------------------------------------------------------------------------------------

    def _excess(self) -> int:
        """How many connections there are too many, this one included."""
        return self._shared.size - self._bounds.connections_max

    def _upgrade(self, rest: bytes) -> None:
        """Another protocol is asked for behind this head. ``rest`` came behind it already."""
        self.cycle.keep_alive = False  # answered as the request that it also is; what follows it is not read

    # -- ends --------------------------------------------------------------------------------------------------------

    @property
    def _is_idle(self) -> bool:
        """Whether every request that came is answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return not self.pipeline and (cycle is None or cycle.response_complete)

    def _fail(self, error: TheaterError) -> None:
        """Leave the parser; it wraps what is raised in an error of its own."""
        self._refusal = error
        raise error

    def _refuse(self, error: TheaterError) -> None:
        """Say what is wrong and end it. Where an answer is on its way, it goes out first, and nothing else does."""
        self._is_over = True
        self._clear_deadline()
        self._unset_keepalive_if_required()
        self._unread_bytes = 0
        if self._is_idle:
            self._write_last(error)
        elif not self._is_in_body or self.pipeline:
            last = self.pipeline[0][0] if self.pipeline else self.cycle
            last.keep_alive = False
        elif self.cycle.response_started:
            self.transport.abort()
        else:  # the body of the request that is being handled is what is wrong
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._write_last(error)

    def _write_last(self, error: TheaterError) -> None:
        self.transport.write(self._shared.refusal(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._set_deadline(self._bounds.linger_s, self._close)

    def _skip(self) -> None:
        if self._unread_bytes > self._bounds.linger_max_bytes:
            self._close()

    def _head_is_late(self) -> None:
        if self._is_in_head:
            self._refuse(head_too_slow())
        else:  # it never began one
            self._close()

    def _wait_for_more(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _close(self) -> None:
        self._is_over = True
        if not self.transport.is_closing():
            self.transport.close()
        self._set_deadline(self._bounds.stuck_s, self.transport.abort)

    def _set_deadline(self, after_s: float, action: Callable[[], None]) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(after_s, action)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
