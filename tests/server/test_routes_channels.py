"""Channels over HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.guests import puppet, wat
from tests.runtime.troupe import Troupe
from tests.server.desk import Desk, problem, table
from theater.server.channel_table import ChannelTable
from theater.testing.harness import Actor

HELLO = puppet.send_on_channel(puppet.ABOUT, puppet.Json('{"a":1.0000,"a":2}'))


@pytest.fixture
def anna(desk: Desk) -> Actor:
    return Troupe(desk.stage).player("anna", handlers=("channels",))


def opened(desk: Desk, opening: str = "") -> str:
    """The path of a channel's messages."""
    answer = desk.local.post("/v1/actors/anna/channels", opening)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/channels/{table(answer)['channel']}/messages"
    return answer.headers["location"]


def test_a_channel_is_opened_spoken_on_heard_and_closed(desk: Desk, anna: Actor) -> None:
    answer = desk.local.post("/v1/actors/anna/channels", puppet.log("opened") + puppet.reply("welcome"))
    assert answer.json() == {"channel": table(answer)["channel"], "actor": anna.id, "reply": "welcome"}
    path = answer.headers["location"]

    said = desk.local.post(path, puppet.log("heard") + HELLO)
    heard = desk.local.get(path, params={"wait": "30s"})

    assert said.status_code == 202
    assert table(said)["id"] in {getattr(payload, "id", None) for payload in anna.payloads("message")}
    assert heard.text == '{"messages":[{"a":1.0000,"a":2}],"closed":null}'
    assert desk.local.get(path).json() == {"messages": [], "closed": None}
    assert desk.local.delete(path.removesuffix("/messages")).status_code == 204
    desk.stage.rest()
    assert puppet.log_of(anna.state or "") == ["opened", "heard", "closed"]


@pytest.mark.usefixtures("anna")
def test_what_was_said_before_the_end_is_heard_then_why_then_gone(desk: Desk) -> None:
    path = opened(desk, HELLO + puppet.close_channel(puppet.ABOUT))
    desk.stage.rest()

    first, second, third = (desk.local.get(path) for _ in range(3))

    assert (first.json()["messages"], first.json()["closed"]) == ([{"a": 2}], None)
    assert (second.json()["messages"], second.json()["closed"]) == ([], "the actor closed the channel, or has ended")
    assert problem(third) == (410, "channel-closed")
    assert problem(desk.local.post(path, "x")) == (410, "channel-closed")
    assert desk.local.delete(path.removesuffix("/messages")).status_code == 204


@pytest.mark.usefixtures("anna")
def test_several_messages_come_at_once(desk: Desk) -> None:
    path = opened(desk, HELLO * 20)
    desk.stage.rest()

    assert len(desk.local.get(path).json()["messages"]) == 20


@pytest.mark.usefixtures("anna")
def test_a_channel_belongs_to_the_token_that_opened_it(desk: Desk) -> None:
    path = opened(desk)
    bert = desk.token("bert")

    assert problem(bert.get(path)) == (404, "not-found")
    assert problem(bert.post(path, "x")) == (404, "not-found")
    assert problem(bert.delete(path.removesuffix("/messages"))) == (404, "not-found")
    assert problem(desk.local.get("/v1/channels/none/messages")) == (404, "not-found")


@pytest.mark.usefixtures("anna")
def test_an_actor_may_refuse_or_take_no_channels(desk: Desk) -> None:
    desk.start(wat.ECHO)

    refused = desk.local.post("/v1/actors/anna/channels", puppet.refuse("not now"))
    assert (problem(refused), table(refused)["detail"]) == ((422, "refused"), "not now")
    assert problem(desk.local.post("/v1/actors/actor/channels", "x")) == (409, "no-channels")
    assert len(desk.service.channels) == 0


@pytest.mark.usefixtures("anna")
def test_who_waits_hears_what_is_said_later_and_does_not_wait_for_a_server_that_stops(desk: Desk) -> None:
    path = opened(desk)

    async def hear_then_say() -> object:
        hearing = asyncio.ensure_future(desk.local.asking("GET", f"{path}?wait=60s"))
        await asyncio.sleep(0)
        await desk.local.asking("POST", path, content=json.dumps(HELLO))
        return (await hearing).json()

    async def hear_then_stop() -> object:
        hearing = asyncio.ensure_future(desk.local.asking("GET", f"{path}?wait=60s"))
        for _ in range(100):
            await asyncio.sleep(0)
        desk.service.stopping.set()
        return (await hearing).json()

    assert desk.stage.run(hear_then_say()) == {"messages": [{"a": 2}], "closed": None}
    assert problem(desk.local.get(f"{path}?wait=61s")) == (400, "invalid-input")
    assert desk.stage.run(hear_then_stop()) == {"messages": [], "closed": None}


def test_a_channel_that_nobody_uses_is_let_go(desk: Desk, anna: Actor) -> None:
    object.__setattr__(desk.service, "channels", ChannelTable(idle_s=0.0))
    path = opened(desk)

    async def idle() -> None:
        for _ in range(1000):
            if not len(desk.service.channels):
                return
            await asyncio.sleep(0.001)

    desk.stage.run(idle())
    desk.stage.rest()
    assert problem(desk.local.get(path)) == (404, "not-found")
    assert puppet.log_of(anna.state or "") == ["closed"]


@pytest.mark.usefixtures("anna")
def test_no_more_are_held_than_there_is_room_for_and_closed_ones_make_room(desk: Desk) -> None:
    object.__setattr__(desk.service, "channels", ChannelTable(most=1))
    path = opened(desk)

    assert problem(desk.local.post("/v1/actors/anna/channels", "")) == (503, "busy")
    desk.local.delete(path.removesuffix("/messages"))
    opened(desk)
    assert problem(desk.local.get(path)) == (404, "not-found")


@pytest.mark.usefixtures("anna")
@pytest.mark.slow
def test_after_a_restart_of_the_server_a_channel_is_gone_and_the_actor_hears_of_it(desk: Desk) -> None:
    path = opened(desk)
    desk.reopen()
    desk.stage.rest()

    assert problem(desk.local.get(path)) == (404, "not-found")
    state = desk.local.get("/v1/actors/anna/state").json()["state"]
    assert puppet.log_of(json.dumps(state)) == ["closed"]
