"""HTTP servers of the actor itself: the capability ``http-server``. What the grant does not name fails with ``denied``.

::

    class Shop(Actor):
        def init(self, params):
            server = http_server.open_server("127.0.0.1", 8080)
            http_server.add_route(server.id, "/items/{name}", methods=["GET"])
            return {"tea": 3}

        def http_request(self, state, request):
            name = request.parameters["name"]
            if name not in state:
                return state, http_server.text("no such thing", status=404)
            return state, http_server.json({"left": state[name]})

A server and its routes are there from the commit of the step on, over restarts of the node and of the actor: look with
``servers`` before opening one again. Requests come to ``Actor.http_request``, after ``Actor.http_middleware``; what is
said on WebSockets to ``Actor.websocket_message``.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from theater_sdk.host import call
from theater_sdk.text import bytes_of, content_of, encoded


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the actor receives it. A middleware gives it on, changed with ``dataclasses.replace`` or not."""

    id: str
    """For ``respond``, where the answer is put off with ``NO_REPLY``."""
    server: str
    tag: str
    """That of the route, or of the middleware."""
    method: str
    authority: str
    path: str
    """Percent-encoded as sent, without the query."""
    query: str | None
    parameters: Mapping[str, str]
    """What the parameters of the route's pattern stand for, decoded."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; one may come several times."""
    content: bytes
    peer: str
    """Address and port of the other side."""

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body's value. Raises ``ValueError`` for what is not JSON."""
        return json_module.loads(self.content)

    def header(self, name: str) -> str | None:
        """The first value of a header field, by its name in any case."""
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets. ``content-length``, ``connection``, ``transfer-encoding`` and ``date`` are the host's."""

    status: int = 200
    body: bytes | str | None = None
    """A text is ``text/plain``, bytes are ``application/octet-stream``, unless a header says otherwise."""
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class WebSocketOpening:
    """A client asks for a WebSocket."""

    connection: str
    """Its id, for ``send_websocket`` and ``close_websocket``."""
    server: str
    tag: str
    path: str
    query: str | None
    parameters: Mapping[str, str]
    headers: tuple[tuple[str, str], ...]
    protocol: str | None
    """The chosen subprotocol."""
    peer: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server of this actor."""

    id: str
    address: str
    port: int
    """The one really used."""
    tls: str | None
    status: Literal["opening", "open", "failed"]
    problem: str | None = None
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class Route:
    """Something that was added to a server. Of a middleware ``path`` is the prefix."""

    id: str
    kind: Literal["route", "middleware", "websocket"]
    path: str
    tag: str
    methods: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebSocket:
    """An open WebSocket of this actor."""

    id: str
    server: str
    tag: str
    peer: str = field(default="")


def text(body: str, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """An answer that is a text."""
    return Answer(status, body, headers)


def json(value: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> Answer:  # noqa: ANN401 - any JSON
    """An answer that is JSON, with its content type."""
    fields = list(headers)
    if not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("content-type", "application/json"))
    return Answer(status, encoded(value, "the value given to json()"), fields)


def open_server(address: str = "127.0.0.1", port: int = 0, *, tls: str | None = None) -> Server:
    """Open a server on a granted address. The address is reserved now; it takes connections when the step commits.

    Port 0 is a free one, which is kept from then on. ``tls`` names a certificate that the grant names.

    Raises:
        CallFailed: "denied", "address-in-use", "address-refused", "invalid-tls", "too-many" …
    """
    return _server(call("http-server", "open-server", {"options": {"address": address, "port": port, "tls": tls}}))


def close_server(server_id: str) -> None:
    """Close a server with all its routes and WebSockets when the step commits."""
    call("http-server", "close-server", {"id": server_id})


def servers() -> list[Server]:
    """The servers of this actor, by id."""
    return [_server(each) for each in call("http-server", "list-servers", {})]


def add_route(
    server_id: str,
    path: str,
    *,
    methods: Iterable[str] = (),
    tag: str = "",
    max_body_bytes: int | None = None,
) -> str:
    """Have requests of a path come to ``Actor.http_request``: ``/items/{name}``, ``/files/{*rest}``; the route's id.

    Without methods it takes all. ``tag`` comes with each request, to tell routes apart.

    Raises:
        CallFailed: "invalid-route"; "route-taken", with the id of the one that is there.
    """
    route = {
        "methods": list(methods),
        "path": path,
        "tag": tag,
        "max-body-bytes": max_body_bytes,
        "body-form": "automatic",
    }
    id: str = call("http-server", "add-route", {"server": server_id, "route": route})
    return id


def add_middleware(server_id: str, prefix: str = "/", *, tag: str = "") -> str:
    """Have requests whose path begins so come to ``Actor.http_middleware`` first, behind those that are there."""
    args = {"server": server_id, "middleware": {"prefix": prefix, "tag": tag}}
    id: str = call("http-server", "add-middleware", args)
    return id


def add_websocket(
    server_id: str,
    path: str,
    *,
    tag: str = "",
    protocols: Iterable[str] = (),
    max_message_bytes: int | None = None,
) -> str:
    """Have connections to a path become WebSockets, if ``Actor.websocket_opened`` takes them."""
    websocket = {
        "path": path,
        "tag": tag,
        "protocols": list(protocols),
        "max-message-bytes": max_message_bytes,
        "binary-form": "base64",
    }
    id: str = call("http-server", "add-websocket", {"server": server_id, "websocket": websocket})
    return id


def remove_route(server_id: str, route_id: str) -> None:
    """Take something away that was added to a server."""
    call("http-server", "remove-route", {"server": server_id, "id": route_id})


def routes(server_id: str) -> list[Route]:
    """Everything that was added to a server, in that order."""
    return [_route(each["id"], each["spec"]) for each in call("http-server", "list-routes", {"server": server_id})]


def respond(request_id: str, answer: Any) -> None:  # noqa: ANN401 - as ``Actor.http_request`` returns it
    """Answer a request that an earlier step put off with ``NO_REPLY``."""
    call("http-server", "respond", {"request": request_id, "response": response_of(answer)})


def send_websocket(connection_id: str, message: bytes | str) -> None:
    """Send a message over a WebSocket when the step commits: a text, or bytes.

    Raises:
        CallFailed: "unknown-connection"; "output-full": its client does not read.
    """
    value = ("text", message) if isinstance(message, str) else ("binary", content_of(message))
    call("http-server", "send-websocket", {"connection": connection_id, "message": value})


def close_websocket(connection_id: str, code: int = 1000, reason: str = "") -> None:
    """Close a WebSocket behind what was sent. The code is 1000, or one from 3000 to 4999."""
    call("http-server", "close-websocket", {"connection": connection_id, "code": code, "reason": reason})


def websockets() -> list[WebSocket]:
    """The open WebSockets of this actor, by id."""
    found = call("http-server", "list-websockets", {})
    return [WebSocket(each["id"], each["server"], each["tag"], each["peer"]) for each in found]


def request_of(value: Mapping[str, Any]) -> Request:
    """A request out of a plain ``http-request``."""
    return Request(
        id=value["id"],
        server=value["server"],
        tag=value["tag"],
        method=value["method"],
        authority=value["authority"],
        path=value["path"],
        query=value["query"],
        parameters=dict(_pairs(value["parameters"])),
        headers=_pairs(value["headers"]),
        content=bytes_of(value["body"]),
        peer=value["peer"],
    )


def value_of(request: Request) -> dict[str, Any]:
    """The plain ``http-request`` of a request."""
    try:
        body = ("text", request.content.decode())
    except UnicodeDecodeError:
        body = content_of(request.content)
    return {
        "id": request.id,
        "server": request.server,
        "tag": request.tag,
        "method": request.method,
        "authority": request.authority,
        "path": request.path,
        "query": request.query,
        "parameters": list(request.parameters.items()),
        "headers": [(name, value) for name, value in request.headers],
        "body": body,
        "peer": request.peer,
    }


def response_of(answer: Any) -> dict[str, Any]:  # noqa: ANN401 - as ``Actor.http_request`` returns it
    """The plain ``http-response`` of what a handler returned: an ``Answer``, a text, bytes, or other JSON."""
    if isinstance(answer, str | bytes):
        answer = Answer(body=answer)
    elif not isinstance(answer, Answer):
        answer = json(answer)
    return {
        "status": answer.status,
        "headers": [(name, value) for name, value in answer.headers],
        "body": None if answer.body is None else content_of(answer.body),
    }


def opening_of(value: Mapping[str, Any]) -> WebSocketOpening:
    """An opening out of a plain ``websocket-opening``."""
    fields = {**value, "parameters": dict(_pairs(value["parameters"])), "headers": _pairs(value["headers"])}
    return WebSocketOpening(**fields)


def _pairs(value: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in value)


def _server(value: Mapping[str, Any]) -> Server:
    options, (status, problem) = value["options"], value["status"]
    return Server(value["id"], options["address"], options["port"], options["tls"], status, problem)


def _route(id: str, spec: tuple[Literal["route", "middleware", "websocket"], Mapping[str, Any]]) -> Route:
    kind, value = spec
    path = value["prefix"] if kind == "middleware" else value["path"]
    methods, protocols = tuple(value.get("methods", ())), tuple(value.get("protocols", ()))
    return Route(id, kind, path, value["tag"], methods, protocols)
