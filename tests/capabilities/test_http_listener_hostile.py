"""Clients that mean harm, or know no better: each costs what the bounds say, and no front sees what is ambiguous."""

from __future__ import annotations

import random
import re
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.capabilities.listening import PATIENCE_S, Play, PlayedFront, playing, rest, until
from theater.capabilities.http_front import Answer, Head
from theater.capabilities.http_listener.bounds import Bounds
from theater.capabilities.http_listener.protocol import REFUSED_MAX

LATE_S = 0.03
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", *lines, b"", body])


def answers(said: bytes) -> int:
    return len(re.findall(rb"HTTP/1\.1 \d", said))


def is_seen(play: Play) -> bool:
    return any(head.path == "/smuggled" for head in play.front.heads)


@pytest.mark.parametrize(
    "sent",
    [
        post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Content-Length: 0", b"Content-Length: 37", body=SMUGGLED),
        post(b"Content-Length: 37", b"Content-Length: 0", body=SMUGGLED),
        post(b"Content-Length: 0, 37", body=SMUGGLED),
        post(b"Content-Length: +0", body=SMUGGLED),
        post(b"Content-Length: -1", body=SMUGGLED),
        post(b"Content-Length: 0x0", body=SMUGGLED),
        post(b"Content-Length: ", body=SMUGGLED),
        post(b"Content-Length: 99999999999999999999999999", body=SMUGGLED),
        post(b"Content-Length : 0", body=SMUGGLED),
        post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: identity", body=SMUGGLED),
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding:\x0bchunked", body=b"0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"g\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"1" * 40 + b"\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"1\r\nab\r\n0\r\n\r\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"1\na\n0\n\n" + SMUGGLED),
        post(b"Transfer-Encoding: chunked", body=b"0\r\nX-Trailer: a\r\n\r\n" + SMUGGLED),
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        post(b"Host: y", body=SMUGGLED),
        b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: a\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rX: c\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/1.1\nHost: x\n\n" + SMUGGLED,
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n" + SMUGGLED,
        b"GET / HTTP/0.9\r\nHost: x\r\n\r\n" + SMUGGLED,
        b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
        b"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
        b"CONNECT y:80 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
        b"G\xc3\x84T / HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SMUGGLED,
    ],
)
def test_what_two_could_read_in_two_ways_is_refused(sent: bytes) -> None:
    with playing() as play:
        said = play.say(sent)
        assert answers(said) == 1
        assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
        assert b"connection: close\r\n" in said
        assert not is_seen(play)
        assert play.front.bodies == []


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 6 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 600 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 600_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"b" * 600_000, 431),
    ],
)
def test_a_head_is_taken_up_to_its_bounds(sent: bytes, status: int) -> None:
    with playing(bounds=Bounds(target_max_bytes=100, head_max_bytes=500, headers_max=5)) as play:
        assert play.say(sent).startswith(f"HTTP/1.1 {status} ".encode())
        assert play.front.heads == []


def test_a_head_that_does_not_arrive_in_time_is_refused() -> None:
    with playing(bounds=Bounds(head_s=LATE_S)) as play:
        assert play.say(b"GET / HTTP/1.1\r\n").startswith(b"HTTP/1.1 408 ")
        assert play.say() == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_arrive_in_time_is_refused(framing: bytes) -> None:
    with playing(bounds=Bounds(body_s=LATE_S)) as play, play.connect() as connection:
        connection.sendall(post(framing, body=b"5\r\nab"))
        assert until(connection, b"in time\n").startswith(b"HTTP/1.1 408 ")
        assert play.front.bodies == []


def test_a_body_in_tiny_chunks_is_refused_for_its_framing() -> None:
    front = PlayedFront(body_max_bytes=2**30)
    with playing(front) as play:
        said = play.say(post(b"Transfer-Encoding: chunked", body=(b"1;" + b"x" * 2**16 + b"\r\n") * 40))
        assert said == b"" or said.startswith(b"HTTP/1.1 400 ")
        assert front.bodies == []


def test_a_client_that_leaves_in_its_body_leaves_nothing() -> None:
    with playing() as play:
        with play.connect() as connection:
            connection.sendall(post(b"Content-Length: 10", body=b"half"))
        assert play.say(LAST).endswith(b"GET / 0")
        assert play.front.bodies == [b""]


