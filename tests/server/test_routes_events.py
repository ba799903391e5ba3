"""Pages of events, and states as of them, over HTTP. Streams are in ``test_event_streams.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.guests import wat
from tests.server.desk import Desk, problem, rows, table
from theater.server import event_pages


def seqs(page: Mapping[str, object]) -> list[int]:
    """The places of a page's events."""
    events = page["events"]
    assert isinstance(events, list)
    return [event["seq"] for event in events]


def test_events_come_in_pages_each_with_the_place_of_the_next(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    for _ in range(3):
        actor.request({"by": 1})
    last = actor.head.seq
    path, seen = "/v1/actors/actor/events", list[int]()
    start: int | None = 0

    while start is not None:
        page = desk.local.get(path, params={"from": start, "limit": 4}).json()
        seen += seqs(page)
        start = page["next"]

    assert seen == list(range(last + 1))
    assert desk.local.get(path, params={"from": last + 1}).json() == {"events": [], "next": None}
    exact = desk.local.get(path, params={"limit": last + 1}).json()
    assert (len(exact["events"]), exact["next"]) == (last + 1, None)


@pytest.mark.slow
def test_an_event_is_told_with_all_that_its_hash_is_made_of(desk: Desk) -> None:
    actor = desk.actor(wat.ECHO)
    actor.request_json('{"a":1.0000,"a":2}')

    told = rows(desk.local.get("/v1/actors/actor/events"), "events")

    for row, event in zip(told, actor.events(), strict=True):
        header = json.loads(event.header_bytes)
        assert {name: row[name] for name in header if name != "v"} == {n: v for n, v in header.items() if n != "v"}
        assert (row["hash"], row["salt"]) == (event.hash, event.salt.hex() if event.salt else None)
    text = desk.local.get("/v1/actors/actor/events?kind=state&from=4").text
    assert '"payload":{"fuel":' in text
    assert '\\"a\\":1.0000,\\"a\\":2' in text


@pytest.mark.slow
def test_only_events_of_a_kind_are_told_where_that_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = desk.actor(wat.LOGGER)
    for _ in range(3):
        actor.request("x")
    states = [event.header.seq for event in actor.events() if event.header.kind == "state"]
    path = "/v1/actors/actor/events"

    assert seqs(desk.local.get(path, params={"kind": "state"}).json()) == states
    page = desk.local.get(path, params={"kind": "state", "limit": 2}).json()
    assert (seqs(page), page["next"]) == (states[:2], states[2])
    assert problem(desk.local.get(path, params={"kind": "guess"})) == (400, "invalid-input")

    monkeypatch.setattr(event_pages, "SCANNED_MAX", 1)
    monkeypatch.setattr(event_pages, "SCAN_PAGE", 1)
    found: list[int] = []
    start: int | None = 0
    while start is not None:
        page = desk.local.get(path, params={"kind": "state", "from": start}).json()
        found, start = found + seqs(page), page["next"]
    assert found == states


def test_a_page_ends_early_where_its_events_are_large(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pages, "PAGE_MAX_BYTES", 100)
    actor = desk.actor(wat.ECHO)
    for _ in range(4):
        actor.request("x" * 400_000)

    path, seen, pages = "/v1/actors/actor/events", list[int](), 0
    start: int | None = 0
    while start is not None:
        page = desk.local.get(path, params={"from": start}).json()
        seen, start, pages = seen + seqs(page), page["next"], pages + 1

    assert seen == list(range(actor.head.seq + 1))
    assert pages > 1


def test_events_of_all_actors_come_by_their_place_on_the_node(desk: Desk) -> None:
    desk.start(wat.ECHO, "a")
    desk.start(wat.ECHO, "b")
    total = desk.stage.runtime.store.size_events()

    first = desk.local.get("/v1/events", params={"limit": 5}).json()
    rest = desk.local.get("/v1/events", params={"from": first["next"], "limit": 1000}).json()

    events = [*first["events"], *rest["events"]]
    assert [event["index"] for event in events] == list(range(total))
    assert len({event["actor"] for event in events}) == 2
    assert rest["next"] is None
    assert problem(desk.local.get("/v1/events?kind=state")) == (400, "bad-request")


def test_a_state_is_told_as_of_any_event(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    actor.request({"by": 2})
    middle = actor.head.seq
    actor.request({"by": 3})

    assert desk.local.get("/v1/actors/actor/state").json()["state"] == {"count": 5}
    then = desk.local.get(f"/v1/actors/actor/state?at={middle}").json()
    assert then == {"id": actor.id, "seq": middle, "state": {"count": 2}}
    assert problem(desk.local.get("/v1/actors/actor/state?at=9999")) == (404, "not-found")
    assert problem(desk.local.get("/v1/actors/actor/state?at=-1")) == (400, "invalid-input")
    assert table(desk.local.get("/v1/actors/actor/state?at=0"))["code"] == "not-found"
