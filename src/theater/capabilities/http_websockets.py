"""The WebSockets of actors: opened, heard and ended as steps of theirs.

An opening is durable, and kept with it is that there is such a connection: should the node die, its actor hears of its
end at the next start. Messages are brought one at a time, so that whoever sends too much waits. The end is durable, and
drops what was kept in the same transaction.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from theater.capabilities.http_answer import handed_out, plain
from theater.capabilities.http_asking import Outcome, answer_to, ask
from theater.capabilities.http_front import Answer, Farewell, Head, Seat
from theater.capabilities.http_routes import (
    FoundWebSocket,
    Malformed,
    RouteTable,
    WebSocketRoute,
    chosen_protocol,
    parts_of,
)
from theater.capabilities.http_server_book import connection_key, connection_row
from theater.capabilities.http_server_orders import Connection, Server
from theater.errors import Busy, MailboxFull, NotFound, NotRunning, Refused, TheaterError
from theater.model.ids import ActorId
from theater.model.news import Handled, News

if TYPE_CHECKING:
    from theater.capabilities.http_front_desk import House

OPENED = "theater:actor/http-handlers#websocket-opened"
MESSAGE = "theater:actor/http-handlers#websocket-message"
CLOSED = "theater:actor/http-handlers#websocket-closed"

SOURCE = "http-server"

GOING_AWAY, BROKEN, TOO_LARGE, FAILED, TRY_LATER = 1001, 1006, 1009, 1011, 1013
"""Codes of RFC 6455 section 7.4.1."""

ENDED = Farewell(GOING_AWAY, "the actor has ended")
"""To all connections of an actor that runs no longer."""
_ID_BYTES = 16

Pass = Callable[[Head], Awaitable[Head | Answer]]
"""Brings a request through the middleware."""


class WebSockets:
    """On the listener's loop, but for ``left`` and ``broke``, which any thread may call."""

    def __init__(self, house: House, passing: Pass) -> None:
        self._house = house
        self._pass = passing
        self._lock = threading.Lock()
        self._heard: dict[str, bool] = {}
        """Those of which a message is handled, and whether the actor has ended meanwhile."""

    def left(self, connection: str) -> bool:
        """Its actor has ended: whether it ends with the message that is handled, since what comes of that says how."""
        with self._lock:
            if connection not in self._heard:
                return False
            self._heard[connection] = True
            return True

    def seat(self, head: Head, path: tuple[str, ...], protocols: tuple[str, ...]) -> Seat | Answer:
        """Whether somebody takes WebSockets there."""
        found = self._house.server(head.server)
        if found is None or found[1].is_service:
            return plain(404)
        actor, server, table = found
        websocket = table.find_websocket(path)
        if websocket is None:
            return plain(404)
        if self._house.connections(actor) >= server.limits.connections:
            return plain(503)
        protocol = chosen_protocol(websocket.route.protocols, protocols)
        return Seat(self._new_id(), protocol, _message_max(websocket.route, server))

    async def opened(self, seat: Seat, head: Head) -> Answer | None:
        """The actor's decision: None where it takes the connection."""
        found = self._house.server(head.server)
        if found is None:
            return plain(503)
        try:
            async with asyncio.timeout(found[1].limits.timeout_ms / 1000):
                return await self._decided(found, seat, head)
        except TimeoutError:
            return plain(504)

    async def heard(self, connection: str, message: str | bytes) -> Farewell | None:
        """A message has come. The actor's refusal of it is its own business."""
        found = self._house.connection(connection)
        if found is None:
            return None  # its actor has closed it, which is on the way
        actor, known = found
        data = message.encode("utf-8", "replace") if isinstance(message, str) else message
        if len(data) > known.message_max_bytes:
            return Farewell(TOO_LARGE)
        content = ("text", message) if isinstance(message, str) else handed_out(message, known.binary_form)
        news = News(self._new_id(), SOURCE, MESSAGE, (connection, content, isinstance(message, bytes)))
        with self._lock:
            self._heard[connection] = False
        try:
            farewell = _farewell(await ask(self._house.post, actor, news))
        finally:
            with self._lock:
                has_ended = self._heard.pop(connection)
        return farewell or (ENDED if has_ended else None)

    def closed(self, connection: str, code: int, reason: str) -> None:
        """A connection has ended: its actor hears so, unless it closed it. Where the node closes, at its next start.

        ``code`` may be of a kind of numbers of its own, as libraries have them.
        """
        if not self._house.is_closing:
            self._end(connection, int(code), reason)

    def broke(self, connection: str) -> None:
        """It was open when an earlier process ended."""
        self._end(connection, BROKEN, "")

    # -- helpers

    async def _decided(self, found: tuple[ActorId, Server, RouteTable], seat: Seat, head: Head) -> Answer | None:
        passed = await self._pass(head)
        if isinstance(passed, Answer):
            return passed
        actor, server, table = found
        websocket = _found(table, passed.path)
        if websocket is None or (seat.protocol is not None and seat.protocol not in websocket.route.protocols):
            return plain(404)  # a middleware has sent it elsewhere
        if self._house.connections(actor) >= server.limits.connections:
            return plain(503)
        route = websocket.route
        connection = Connection(
            seat.connection, server.id, route.tag, head.peer, route.binary_form, _message_max(route, server)
        )
        opening = {
            "connection": connection.id,
            "server": server.id,
            "tag": route.tag,
            "path": passed.path,
            "query": passed.query,
            "parameters": list(websocket.parameters),
            "headers": list(passed.headers),
            "protocol": seat.protocol,
            "peer": head.peer,
        }
        news = News(self._new_id(), SOURCE, OPENED, (opening,))
        self._house.take(actor, connection)

        def came_late(outcome: Outcome) -> None:
            """The client has gone, or waits no longer."""
            if isinstance(outcome, Handled):
                self._end(connection.id, BROKEN, "")
            else:
                self._forget(connection.id)

        outcome = await ask(
            self._house.post, actor, news, is_durable=True, keeps=(connection_row(connection),), late=came_late
        )
        if isinstance(outcome, TheaterError):
            self._forget(connection.id)
            return answer_to(outcome, refused=403)
        if self._house.connection(connection.id) is not None:  # unless it closed it in that very step
            self._house.take(actor, msgspec.structs.replace(connection, is_open=True))
            if not self._house.post.is_living(actor):  # it ended before this was one of those that it takes along
                self._house.ended(actor)
        return None

    def _end(self, connection: str, code: int, reason: str) -> None:
        lost = self._house.lose(connection)
        if lost is not None:
            actor, _ = lost
            news = News(self._new_id(), SOURCE, CLOSED, (connection, code, reason), has_place=False)
            drops = (connection_key(connection),)
            self._house.post.bring(actor, news, _nobody, is_durable=True, drops=drops)

    def _forget(self, connection: str) -> None:
        """Its actor did not take it: nothing is told of its end."""
        lost = self._house.lose(connection)
        if lost is not None:
            self._house.post.keep(lost[0], _nobody, drops=(connection_key(connection),))

    def _new_id(self) -> str:
        return self._house.place.entropy.take(_ID_BYTES).hex()


def _found(table: RouteTable, path: str) -> FoundWebSocket | None:
    try:
        return table.find_websocket(parts_of(path))
    except Malformed:
        return None


def _farewell(outcome: Outcome) -> Farewell | None:
    match outcome:
        case Handled() | Refused():
            return None
        case MailboxFull() | Busy():
            return Farewell(TRY_LATER, "the actor has too much to do")
        case NotRunning() | NotFound():
            return ENDED
        case _:
            return Farewell(FAILED, "the actor failed")


def _message_max(route: WebSocketRoute, server: Server) -> int:
    own = route.max_message_bytes
    return server.limits.message_bytes if own is None else min(own, server.limits.message_bytes)


def _nobody(outcome: object) -> None:
    """Nobody waits for that: what stays is found at the next start."""
    del outcome