def test_a_client_that_does_not_read_its_answer_is_cut_off_and_slows_nobody() -> None:
    async def answering(head: Head, _body: bytes) -> Answer:
        return Answer(200, (), b"x" * 30_000_000 if head.path == "/large" else b"small")

    front = PlayedFront(answering=answering)
    with playing(front, Bounds(stalled_s=LATE_S)) as play, play.connect() as connection:
        connection.sendall(GET.replace(b" / ", b" /large "))
        assert connection.recv(1)
        assert play.say(LAST).endswith(b"small")
        deadline = time.monotonic() + PATIENCE_S
        while play.listener.connections > 1:
            assert time.monotonic() < deadline
            assert play.say(LAST).endswith(b"small")
        assert len(rest(connection)) < 30_000_000


@pytest.mark.slow
def test_answers_that_nobody_reads_are_given_up_when_they_are_too_many() -> None:
    async def answering(_head: Head, _body: bytes) -> Answer:
        return Answer(200, (), b"x" * 20_000_000)

    bounds = Bounds(untaken_max_bytes=50_000_000)
    with playing(PlayedFront(answering=answering), bounds) as play, ExitStack() as closing:
        connections = [closing.enter_context(play.connect()) for _ in range(3)]
        for connection in connections:
            connection.sendall(LAST)
            until(connection, b"\r\n\r\n")
        sizes = [len(rest(connection)) for connection in connections]

    assert sizes[0] < 20_000_000
    assert sizes[2] == 20_000_000


def test_one_connection_too_many_is_told_so_and_closed() -> None:
    with playing(bounds=Bounds(connections_max=2)) as play, ExitStack() as closing:
        kept = [closing.enter_context(play.connect()) for _ in range(2)]
        for connection in kept:
            connection.sendall(GET)
            until(connection, b"GET / 0")
        said = play.say()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in said
        kept[0].sendall(LAST)
        assert rest(kept[0]).endswith(b"GET / 0")


def test_who_floods_one_server_leaves_room_for_the_others() -> None:
    with playing(bounds=Bounds(connections_max=3, connections_of_server_max=1)) as play, play.connect() as kept:
        kept.sendall(GET)
        until(kept, b"GET / 0")
        assert play.say().startswith(b"HTTP/1.1 503 ")


@pytest.mark.slow
def test_a_thousand_idle_connections_leave_a_server_to_those_who_ask() -> None:
    bounds = Bounds(connections_max=1100, connections_of_server_max=1100, head_s=PATIENCE_S * 6)
    with playing(bounds=bounds) as play, ExitStack() as closing:
        idle = [closing.enter_context(play.connect()) for _ in range(1000)]
        begun = time.monotonic()
        for _ in range(20):
            assert play.say(LAST).endswith(b"GET / 0")
        assert time.monotonic() - begun < 2
        idle[0].sendall(LAST)
        assert rest(idle[0]).endswith(b"GET / 0")


@pytest.mark.slow
def test_connections_far_beyond_the_most_are_closed_without_a_word() -> None:
    with playing(bounds=Bounds(connections_max=1)) as play:
        with ExitStack() as closing:
            made = [closing.enter_context(play.connect()) for _ in range(REFUSED_MAX + 20)]
            said = [rest(connection) for connection in made[1:]]
        assert any(answer == b"" for answer in said)
        assert any(answer.startswith(b"HTTP/1.1 503 ") for answer in said)


def test_requests_beyond_what_may_be_sent_ahead_are_refused() -> None:
    with playing() as play:
        said = play.say(GET * 40)

    assert answers(said) <= 18


def test_a_request_behind_one_that_ends_the_connection_is_not_answered() -> None:
    with playing() as play:
        said = play.say(LAST + SMUGGLED)
        assert answers(said) == 1
        assert not is_seen(play)


def test_no_nonsense_breaks_anything() -> None:
    chance = random.Random(7)
    pieces = [
        b"GET ",
        b"POST ",
        b"/",
        b"/a?b ",
        b" HTTP/1.1\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Host: x\r\n",
        b"\n",
        b"\x00",
        b"\xff",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: Upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"Expect: 100-continue\r\n",
        b"\x81\x83\x00\x00\x00\x00abc",
        b"\x88\x80\x00\x00\x00\x00",
        LAST,
    ]
    with playing(bounds=Bounds(head_s=1.0)) as play:
        for _ in range(300):
            with play.connect() as connection:
                connection.sendall(b"".join(chance.choices(pieces, k=chance.randint(1, 20))))
        assert play.say(LAST).endswith(b"GET / 0")


def test_bounds_are_values() -> None:
    assert replace(Bounds(), connections_max=7).of_connection.connections_max == 7
