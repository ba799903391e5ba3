"""Live events: over a socket, to readers that come late, are slow, or come again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.guests import wat
from tests.runtime.stage import Workshop
from tests.server.desk import Desk, problem
from tests.server.process import RunningServer
from tests.server.socket_desk import Served, served
from theater.server import event_stream as streams
from theater.server.event_stream import chunked, named
from theater.server.seats import Seats

ACTOR = "/v1/actors/actor"


def play(desk: Desk, scene: Callable[[Served], Awaitable[None]], **bounds: float) -> None:
    """One scene, with the application behind a socket."""

    async def whole() -> None:
        async with served(desk, **bounds) as server:
            await scene(server)

    desk.stage.run(whole())


async def ask(server: Served, number: int = 1, body: str = '{"by":1}') -> None:
    """Have the actor make steps: four events each, or two."""
    async with server.client() as client:
        for _ in range(number):
            (await client.post(f"{ACTOR}/request", content=body)).raise_for_status()


async def all_left(desk: Desk) -> None:
    """Wait until nobody reads a stream any more."""
    for _ in range(5000):
        if not desk.service.streams.taken:
            break
        await asyncio.sleep(0.001)
    assert (desk.service.streams.taken, len(desk.stage.runtime.feed)) == (0, 0)


def test_a_stream_begins_with_what_comes_from_now_on(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    before = actor.head.seq

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events") as stream:
            await ask(server)
            message, state = await stream.take(2)
        assert (message.event, message.id, message.row["kind"]) == ("event", str(before + 1), "message")
        assert (state.event, state.id, state.row["kind"]) == ("event", str(before + 2), "state")
        async with server.client() as client:
            told = (await client.get(f"{ACTOR}/events", params={"from": before + 1})).json()
        assert told["events"] == [message.row, state.row]

    play(desk, scene)


def test_a_stream_resumes_behind_the_last_event_that_was_read(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    for _ in range(3):
        actor.request({"by": 1})
    last = actor.head.seq

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events?from=0", **{"Last-Event-ID": "2"}) as stream:
            assert [sent.row["seq"] for sent in await stream.take(last - 2)] == list(range(3, last + 1))
        async with server.stream(f"{ACTOR}/events?from=2") as stream:
            assert [sent.row["seq"] for sent in await stream.take(last - 1)] == list(range(2, last + 1))
        async with server.stream(f"{ACTOR}/events?from=0&kind=genesis") as stream:
            assert (await stream.next()).row["kind"] == "genesis"
        async with server.client() as client:
            bad = await client.get(
                f"{ACTOR}/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "no number"}
            )
            assert problem(bad) == (400, "invalid-input")

    play(desk, scene)


def test_a_stream_of_all_actors_goes_by_the_places_on_the_node(desk: Desk) -> None:
    desk.start(wat.COUNTER)
    total = desk.stage.runtime.store.size_events()

    async def scene(server: Served) -> None:
        async with server.stream("/v1/events") as live, server.stream("/v1/events?from=0") as whole:
            await ask(server)
            assert [sent.id for sent in await live.take(2)] == [str(total), str(total + 1)]
            seen = await whole.take(total + 2)
        assert [sent.row["index"] for sent in seen] == list(range(total + 2))

    play(desk, scene)


def test_two_readers_each_get_all_of_it(desk: Desk) -> None:
    desk.start(wat.COUNTER)

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events?from=0") as one, server.stream(f"{ACTOR}/events?from=0") as other:
            await ask(server, 20)
            assert [sent.id for sent in await one.take(40)] == [sent.id for sent in await other.take(40)]
        await ask(server)

    play(desk, scene)


def test_a_stream_ends_when_the_actor_is_removed_and_when_the_server_stops(desk: Desk) -> None:
    desk.start(wat.COUNTER)
    desk.start(wat.COUNTER, "other")

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events") as removed, server.stream("/v1/actors/other/events") as stopped:
            async with server.client() as client:
                await client.post(f"{ACTOR}/stop")
                assert (await removed.next()).row["name"] == "stopped"
                (await client.delete(ACTOR)).raise_for_status()
            sent = await removed.next()
            while sent.event == "event":
                assert sent.row["name"] == "erased"
                sent = await removed.next()
            assert (sent.event, sent.row, sent.id) == ("end", {"reason": "removed"}, None)
            assert await removed.is_over()
            server.end()
            sent = await stopped.next()
            assert (sent.event, sent.row) == ("end", {"reason": "stopping"})
            assert await stopped.is_over()

    play(desk, scene)


def test_a_silent_stream_beats(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.start(wat.COUNTER)
    monkeypatch.setattr(streams, "BEAT_S", 0.001)

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events") as stream:
            assert [await anext(stream.lines) for _ in range(4)] == ["", ": ", "", ": "]
            await ask(server)
            assert (await stream.next()).row["kind"] == "message"

    play(desk, scene)


def test_no_more_streams_are_begun_than_there_is_room_for_and_who_leaves_makes_room(desk: Desk) -> None:
    desk.start(wat.COUNTER)
    object.__setattr__(desk.service, "streams", Seats(1, "streams"))

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events"), server.client() as client:
            full = await client.get("/v1/events", headers={"Accept": "text/event-stream"})
            assert problem(full) == (503, "busy")
            assert "retry-after" in full.headers
        await all_left(desk)
        async with server.stream("/v1/events"):
            assert desk.service.streams.taken == 1

    play(desk, scene)
    assert desk.service.streams.taken == 0


@pytest.mark.slow
def test_a_large_event_comes_whole(desk: Desk) -> None:
    manifest = (
        'name = "actor"\ncomponent = "a.wasm"\n[limits]\nmessage = "4MiB"\nstate = "4MiB"\nreply = "4MiB"\n'
        'memory = "128MiB"\n'
    )
    desk.local.post("/v1/actors", {"manifest": manifest, "component": desk.digest(wat.REMEMBER)})
    text = json.dumps("x" * 3_000_000)

    async def scene(server: Served) -> None:
        async with server.stream(f"{ACTOR}/events") as stream:
            await ask(server, body=text)
            _, state = await stream.take(2)
        assert json.loads(state.data)["payload"]["state"] == text

    play(desk, scene)


@pytest.mark.slow
def test_a_reader_that_takes_nothing_is_let_go_and_slows_nobody(desk: Desk) -> None:
    desk.start(wat.REMEMBER)
    big = json.dumps("x" * 900_000)

    async def scene(server: Served) -> None:
        loop = asyncio.get_running_loop()
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await loop.sock_connect(slow, ("127.0.0.1", server.port))
        token = desk.local.headers["Authorization"]
        head = f"GET {ACTOR}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n"
        await loop.sock_sendall(slow, f"{head}Accept: text/event-stream\r\n\r\n".encode())
        assert (await loop.sock_recv(slow, 20)).startswith(b"HTTP/1.1 200")
        async with server.stream(f"{ACTOR}/events") as quick:
            taking = asyncio.ensure_future(quick.take(24))
            await ask(server, 12, big)
            assert len(await taking) == 24
        await all_left(desk)
        slow.close()

    play(desk, scene, stalled_s=0.2)


@pytest.mark.slow
def test_a_reader_goes_on_over_a_restart_of_the_server_without_a_gap_or_a_repeat(
    running_server: RunningServer, workshop: Workshop
) -> None:
    server = running_server
    data = workshop.file(wat.COUNTER).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    headers = {"Content-Type": "application/octet-stream"}
    assert server.request("PUT", f"/v1/blobs/{digest}", data, headers=headers).status == 201
    order = {"manifest": 'name = "actor"\ncomponent = "a.wasm"\n', "component": digest}
    assert server.post("/v1/actors", order).status == 201
    seen: list[int] = []

    def read(until: int) -> None:
        sent = {"Accept": "text/event-stream", "Authorization": f"Bearer {server.token}"}
        sent["Last-Event-ID"] = str(seen[-1]) if seen else ""
        if not seen:
            del sent["Last-Event-ID"]
        with (
            httpx.Client(timeout=30) as client,
            client.stream("GET", f"{server.url}{ACTOR}/events?from=0", headers=sent) as answer,
        ):
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    seen.append(int(line.removeprefix("id: ")))
                    if seen[-1] == until:
                        return

    for _ in range(3):
        for _ in range(5):
            assert server.post(f"{ACTOR}/request", {"by": 1}).status == 200
        head = server.get(ACTOR).document["actor"]
        assert isinstance(head, dict)
        read(int(str(head["seq"])) - 3)
        server.kill()
        server.start()
    head = server.get(ACTOR).document["actor"]
    assert isinstance(head, dict)
    read(int(str(head["seq"])))
    assert seen == list(range(len(seen)))
    assert len(seen) > 30


def test_events_are_sent_in_pieces_of_bearable_size() -> None:
    events = [b"a" * 10, b"b" * 200_000, b"c" * 10, b"d" * 70_000]

    pieces = list(chunked(iter(events)))

    assert b"".join(pieces) == b"".join(events)
    assert max(map(len, pieces)) <= streams.CHUNK_BYTES
    assert len(pieces) < 10


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_end_of_line_in_json_stays_one(end: str) -> None:
    sent = named("message", f"[1,{end}2]".encode(), id=3)

    assert sent == b"id: 3\nevent: message\ndata: [1,\ndata: 2]\n\n"
