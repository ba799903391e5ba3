"""What a client makes of servers that are none, or bad ones, and what it never tells them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.client.answering import Answering, answer, answering, document, problem
from theater.client import AsyncClient, Client, calls, exchange
from theater.errors import (
    Busy,
    Damaged,
    InternalError,
    InvalidInput,
    NoServer,
    NotFound,
    TheaterError,
    Unauthorized,
)
from theater.model import wire

TOKEN = "secret-" * 6
HEALTH = document(wire.Health())
EMPTY = hashlib.sha256(b"").hexdigest()


def asked(server: Answering, call: Callable[[Client], object] = Client.health) -> object:
    with Client(server.url, TOKEN) as client:
        return call(client)


def raised(script: bytes, call: Callable[[Client], object] = Client.health) -> TheaterError:
    with answering(script) as server, pytest.raises(TheaterError) as caught:
        asked(server, call)
    return caught.value


def test_an_answer_is_the_document_and_the_token_goes_with_the_question() -> None:
    with answering(HEALTH) as server:
        assert asked(server) == wire.Health()

    (request,) = server.asked
    assert request.line == "GET /healthz HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/json"
    assert request.headers["host"] == server.url.removeprefix("http://")
    assert request.headers["accept-encoding"] == "identity"


def test_without_a_token_none_is_sent() -> None:
    with answering(HEALTH) as server, Client(server.url) as client:
        client.health()

    assert "authorization" not in server.asked[0].headers


def test_nobody_there_is_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(NoServer, match="start one with: theater server"):
        client.health()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with answering(HEALTH) as elsewhere:
        error = raised(answer(b"", status=f"{status} Elsewhere", headers=f"Location: {elsewhere.url}/healthz\r\n"))
        assert elsewhere.asked == []

    assert isinstance(error, NoServer)
    assert str(status) in error.message


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(HEALTH) as server, answering(HEALTH) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        asked(server)

        assert proxy.asked == []


def test_a_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with answering(HEALTH) as server, Client(server.url) as client:
        client.health()

    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0" * 1000,
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        answer(b'{"status":"ok"', size=15),
        answer(b"", size=1),
        answer(b"<html>", media="text/html"),
        answer(b'{"status":"ok"}', media="text/plain"),
        answer(b"", status="204 No Content"),
        answer(b"no", status="500 Oh", media="text/plain"),
        answer(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n"),
    ],
    ids=range(18),
)
def test_what_is_no_answer_of_ours_is_no_server(script: bytes) -> None:
    assert isinstance(raised(script), NoServer)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"status":"no"}', b"\xff", b'{"status":"ok"} {}', b"[" * 100_000]
)
def test_a_document_that_is_none_is_a_bug_of_the_server(body: bytes) -> None:
    error = raised(answer(body))

    assert isinstance(error, InternalError)
    assert "127.0.0.1" in error.message


def test_a_value_that_is_no_text_is_not_handed_on() -> None:
    body = b'{"id":"%b","seq":1,"state":"\xff"}' % (b"a" * 32)

    assert isinstance(raised(answer(body), lambda client: client.state("a")), InternalError)


def test_what_a_later_version_adds_is_passed_over() -> None:
    with answering(answer(b'{"status":"ok","mood":"good"}')) as server:
        assert asked(server) == wire.Health()


def test_a_problem_is_the_error() -> None:
    error = raised(problem("not-found", 404, "no actor 'x'; did you mean 'y'?"), lambda client: client.actor("x"))

    assert isinstance(error, NotFound)
    assert error.message == "no actor 'x'; did you mean 'y'?"


def test_too_much_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ANSWER_MAX_BYTES", 1000)
    monkeypatch.setattr(exchange, "PROBLEM_MAX_BYTES", 1000)

    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" " * 65_536)

    with answering(endless) as server, pytest.raises(InternalError, match="more than 1000 bytes"):
        asked(server)
    assert isinstance(raised(answer(b"x" * 1001, status="500 Oh")), InternalError)


def sync_health(url: str) -> None:
    with Client(url) as client:
        client.health()


def async_health(url: str) -> None:
    async def ask() -> None:
        async with AsyncClient(url) as client:
            await client.health()

    asyncio.run(ask())


@pytest.mark.parametrize("ask", [sync_health, async_health])
@pytest.mark.parametrize("script", [b"", answer(b"", size=1), problem("busy", 503), problem("mailbox-full", 429)])
def test_nothing_is_asked_twice(ask: Callable[[str], None], script: bytes) -> None:
    with answering(script, HEALTH) as server:
        with pytest.raises(Busy):
            ask(server.url)
        assert len(server.asked) == 1


def test_nothing_is_asked_twice_where_a_connection_that_was_kept_breaks() -> None:
    def breaking(connection: socket.socket) -> None:
        connection.sendall(HEALTH.replace(b"Connection: close\r\n", b""))
        assert connection.recv(65_536).startswith(b"GET /healthz")

    with answering(breaking, HEALTH) as server, Client(server.url) as client:
        client.health()
        with pytest.raises(NoServer, match="not known"):
            client.health()
        assert len(server.asked) == 1


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "health", lambda: calls.Call("GET", "/healthz", wire.Health, timeout_s=0.05))

    with (
        answering(_wait) as server,
        pytest.raises(NoServer, match="silent for too long"),
    ):
        asked(server)


def _wait(connection: socket.socket) -> None:
    connection.recv(1)  # until the client closes


@pytest.mark.parametrize("token", ["", "a b", "a\n", "a\r\nX: y", "\u00e9"])
def test_a_token_that_is_none_is_not_sent(token: str) -> None:
    with answering(HEALTH) as server, Client(server.url, token) as client:
        with pytest.raises(InvalidInput, match="THEATER_TOKEN"):
            client.health()
        assert server.asked == []


@pytest.mark.parametrize("id", ["", ".", "..", "../gc", "a/b", "\udcff", "x" * 201])
def test_an_id_that_no_path_can_hold_names_nothing(id: str) -> None:
    with answering(HEALTH) as server:
        with pytest.raises(NotFound):
            asked(server, lambda client: client.remove(id))
        assert server.asked == []


@pytest.mark.parametrize("id", ["a?b", "a#b", "%2e%2e", "a b", "\u00e9", "a\r\nX: y"])
def test_an_id_stays_within_its_segment(id: str) -> None:
    with answering(problem("not-found", 404)) as server, pytest.raises(NotFound):
        asked(server, lambda client: client.remove(id))

    method, target, version = server.asked[0].line.split(" ")
    assert (method, version) == ("DELETE", "HTTP/1.1")
    path = httpx.URL(server.url + target).raw_path.decode()
    assert path.startswith("/v1/actors/")
    assert path.count("/") == 3
    assert not {"?", "#"} & set(target)


@pytest.mark.parametrize("digest", ["", "x", "A" * 64, "../../v1/node", "a" * 63])
def test_a_digest_that_is_none_is_not_asked_for(digest: str) -> None:
    with answering(HEALTH) as server:
        with pytest.raises(InvalidInput):
            asked(server, lambda client: client.blob(digest))
        assert server.asked == []


@pytest.mark.parametrize("key", ["", "a" * 256, "\u00e9", "a\nb", "a\x7f"])
def test_a_key_that_is_none_is_not_sent(key: str) -> None:
    with answering(HEALTH) as server:
        with pytest.raises(InvalidInput, match="idempotency key"):
            asked(server, lambda client: client.send("a", "1", key=key))
        assert server.asked == []


@pytest.mark.parametrize("timeout_s", [-1.0, float("nan"), float("inf"), 1e9])
def test_a_wait_that_is_none_is_refused(timeout_s: float) -> None:
    with answering(HEALTH) as server:
        with pytest.raises(InvalidInput, match="a wait of"):
            asked(server, lambda client: client.request("a", "1", timeout_s=timeout_s))
        assert server.asked == []


def test_a_component_that_is_another_is_not_handed_on() -> None:
    wrong = answer(b"other", media="application/octet-stream")
    right = answer(b"", media="application/octet-stream")

    assert isinstance(raised(wrong, lambda client: client.blob(EMPTY)), Damaged)
    with answering(right) as server:
        assert asked(server, lambda client: client.blob(EMPTY)) == b""


def test_a_head_without_words_says_what_its_status_says() -> None:
    def has(client: Client) -> bool:
        return client.has_blob(EMPTY)

    with answering(answer(b""), answer(b"", status="404 No")) as server, Client(server.url) as client:
        assert has(client) is True
        assert has(client) is False
    assert isinstance(raised(answer(b"", status="401 No"), has), Unauthorized)
    assert isinstance(raised(answer(b"", status="500 No"), has), NoServer)


def test_a_bundle_that_breaks_off_is_an_error() -> None:
    to = io.BytesIO()
    error = raised(answer(b"PK", media="application/zip", size=100), lambda client: client.bundle("a", to))

    assert isinstance(error, NoServer)
    assert "not known" in error.message


def test_a_page_of_actors_that_comes_again_is_the_last() -> None:
    page = document(wire.ActorPage(actors=[], next="a" * 32))
    with answering(page, page, page) as server, pytest.raises(InternalError, match="for ever"):
        asked(server, lambda client: list(client.actors()))


def test_a_page_of_events_that_leads_back_is_the_last() -> None:
    page = document(wire.EventPage(events=[], next=5))
    with answering(page, page, page) as server, pytest.raises(InternalError, match="for ever"):
        asked(server, lambda client: list(client.events("a")))


def test_a_limit_of_nothing_asks_nobody() -> None:
    with answering(HEALTH) as server:
        assert asked(server, lambda client: list(client.events("a", limit=0))) == []
        assert server.asked == []
