"""Following events over breaks: none is missed, none comes twice, and it ends when there is no more to come."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client.answering import Answering, Script, answer, answering, document, problem, stream
from theater.client import AsyncClient, Client, Where, calls, following
from theater.client.event_stream import StreamEvent
from theater.client.following import Following, OnBreak, tell_nobody
from theater.errors import Busy, InternalError, NoServer, NotFound, TheaterError, Unsound
from theater.model import wire

ID = "a" * 32
WHERE = Where("http://127.0.0.1:1", None, "argument")
END_REMOVED = 'event: end\ndata: {"reason":"removed"}\n\n'
END_STOPPING = 'event: end\ndata: {"reason":"stopping"}\n\n'
DETAIL = wire.ActorRow(
    id=ID,
    name="a",
    status="running",
    parent=None,
    seq=4,
    head="4".zfill(64),
    created="2026-01-01T00:00:00.000000Z",
    restarts=0,
    hidden_state=False,
    waiting=0,
)


@pytest.fixture(autouse=True)
def _waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BACKOFF_MIN_S", 0.001)


def row(seq: int, *, index: int | None = None, prev: str | None = None) -> wire.EventRow:
    return wire.EventRow(
        seq=seq,
        kind="log",
        name="out",
        time="2026-01-01T00:00:00.000000Z",
        hash=f"{seq:064x}",
        prev=prev or f"{max(seq - 1, 0):064x}",
        payload=None,
        actor=ID,
        commit="0" * 64,
        size=0,
        salt=None,
        index=index,
    )


def event(row: wire.EventRow) -> str:
    place = row.seq if row.index is None else row.index
    return f"id: {place}\nevent: event\ndata: {msgspec.json.encode(row).decode()}\n\n"


def rows(*seqs: int) -> str:
    return "".join(event(row(seq)) for seq in seqs)


def detail() -> bytes:
    """``GET /v1/actors/{id}``, as far as a client that follows looks at it."""
    row = msgspec.json.decode(msgspec.json.encode(DETAIL))
    return document(
        {
            "actor": row,
            "program": "0" * 64,
            "role": "actor",
            "instance": None,
            "manifest": None,
            "params": None,
            "arguments": [],
            "grants": {},
            "allowed": [],
            "limits": {},
            "limits_set": [],
            "supervision": None,
            "children": [],
            "deferred": 0,
            "timers": 0,
            "channels": 0,
            "chain_bytes": 0,
            "state_seq": None,
            "state_bytes": None,
            "failure": None,
            "engine": None,
            "version": None,
            "node": None,
            "durability": "process",
            "services": [],
        }
    )


def sync_seqs(
    server: Answering, start: int | None, patience_s: float | None, on_break: OnBreak = tell_nobody
) -> list[int]:
    with Client(server.url) as client:
        return [found.seq for found in client.follow("a", start, patience_s=patience_s, on_break=on_break)]


def async_seqs(
    server: Answering, start: int | None, patience_s: float | None, on_break: OnBreak = tell_nobody
) -> list[int]:
    async def follow() -> list[int]:
        async with AsyncClient(server.url) as client:
            events = client.follow("a", start, patience_s=patience_s, on_break=on_break)
            return [found.seq async for found in events]

    return asyncio.run(follow())


Seqs = Callable[..., list[int]]
both = pytest.mark.parametrize("seqs", [sync_seqs, async_seqs])


@both
def test_a_broken_stream_is_gone_on_with_behind_the_last_event(seqs: Seqs) -> None:
    cut = stream(rows(0, 1) + event(row(2))[:-30])
    with answering(detail(), cut, stream(rows(2)), b"", stream(rows(3) + END_STOPPING), stream(END_REMOVED)) as server:
        assert seqs(server, 0, None) == [0, 1, 2, 3]

    targets = [asked.line.split(" ")[1] for asked in server.asked[1:]]
    assert targets == [f"/v1/actors/{ID}/events?from=0", *[f"/v1/actors/{ID}/events"] * 4]
    assert [asked.headers.get("last-event-id") for asked in server.asked[1:]] == [None, "1", "2", "2", "3"]
    assert server.asked[1].headers["accept"] == "text/event-stream"


@both
def test_without_a_start_it_begins_with_what_comes_from_now_on(seqs: Seqs) -> None:
    with answering(detail(), stream(rows(5, 6) + END_REMOVED)) as server:
        assert seqs(server, None, None) == [5, 6]

    assert server.asked[1].headers["last-event-id"] == "4"


@both
@pytest.mark.parametrize("wrong", [rows(0, 2), rows(1), rows(0, 0), rows(0, 1, 1), rows(0, 1, 0)])
def test_a_gap_and_a_repeat_are_errors(seqs: Seqs, wrong: str) -> None:
    with answering(detail(), stream(wrong)) as server, pytest.raises(InternalError, match="was to come"):
        seqs(server, 0, 0.2)


@both
def test_another_chain_in_its_place_is_an_error_also_over_a_break(seqs: Seqs) -> None:
    other = event(row(2, prev="f" * 64))
    with answering(detail(), stream(rows(0, 1)), stream(other)) as server, pytest.raises(Unsound) as caught:
        seqs(server, 0, 0.2)

    assert caught.value.data == {"seq": 2}


@both
@pytest.mark.parametrize(
    "script", [b"", answer(b"no", status="502 Bad"), problem("closing", 503), stream(END_STOPPING)]
)
def test_patience_has_an_end(seqs: Seqs, script: Script) -> None:
    with answering(detail(), stream(rows(0)), *[script] * 20) as server, pytest.raises(Busy):
        seqs(server, 0, 0.01)

    assert 3 <= len(server.asked) < 20


@both
@pytest.mark.parametrize(
    ("script", "kind"), [(b"", NoServer), (problem("busy", 503), Busy), (answer(b"", media="text/html"), NoServer)]
)
def test_what_never_began_is_not_tried_again(seqs: Seqs, script: Script, kind: type[TheaterError]) -> None:
    with answering(detail(), script, script) as server, pytest.raises(kind):
        seqs(server, 0, None)

    assert len(server.asked) == 2


@both
def test_what_does_not_go_away_by_itself_is_not_tried_again(seqs: Seqs) -> None:
    with answering(detail(), stream(rows(0)), problem("not-found", 404)) as server, pytest.raises(NotFound):
        seqs(server, 0, 0.2)


@both
@pytest.mark.parametrize("data", ["{", "[]", '{"seq":0}'])
def test_an_event_that_cannot_be_read_is_an_error(seqs: Seqs, data: str) -> None:
    with answering(detail(), stream(f"event: event\ndata: {data}\n\n")) as server, pytest.raises(InternalError):
        seqs(server, 0, 0.2)


@both
def test_what_a_later_version_says_is_passed_over(seqs: Seqs) -> None:
    text = ": \n\nevent: news\ndata: x\n\n" + rows(0) + "data: y\n\n" + END_REMOVED
    with answering(detail(), stream(text)) as server:
        assert seqs(server, 0, None) == [0]


def test_an_actor_that_there_is_not_is_said_at_once() -> None:
    with answering(problem("not-found", 404)) as server, Client(server.url) as client, pytest.raises(NotFound):
        client.follow("a")


def test_all_actors_are_followed_by_the_index_of_the_node() -> None:
    first, second = (stream(event(row(9, index=index))) for index in (7, 8))
    with answering(first, second) as server, Client(server.url) as client:
        assert [found.index for found in islice(client.follow_node(7), 2)] == [7, 8]

    assert [asked.line.split(" ")[1] for asked in server.asked] == ["/v1/events", "/v1/events"]
    assert [asked.headers["last-event-id"] for asked in server.asked] == ["6", "7"]


@pytest.mark.parametrize("indexes", [(0, 2), (1,), (None,)])
def test_a_gap_in_the_index_is_an_error(indexes: tuple[int | None, ...]) -> None:
    text = "".join(event(row(0, index=index)) for index in indexes)
    with answering(stream(text)) as server, Client(server.url) as client, pytest.raises(InternalError):
        list(client.follow_node(0))


def test_a_server_that_comes_back_elsewhere_is_found_again() -> None:
    with answering(stream(rows(1) + END_REMOVED)) as second, answering(detail(), stream(rows(0))) as first:
        tries: Iterator[Where | None] = iter([None, Where(second.url, "new", "data-dir")])

        def again() -> Where:
            found = next(tries)
            if found is None:
                raise NoServer("it does not listen yet")
            return found

        with Client(first.url, "old", again=again) as client:
            assert [found.seq for found in client.follow("a", 0, patience_s=2)] == [0, 1]
            assert client.url == second.url

    assert [asked.headers["authorization"] for asked in first.asked] == ["Bearer old"] * 2
    assert [asked.headers["authorization"] for asked in second.asked] == ["Bearer new"]


def test_a_client_that_is_closed_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BACKOFF_MIN_S", 3600.0)
    with answering(detail(), stream(rows(0))) as server:
        client = Client(server.url)
        events = client.follow("a", 0)
        assert next(events).seq == 0
        thread = threading.Timer(0.05, client.close)
        thread.start()
        assert list(events) == []
        thread.join()


def test_a_client_that_is_closed_wakes_who_waits_for_events() -> None:
    has_row = threading.Event()

    def silent(connection: socket.socket) -> None:
        connection.sendall(stream(rows(0)))
        connection.recv(1)  # until the client closes

    with answering(detail(), silent) as server:
        client = Client(server.url)
        seen: list[int] = []

        def read() -> None:
            for found in client.follow("a", 0):
                seen.append(found.seq)
                has_row.set()

        thread = threading.Thread(target=read)
        thread.start()
        assert has_row.wait(5)
        threading.Event().wait(0.05)  # it most likely waits for more by now; if not, this shows less and nothing wrong
        client.close()
        thread.join(5)

        assert not thread.is_alive()
        assert seen == [0]


def test_whoever_waits_in_a_loop_of_events_is_woken_too() -> None:
    def silent(connection: socket.socket) -> None:
        connection.sendall(stream(rows(0)))
        connection.recv(1)  # until the client closes

    async def read() -> None:
        client = AsyncClient(server.url)
        seen: list[int] = []

        async def follow() -> None:
            async for found in client.follow("a", 0):
                seen.append(found.seq)
                has_row.set()

        has_row = asyncio.Event()
        task = asyncio.ensure_future(follow())
        await asyncio.wait_for(has_row.wait(), 5)
        await client.close()
        await asyncio.wait_for(task, 5)
        assert seen == [0]

    with answering(detail(), silent) as server:
        asyncio.run(read())


@both
def test_each_break_is_told_before_it_is_tried_again(seqs: Seqs) -> None:
    told: list[str] = []
    scripts = (detail(), stream(rows(0)), problem("closing", 503), stream(rows(1) + END_STOPPING), stream(END_REMOVED))
    with answering(*scripts) as server:
        assert seqs(server, 0, None, lambda error: told.append(error.code)) == [0, 1]

    assert told == ["no-server", "closing", "no-server"]


def test_a_reader_that_goes_away_lets_go_of_the_connection() -> None:
    async def read() -> None:
        async with AsyncClient(server.url) as client, aclosing(client.follow("a", 0)) as events:  # type: ignore[type-var]
            async for found in events:
                assert found.seq == 0
                break
        assert client._asking._http._transport._pool.connections == []  # type: ignore[attr-defined]

    with answering(detail(), stream(rows(0))) as server:
        asyncio.run(read())


# -- the rules themselves, without a wire ----------------------------------------------------------------------------


def opened(start: int = 0, patience_s: float | None = None) -> Following:
    found = Following(ID, start, patience_s=patience_s)
    found.opened(0.0)
    return found


def taken(found: Following, seq: int) -> None:
    assert found.take(WHERE, StreamEvent("event", msgspec.json.encode(row(seq)), "")) == row(seq)


def test_the_wait_doubles_up_to_five_seconds_and_is_short_again_after_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BACKOFF_MIN_S", 0.1)
    found = opened()
    waits = [found.delay_s(NoServer(""), 0.0) for _ in range(8)]

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    found.opened(1.0)
    taken(found, 0)
    assert found.delay_s(NoServer(""), 1.0) == 0.1


def test_a_server_that_lets_in_and_sends_away_is_asked_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BACKOFF_MIN_S", 0.1)
    found = opened(patience_s=10.0)
    assert found.delay_s(NoServer(""), 0.0) == 0.1
    found.opened(1.0)
    assert found.delay_s(NoServer(""), 1.0) == 0.2
    found.opened(9.9)
    with pytest.raises(NoServer):
        found.delay_s(NoServer(""), 10.0)


def test_that_it_was_good_once_is_not_held_against_the_patience_for_ever() -> None:
    found = opened(patience_s=10.0)
    for now_s in (0.0, 6.0, 9.9):
        found.delay_s(NoServer(""), now_s)
    with pytest.raises(NoServer):
        found.delay_s(NoServer(""), 10.0)


def test_a_stream_that_lasted_was_good_though_nothing_came() -> None:
    found = opened(patience_s=10.0)
    assert found.delay_s(NoServer(""), 100.0) == following.BACKOFF_MIN_S


@given(st.lists(st.integers(0, 12), max_size=12))
def test_events_come_in_order_or_not_at_all(seqs: list[int]) -> None:
    found = opened()
    seen: list[int] = []
    for seq in seqs:
        try:
            taken(found, seq)
        except InternalError:
            break
        seen.append(seq)

    assert seen == list(range(len(seen)))
    assert len(seen) == len(seqs) or seqs[len(seen)] != len(seen)
    assert found.call() == calls.follow(ID, len(seen))
