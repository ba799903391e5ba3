"""The guest SDK's HTTP servers, in a rehearsal: what a handler is given, and what a client gets of what it returns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from theater_sdk import NO_REPLY, Actor, CallFailed, Message, Refuse, http_server
from theater_sdk.testing import Rehearsal


class Desk(Actor):
    """Does what its messages and tags say."""

    def init(self, params: Any) -> Any:  # noqa: ANN401 - any JSON
        server = http_server.open_server("127.0.0.1", params.get("port", 0))
        http_server.add_route(server.id, "/a/{x}", methods=["GET"], tag="a", max_body_bytes=5)
        http_server.add_websocket(server.id, "/ws", protocols=["v1"])
        http_server.add_middleware(server.id, "/a", tag="m")
        return {"server": server.id, "heard": []}

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        match message.body:
            case {"answer": id}:
                http_server.respond(id, http_server.text("late", 202))
                return state, None
            case {"say": id, "what": what}:
                http_server.send_websocket(id, what)
            case {"close": id}:
                http_server.close_websocket(id, 3000, "enough")
            case {"remove": id}:
                http_server.remove_route(state["server"], id)
            case "again":
                http_server.open_server("127.0.0.1", 8080)
            case "down":
                http_server.close_server(state["server"])
        routes = [[each.kind, each.path, each.tag, *each.methods] for each in http_server.routes(state["server"])]
        return state, routes

    def http_request(self, state: Any, request: http_server.Request) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        match request.tag:
            case "later":
                state["heard"].append(request.id)
                return state, NO_REPLY
            case "no":
                raise Refuse("the reason")
            case "bytes":
                return state, request.content
            case "value":
                return state, {"got": request.json(), "x": request.parameters["x"], "h": request.header("X-Y")}
            case "one":
                return state  # type: ignore[no-any-return]  # the mistake that the test is about
        return state, http_server.Answer(204)

    def http_middleware(self, state: Any, request: http_server.Request) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        return state, replace(request, path="/b")

    def websocket_opened(self, state: Any, opening: http_server.WebSocketOpening) -> Any:  # noqa: ANN401 - any JSON
        if opening.path != "/ws":
            raise Refuse("not there")
        http_server.send_websocket(opening.connection, b"\x00")
        return state

    def websocket_message(self, state: Any, connection_id: str, message: bytes | str) -> Any:  # noqa: ANN401 - any JSON
        state["heard"].append([connection_id, message if isinstance(message, str) else list(message)])
        return state

    def websocket_closed(self, state: Any, connection_id: str, code: int, reason: str) -> Any:  # noqa: ANN401 - any JSON
        state["heard"].append([code, reason])
        return state


@pytest.fixture
def desk() -> Rehearsal:
    return Rehearsal(Desk)


def test_a_server_is_opened_once_and_its_routes_are_listed(desk: Rehearsal) -> None:
    assert desk.request("routes") == [
        ["route", "/a/{x}", "a", "GET"],
        ["websocket", "/ws", ""],
        ["middleware", "/a", "m"],
    ]
    [opened] = desk.calls_of("open_server")
    assert opened["options"] == {"address": "127.0.0.1", "port": 0, "tls": None}
    with pytest.raises(CallFailed, match="address-in-use"):
        desk.request("again")
    with pytest.raises(CallFailed, match="unknown-server"):
        desk.request("down")
    with pytest.raises(CallFailed, match="unknown-route"):
        desk.request({"remove": "0" * 32})


def test_what_a_handler_returns_is_an_answer(desk: Rehearsal) -> None:
    answer = desk.ask("POST", "/a/b", {"k": 1}, tag="value", parameters={"x": "b"}, headers={"X-y": "z"})
    assert answer == http_server.Answer(200, '{"got":{"k":1},"x":"b","h":"z"}', [("content-type", "application/json")])
    assert desk.ask("GET", "/", b"\xff", tag="bytes") == http_server.Answer(200, b"\xff", [])
    assert desk.ask("GET", "/") == http_server.Answer(204, None, [])
    with pytest.raises(Refuse):
        desk.ask("GET", "/", tag="no")
    with pytest.raises(TypeError, match=r"Desk.http_request\(\) returned one value, of type dict"):
        desk.ask("GET", "/", tag="one")


def test_an_answer_that_is_put_off_is_given_later_and_once(desk: Rehearsal) -> None:
    assert desk.ask("GET", "/", tag="later") is None
    [id] = desk.state["heard"]

    desk.request({"answer": id})

    assert desk.answered == {id: http_server.Answer(202, "late", [])}
    with pytest.raises(CallFailed, match="unknown-request"):
        desk.request({"answer": id})


def test_a_websocket_is_opened_heard_and_closed(desk: Rehearsal) -> None:
    connection = desk.open_websocket("/ws")
    desk.say_websocket(connection, "hello")
    desk.say_websocket(connection, b"\x01")
    desk.request({"say": connection, "what": "you"})

    assert desk.said(connection) == [b"\x00", "you"]
    assert desk.state["heard"] == [[connection, "hello"], [connection, [1]]]
    desk.close_websocket(connection, 1001, "bye")
    assert desk.state["heard"][-1] == [1001, "bye"]
    with pytest.raises(CallFailed, match="unknown-connection"):
        desk.request({"say": connection, "what": "gone"})


def test_an_actor_closes_a_websocket_and_refuses_one(desk: Rehearsal) -> None:
    connection = desk.open_websocket("/ws")
    desk.request({"close": connection})
    with pytest.raises(CallFailed, match="unknown-connection"):
        desk.request({"close": connection})
    with pytest.raises(Refuse):
        desk.open_websocket("/else")

    assert [call["code"] for call in desk.calls_of("close_websocket")] == [3000]
    assert len(desk.calls_of("send_websocket")) == 1


def test_a_step_that_fails_opens_nothing() -> None:
    class Broken(Actor):
        def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
            if message.body == "open":
                http_server.open_server("127.0.0.1", 1)
                raise Refuse("no")
            return state, len(http_server.servers())

    broken = Rehearsal(Broken)
    with pytest.raises(Refuse):
        broken.request("open")

    assert broken.request("count") == 0


def test_what_the_test_says_is_answered() -> None:
    with pytest.raises(CallFailed, match="denied"):
        Rehearsal(Desk, answers={"open_server": CallFailed("denied", "no")})
