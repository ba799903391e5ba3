"""What one connection may cost, on a real socket, with bounds so small that nobody has to wait."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from theater.capabilities.http_listener.protocol import (
    REFUSED_MAX,
    BoundedProtocol,
    ConnectionBounds,
    Connections,
)
from theater.server.refusal import refusal

LATE_S = 0.02
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENCE_S = 10.0

SMALL = ConnectionBounds(
    connections_max=3,
    target_max_bytes=100,
    head_max_bytes=500,
    headers_max=5,
    ahead_max=3,
    linger_max_bytes=100_000,
    overhead_max_bytes=2000,
)
HURRIED = replace(SMALL, head_s=LATE_S, linger_s=LATE_S, stuck_s=LATE_S)

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class App:
    """Answers with the length of the body; `/early` without reading it, `/held` when it is let go."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        size = 0
        if scope["path"] != "/early":
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message["body"])
                if not message["more_body"]:
                    break
        if scope["path"] == "/held":
            self.held.set()
            await self.let_go.wait()
        body = str(size).encode()
        if scope["path"] == "/large":
            body = b"x" * 20_000_000
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


class Listening:
    """A port that protocols of ours listen on."""

    def __init__(self, app: App, connections: Connections, port: int) -> None:
        self.app = app
        self.connections = connections
        self._port = port
        self._writers: list[Writer] = []

    async def connect(self) -> tuple[Reader, Writer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        return reader, writer

    async def say(self, *pieces: bytes) -> bytes:
        """What comes back on one connection until it is closed."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await rest(reader)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self.app.let_go.set()
        for connection in list(self.connections.connections):
            connection.transport.abort()
        while self.connections.connections:
            self.connections.gone.clear()
            await self.connections.gone.wait()


@asynccontextmanager
async def listening(bounds: ConnectionBounds, *, keep_alive_s: float = PATIENCE_S) -> AsyncIterator[Listening]:
    app = App()
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
    )
    config.load()
    config.timeout_keep_alive = keep_alive_s  # type: ignore[assignment]  # whole seconds are too long for a test
    connections = Connections(bounds, refusal)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedProtocol(config, connections, {}), "127.0.0.1", 0)
    made = Listening(app, connections, server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        await made.close()


async def rest(reader: Reader) -> bytes:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""


def run(
    test: Callable[[Listening], Awaitable[None]], bounds: ConnectionBounds = SMALL, *, keep_alive_s: float = PATIENCE_S
) -> None:
    async def playing() -> None:
        async with listening(bounds, keep_alive_s=keep_alive_s) as made:
            await test(made)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(playing())


def problem(said: bytes) -> tuple[int, str]:
    """The status and the code of an answer that is one whole problem, the last on its connection."""
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    document = json.loads(body)
    assert document["request_id"] == headers["x-request-id"]
    assert status.startswith(f"HTTP/1.1 {document['status']} ")
    return document["status"], document["code"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"nonsense\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", (400, "bad-request")),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", (400, "bad-request")),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, "bad-request")),
        (b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n", (400, "bad-request")),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", (400, "bad-request")),
        (b"CONNECT elsewhere:80 HTTP/1.1\r\nHost: x\r\n\r\n", (400, "bad-request")),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", (400, "bad-request")),
        (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414, "uri-too-long")),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6 + b"\r\n", (431, "headers-too-large")),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 600 + b"\r\n\r\n", (431, "headers-too-large")),
    ],
)
def test_a_head_that_cannot_be_is_answered_with_a_problem(sent: bytes, expected: tuple[int, str]) -> None:
    async def test(made: Listening) -> None:
        assert problem(await made.say(sent)) == expected
        assert made.app.paths == []

    run(test)


def test_a_header_without_end_is_refused_before_it_ends() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"GET / HTTP/1.1\r\nA: ")
        answer = asyncio.ensure_future(rest(reader))
        while not answer.done():
            writer.write(b"b" * 100)
            await asyncio.wait([answer], timeout=0.001)
        assert problem(await answer) == (431, "headers-too-large")

    run(test)


def test_a_head_that_does_not_end_in_time_is_refused_however_it_trickles() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        answer = asyncio.ensure_future(rest(reader))
        while not answer.done():
            writer.write(b"A")
            await asyncio.wait([answer], timeout=0.002)
        assert problem(await answer) == (408, "too-slow")

    run(test, HURRIED)


def test_a_connection_on_which_nothing_is_said_is_closed_without_a_word() -> None:
    async def test(made: Listening) -> None:
        assert await made.say() == b""

    run(test, HURRIED)


def test_a_connection_on_which_only_line_ends_are_said_is_closed() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        answer = asyncio.ensure_future(rest(reader))
        while not answer.done():
            writer.write(b"\r\n")
            await asyncio.wait([answer], timeout=0.002)
        assert await answer == b""

    run(test, HURRIED)


def test_a_second_head_has_to_end_in_time_too() -> None:
    async def test(made: Listening) -> None:
        said = await made.say(GET + b"GET / HT")
        first, _, second = said.partition(b"\r\n\r\n0")
        assert first.startswith(b"HTTP/1.1 200 ")
        assert problem(second) == (408, "too-slow")

    run(test, HURRIED)


def test_a_connection_that_is_idle_between_requests_is_closed() -> None:
    async def test(made: Listening) -> None:
        said = await made.say(GET)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"\r\n\r\n0")

    run(test, keep_alive_s=LATE_S)


def test_requests_on_one_connection_are_answered_in_order() -> None:
    async def test(made: Listening) -> None:
        body = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        said = await made.say(GET + body + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert [part[-1:] for part in said.split(b"HTTP/1.1 200 OK")[1:]] == [b"0", b"3", b"0"]

    run(test)


def test_what_is_asked_too_far_ahead_is_not_answered_but_the_rest_is() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"GET /held HTTP/1.1\r\n\r\n" + GET * 100)
        await made.app.held.wait()
        made.app.let_go.set()
        said = await rest(reader)
        assert said.count(b"HTTP/1.1 200 OK") == 1 + SMALL.ahead_max
        assert b" 400 " not in said

    run(test)


def test_nonsense_behind_a_request_does_not_keep_it_from_its_answer() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"GET /held HTTP/1.1\r\n\r\nnonsense\r\n\r\n")
        await made.app.held.wait()
        made.app.let_go.set()
        said = await rest(reader)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.count(b"HTTP/1.1") == 1

    run(test)


@pytest.mark.parametrize("body", [b"zz\r\n", b"1\r\nabc", b"0\r\nTrailer: x\r\n\r\n"])
def test_a_body_that_is_malformed_is_answered_with_a_problem(body: bytes) -> None:
    async def test(made: Listening) -> None:
        said = await made.say(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", body)
        assert problem(said) == (400, "bad-request")

    run(test)


def test_chunk_extensions_without_end_are_refused() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;")
        answer = asyncio.ensure_future(rest(reader))
        while not answer.done():
            writer.write(b"b" * 100)
            await asyncio.wait([answer], timeout=0.001)
        assert problem(await answer) == (400, "bad-request")

    run(test)


def test_a_body_that_is_answered_without_being_read_is_skipped_and_the_connection_goes_on() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"a" * 5000 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert (await rest(reader)).startswith(b"HTTP/1.1 200 ")
        assert made.app.paths == ["/early", "/"]

    run(test)


def test_a_request_behind_a_body_that_was_skipped_is_not_taken_for_an_idle_connection() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"abcGET /held HTTP/1.1\r\nConnection: close\r\n\r\n")
        await made.app.held.wait()
        (protocol,) = made.connections.connections
        assert isinstance(protocol, BoundedProtocol)
        assert protocol.timeout_keep_alive_task is None
        assert protocol._deadline is None
        made.app.let_go.set()
        assert (await rest(reader)).startswith(b"HTTP/1.1 200 ")

    run(test)


def test_a_head_behind_a_body_that_was_skipped_has_to_end_in_time() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"abcGET / HT")
        assert problem(await rest(reader)) == (408, "too-slow")

    run(test, HURRIED)


def test_a_body_that_is_answered_without_being_read_is_not_skipped_for_ever() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
        assert (await rest(reader)).startswith(b"HTTP/1.1 200 ")

    run(test, HURRIED)


def test_no_more_of_a_body_is_skipped_than_is_bearable() -> None:
    async def test(made: Listening) -> None:
        reader, writer = await made.connect()
        writer.write(b"POST /early HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n0")
        ended = asyncio.ensure_future(rest(reader))
        while not ended.done():
            writer.write(b"a" * 10_000)
            await asyncio.wait([ended], timeout=0.001)

    run(test)


def test_a_client_that_goes_away_is_noticed_by_what_handles_its_body() -> None:
    async def test(made: Listening) -> None:
        _, writer = await made.connect()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
        writer.close()
        while made.connections.tasks or made.connections.connections or not made.app.paths:
            made.connections.gone.clear()
            await asyncio.sleep(0)

    run(test)


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async def test(made: Listening) -> None:
        _, writer = await made.connect()
        writer.write(b"GET /large HTTP/1.1\r\nConnection: close\r\n\r\n")
        await made.connections.gone.wait()
        assert made.connections.size == 0

    run(test, HURRIED)


def test_an_answer_that_nobody_takes_is_given_up_on_a_connection_that_would_go_on() -> None:
    async def test(made: Listening) -> None:
        _, writer = await made.connect()
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        await made.connections.gone.wait()
        assert made.connections.size == 0

    run(test, HURRIED, keep_alive_s=LATE_S)


def test_one_connection_too_many_is_told_so() -> None:
    async def test(made: Listening) -> None:
        for _ in range(SMALL.connections_max):
            reader, writer = await made.connect()
            writer.write(GET)
            assert b"200" in await reader.readuntil(b"\r\n\r\n0")
        said = await made.say()
        assert problem(said) == (503, "busy")
        assert b"retry-after: 1" in said

    run(test)


def test_when_a_connection_ends_another_can_take_its_place() -> None:
    async def test(made: Listening) -> None:
        for _ in range(SMALL.connections_max * 2):
            reader, writer = await made.connect()
            writer.write(GET)
            assert b"200" in await reader.readuntil(b"\r\n\r\n0")
            made.connections.gone.clear()
            writer.close()
            await made.connections.gone.wait()

    run(test)


def test_far_too_many_connections_are_closed_without_a_word() -> None:
    async def test(made: Listening) -> None:
        opened = [await made.connect() for _ in range(SMALL.connections_max + REFUSED_MAX + 5)]
        assert [await rest(reader) for reader, _ in opened[-5:]] == [b""] * 5
        assert made.connections.size <= SMALL.connections_max + REFUSED_MAX

    run(test)


def test_an_upgrade_is_not_made_and_the_request_is_answered() -> None:
    async def test(made: Listening) -> None:
        said = await made.say(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nleft over")
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.count(b"HTTP/1.1") == 1

    run(test)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of this is an error of the application's."""
    yield
    assert [record for record in caplog.records if record.name == "uvicorn.error"] == []
