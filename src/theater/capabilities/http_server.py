"""``theater:actor/http-server``: HTTP servers on the granted addresses, with routes, middleware and WebSockets.

The guest gets: ``open-server``, which reserves the address at once, so that a port in use is an error of the call;
``close-server``; ``add-route``, ``add-middleware``, ``add-websocket``, ``remove-route``; ``respond`` for what its
handler put off; ``send-websocket`` and ``close-websocket``; and lists of all of it. What comes from clients comes to
the handlers that the component exports (``http-handlers``, ``middleware-handlers``), as one step each.

Recorded: every call with its answer, every request and message with its body, every answer.

Limits: nothing is allowed that the grant does not name. ``servers`` (8; 64 can be granted), ``routes`` (256; 1,024),
``connections`` (100 WebSockets; 10,000), ``request`` (bodies of 1 MiB; 64 MiB), ``message`` (of a WebSocket, 1 MiB each
way; 64 MiB), ``response-timeout`` (30 s; a day). An answer has at most the actor's limit ``reply`` (1 MiB, as JSON),
100 header fields, and 64 KiB of them. For a client that does not read, 1 MiB waits, or one message of any size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec

from theater.capabilities.guest_content import bytes_within
from theater.capabilities.guest_json import size_bytes
from theater.capabilities.http_answer import ResponseValue, response_problem, response_text
from theater.capabilities.http_routes import Spec, are_alike, problem_of
from theater.capabilities.http_server_book import Book, added_key, added_row, connection_key, server_key, server_row
from theater.capabilities.http_server_grant import NAME, HttpServerGrant, parse
from theater.capabilities.http_server_listen import ListenRule, parse_address
from theater.capabilities.http_server_orders import (
    Add,
    Added,
    Close,
    Open,
    Order,
    Part,
    Remove,
    Say,
    Server,
    ServerLimits,
    limits_of,
)
from theater.capabilities.http_server_values import (
    MessageValue,
    MiddlewareValue,
    RouteValue,
    ServerOptions,
    WebSocketValue,
    middleware_of,
    route_of,
    said,
    spec_value,
    websocket_of,
)
from theater.capabilities.registration import buffered, functions
from theater.errors import InvalidInput
from theater.model.actor_system import Problem
from theater.model.capability import Capability, Denied, HostAct, HostClass, HostRun, Noted, StepContext
from theater.model.effects import Reply, Tell
from theater.model.ids import ActorId
from theater.model.quantity import show_size
from theater.model.service import Place, Service

if TYPE_CHECKING:
    from theater.capabilities.http_service import HttpService

OUTPUT_MAX_BYTES = 2**20
"""So much may wait for a client that does not read, and of one message any size: it is in memory."""
REASON_MAX_BYTES = 123
"""What a close frame has room for: RFC 6455 section 5.5."""

_NORMAL_CLOSE = 1000
_OWN_CLOSES = range(3000, 5000)
_NUMBER_MAX = 2**53
_HTTP_HANDLERS = "theater:actor/http-handlers#request"
_MIDDLEWARE_HANDLERS = "theater:actor/middleware-handlers#request"
_OK = ("ok", None)
_IN_USE = "it is in use; end what has it (theater list, theater inspect), or name another port"

Answer = tuple[str, object]


# -- servers


def open_server(ctx: StepContext, grant: HttpServerGrant, options: ServerOptions) -> object:
    """Reserve the address, and say which port that is."""
    try:
        address = str(parse_address(options["address"]))
    except ValueError as error:
        return ("err", ("invalid-address", f"{options['address'][:100]!r}: {error}"))
    port, tls = options["port"], options["tls"]
    missing = grant.missing(address, port)
    if missing is not None:
        return Denied(("err", ("denied", f"{missing} is not granted")))
    if tls is not None and tls not in grant.tls:
        return ("err", ("invalid-tls", f"the grant has no certificate {tls[:100]!r}"))
    service: HttpService = ctx.service
    problem = service.tls_problem(tls) if tls is not None else None
    if problem is not None:
        return ("err", ("invalid-tls", problem))
    if len(_book(ctx).servers) >= grant.servers:
        return ("err", ("too-many", grant.servers))
    id = ctx.call_id
    bound = service.reserve(id, address, port)
    if not isinstance(bound, int):
        return ("err", bound)
    ctx.system.hold(lambda: service.release(id))
    used = {"address": address, "port": bound, "tls": tls}
    info = {"id": id, "options": used, "status": ("opening", None)}
    return Noted(("ok", info), msgspec.to_builtins(limits_of(grant)))


def act_open_server(ctx: StepContext, answer: Answer, _options: ServerOptions) -> None:
    """It takes connections from the commit on."""
    match answer:
        case ("ok", {"options": {"address": str(address), "port": int(port), "tls": (str() | None) as tls}}):
            server = Server(ctx.call_id, address, port, tls, _limits(ctx.note))
            _tell(ctx, Open((server,)), keeps=(server_row(server),))


def close_server(ctx: StepContext, _grant: HttpServerGrant, id: str) -> object:
    """It takes no more connections."""
    return _OK if id in _book(ctx).servers else ("err", ("unknown-server", id))


def act_close_server(ctx: StepContext, answer: Answer, id: str) -> None:
    """It closes with the commit."""
    if answer == _OK:
        _tell(ctx, Close(id), drops=(server_key(id),))


def list_servers(ctx: StepContext, _grant: HttpServerGrant) -> object:
    """All of them, by id."""
    service: HttpService = ctx.service
    return [
        {
            "id": server.id,
            "options": {"address": server.address, "port": server.port, "tls": server.tls},
            "status": service.status_of(server.id),
        }
        for _, server in sorted(_book(ctx).servers.items())
    ]


# -- routes


def add_route(ctx: StepContext, grant: HttpServerGrant, server: str, route: RouteValue) -> object:
    """Check a route."""
    most = route["max-body-bytes"]
    if most is not None and most > grant.request_bytes:
        return Denied(("err", ("denied", f'request = "{show_size(most)}" is not granted')))
    return _decide(ctx, grant, server, route_of(route), _HTTP_HANDLERS)


def act_add_route(ctx: StepContext, answer: Answer, server: str, route: RouteValue) -> None:
    """It is there with the commit."""
    _act_add(ctx, answer, server, route_of(route))


def add_middleware(ctx: StepContext, grant: HttpServerGrant, server: str, middleware: MiddlewareValue) -> object:
    """Check a middleware."""
    return _decide(ctx, grant, server, middleware_of(middleware), _MIDDLEWARE_HANDLERS)


def act_add_middleware(ctx: StepContext, answer: Answer, server: str, middleware: MiddlewareValue) -> None:
    """It is there with the commit."""
    _act_add(ctx, answer, server, middleware_of(middleware))


def add_websocket(ctx: StepContext, grant: HttpServerGrant, server: str, websocket: WebSocketValue) -> object:
    """Check a WebSocket route."""
    most = websocket["max-message-bytes"]
    if most is not None and most > grant.message_bytes:
        return Denied(("err", ("denied", f'message = "{show_size(most)}" is not granted')))
    return _decide(ctx, grant, server, websocket_of(websocket), _HTTP_HANDLERS)


def act_add_websocket(ctx: StepContext, answer: Answer, server: str, websocket: WebSocketValue) -> None:
    """It is there with the commit."""
    _act_add(ctx, answer, server, websocket_of(websocket))


def remove_route(ctx: StepContext, _grant: HttpServerGrant, server: str, id: str) -> object:
    """It is there no longer."""
    book = _book(ctx)
    if server not in book.servers:
        return ("err", ("unknown-server", server))
    found = book.added.get(id)
    return _OK if found is not None and found.server == server else ("err", ("unknown-route", id))


def act_remove_route(ctx: StepContext, answer: Answer, _server: str, id: str) -> None:
    """It goes with the commit."""
    if answer == _OK:
        _tell(ctx, Remove(id), drops=(added_key(id),))


def list_routes(ctx: StepContext, _grant: HttpServerGrant, server: str) -> object:
    """What was added to a server, in that order."""
    book = _book(ctx)
    if server not in book.servers:
        return ("err", ("unknown-server", server))
    return ("ok", [{"id": each.id, "spec": spec_value(each.spec)} for each in book.added_to(server)])


# -- answers


def respond(ctx: StepContext, _grant: HttpServerGrant, request: str, response: ResponseValue) -> object:
    """Answer a request that was put off."""
    if not ctx.system.is_client_waiting(request):
        return ("err", ("unknown-request", request))
    problem = response_problem(response)
    if problem is not None:
        return ("err", ("invalid-response", problem))
    most = ctx.limits.reply_bytes
    body = response["body"]
    if body is not None:
        data = bytes_within(body, most)
        if isinstance(data, tuple):
            return ("err", data)
    return _OK if size_bytes(response_text(response)) <= most else ("err", ("too-large", most))


def act_respond(ctx: StepContext, answer: Answer, request: str, response: ResponseValue) -> None:
    """The client gets it with the commit."""
    if answer == _OK:
        ctx.act(Reply(request, response_text(response)))


# -- WebSockets


def send_websocket(ctx: StepContext, grant: HttpServerGrant, connection: str, message: MessageValue) -> object:
    """Take room for a message behind those that its client has not read."""
    if connection not in _book(ctx).connections:
        return ("err", ("unknown-connection", connection))
    words = said(message, grant.message_bytes)
    if isinstance(words, tuple):
        return ("err", words)
    order = Say(connection, words)
    service: HttpService = ctx.service
    own = sum(each.size_bytes for each in _orders(ctx) if isinstance(each, Say) and each.connection == connection)
    waiting = service.waiting_bytes(connection) + own
    is_full = waiting > 0 and waiting + order.size_bytes > OUTPUT_MAX_BYTES
    return ("err", ("output-full", OUTPUT_MAX_BYTES)) if is_full else _OK


def act_send_websocket(ctx: StepContext, answer: Answer, connection: str, message: MessageValue) -> None:
    """It goes out with the commit."""
    if answer == _OK:
        words = said(message)
        if isinstance(words, tuple):
            raise ValueError("it is no base64")
        _tell(ctx, Say(connection, words))


def close_websocket(ctx: StepContext, _grant: HttpServerGrant, connection: str, code: int, reason: str) -> object:
    """Close a WebSocket."""
    if connection not in _book(ctx).connections:
        return ("err", ("unknown-connection", connection))
    is_own = code == _NORMAL_CLOSE or code in _OWN_CLOSES
    return _OK if is_own and size_bytes(reason) <= REASON_MAX_BYTES else ("err", ("invalid-close", None))


def act_close_websocket(ctx: StepContext, answer: Answer, connection: str, code: int, reason: str) -> None:
    """It is closed with the commit, behind what was sent."""
    if answer == _OK:
        _tell(ctx, Part(connection, code, reason), drops=(connection_key(connection),))


def list_websockets(ctx: StepContext, _grant: HttpServerGrant) -> object:
    """Those that are open, by id."""
    return [
        {"id": each.id, "server": each.server, "tag": each.tag, "peer": each.peer}
        for _, each in sorted(_book(ctx).connections.items())
        if each.is_open
    ]


# -- the service


def serve(service: Service, actor: ActorId, grant: HttpServerGrant, must: bool) -> Tell | None:  # noqa: FBT001 - see ``Capability.serves``
    """Reserve every address of the grant for an actor that answers whatever comes there: of several ports a free one.

    Raises:
        InvalidInput: none is granted, or one cannot be had; the message says which. Not where it ``must`` go on: such a
            server is opened with the birth, or else shown as one that failed.
    """
    if not grant.listen and not must:
        raise InvalidInput(
            "this component answers HTTP requests, and nothing says where: put "
            f'[capabilities.{NAME}] listen = ["127.0.0.1:8080"] into the manifest'
        )
    http: HttpService = service  # type: ignore[assignment]  # the one that this capability opens
    servers: list[Server] = []
    for number, rule in enumerate(grant.listen):
        id = hashlib.sha256(f"{actor}/server/{number}".encode()).hexdigest()[:32]
        bound = _first_free(http, id, rule)
        if not isinstance(bound, int) and not must:
            for server in servers:
                http.release(server.id)
            raise InvalidInput(f"this service cannot listen on {rule}: {bound[1] or _IN_USE}")
        port = bound if isinstance(bound, int) else rule.first
        servers.append(Server(id, rule.address, port, None, limits_of(grant), is_service=True))
    if not servers:
        return None
    return Tell(NAME, Open(tuple(servers)), keeps=tuple(server_row(server) for server in servers))


def open_service(place: Place) -> HttpService:
    """For all actors of a node. What has sockets is imported here: who only reads manifests does without."""
    service: HttpService = import_module("theater.capabilities.http_service").HttpService(place)
    return service


# -- helpers


def _first_free(service: HttpService, id: str, rule: ListenRule) -> int | Problem:
    """Bind the first port of a rule that nobody has."""
    bound: int | Problem = ("address-in-use", None)
    for port in range(rule.first, rule.last + 1):
        bound = service.reserve(id, rule.address, port)
        if isinstance(bound, int) or bound[0] != "address-in-use":
            break
    return bound


def _decide(ctx: StepContext, grant: HttpServerGrant, server: str, spec: Spec, export: str) -> object:
    problem = problem_of(spec)
    if problem is not None:
        return ("err", ("invalid-route", problem))
    book = _book(ctx)
    if server not in book.servers:
        return ("err", ("unknown-server", server))
    service: HttpService = ctx.service
    if not service.has_handler(ctx.actor, export):
        return ("err", ("invalid-route", f"this actor does not export {export.partition('#')[0]}"))
    for each in book.added.values():
        if each.server == server and are_alike(each.spec, spec):
            return ("err", ("route-taken", each.id))
    if len(book.added) >= grant.routes:
        return ("err", ("too-many", grant.routes))
    return Noted(("ok", ctx.call_id), {"number": book.next_number()})


def _act_add(ctx: StepContext, answer: Answer, server: str, spec: Spec) -> None:
    if answer[0] == "ok":
        added = Added(ctx.call_id, server, _number(ctx.note), spec)
        _tell(ctx, Add(added), keeps=(added_row(added),))


def _tell(
    ctx: StepContext, order: Order, *, keeps: tuple[tuple[str, bytes], ...] = (), drops: tuple[str, ...] = ()
) -> None:
    ctx.act(Tell(NAME, order, keeps=keeps, drops=drops))


def _orders(ctx: StepContext) -> list[Order]:
    """What this step has told so far."""
    return [
        effect.order
        for effect in ctx.effects
        if isinstance(effect, Tell) and effect.capability == NAME and isinstance(effect.order, Order)
    ]


def _book(ctx: StepContext) -> Book:
    """What the actor has, this step's calls counted as made."""
    service: HttpService = ctx.service
    orders = _orders(ctx)
    book = service.book_of(ctx.actor)
    return book.after(orders) if orders else book


