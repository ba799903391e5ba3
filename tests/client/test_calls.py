"""The client asks for what there is, in the words that the server has, and leaves nothing out."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.client.answering import Asked, answer, answering
from theater.client import AsyncClient, Client
from theater.errors import NoServer
from theater.model import wire
from theater.server.endpoint import JSON, Endpoint
from theater.server.routes import ENDPOINTS

ID = "a" * 32
DIGEST = "b" * 64
NAMES = {name for name in dir(Client) if not name.startswith("_")}
AROUND = {"at", "close", "url"}  # of the client itself: nothing is asked

ASKING: dict[str, Callable[[Client], object]] = {
    "actor": lambda client: client.actor(ID),
    "actors": lambda client: list(client.actors("running", ID)),
    "blob": lambda client: client.blob(DIGEST),
    "bundle": lambda client: client.bundle(ID, io.BytesIO()),
    "close_channel": lambda client: client.close_channel(ID),
    "collect": lambda client: client.collect(),
    "events": lambda client: client.events(ID, 1, "log", 2),
    "follow": lambda client: client.follow(ID, 3),  # looks at the actor first
    "follow_node": lambda client: next(client.follow_node(0)),
    "fork": lambda client: client.fork(ID, wire.ForkOrder(at=1)),
    "has_blob": lambda client: client.has_blob(DIGEST),
    "health": lambda client: client.health(),
    "hear": lambda client: client.hear(ID, 2.5),
    "import_bundle": lambda client: client.import_bundle(Path(__file__)),
    "metrics": lambda client: client.metrics(),
    "node": lambda client: client.node(),
    "node_events": lambda client: client.node_events(1, 2),
    "open_channel": lambda client: client.open_channel(ID, "{}"),
    "openapi": lambda client: client.openapi(),
    "pause": lambda client: client.pause(ID),
    "put_blob": lambda client: client.put_blob(b"x"),
    "remove": lambda client: client.remove(ID, tree=True),
    "request": lambda client: client.request(ID, b"{}", timeout_s=0.25, key="k"),
    "restart": lambda client: client.restart(ID, from_init=True),
    "resume": lambda client: client.resume(ID),
    "say": lambda client: client.say(ID, "{}"),
    "send": lambda client: client.send(ID, "{}", key="k"),
    "send_and_wait": lambda client: client.send_and_wait(ID, "{}"),
    "start": lambda client: client.start(wire.StartOrder(manifest="", component=DIGEST)),
    "state": lambda client: client.state(ID, 4),
    "stop": lambda client: client.stop(ID, now=True),
    "upgrade": lambda client: client.upgrade(ID, DIGEST),
}


def asked_by(name: str) -> list[Asked]:
    """What a method asks first; with ``put_blob``, which looks whether it is there, also what it asks then."""
    with answering(answer(b"", status="404 No")) as server, Client(server.url, "t") as client, suppress(NoServer):
        ASKING[name](client)
    assert server.asked
    return server.asked


def endpoint_of(request: Asked) -> Endpoint:
    path = urlsplit(request.target).path
    method = "GET" if request.method == "HEAD" else request.method
    (found,) = (
        endpoint
        for endpoint in ENDPOINTS
        if endpoint.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", endpoint.path), path)
    )
    return found


def test_every_method_is_looked_at_here() -> None:
    assert set(ASKING) == NAMES - AROUND


@pytest.mark.parametrize("name", sorted(ASKING))
def test_a_method_asks_for_what_the_server_has(name: str) -> None:
    for request in asked_by(name):
        endpoint = endpoint_of(request)
        query = [key for key, _ in parse_qsl(urlsplit(request.target).query, keep_blank_values=True)]
        known = {(parameter.place, parameter.name.lower()) for parameter in endpoint.parameters}
        assert {("query", key) for key in query} <= known
        own = {key for key in request.headers if key in ("idempotency-key", "last-event-id")}
        assert {("header", key) for key in own} <= known
        media = {*(kind for answer in endpoint.answers for kind in answer.media), JSON}
        assert request.headers["accept"] in media
        media_of_body = endpoint.body.media if endpoint.body is not None and request.method != "HEAD" else None
        assert request.headers.get("content-type") == media_of_body


def test_no_endpoint_is_left_out() -> None:
    found = {endpoint_of(request).operation for name in ASKING for request in asked_by(name)}

    assert found == {endpoint.operation for endpoint in ENDPOINTS}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_both_clients_take_the_same(name: str) -> None:
    one, other = inspect.getattr_static(Client, name), inspect.getattr_static(AsyncClient, name)
    if isinstance(one, property):
        assert isinstance(other, property)
        return
    one, other = (getattr(item, "__func__", item) for item in (one, other))

    assert inspect.signature(one).parameters == inspect.signature(other).parameters


def test_neither_client_has_more_than_the_other() -> None:
    assert {name for name in dir(AsyncClient) if not name.startswith("_")} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_method_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(getattr(Client, name))
