"""More than anybody should ask of a server, over real sockets: it stays small, serves the others, says no clearly."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.stage import Workshop
from tests.server.crowd import (
    crowd,
    head,
    memory_bytes,
    need_files,
    open_sockets,
    peak_bytes,
    wait_for_all,
    wait_until,
    wait_until_left,
)
from tests.server.desk import Desk
from tests.server.players import Players, peopled_server
from tests.server.process import PATIENCE_S, RunningServer, read_all
from tests.server.socket_desk import Served, served
from theater.server import body

pytestmark = pytest.mark.slow

MIB = 2**20
STREAMS = 1000
STREAM_MAX_BYTES = 200 * 2**10
"""What an idle stream may take in the server: a socket, a task, a reader of the chain."""
PROMPT_S = 5.0
"""However busy it is, one who asks for little does not wait longer."""

SSE = {"Accept": "text/event-stream"}


@pytest.fixture
def players(workshop: Workshop, tmp_path: Path) -> Iterator[Players]:
    """A server with a counter."""
    texts = (wat.COUNTER, wat.SILENT, wat.REMEMBER)
    with peopled_server(workshop, tmp_path, texts=texts) as (_, made):
        made.start(wat.COUNTER, "counter")
        yield made


@pytest.fixture
def server(players: Players) -> RunningServer:
    """That server."""
    return players.server


def play(desk: Desk, scene: Callable[[Served], Awaitable[None]], **bounds: float) -> None:
    """One scene, with the application behind a socket, and bounds that do not keep a test waiting."""

    async def whole() -> None:
        async with served(desk, **bounds) as server:
            await scene(server)

    desk.stage.run(whole())


def count(server: RunningServer) -> float:
    """How long the counter takes to answer."""
    begun = time.monotonic()
    answer = server.post("/v1/actors/counter/request", {"by": 1})
    assert answer.status == 200, answer
    return time.monotonic() - begun


# -- streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actors", [1, 40])
def test_a_thousand_idle_streams_cost_little_hear_everything_and_end_at_once(players: Players, actors: int) -> None:
    need_files(STREAMS)
    server = players.server
    names = ["counter", *(f"counter-{number}" for number in range(1, actors))]
    for name in names[1:]:
        players.start(wat.COUNTER, name)
    before = memory_bytes(server)
    with crowd(server, STREAMS) as streams:
        for number, stream in enumerate(streams):
            path = f"/v1/actors/{names[number % actors]}/events"
            stream.sendall(head(server, "GET", path, **SSE) + b"\r\n")
        wait_for_all(streams, b"\r\n: \n\n\r\n")

        assert memory_bytes(server) - before < STREAMS * STREAM_MAX_BYTES
        assert max(count(server) for _ in range(10)) < PROMPT_S
        wait_for_all(streams[::actors], b"event: event")
        assert "theater_http_streams 1000.0" in server.get("/metrics").body.decode()

        begun = time.monotonic()
        with ThreadPoolExecutor() as pool:
            stopping = pool.submit(server.stop)
            wait_for_all(streams, b'event: end\ndata: {"reason":"stopping"}\n\n')
            assert stopping.result() == 0
        assert time.monotonic() - begun < 2 * PROMPT_S


def test_streams_beyond_those_there_is_room_for_are_refused_and_the_others_go_on(players: Players) -> None:
    need_files(1600)
    server = players.server
    with crowd(server, 1600) as streams:
        for stream in streams:
            stream.sendall(head(server, "GET", "/v1/events", **SSE) + b"\r\n")
        heard = wait_for_all(streams, b"\r\n\r\n")
        begun = sum(said.startswith(b"HTTP/1.1 200 OK") for said in heard)
        refused = sum(said.startswith(b"HTTP/1.1 503 ") for said in heard)
        assert (begun >= 1500, begun + refused) == (True, 1600)
        assert refused > 0
        assert count(server) < PROMPT_S
    assert server.get("/v1/node").status == 200


# -- connections -----------------------------------------------------------------------------------------------------


def test_a_flood_of_connections_is_refused_clearly_and_passes(workshop: Workshop, tmp_path: Path) -> None:
    with peopled_server(workshop, tmp_path, "--max-connections", "100", texts=[wat.COUNTER]) as (server, players):
        players.start(wat.COUNTER, "counter")
        before, sockets = memory_bytes(server), open_sockets(server)
        for _ in range(5):
            with crowd(server, 600) as connections:
                refused = read_all(connections[150])
                assert refused.startswith(b"HTTP/1.1 503 ")
                assert b"retry-after: 1" in refused
                assert json.loads(refused.partition(b"\r\n\r\n")[2])["code"] == "busy"
            wait_until_left(server, sockets)
            count(server)
        assert memory_bytes(server) - before < 64 * MIB
        assert server.stop() == 0


def test_heads_and_bodies_that_trickle_are_given_up_and_slow_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "PATIENCE_S", 0.5)
    monkeypatch.setattr(body, "RATE_MIN_BYTES_S", 10_000)
    desk.start(wat.COUNTER)
    token = desk.local.headers["Authorization"]
    heads = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-"
    bodies = (
        f"POST /v1/actors/actor/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n"
        "Content-Length: 1000000\r\n\r\n["
    ).encode()

    async def trickle(server: Served, begun: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        answering = asyncio.ensure_future(reader.read(2**16))
        while not (await asyncio.wait((answering,), timeout=0.05))[0]:
            writer.write(b"1")
        writer.close()
        return answering.result()

    async def scene(server: Served) -> None:
        trickling = [asyncio.ensure_future(trickle(server, begun)) for begun in (heads, bodies) * 150]
        async with server.client() as client:
            for _ in range(20):
                (await client.post("/v1/actors/actor/request", json={"by": 1}, timeout=PROMPT_S)).raise_for_status()
        for answer in await asyncio.gather(*trickling):
            assert answer.startswith(b"HTTP/1.1 408 "), answer
        await all_left(server)

    play(desk, scene, head_s=0.5)


async def all_left(server: Served) -> None:
    """Wait until nobody is connected any more."""
    async with asyncio.timeout(PATIENCE_S):
        while server.connections.size:
            server.connections.gone.clear()
            await server.connections.gone.wait()
        if server.connections.tasks:
            await asyncio.wait(server.connections.tasks)


# -- readers ---------------------------------------------------------------------------------------------------------


def test_readers_of_large_answers_who_take_nothing_are_let_go_and_slow_nobody(desk: Desk) -> None:
    desk.start(wat.REMEMBER)
    desk.start(wat.COUNTER, "counter")
    noise = random.Random(1).randbytes(450_000).hex()  # of which a bundle is large as well
    for _ in range(12):
        assert desk.local.post("/v1/actors/actor/request", noise).status_code == 200
    paths = ("/v1/actors/actor/events?from=0", "/v1/events?from=0")
    asked = [("/v1/actors/actor/bundle", "*/*")]
    asked += [(path, kind) for path in paths for kind in ("*/*", "text/event-stream")] * 5

    async def scene(server: Served) -> None:
        readers = [await taking_nothing(server, path, kind) for path, kind in asked]
        async with server.client() as client:
            for _ in range(20):
                (await client.post("/v1/actors/counter/request", json={"by": 1}, timeout=PROMPT_S)).raise_for_status()
        await all_left(server)
        for reader in readers:
            reader.close()
        assert not desk.service.streams.taken
        assert not desk.service.outgoing.taken

    play(desk, scene, stalled_s=0.3, stuck_s=0.3)


def test_answers_that_nobody_takes_are_held_in_bounds_and_the_oldest_given_up_first(desk: Desk) -> None:
    desk.start(wat.REMEMBER)
    for _ in range(3):
        assert desk.local.post("/v1/actors/actor/request", "x" * 900_000).status_code == 200

    async def scene(server: Served) -> None:
        path = "/v1/actors/actor/events?from=0"
        readers = [await taking_nothing(server, path, "*/*") for _ in range(12)]
        async with asyncio.timeout(PATIENCE_S):
            while server.connections.size > 6:
                server.connections.gone.clear()
                await server.connections.gone.wait()
        for reader in readers:
            reader.settimeout(PATIENCE_S)
        oldest, latest = [await asyncio.to_thread(read_all, reader) for reader in (readers[0], readers[-1])]
        for reader in readers:
            reader.close()
        assert not oldest.endswith(b"}")
        assert latest.endswith(b"}")

    play(desk, scene, untaken_max_bytes=32 * MIB)


async def taking_nothing(server: Served, path: str, kind: str) -> socket.socket:
    """A connection whose answer has begun, and of which no more is read."""
    loop = asyncio.get_running_loop()
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await loop.sock_connect(made, ("127.0.0.1", server.port))
    token = server.desk.local.headers["Authorization"]
    lines = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nAccept: {kind}\r\n"
    await loop.sock_sendall(made, f"{lines}Connection: close\r\n\r\n".encode())
    assert await loop.sock_recv(made, 15) == b"HTTP/1.1 200 OK"
    return made


# -- bodies ----------------------------------------------------------------------------------------------------------


def test_endless_and_enormous_bodies_are_refused_and_held_in_bounds(server: RunningServer) -> None:
    before = memory_bytes(server)
    path = "/v1/actors/counter/send"
    chunked = head(server, "POST", path, Transfer_Encoding="chunked") + b"\r\n"
    declared = head(server, "POST", path, Content_Length=str(64 * MIB)) + b"\r\n"

    def endless(_number: int) -> bytes:
        with server.connection() as connection:
            return flooded(connection, chunked, b"100000\r\n" + b"[" * MIB + b"\r\n", times=1000)

    def enormous(_number: int) -> bytes:
        with server.connection() as connection:
            return flooded(connection, declared, b"[" * MIB, times=64)

    with ThreadPoolExecutor(24) as pool:
        said = [*pool.map(endless, range(12)), *pool.map(enormous, range(12))]
        quick = count(server)

    statuses = {int(answer.split(b" ", 2)[1]) for answer in said}
    assert statuses <= {400, 413, 503}, statuses
    assert quick < PROMPT_S
    assert peak_bytes(server) - before < 1024 * MIB
    assert server.stop() == 0
    assert " error " not in server.log


def flooded(connection: socket.socket, begun: bytes, piece: bytes, *, times: int) -> bytes:
    """What comes back while a request is sent piece by piece, until it is whole or the other end takes no more."""
    said: list[bytes] = []
    reading = threading.Thread(target=lambda: said.append(first_of(connection)))
    reading.start()
    try:
        connection.sendall(begun)
        for _ in range(times):
            connection.sendall(piece)
    except OSError:
        pass
    reading.join()
    return said[0]


def first_of(connection: socket.socket) -> bytes:
    """The beginning of an answer."""
    try:
        return connection.recv(2**16)
    except OSError as error:
        return str(error).encode()


# -- what is no request ----------------------------------------------------------------------------------------------

NO_REQUESTS = {
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "HTTP/3.7": b"GET /healthz HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "an SSH greeting": b"SSH-2.0-OpenSSH_9.6\r\n",
    "an SMTP greeting": b"EHLO example.org\r\n",
    "a proxy header": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "NUL": b"\0" * 5000,
    "noise": bytes(range(255, -1, -1)) * 20,
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "two lengths": b"POST /v1/gc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a length and chunks": b"POST /v1/gc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /v1/gc HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a target that is another's": b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a line end in a target": b"GET /healthz\rX: y HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.fixture(scope="module")
def target(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that all of them are said to."""
    with peopled_server(workshop, tmp_path_factory.mktemp("target")) as (server, _):
        yield server
        assert server.stop() == 0
        assert " error " not in server.log


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_what_is_no_request_is_refused_as_a_problem_and_the_connection_closed(
    target: RunningServer, sent: bytes
) -> None:
    with target.connection() as connection:
        connection.sendall(sent)
        with connection.makefile("rb") as file:
            start = b"".join(iter(file.readline, b"\r\n"))
            document = file.read(int(start.partition(b"content-length: ")[2].partition(b"\r")[0]))

    assert start[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.1 505 "), start
    assert b"application/problem+json" in start
    assert json.loads(document)["code"] in ("bad-request", "wrong-version")


@pytest.mark.parametrize("sent", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_nonsense_behind_requests_keeps_none_of_them_from_its_answer(target: RunningServer, sent: bytes) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with target.connection() as connection:
        connection.sendall(health * 3 + sent)
        said = b""
        while said.count(b"HTTP/1.1 200 OK") < 3:
            said += (more := connection.recv(2**16))
            assert more, said


# -- who goes away, and who comes again ------------------------------------------------------------------------------


def test_five_hundred_who_leave_in_the_middle_leave_nothing_behind(players: Players) -> None:
    server = players.server
    players.start(wat.SILENT, "silent")
    waits = head(server, "POST", "/v1/actors/silent/request", Content_Length="1") + b"\r\n1"
    beginnings = [
        waits,
        head(server, "POST", "/v1/actors/counter/send", Content_Length="1000") + b"\r\n[",
        head(server, "GET", "/v1/events?from=0", **SSE) + b"\r\n",
        head(server, "GET", "/v1/actors/counter/bundle") + b"\r\n",
        waits[:30],
    ]

    def leave(number: int, sockets: int) -> None:
        with crowd(server, number) as connections:
            for place, connection in enumerate(connections):
                connection.sendall(beginnings[place % len(beginnings)])
            assert count(server) < PROMPT_S
        wait_until_left(server, sockets)

    sockets = open_sockets(server)
    leave(100, sockets)
    before = memory_bytes(server)
    leave(500, sockets)

    assert memory_bytes(server) - before < 64 * MIB
    wait_until(lambda: server.get("/v1/actors/silent").document["deferred"] == 0, "requests are put off for nobody")
    assert "theater_http_streams 0.0" in server.get("/metrics").body.decode()
    assert server.stop() == 0
    assert " error " not in server.log


def test_two_hundred_requests_under_one_key_are_one(server: RunningServer) -> None:
    def ask(_number: int) -> tuple[int, bytes]:
        answer = server.post("/v1/actors/counter/request", {"by": 7}, headers={"Idempotency-Key": "the same"})
        return answer.status, answer.body

    with ThreadPoolExecutor(200) as pool:
        answers = set(pool.map(ask, range(200)))

    assert len(answers) == 1
    (status, answer) = answers.pop()
    assert (status, json.loads(answer)["reply"]) == (200, {"count": 7})
    assert server.post("/v1/actors/counter/request", {"by": 0}).document["reply"] == {"count": 7}