def _limits(note: object) -> ServerLimits:
    """What was noted when the server was opened. Raises ``ValueError``: a stranger's chain can have anything there."""
    try:
        return msgspec.convert(note, ServerLimits)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _number(note: object) -> int:
    """Likewise when something was added."""
    match note:
        case {"number": int(number)} if 0 <= number < _NUMBER_MAX:
            return number
    raise ValueError("its number is missing")


_INTERFACE = "theater:actor/http-server"
_BUFFERED: Mapping[str, tuple[HostRun, HostAct]] = {
    "open-server": (open_server, act_open_server),
    "close-server": (close_server, act_close_server),
    "add-route": (add_route, act_add_route),
    "add-middleware": (add_middleware, act_add_middleware),
    "add-websocket": (add_websocket, act_add_websocket),
    "remove-route": (remove_route, act_remove_route),
    "respond": (respond, act_respond),
    "send-websocket": (send_websocket, act_send_websocket),
    "close-websocket": (close_websocket, act_close_websocket),
}
_READ: Mapping[str, HostRun] = {
    "list-servers": list_servers,
    "list-routes": list_routes,
    "list-websockets": list_websockets,
}
_GIVING_IDS = ("open-server", "add-route", "add-middleware", "add-websocket")

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *buffered(_INTERFACE, _BUFFERED, giving_ids=_GIVING_IDS),
        *functions(_INTERFACE, HostClass.READ, _READ),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=None,
    open_service=open_service,
    serves=serve,
)
