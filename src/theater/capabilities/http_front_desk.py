"""Takes what the listener has read to the actors behind it, and their answers back.

A request goes through the middleware of its server whose prefix its path has, in the order in which they were added,
and then to its route; each of them is one step. What an actor answers is checked here before it is sent: an answer that
cannot be sent is 500, and what the actor refused with, or crashed of, stays in its chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

from theater.capabilities.guest_content import bytes_of
from theater.capabilities.http_answer import (
    RequestValue,
    ResponseValue,
    answer_of,
    plain,
    read_response,
    read_verdict,
    request_value,
)
from theater.capabilities.http_asking import answer_to, ask
from theater.capabilities.http_front import Admission, Answer, Farewell, Head, Seat
from theater.capabilities.http_routes import Found, Malformed, RouteTable, has_prefix, is_token, parts_of
from theater.capabilities.http_server_orders import Connection, Server
from theater.capabilities.http_websockets import WebSockets
from theater.errors import TheaterError
from theater.model.ids import ActorId
from theater.model.news import Handled, News, Post
from theater.model.service import Place

SOURCE = "http-server"
REQUESTED = "theater:actor/http-handlers#request"
PASSED = "theater:actor/middleware-handlers#request"
SERVED = "wasi:http/incoming-handler#handle"

_ID_BYTES = 16


class House(Protocol):
    """What is behind the desk. Any thread may use it."""

    @property
    def post(self) -> Post:
        """To the actors."""

    @property
    def place(self) -> Place:
        """Where the service was opened."""

    @property
    def is_closing(self) -> bool:
        """Whether the node closes."""

    def server(self, id: str) -> tuple[ActorId, Server, RouteTable] | None:
        """Who is behind a server, and its routes."""

    def connection(self, id: str) -> tuple[ActorId, Connection] | None:
        """Whose connection it is."""

    def connections(self, actor: ActorId) -> int:
        """How many an actor has."""

    def take(self, actor: ActorId, connection: Connection) -> None:
        """A connection is there, or its actor has taken it."""

    def lose(self, id: str) -> tuple[ActorId, Connection] | None:
        """A connection has ended; whose it was, where its actor had not closed it."""

    def ended(self, actor: ActorId) -> None:
        """It runs no longer, and its connections are closed."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A request on its way: a middleware may change it."""

    actor: ActorId
    server: Server
    table: RouteTable
    id: str
    head: Head
    path: tuple[str, ...]
    body: bytes = b""


