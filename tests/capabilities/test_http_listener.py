"""Requests to the servers of actors, over real sockets: what a front gets to see, and what comes of its answers."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from tests.capabilities.listening import PATIENCE_S, SERVER, Gate, Play, PlayedFront, playing, rest, until
from theater.capabilities.http_front import Admission, Answer, Head
from theater.capabilities.http_listener.bounds import Bounds
from theater.errors import InternalError

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def ask(play: Play, method: str, path: str, **more: object) -> httpx.Response:
    with httpx.Client(timeout=PATIENCE_S) as client:
        return client.request(method, play.origin + path, **more)  # type: ignore[arg-type]  # as httpx takes them


def answered(answer: Answer, method: str = "GET") -> httpx.Response:
    async def answering(_head: Head, _body: bytes) -> Answer:
        return answer

    with playing(PlayedFront(answering=answering)) as play:
        return ask(play, method, "/")


def test_a_front_sees_a_request_as_it_was_sent() -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(
            b"PUT /a%20b/%C3%A4?q=%31&&x HTTP/1.1\r\nHOST: Example.org:1\r\nX-Text: h\xc3\xa4\r\nX-Old: h\xe4\r\n"
            b"x-text: again\r\nContent-Length: 4\r\n\r\nbody"
        )
        assert until(connection, b"PUT /a%20b/%C3%A4 4").startswith(b"HTTP/1.1 200 OK\r\n")
        host, port = connection.getsockname()

    assert play.front.heads == [
        Head(
            server=SERVER,
            method="PUT",
            authority="Example.org:1",
            path="/a%20b/%C3%A4",
            query="q=%31&&x",
            headers=(
                ("host", "Example.org:1"),
                ("x-text", "hä"),
                ("x-old", "hä"),
                ("x-text", "again"),
                ("content-length", "4"),
            ),
            peer=f"{host}:{port}",
        )
    ]
    assert play.front.bodies == [b"body"]


@pytest.mark.parametrize(("target", "path", "query"), [("/", "/", None), ("/?", "/", ""), ("/??", "/", "?")])
def test_a_query_that_is_empty_is_told_from_none(target: str, path: str, query: str | None) -> None:
    with playing() as play:
        play.say(LAST.replace(b"GET /", b"GET " + target.encode()))

    assert (play.front.heads[0].path, play.front.heads[0].query) == (path, query)


def test_an_answer_has_what_its_front_said_and_nothing_that_tells_of_the_server() -> None:
    response = answered(Answer(201, (("X-A", "ä"), ("set-cookie", "a=1"), ("set-cookie", "b=2")), b"made"))

    assert response.status_code == 201
    assert response.content == b"made"
    assert [name for name, _ in response.headers.raw] == [
        b"x-a",
        b"set-cookie",
        b"set-cookie",
        b"date",
        b"content-length",
    ]
    assert response.headers.raw[0][1] == "ä".encode()


def test_what_speaks_of_the_connection_is_the_listeners_own() -> None:
    names = ("Content-Length", "Connection", "Transfer-Encoding", "Date", "Upgrade", "Keep-Alive", "Trailer", "TE")
    response = answered(Answer(200, tuple((name, "7") for name in names), b"body"))

    assert sorted(response.headers) == ["content-length", "date"]
    assert response.headers["content-length"] == "4"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.headers["date"])


@pytest.mark.parametrize(
    ("answer", "method", "length"),
    [
        (Answer(200, (), b"body"), "HEAD", "4"),
        (Answer(200), "HEAD", None),
        (Answer(200), "GET", "0"),
        (Answer(204, (), b"none of it"), "GET", None),
        (Answer(304, (), b"none of it"), "GET", None),
    ],
)
def test_an_answer_without_a_body_has_none(answer: Answer, method: str, length: str | None) -> None:
    async def answering(_head: Head, _body: bytes) -> Answer:
        return answer

    with playing(PlayedFront(answering=answering)) as play:
        said = play.say(LAST.replace(b"GET", method.encode()))

    head, _, body = said.partition(b"\r\n\r\n")
    assert body == b""
    assert dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:]).get(b"content-length") == (
        None if length is None else length.encode()
    )


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, (("x-a", "b\r\nx-injected: c"),)),
        Answer(200, (("x-a", "b\nc"),)),
        Answer(200, (("x-a", "b\x00c"),)),
        Answer(200, (("x-a\r\nx-injected", "b"),)),
        Answer(200, (("x a", "b"),)),
        Answer(200, (("x:a", "b"),)),
        Answer(200, (("", "b"),)),
        Answer(200, (("x-ä", "b"),)),
        Answer(200, (("x-a", "\ud800"),)),
        Answer(100),
        Answer(101),
        Answer(600),
        Answer(-1),
    ],
)
def test_an_answer_that_http_does_not_have_is_never_sent(answer: Answer) -> None:
    async def answering(_head: Head, _body: bytes) -> Answer:
        return answer

    with playing(PlayedFront(answering=answering)) as play:
        said = play.say(LAST)
        assert said.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"injected" not in said
        assert isinstance(play.reports.pop(), InternalError)


def test_a_front_that_fails_is_reported_and_its_client_gets_500() -> None:
    async def failing(_head: Head, _body: bytes) -> Answer:
        raise ValueError("answering")

    def failing_early(_head: Head) -> Admission:
        raise ValueError("admitting")

    async def exiting(_head: Head, _body: bytes) -> Answer:
        raise SystemExit(3)

    with playing(PlayedFront(answering=failing)) as play:
        assert ask(play, "GET", "/").status_code == 500
        play.front.answering = exiting
        assert ask(play, "GET", "/").status_code == 500
        play.front.admitting = failing_early
        response = ask(play, "GET", "/")
        assert response.status_code == 500
        assert "admitting" not in response.text
        assert [str(error) for error in play.reports] == ["answering", "3", "admitting"]
        play.reports.clear()


def test_a_request_that_is_not_admitted_is_answered_before_its_body_is_read() -> None:
    front = PlayedFront(admitting=lambda _head: Answer(404, (), b"nothing here"))
    with playing(front) as play, play.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
        said = until(connection, b"nothing here")

    assert said.startswith(b"HTTP/1.1 404 ")
    assert b"100 Continue" not in said
    assert front.bodies == []


def test_a_client_that_asks_first_is_told_to_send_its_body() -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert rest(connection).endswith(b"POST / 4")


@pytest.mark.parametrize(("size", "status"), [(999, 200), (1000, 200), (1001, 413), (10**9, 413)])
def test_a_body_is_taken_up_to_its_bound(size: int, status: int) -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        connection.sendall(b"b" * min(size, 1001))
        assert until(connection, b"\r\n\r\n").startswith(f"HTTP/1.1 {status} ".encode())

    assert [len(body) for body in play.front.bodies] == ([size] if status == 200 else [])


@pytest.mark.parametrize(("chunks", "status"), [(10, 200), (11, 413), (10_000, 413)])
def test_a_chunked_body_is_taken_up_to_its_bound(chunks: int, status: int) -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall((b"64\r\n" + b"b" * 100 + b"\r\n") * chunks + b"0\r\n\r\n")
        assert until(connection, b"\r\n\r\n").startswith(f"HTTP/1.1 {status} ".encode())

    assert [len(body) for body in play.front.bodies] == ([chunks * 100] if status == 200 else [])


def test_bodies_of_all_connections_share_a_room() -> None:
    gate = Gate()

    async def answering(_head: Head, _body: bytes) -> Answer:
        await gate.passed()
        return Answer(200)

    with playing(PlayedFront(answering=answering), Bounds(held_max_bytes=150)) as play, play.connect() as first:
        first.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"b" * 100)
        assert gate.reached.wait(PATIENCE_S)
        assert ask(play, "POST", "/", content=b"b" * 51).status_code == 503
        gate.let_go()
        assert until(first, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert ask(play, "POST", "/", content=b"b" * 150).status_code == 200


def test_requests_on_one_connection_are_answered_in_their_order() -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(b"".join(GET.replace(b" / ", f" /{number} ".encode()) for number in range(5)) + LAST)
        said = rest(connection)

    assert re.findall(rb"GET (\S+) 0", said) == [b"/0", b"/1", b"/2", b"/3", b"/4", b"/"]
    assert [head.path for head in play.front.heads] == ["/0", "/1", "/2", "/3", "/4", "/"]


def test_nobody_works_for_a_client_that_has_gone() -> None:
    gate = Gate()

    async def answering(_head: Head, _body: bytes) -> Answer:
        await gate.passed()
        return Answer(200)

    with playing(PlayedFront(answering=answering)) as play:
        with play.connect() as connection:
            connection.sendall(GET)
            assert gate.reached.wait(PATIENCE_S)
        assert gate.left.wait(PATIENCE_S)
        gate.let_go()
        play.front.answering = None
        assert ask(play, "GET", "/").status_code == 200


def test_a_client_whose_answer_was_given_up_by_the_front_gets_503() -> None:
    async def answering(_head: Head, _body: bytes) -> Answer:
        raise asyncio.CancelledError

    with playing(PlayedFront(answering=answering)) as play:
        assert ask(play, "GET", "/").status_code == 503


def test_a_connection_is_kept_for_a_while_and_then_closed() -> None:
    with playing(bounds=Bounds(keep_alive_s=0.05)) as play, play.connect() as connection:
        connection.sendall(GET)
        assert rest(connection).endswith(b"GET / 0")


def test_http_1_0_is_answered_and_its_connection_closed() -> None:
    with playing() as play:
        assert play.say(b"GET / HTTP/1.0\r\n\r\n").endswith(b"GET / 0")

    assert play.front.heads[0].authority == ""


def test_another_upgrade_than_to_a_websocket_is_not_made() -> None:
    asked = GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")
    with playing() as play:
        said = play.say(asked + b"PRI * HTTP/2.0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in said


def test_a_path_with_two_slashes_stays_one() -> None:
    with playing() as play:
        said = play.say(LAST.replace(b" / ", b" /a//b/../c "))

    assert said.startswith(b"HTTP/1.1 200 ")
    assert play.front.heads[0].path == "/a//b/../c"
