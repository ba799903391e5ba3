"""One connection to a server of an actor: its requests go to the front one after the other, or it becomes a WebSocket.

A request is admitted by its head, then its body is read, then it is answered. The answering is cancelled where the
client goes away. What the front raises, or answers that HTTP does not have, is reported, and answered with 500.
"""

from __future__ import annotations

import asyncio

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from theater.capabilities.http_front import Admission, Answer, Head
from theater.capabilities.http_listener.entrance import Entrance
from theater.capabilities.http_listener.protocol import BoundedProtocol
from theater.capabilities.http_listener.reception import Reception
from theater.capabilities.http_listener.refusals import bad_request
from theater.capabilities.http_listener.websocket import WebSocket
from theater.capabilities.http_listener.wire import (
    FAILED,
    GOING,
    HOLD_TOO_MUCH,
    Wire,
    check_head,
    head_of,
    listed,
    peer_of,
    said,
    size_of_body,
)
from theater.errors import BadRequest

_TARGET = "theater.target"


class Connection(BoundedProtocol):
    """See above."""

    def __init__(self, reception: Reception, entrance: Entrance) -> None:
        super().__init__(reception.config, reception.connections, {}, reception.loop)
        self.app: ASGI3Application = self._attend
        self.timeout_keep_alive = reception.bounds.keep_alive_s  # type: ignore[assignment]  # uvicorn has whole seconds
        self._reception = reception
        self._entrance = entrance
        self._peer = ""
        self._is_for_websocket = False
        """Whether the request whose head is being read asks for one."""
        self._answering: asyncio.Task[object] | None = None
        """To be cancelled where the client goes."""

    # -- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        self._entrance.connections.add(self)
        self._peer = peer_of(transport.get_extra_info("peername"))
        super().connection_made(transport)
        if self._entrance.is_closed:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._entrance.connections.discard(self)
        super().connection_lost(exc)
        if self._answering is not None:
            self._answering.cancel()

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    def _excess(self) -> int:
        bounds = self._reception.bounds
        return max(super()._excess(), len(self._entrance.connections) - bounds.connections_of_server_max)

    # -- the head ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_for_websocket = False

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        try:
            check_head(version, self.url, self.headers)
        except BadRequest as error:
            self._fail(error)
        if self.parser.should_upgrade() and version == "1.1" and self.parser.get_method() == b"GET":
            self._is_for_websocket = [item.lower() for item in listed(self.headers, b"upgrade")] == ["websocket"]
        if self._is_for_websocket:
            if not self._is_idle:
                self._fail(bad_request("a WebSocket is asked for when what was asked before is answered"))
            if size_of_body(self.headers) != 0:
                self._fail(bad_request("a request for a WebSocket has no body"))
        self.scope["state"][_TARGET] = self.url  # as sent; uvicorn takes it apart, and "?" without a query is lost
        super().on_headers_complete()

    def _should_upgrade(self) -> bool:
        return self._is_for_websocket

    def _upgrade(self, rest: bytes) -> None:
        if not self._is_for_websocket:
            super()._upgrade(rest)
            return
        self._is_over = True
        self._clear_deadline()
        self._clear_stalling()
        self._unset_keepalive_if_required()
        self._shared.is_taken(self)
        self._shared.connections.discard(self)
        self._entrance.connections.discard(self)
        head = head_of(self._entrance.server, self._peer, "GET", self.url, self.headers)
        websocket = WebSocket(self._reception, self._entrance, self.transport, head)
        self.transport.set_protocol(websocket)
        websocket.begin(rest)

    # -- the request -------------------------------------------------------------------------------------------------

    async def _attend(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        reception, held = self._reception, _Held(self._reception)
        try:
            answer = await self._answer(scope, receive, held)
            if answer is not None:
                await _send(Wire(answer, scope["method"], reception.date.now), send)
        except asyncio.CancelledError:  # the listener has ended, and with it the connection
            return
        except BaseException as error:  # noqa: BLE001 - uvicorn would write it to a log that nobody has
            reception.report(error)
            await _send(Wire(FAILED, scope["method"], reception.date.now), send)
        finally:
            held.free()

    async def _answer(self, scope: HTTPScope, receive: ASGIReceiveCallable, held: _Held) -> Answer | None:
        """None where nobody is there to be answered."""
        front, headers = self._reception.front, list(scope["headers"])
        head = head_of(self._entrance.server, self._peer, scope["method"], scope["state"][_TARGET], headers)
        admitted = front.admit(head)
        if isinstance(admitted, Answer):
            return admitted
        size = size_of_body(headers)
        if size is not None and size > admitted.body_max_bytes:
            return _too_large(admitted)
        body = b""
        if size != 0:
            try:
                async with asyncio.timeout(self._reception.bounds.body_s):
                    read = await _body(receive, admitted, held)
            except TimeoutError:
                return said(408, "the body did not arrive in time")
            if not isinstance(read, bytes):
                return read
            body = read
        return await self._answered(head, body)

    async def _answered(self, head: Head, body: bytes) -> Answer | None:
        if self._has_left():
            return None
        self._answering = asyncio.current_task()
        try:
            return await self._reception.front.answer(head, body)
        except asyncio.CancelledError:
            return None if self._has_left() else GOING
        finally:
            self._answering = None

    def _has_left(self) -> bool:
        """Whether nobody is there to be answered."""
        return self._running is None or self._running.disconnected


class _Held:
    """What a request holds of the room that all have."""

    __slots__ = ("_reception", "_size_bytes")

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._size_bytes = 0

    def more(self, size_bytes: int) -> bool:
        """Whether there was room for so much more."""
        if not self._reception.hold(size_bytes):
            return False
        self._size_bytes += size_bytes
        return True

    def free(self) -> None:
        """It is answered."""
        self._reception.hold(-self._size_bytes)
        self._size_bytes = 0


async def _body(receive: ASGIReceiveCallable, admitted: Admission, held: _Held) -> bytes | Answer | None:
    """The whole body, or what is to be answered instead. None where the client has gone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        size += len(message["body"])
        if size > admitted.body_max_bytes:
            return _too_large(admitted)
        if not held.more(len(message["body"])):
            return said(503, HOLD_TOO_MUCH, ("retry-after", "1"))
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


def _too_large(admitted: Admission) -> Answer:
    return said(413, f"the body is too large: {admitted.body_max_bytes} bytes are allowed")


async def _send(wire: Wire, send: ASGISendCallable) -> None:
    await send({"type": "http.response.start", "status": wire.status, "headers": wire.headers, "trailers": False})
    await send({"type": "http.response.body", "body": wire.body, "more_body": False})
