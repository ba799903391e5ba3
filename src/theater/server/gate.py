"""Where every request comes in and every answer goes out.

The gate refuses what no endpoint shall see, gives each request its id, answers whatever is raised behind it from one
table, and counts and logs what came of it. Plain ASGI: nothing is read ahead, nothing is held back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from theater.errors import BadRequest, Closing, Forbidden, TheaterError
from theater.server.hosts import Hosts
from theater.server.log import Log
from theater.server.problem import is_broken_here, is_ours_to_explain, problem_response
from theater.server.trace import Trace, attach
from theater.server.traffic import Traffic

VERSION: Final = "1.1"


class Gate:
    """An ASGI application round another one."""

    def __init__(
        self, app: ASGIApp, *, hosts: Hosts, log: Log, traffic: Traffic, is_stopping: Callable[[], bool]
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._log = log
        self._traffic = traffic
        self._is_stopping = is_stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # nothing else is configured
            return
        trace = Trace(scope["method"])
        attach(scope, trace)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                protect(MutableHeaders(raw=message["headers"]), trace.request_id)
                trace.status = message["status"]
            await send(message)

        begun = time.perf_counter()
        try:
            await self._answered(scope, receive, told, trace)
        finally:
            self._traffic.count(trace.route, trace.method, trace.status)
            self._log.access(trace, time.perf_counter() - begun)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, trace: Trace) -> None:
        try:
            self._check(scope)
            await self._app(scope, receive, send)
        except ClientDisconnect:  # nobody is there to be answered
            return
        except asyncio.CancelledError:
            if not self._is_stopping():
                raise
            self._log.warning("a request was given up: the server does not wait any longer", **trace.fields())
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked is answered, and the log says the rest
            if is_ours_to_explain(error) or trace.is_begun:
                self._log.failure(trace, error)
            elif is_broken_here(error):
                known = error.__cause__ if isinstance(error.__cause__, TheaterError) else error  # more than was told
                self._log.warning("a request failed", detail=str(known), **trace.fields())
            if not trace.is_begun:  # else the connection ends in the middle, so that nobody takes it for the whole
                await problem_response(error, trace.request_id)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if scope["http_version"] != VERSION:
            raise BadRequest("HTTP/1.1 is spoken here", code="wrong-version", status=505)
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            raise BadRequest("a request has exactly one Host header")
        if not self._hosts.allow(hosts[0].decode("latin-1")):
            raise BadRequest(
                "the server does not answer for that host: use its address, or start it with --allow-host",
                code="foreign-host",
                status=421,
            )
        if any(name == b"origin" for name, _ in scope["headers"]):
            raise Forbidden("requests that come from a web page are not answered", code="foreign-origin")
        if self._is_stopping():
            raise Closing("the server is stopping: try again when it is back")


def protect(headers: MutableHeaders, request_id: str) -> None:
    """Add what every answer has."""
    headers["x-request-id"] = request_id
    headers.setdefault("x-content-type-options", "nosniff")
    headers.setdefault("cache-control", "no-store")
