"""The ASGI application: the endpoints by path and method, behind the gate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from theater.errors import BadRequest
from theater.server.body import Larder
from theater.server.endpoint import Endpoint
from theater.server.exchange import Exchange
from theater.server.gate import Gate
from theater.server.hosts import Hosts
from theater.server.log import Log
from theater.server.service import Service
from theater.server.tokens import TokenStore
from theater.server.trace import trace_of
from theater.server.traffic import Traffic


def make_app(
    endpoints: Iterable[Endpoint],
    service: Service,
    *,
    tokens: TokenStore,
    hosts: Hosts,
    log: Log,
    traffic: Traffic,
) -> ASGIApp:
    """Everything from the request as uvicorn hands it over to the answer."""
    larder = Larder()
    resources: dict[str, dict[str, ASGIApp]] = {}
    for endpoint in endpoints:
        methods = resources.setdefault(endpoint.path, {})
        assert endpoint.method not in methods, endpoint
        methods[endpoint.method] = Exchange(endpoint, service, tokens=tokens, larder=larder, traffic=traffic)
    router = Router(
        [Route(path, _Resource(path, methods)) for path, methods in resources.items()],
        redirect_slashes=False,
        default=_no_such_route,
    )
    return Gate(router, hosts=hosts, log=log, traffic=traffic, is_stopping=service.stopping.is_set)


class _Resource:
    """What answers at one path."""

    def __init__(self, path: str, methods: Mapping[str, ASGIApp]) -> None:
        self._path = path
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods.setdefault("HEAD", methods["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._methods.get(scope["method"])
        if app is None:
            trace_of(scope).route = self._path
            allowed = sorted(self._methods)
            raise BadRequest(
                f"{self._path} takes {', '.join(allowed)}", code="no-such-method", status=405, allowed=allowed
            )
        await app(scope, receive, send)


async def _no_such_route(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise BadRequest("there is nothing at that path: see /openapi.json", code="no-such-route", status=404)
