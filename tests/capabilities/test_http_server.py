"""Servers of actors: what may be opened and added, at each limit and over it, and what a step leaves behind of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.capabilities.neighbours import Neighbours, call, error_of, is_ok, step
from theater.capabilities.http_front import Certificate, Farewell
from theater.capabilities.http_server import OUTPUT_MAX_BYTES, act_add_route, act_open_server, serve
from theater.capabilities.http_server_book import connection_row, read_book
from theater.capabilities.http_server_grant import (
    CONNECTIONS_MAX,
    NAME,
    ROUTES_MAX,
    SERVERS_MAX,
    HttpServerGrant,
    parse,
)
from theater.capabilities.http_server_listen import parse_address, parse_listen
from theater.capabilities.http_server_orders import Connection, Open, Say
from theater.capabilities.http_service import HttpService
from theater.errors import InvalidInput, InvalidManifest, TheaterError
from theater.model.effects import Reply, Tell
from theater.model.ids import ActorId, derived_id
from theater.model.limits import Limits
from theater.model.news import Answered, Kept, News
from theater.testing.clock import MockClock
from theater.testing.entropy import SeededEntropy
from theater.testing.step_context import ACTOR, FakeStepContext

HOST = "127.0.0.1"
OTHER = ActorId("b" * 32)
GRANT = HttpServerGrant((parse_listen(f"{HOST}:*"), parse_listen("[::1]:0")))
SERVER = derived_id(ACTOR, "1" * 32, 0)


@dataclass
class Listener:
    """A ``Listening`` that takes nobody."""

    said: list[tuple[object, ...]] = field(default_factory=list)
    waiting: int = 0
    bound: list[socket.socket] = field(default_factory=list)

    def open(self, server: str, bound: socket.socket, certificate: Certificate | None) -> None:
        self.bound.append(bound)
        self.said.append(("open", server, certificate))

    def close(self, server: str) -> None:
        self.said.append(("close", server))

    def waiting_bytes(self, connection: str) -> int:
        return self.waiting

    def say(self, connection: str, message: str | bytes) -> None:
        self.said.append(("say", connection, message))

    def part(self, connection: str, farewell: Farewell) -> None:
        self.said.append(("part", connection, farewell.code, farewell.reason))

    def shut(self) -> None:
        for bound in self.bound:
            bound.close()


@dataclass
class Post:
    """To actors that run and have every handler."""

    rows: dict[tuple[ActorId, str], bytes] = field(default_factory=dict)
    brought: list[object] = field(default_factory=list)
    handlers: bool = True

    def bring(
        self,
        actor: ActorId,
        news: News,
        answered: Answered,
        *,
        is_durable: bool = False,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> Callable[[], None]:
        self.brought.append(news)
        for key in drops:
            self.rows.pop((actor, key), None)
        return lambda: None

    def keep(
        self,
        actor: ActorId,
        done: Callable[[TheaterError | None], None],
        *,
        keeps: Sequence[tuple[str, bytes]] = (),
        drops: Sequence[str] = (),
    ) -> None:
        for key in drops:
            self.rows.pop((actor, key), None)

    def kept(self, actor: ActorId | None = None) -> list[Kept]:
        return [Kept(each, key, value) for (each, key), value in self.rows.items() if actor in (None, each)]

    def is_living(self, actor: ActorId) -> bool:
        return True

    def has_handler(self, actor: ActorId, export: str) -> bool:
        return self.handlers


@dataclass
class Place:
    """Where a service is opened."""

    post: Post = field(default_factory=Post)
    clock: MockClock = field(default_factory=MockClock)
    entropy: SeededEntropy = field(default_factory=lambda: SeededEntropy(0))
    certificates: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    folder: Path = Path("/nowhere")

    def secret(self, name: str) -> str | None:
        return None

    def certificate(self, name: str) -> tuple[str, str] | None:
        return self.certificates.get(name)

    def report(self, error: BaseException) -> None:
        raise AssertionError("nobody expected that") from error


@dataclass
class Node:
    """A service, and steps of actors that use it."""

    service: HttpService
    listener: Listener
    place: Place
    neighbours: Neighbours

    def step(self, actor: ActorId = ACTOR, **fields: object) -> FakeStepContext:
        return step(self.neighbours, actor=actor, **fields)

    def commit(self, ctx: FakeStepContext) -> None:
        """As the runtime does it."""
        told = [effect for effect in ctx.effects if isinstance(effect, Tell)]
        for effect in told:
            self.service.told(ctx.actor, effect.order)
            self.place.post.rows |= {(ctx.actor, key): value for key, value in effect.keeps}
            for key in effect.drops:
                self.place.post.rows.pop((ctx.actor, key), None)
        for effect in told:
            self.service.confirmed(ctx.actor, effect.order)

    def opened(self, grant: HttpServerGrant = GRANT) -> str:
        """A server that is open; its id."""
        ctx = self.step()
        assert is_ok(open_server(ctx, grant))
        self.commit(ctx)
        return SERVER

    def connected(self, server: str, id: str = "c" * 32) -> str:
        """A WebSocket that is open; its id."""
        self.service.take(ACTOR, Connection(id, server, "tag", "127.0.0.1:1", "automatic", 100, is_open=True))
        return id


def made(place: Place | None = None) -> Node:
    listener, where = Listener(), place or Place()
    service = HttpService(where, lambda _front, _report: listener)
    return Node(service, listener, where, Neighbours(own_service=service))


@pytest.fixture
def node() -> Iterator[Node]:
    opened = made()
    yield opened
    opened.service.close()


def open_server(
    ctx: FakeStepContext, grant: HttpServerGrant = GRANT, address: str = HOST, port: int = 0, tls: str | None = None
) -> object:
    return call("http-server#open-server", ctx, grant, {"address": address, "port": port, "tls": tls})


def route(path: str = "/", methods: list[str] | None = None, most: int | None = None) -> dict[str, object]:
    return {"methods": methods or [], "path": path, "tag": "", "max-body-bytes": most, "body-form": "automatic"}


def websocket(path: str = "/", most: int | None = None) -> dict[str, object]:
    return {"path": path, "tag": "", "protocols": [], "max-message-bytes": most, "binary-form": "automatic"}


def response(status: int = 200, body: object = ("text", "hello"), *headers: tuple[str, str]) -> dict[str, object]:
    return {"status": status, "headers": list(headers), "body": body}


def payload(answer: object) -> object:
    """What an error carries."""
    match answer:
        case ("err", (_, value)):
            return value
    raise AssertionError(answer)


# -- servers ---------------------------------------------------------------------------------------------------------


def test_a_server_is_reserved_at_once_and_open_with_the_commit(node: Node) -> None:
    ctx = node.step()

    match open_server(ctx):
        case ("ok", {"id": id, "options": {"address": address, "port": port, "tls": None}, "status": status}):
            assert (id, address, status) == (SERVER, HOST, ("opening", None))
        case answer:
            raise AssertionError(answer)
    assert node.listener.said == []
    assert call("http-server#list-servers", ctx, GRANT)[0]["status"] == ("opening", None)  # type: ignore[index]

    node.commit(ctx)

    assert node.listener.said == [("open", SERVER, None)]
    assert node.listener.bound[0].getsockname() == (HOST, port)
    assert call("http-server#list-servers", node.step(), GRANT)[0]["status"] == ("open", None)  # type: ignore[index]
    assert call("http-server#list-servers", node.step(OTHER), GRANT) == []


def test_what_a_step_reserves_it_holds_and_the_address_is_free_once_it_is_released(node: Node) -> None:
    ctx = node.step()
    answer = open_server(ctx)
    assert isinstance(answer, tuple)
    port = answer[1]["options"]["port"]
    assert error_of(open_server(node.step(OTHER), port=port)) == "address-in-use"

    [release] = node.neighbours.held
    release()

    assert is_ok(open_server(node.step(OTHER), port=port))


@pytest.mark.parametrize(
    ("address", "port", "error"),
    [
        ("0.0.0.0", 80, "denied"),
        ("127.0.0.2", 80, "denied"),
        ("::1", 80, "denied"),
        ("::", 0, "denied"),
        ("localhost", 80, "invalid-address"),
        ("", 80, "invalid-address"),
        ("127.1", 80, "invalid-address"),
        ("127.0.0.1 ", 80, "invalid-address"),
        ("127.0.0.1\r\n", 80, "invalid-address"),
        ("fe80::1%lo", 80, "invalid-address"),
        ("::ffff:127.0.0.1", 80, "invalid-address"),
        ("exämple", 80, "invalid-address"),
        ("1" * 10_000, 80, "invalid-address"),
    ],
)
def test_only_granted_addresses_are_had(node: Node, address: str, port: int, error: str) -> None:
    assert error_of(open_server(node.step(), address=address, port=port)) == error
    assert node.neighbours.held == []


def test_a_denied_address_names_the_line_that_is_missing(node: Node) -> None:
    assert payload(open_server(node.step(), address="::1", port=8080)) == 'listen = ["[::1]:8080"] is not granted'


def test_a_port_that_another_program_has_is_in_use(node: Node) -> None:
    with socket.create_server((HOST, 0)) as other:
        assert error_of(open_server(node.step(), port=other.getsockname()[1])) == "address-in-use"


def test_an_address_that_the_machine_does_not_have_is_refused(node: Node) -> None:
    grant = HttpServerGrant((parse_listen("203.0.113.7:80"),))

    assert error_of(open_server(node.step(), grant, "203.0.113.7", 80)) == "address-refused"


def test_as_many_servers_as_granted_and_no_more(node: Node) -> None:
    grant = HttpServerGrant(GRANT.listen, servers=2)
    ctx = node.step()

    assert [is_ok(open_server(ctx, grant)) for _ in range(2)] == [True, True]
    assert open_server(ctx, grant) == ("err", ("too-many", 2))
    first = SERVER
    assert is_ok(call("http-server#close-server", ctx, grant, first))
    assert is_ok(open_server(ctx, grant))


def test_a_certificate_has_to_be_granted_named_by_the_node_and_one(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    bad = str(tmp_path / "bad.pem")
    node = made(Place(certificates={"bad": (bad, bad), "other": (bad, bad)}))
    grant = HttpServerGrant(GRANT.listen, tls=("bad", "unknown"))
    try:
        for name, why in (
            ("other", "the grant has no certificate 'other'"),
            ("unknown", "this node has no certificate"),
            ("bad", "cannot be used"),
            ("../../etc", "the grant has no certificate"),
        ):
            answer = open_server(node.step(), grant, tls=name)
            assert error_of(answer) == "invalid-tls"
            assert why in str(payload(answer))
            assert str(tmp_path) not in str(payload(answer))
    finally:
        node.service.close()


def test_a_server_that_is_closed_is_no_more_and_its_routes_go_with_it(node: Node) -> None:
    server = node.opened()
    ctx = node.step(message_id="2" * 32)
    call("http-server#add-route", ctx, GRANT, server, route())
    node.commit(ctx)
    assert len(node.place.post.rows) == 2

    ctx = node.step(message_id="3" * 32)
    assert call("http-server#close-server", ctx, GRANT, server) == ("ok", None)
    assert error_of(call("http-server#close-server", ctx, GRANT, server)) == "unknown-server"
    node.commit(ctx)

    assert node.listener.said[-1] == ("close", server)
    node.service._worker.submit(lambda: None).result()
    assert node.place.post.rows == {}


def test_nobody_has_the_server_of_another(node: Node) -> None:
    server = node.opened()

    for where, arguments in (
        ("close-server", (server,)),
        ("add-route", (server, route())),
        ("add-middleware", (server, {"prefix": "/", "tag": ""})),
        ("add-websocket", (server, websocket())),
        ("remove-route", (server, "r" * 32)),
        ("list-routes", (server,)),
    ):
        assert error_of(call(f"http-server#{where}", node.step(OTHER), GRANT, *arguments)) == "unknown-server"


# -- routes ----------------------------------------------------------------------------------------------------------


def test_what_is_added_is_listed_in_its_order_with_this_step(node: Node) -> None:
    server = node.opened()
    ctx = node.step(message_id="2" * 32)
    added = [
        call("http-server#add-websocket", ctx, GRANT, server, websocket("/ws")),
        call("http-server#add-route", ctx, GRANT, server, route("/b", ["GET"])),
        call("http-server#add-middleware", ctx, GRANT, server, {"prefix": "/", "tag": "m"}),
        call("http-server#add-route", ctx, GRANT, server, route("/a")),
    ]
    assert all(is_ok(each) for each in added)

    listed = call("http-server#list-routes", ctx, GRANT, server)
    assert [each["spec"][0] for each in listed[1]] == ["websocket", "route", "middleware", "route"]  # type: ignore[index]
    assert [each["id"] for each in listed[1]] == [each[1] for each in added]  # type: ignore[index]
    assert listed[1][1]["spec"][1] == route("/b", ["GET"])  # type: ignore[index]
    node.commit(ctx)
    again = made(Place(post=node.place.post))
    try:
        assert call("http-server#list-routes", again.step(), GRANT, server) == listed
    finally:
        again.service.close()


def test_a_route_that_is_there_is_named(node: Node) -> None:
    server = node.opened()
    ctx = node.step(message_id="2" * 32)
    first = call("http-server#add-route", ctx, GRANT, server, route("/{a}"))
    assert isinstance(first, tuple)

    assert call("http-server#add-route", ctx, GRANT, server, route("/{b}")) == ("err", ("route-taken", first[1]))
    assert call("http-server#remove-route", ctx, GRANT, server, first[1]) == ("ok", None)
    assert error_of(call("http-server#remove-route", ctx, GRANT, server, first[1])) == "unknown-route"
    assert is_ok(call("http-server#add-route", ctx, GRANT, server, route("/{b}")))


def test_a_route_that_cannot_be_is_told_why(node: Node) -> None:
    server = node.opened()

    answer = call("http-server#add-route", node.step(), GRANT, server, route("/../a"))

    assert error_of(answer) == "invalid-route"
    assert "'..'" in str(payload(answer))


def test_an_actor_without_the_handler_gets_no_route(node: Node) -> None:
    server = node.opened()
    node.place.post.handlers = False

    answer = call("http-server#add-route", node.step(), GRANT, server, route())

    assert answer == ("err", ("invalid-route", "this actor does not export theater:actor/http-handlers"))


def test_as_many_routes_as_granted_and_no_more(node: Node) -> None:
    grant = HttpServerGrant(GRANT.listen, routes=2)
    server = node.opened(grant)
    ctx = node.step(message_id="2" * 32)

    assert is_ok(call("http-server#add-route", ctx, grant, server, route("/a")))
    assert is_ok(call("http-server#add-middleware", ctx, grant, server, {"prefix": "/", "tag": ""}))
    assert call("http-server#add-websocket", ctx, grant, server, websocket()) == ("err", ("too-many", 2))


def test_no_route_takes_more_than_the_grant(node: Node) -> None:
    grant = HttpServerGrant(GRANT.listen, request_bytes=1024, message_bytes=2048)
    server = node.opened(grant)
    ctx = node.step(message_id="2" * 32)

    assert is_ok(call("http-server#add-route", ctx, grant, server, route("/a", most=1024)))
    over = call("http-server#add-route", ctx, grant, server, route("/b", most=1025))
    assert over == ("err", ("denied", 'request = "1025" is not granted'))
    assert is_ok(call("http-server#add-websocket", ctx, grant, server, websocket("/a", most=2048)))
    over = call("http-server#add-websocket", ctx, grant, server, websocket("/b", most=4096))
    assert over == ("err", ("denied", 'message = "4KiB" is not granted'))


# -- answers ---------------------------------------------------------------------------------------------------------


def test_a_request_is_answered_with_the_commit(node: Node) -> None:
    node.neighbours.clients = frozenset(["r"])
    ctx = node.step()

    assert call("http-server#respond", ctx, GRANT, "r", response(201, ("bytes", b"\xff"), ("X", "y"))) == ("ok", None)

    assert ctx.effects == [Reply("r", '{"status":201,"headers":[["X","y"]],"body":{"base64":"/w=="}}')]
    assert error_of(call("http-server#respond", node.step(), GRANT, "other", response())) == "unknown-request"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (response(199), "invalid-response"),
        (response(600), "invalid-response"),
        (response(0), "invalid-response"),
        (response(200, None, ("a\r\nb", "c")), "invalid-response"),
        (response(200, None, ("", "c")), "invalid-response"),
        (response(200, None, ("ä", "c")), "invalid-response"),
        (response(200, None, ("a", "b\r\nc: d")), "invalid-response"),
        (response(200, None, ("a", "b\nc")), "invalid-response"),
        (response(200, None, ("a", "\x00")), "invalid-response"),
        (response(200, None, *[("a", "b")] * 101), "invalid-response"),
        (response(200, None, ("a", "b" * 65_536)), "invalid-response"),
        (response(200, ("base64", "a")), "invalid-content"),
        (response(200, ("text", "x" * 1025)), "too-large"),
        (response(200, ("bytes", b"x" * 1025)), "too-large"),
        (response(200, ("text", "\x01" * 1000)), "too-large"),
    ],
)
def test_an_answer_that_cannot_be_sent_is_refused(node: Node, answer: dict[str, object], error: str) -> None:
    node.neighbours.clients = frozenset(["r"])
    ctx = node.step(limits=Limits(reply_bytes=1024))

    assert error_of(call("http-server#respond", ctx, GRANT, "r", answer)) == error


# -- WebSockets ------------------------------------------------------------------------------------------------------


def test_a_message_goes_out_when_it_is_durable(node: Node) -> None:
    connection = node.connected(node.opened())
    ctx = node.step()

    assert call("http-server#send-websocket", ctx, GRANT, connection, ("text", "a")) == ("ok", None)
    assert call("http-server#send-websocket", ctx, GRANT, connection, ("binary", ("base64", "/w=="))) == ("ok", None)
    assert node.listener.said[1:] == []
    node.commit(ctx)

    assert node.listener.said[1:] == [("say", connection, "a"), ("say", connection, b"\xff")]


def test_what_waits_for_a_client_is_bounded_with_what_is_told_and_what_this_step_sends(node: Node) -> None:
    connection = node.connected(node.opened())
    half = ("text", "x" * (OUTPUT_MAX_BYTES // 2))
    ctx = node.step()
    assert is_ok(call("http-server#send-websocket", ctx, GRANT, connection, half))
    assert is_ok(call("http-server#send-websocket", ctx, GRANT, connection, half))

    full = call("http-server#send-websocket", ctx, GRANT, connection, ("text", "x"))
    assert full == ("err", ("output-full", OUTPUT_MAX_BYTES))
    order = Say(connection, half[1])
    node.service.told(ACTOR, order)
    node.listener.waiting = OUTPUT_MAX_BYTES // 2
    assert error_of(call("http-server#send-websocket", node.step(), GRANT, connection, ("text", "x"))) == "output-full"
    node.service.confirmed(ACTOR, order)
    assert is_ok(call("http-server#send-websocket", node.step(), GRANT, connection, ("text", "x")))


def test_a_message_over_the_limit_and_one_that_is_no_content_are_refused(node: Node) -> None:
    grant = HttpServerGrant(GRANT.listen, message_bytes=3)
    connection = node.connected(node.opened(grant))

    assert is_ok(call("http-server#send-websocket", node.step(), grant, connection, ("text", "xxx")))
    for message in (("text", "xxxx"), ("text", "ää"), ("binary", ("bytes", b"xxxx"))):
        answer = call("http-server#send-websocket", node.step(), grant, connection, message)
        assert answer == ("err", ("too-large", 3))
    answer = call("http-server#send-websocket", node.step(), grant, connection, ("binary", ("base64", "x")))
    assert answer == ("err", ("invalid-content", None))


def test_a_connection_that_is_closed_is_none_any_more(node: Node) -> None:
    connection = node.connected(node.opened())
    ctx = node.step()
    listed = call("http-server#list-websockets", ctx, GRANT)
    assert listed == [{"id": connection, "server": SERVER, "tag": "tag", "peer": "127.0.0.1:1"}]

    assert call("http-server#close-websocket", ctx, GRANT, connection, 3000, "bye") == ("ok", None)
    assert error_of(call("http-server#send-websocket", ctx, GRANT, connection, ("text", ""))) == "unknown-connection"
    assert error_of(call("http-server#close-websocket", ctx, GRANT, connection, 3000, "")) == "unknown-connection"
    assert call("http-server#list-websockets", ctx, GRANT) == []
    node.commit(ctx)

    assert node.listener.said[-1] == ("part", connection, 3000, "bye")


@pytest.mark.parametrize(
    ("code", "reason", "is_one"),
    [
        (1000, "x" * 123, True),
        (1000, "x" * 124, False),
        (1000, "ä" * 62, False),
        (3000, "", True),
        (4999, "", True),
        (5000, "", False),
        (2999, "", False),
        (1001, "", False),
        (1006, "", False),
        (0, "", False),
    ],
)
def test_a_close_code_is_one_of_an_application(node: Node, code: int, reason: str, *, is_one: bool) -> None:
    connection = node.connected(node.opened())

    answer = call("http-server#close-websocket", node.step(), GRANT, connection, code, reason)

    assert answer == ("ok", None) if is_one else answer == ("err", ("invalid-close", None))


# -- what is kept ----------------------------------------------------------------------------------------------------


def test_a_node_that_starts_opens_the_servers_and_tells_of_the_connections() -> None:
    first = made()
    server = first.opened()
    post = first.place.post
    post.rows |= {(ACTOR, key): value for key, value in [connection_row(_connection(server))]}
    first.service.close()

    again = made(Place(post=post))

    assert again.listener.said == [("open", server, None)]
    again.service._worker.submit(lambda: None).result()
    [news] = post.brought
    assert "websocket-closed" in str(news)
    assert list(post.rows) == [(ACTOR, f"server/{server}")]
    again.service.close()


def test_rows_that_are_none_of_ours_are_no_servers() -> None:
    node = made(Place(post=Post(rows={(ACTOR, "server/x"): b"nonsense"})))

    assert call("http-server#list-servers", node.step(), GRANT) == []
    node.service.close()


def test_what_is_in_doubt_is_as_the_store_has_it(node: Node) -> None:
    server = node.opened()
    ctx = node.step(message_id="2" * 32)
    call("http-server#add-route", ctx, GRANT, server, route("/lost"))
    open_server(ctx)
    for effect in ctx.effects:
        assert isinstance(effect, Tell)
        node.service.told(ACTOR, effect.order)  # and that is not written

    node.service.doubted(ACTOR)
    later = node.step(message_id="3" * 32)
    call("http-server#add-route", later, GRANT, server, route("/kept"))
    node.commit(later)
    node.service._worker.submit(lambda: None).result()

    book, _ = read_book({key: value for (_, key), value in node.place.post.rows.items()})
    assert node.service.book_of(ACTOR) == book
    assert [*book.servers] == [server]


def test_an_actor_that_ends_loses_its_connections_and_one_that_is_removed_its_servers(node: Node) -> None:
    server = node.opened()
    connection = node.connected(server)

    node.service.ended(ACTOR)
    assert node.listener.said[-1][:3] == ("part", connection, 1001)
    assert node.service.shown(ACTOR) == [node.service.shown(ACTOR)[0]]
    node.service.removed(ACTOR)

    assert node.listener.said[-1] == ("close", server)
    assert node.service.shown(ACTOR) == []
    assert node.service.book_of(ACTOR).is_empty()


def test_a_chain_that_says_nothing_sensible_of_a_server_is_none(node: Node) -> None:
    ctx = node.step(note={"request_bytes": "many"})
    used = {"address": HOST, "port": 1, "tls": None}
    with pytest.raises(ValueError, match="int"):
        act_open_server(ctx, ("ok", {"id": "x", "options": used, "status": ("opening", None)}), {**used})  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="number"):
        act_add_route(ctx, ("ok", "x"), "s", route())  # type: ignore[arg-type]


# -- services --------------------------------------------------------------------------------------------------------


def test_a_service_is_asked_on_every_address_of_its_grant(node: Node) -> None:
    grant = parse({"listen": [f"{HOST}:0", "[::1]:*"]})

    told = serve(node.service, ACTOR, grant, False)

    assert told is not None
    assert isinstance(told.order, Open)
    assert [server.address for server in told.order.servers] == [HOST, "::1"]
    assert all(server.port > 0 and server.is_service for server in told.order.servers)
    node.service.told(ACTOR, told.order)
    node.service.confirmed(ACTOR, told.order)
    assert [what for what, *_ in node.listener.said] == ["open", "open"]
    assert node.service.shown(ACTOR)[0].startswith("listens on http://")


def test_a_service_whose_address_is_in_use_does_not_start(node: Node) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        grant = parse({"listen": [f"{HOST}:0", f"{HOST}:{port}"]})
        with pytest.raises(InvalidInput, match=f"{HOST}:{port}: it is in use"):
            serve(node.service, ACTOR, grant, False)
        assert node.service._reservations._taken == {}
        child = serve(node.service, ACTOR, grant, True)

        assert child is not None
        node.service.told(ACTOR, child.order)
        node.service.confirmed(ACTOR, child.order)
        assert any("cannot listen on" in line for line in node.service.shown(ACTOR))


def test_a_service_without_an_address_is_told_what_to_write(node: Node) -> None:
    with pytest.raises(InvalidInput, match=r"listen = \[\"127.0.0.1:8080\"\]"):
        serve(node.service, ACTOR, parse({}), False)
    assert serve(node.service, ACTOR, parse({}), True) is None


# -- the grant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "allowed", "refused"),
    [
        ("127.0.0.1:80", [("127.0.0.1", 80)], [("127.0.0.1", 81), ("127.0.0.1", 0), ("127.0.0.2", 80)]),
        ("127.0.0.1:0", [("127.0.0.1", 0)], [("127.0.0.1", 1)]),
        ("127.0.0.1:80-82", [("127.0.0.1", 80), ("127.0.0.1", 82)], [("127.0.0.1", 83), ("127.0.0.1", 0)]),
        ("127.0.0.1:*", [("127.0.0.1", 0), ("127.0.0.1", 65535)], [("0.0.0.0", 80), ("::", 80), ("10.0.0.1", 80)]),
        ("0.0.0.0:80", [("0.0.0.0", 80)], [("127.0.0.1", 80), ("::", 80)]),
        ("[0:0::1]:80", [("::1", 80)], [("::", 80), ("127.0.0.1", 80)]),
    ],
)
def test_an_item_allows_its_own_address_and_its_ports(
    text: str, allowed: list[tuple[str, int]], refused: list[tuple[str, int]]
) -> None:
    grant = parse({"listen": [text]})

    assert [grant.missing(*where) for where in allowed] == [None] * len(allowed)
    assert None not in [grant.missing(*where) for where in refused]


@pytest.mark.parametrize(
    "text",
    [
        *("", "8080", ":8080", "*:8080", "localhost:8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536"),
        *("127.0.0.1:-1", "127.0.0.1:2-1", "127.0.0.1:0-5", "127.0.0.1:x", "127.0.0.0/8:80", "::1:80", "[::1]"),
        *("[127.0.0.1]:80", "[fe80::1%lo]:80", "[::ffff:1.2.3.4]:80", "127.0.0.1:٣", "127.0.0.1:" + "9" * 5000),
    ],
)
def test_what_is_no_address_and_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidManifest, match=rf"\[capabilities.{NAME}\] listen"):
        parse({"listen": [text]})


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"lisen": []}, "did you mean 'listen'"),
        ({"listen": "127.0.0.1:1"}, "list of texts"),
        ({"listen": [f"127.0.0.1:{n}" for n in range(1, 258)]}, "256 items"),
        ({"servers": SERVERS_MAX + 1}, "servers: 64 is the most"),
        ({"routes": ROUTES_MAX + 1}, "routes: 1024 is the most"),
        ({"connections": CONNECTIONS_MAX + 1}, "connections: 10000 is the most"),
        ({"request": "65MiB"}, "request: 64MiB is the most"),
        ({"message": "65MiB"}, "message: 64MiB is the most"),
        ({"response-timeout": "25h"}, "response-timeout: 86400s is the most"),
        ({"servers": -1}, "servers"),
        ({"tls": ["a/b"]}, "names no certificate"),
        ({"tls": [""]}, "names no certificate"),
        ({"tls": {"a": {"certificate": "/etc/shadow"}}}, "list of texts"),
    ],
)
def test_a_table_that_cannot_be_names_its_key(table: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidManifest, match=why):
        parse(table)


def test_ports_of_two_grants_meet_where_both_have_them() -> None:
    narrowed = parse({"listen": ["127.0.0.1:80-90"]}).narrowed(parse({"listen": ["127.0.0.1:85-95", "[::1]:*"]}))

    assert narrowed.table()["listen"] == ["127.0.0.1:85-90"]


def test_an_address_is_normalised() -> None:
    assert str(parse_address("0::0:1")) == "::1"


def _connection(server: str) -> Connection:
    return Connection("d" * 32, server, "", "peer", "automatic", 1)