class FrontDesk:
    """Implements ``Front``, on the listener's loop."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._sockets = WebSockets(house, self.passed)

    @property
    def sockets(self) -> WebSockets:
        """Those of the actors."""
        return self._sockets

    def admit(self, head: Head) -> Admission | Answer:
        """Whether somebody answers it."""
        request = self.read(head)
        if isinstance(request, Answer):
            return request
        most = request.server.limits.request_bytes
        if request.server.is_service or request.table.is_watched(request.path):
            return Admission(most)
        found = request.table.find(head.method, request.path)
        return Admission(_body_max(found, most)) if isinstance(found, Found) else _unrouted(found)

    async def answer(self, head: Head, body: bytes) -> Answer:
        """The actor's answer, or ours in place of it."""
        request = self.read(head)
        if isinstance(request, Answer):
            return request
        try:
            async with asyncio.timeout(request.server.limits.timeout_ms / 1000):
                return await self._answered(replace(request, body=body))
        except TimeoutError:
            return plain(504)

    def seat(self, head: Head, protocols: tuple[str, ...]) -> Seat | Answer:
        """Whether somebody takes WebSockets there."""
        request = self.read(head)
        return request if isinstance(request, Answer) else self._sockets.seat(head, request.path, protocols)

    async def opened(self, seat: Seat, head: Head) -> Answer | None:
        """The actor's decision."""
        return await self._sockets.opened(seat, head)

    async def heard(self, connection: str, message: str | bytes) -> Farewell | None:
        """A message has come."""
        return await self._sockets.heard(connection, message)

    def closed(self, connection: str, code: int, reason: str) -> None:
        """A connection has ended."""
        self._sockets.closed(connection, code, reason)

    def read(self, head: Head) -> _Request | Answer:
        """A request to an actor that runs; 400 for a path that leads nowhere, 503 where nobody is there."""
        found = self._house.server(head.server)
        if found is None or self._house.is_closing:
            return plain(503)
        actor, server, table = found
        try:
            path = () if server.is_service else parts_of(head.path)
        except Malformed:
            return plain(400)
        if not self._house.post.is_living(actor):
            return plain(503)
        return _Request(actor, server, table, self._new_id(), head, path)

    async def passed(self, head: Head) -> Head | Answer:
        """The head of a request without a body behind all middleware."""
        request = self.read(head)
        if isinstance(request, Answer):
            return request
        passed = await self._through(request)
        return passed if isinstance(passed, Answer) else passed.head

    # -- helpers

    async def _answered(self, request: _Request) -> Answer:
        if request.server.is_service:
            value = request_value(request.head, id=request.id, tag="", body=request.body)
            return await self._responded(request, SERVED, value)
        passed = await self._through(request)
        if isinstance(passed, Answer):
            return passed
        found = passed.table.find(passed.head.method, passed.path)
        if not isinstance(found, Found):
            return _unrouted(found)
        if len(passed.body) > _body_max(found, passed.server.limits.request_bytes):
            return plain(413)
        value = request_value(
            passed.head,
            id=passed.id,
            tag=found.route.tag,
            parameters=found.parameters,
            body=passed.body,
            form=found.route.body_form,
        )
        return await self._responded(passed, REQUESTED, value)

    async def _responded(self, request: _Request, export: str, value: RequestValue) -> Answer:
        news = News(request.id, SOURCE, export, (value,), expects_reply=export == REQUESTED)
        outcome = await ask(self._house.post, request.actor, news)
        if isinstance(outcome, TheaterError):
            return answer_to(outcome, refused=500)
        if outcome.reply is None:  # it has ended, and said nothing
            return plain(503)
        return _sent(_read(outcome), gives_type=export != SERVED)

    async def _through(self, request: _Request) -> _Request | Answer:
        """The request behind all middleware that looks at it, or the answer of one."""
        for prefix, middleware in request.table.middlewares:
            if not has_prefix(request.path, prefix):
                continue
            value = request_value(request.head, id=request.id, tag=middleware.tag, body=request.body)
            news = News(self._new_id(), SOURCE, PASSED, (value,))
            outcome = await ask(self._house.post, request.actor, news)
            if isinstance(outcome, TheaterError):
                return answer_to(outcome, refused=403)
            if outcome.reply is None:
                return plain(503)
            match read_verdict(outcome.reply):
                case ("respond", response):
                    return _sent(cast("ResponseValue", response))
                case (_, proceeding):
                    changed = _changed(request, cast("RequestValue", proceeding))
                    if changed is None:
                        return plain(500)
                    request = changed
        return request

    def _new_id(self) -> str:
        return self._house.place.entropy.take(_ID_BYTES).hex()


def _changed(request: _Request, value: RequestValue) -> _Request | None:
    """The request as a middleware gives it on; None where it cannot be one. Id and server stay ours."""
    body = bytes_of(value["body"])
    try:
        path = parts_of(value["path"])
    except Malformed:
        return None
    if body is None or not is_token(value["method"]):
        return None
    head = replace(
        request.head,
        method=value["method"],
        authority=value["authority"],
        path=value["path"],
        query=value["query"],
        headers=tuple((name.lower(), text) for name, text in value["headers"]),
    )
    return replace(request, head=head, path=path, body=body)


def _read(outcome: Handled) -> ResponseValue | None:
    assert outcome.reply is not None
    try:
        return read_response(outcome.reply)
    except ValueError:  # a service's, whose answer has no type of its own
        return None


def _sent(response: ResponseValue | None, *, gives_type: bool = True) -> Answer:
    answer = answer_of(response, gives_type=gives_type) if response is not None else None
    return plain(500) if answer is None else answer


def _body_max(found: Found, most: int) -> int:
    own = found.route.max_body_bytes
    return most if own is None else min(own, most)


def _unrouted(allowed: tuple[str, ...]) -> Answer:
    """No route takes it: 405 where others are taken there."""
    fields: Mapping[str, str] = {"allow": ", ".join(allowed)} if allowed else {}
    return plain(405, fields) if allowed else plain(404)
