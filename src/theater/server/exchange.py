"""One endpoint at work: who asks, what is asked, the handler, the answer. What goes wrong is raised, to the gate."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from theater.errors import BadRequest, Damaged, Forbidden, TimedOut, Unauthorized
from theater.server.body import Larder, check_size, chunks, declared_bytes, no_chunks
from theater.server.endpoint import Call, Endpoint
from theater.server.parsing import ParameterReader, check_media, headers_of, order_of, text_of
from theater.server.presence import while_present
from theater.server.service import Service
from theater.server.token import NOBODY, Token
from theater.server.tokens import TokenStore
from theater.server.trace import Trace, trace_of
from theater.server.traffic import Traffic

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]{1,512}=*)\Z", re.IGNORECASE)


class Exchange:
    """An ASGI application that answers one method of one path."""

    def __init__(
        self, endpoint: Endpoint, service: Service, *, tokens: TokenStore, larder: Larder, traffic: Traffic
    ) -> None:
        self._endpoint = endpoint
        self._service = service
        self._tokens = tokens
        self._larder = larder
        self._traffic = traffic
        self._parameters = ParameterReader(endpoint.parameters)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trace = trace_of(scope)
        trace.route = self._endpoint.path
        headers = headers_of(scope["headers"])
        caller = self._admitted(headers, trace)
        values = self._parameters.read(scope.get("path_params", {}), scope["query_string"], headers)
        async with self._body(headers, receive) as data:
            pieces = no_chunks()
            text, ordered = "", None
            body = self._endpoint.body
            if body is not None:
                match body.kind:
                    case "bytes":
                        pieces = chunks(receive, body.max_bytes)
                    case "json":
                        text = text_of(body, data)
                    case "order":
                        ordered = order_of(body, data)
            call = Call(self._service, caller, headers, values, pieces, text, ordered)
            response = await self._handled(call, receive)
        await self._answered(response, scope, receive, send)

    def _admitted(self, headers: Mapping[str, str], trace: Trace) -> Token:
        if self._endpoint.scope is None:
            return NOBODY
        if "authorization" not in headers:
            raise Unauthorized("no token came with the request: send Authorization: Bearer TOKEN")
        presented = _BEARER.match(headers["authorization"])
        if presented is None:
            raise Unauthorized("the Authorization header cannot be read: write Bearer and one token")
        try:
            caller = self._tokens.find(presented[1])
        except Damaged as damaged:  # which says where they are kept: nothing for whoever may be nobody
            raise Damaged(
                "the server's tokens are damaged, so nobody is let in: theater config token list says more, there"
            ) from damaged
        if caller is None:
            raise Unauthorized("the token is not known here: it was removed, or is another server's")
        trace.token = caller.name
        if not caller.may(self._endpoint.scope):
            raise Forbidden(f"the token {caller.name!r} may {caller.scope}; this needs one that may operate")
        return caller

    @asynccontextmanager
    async def _body(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[bytes]:
        """The whole body, as long as the request is being handled; empty where the handler reads it itself."""
        body = self._endpoint.body
        declared = declared_bytes(headers)
        if declared == 0:
            yield b""
            return
        if body is None:
            raise BadRequest("this request takes no body")
        check_media(body, headers)
        check_size(declared, body.max_bytes)
        if body.kind == "bytes":
            yield b""
            return
        held = 0
        data = bytearray()
        try:
            async for piece in chunks(receive, body.max_bytes):
                self._larder.take(len(piece))
                held += len(piece)
                data += piece
            yield bytes(data)
        finally:
            self._larder.give_back(held)

    async def _handled(self, call: Call, receive: Receive) -> Response:
        work = self._endpoint.handler(call)
        if self._endpoint.ends_with_asker:
            work = while_present(work, receive)
        limit_s = self._endpoint.time_limit_s
        if limit_s is None:
            return await work
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                return await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimedOut(f"no answer within {limit_s:g} s; what was begun may go on") from error

    async def _answered(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD" and self._endpoint.method != "HEAD":
            await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
            await send({"type": "http.response.body", "body": b""})
        elif isinstance(response, StreamingResponse):
            with self._traffic.stream():
                await response(scope, receive, send)
        else:
            await response(scope, receive, send)
