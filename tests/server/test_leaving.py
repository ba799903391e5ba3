"""Whoever asks may go away: what waited for him alone is let go of."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.guests import puppet, wat
from tests.runtime.troupe import Troupe
from tests.server.desk import Desk
from tests.server.socket_desk import Served, served
from theater.server import listener

PATIENCE = 5000


async def deferred(server: Served) -> int:
    """Requests that the actor has put off."""
    async with server.client() as client:
        return int((await client.get("/v1/actors/actor")).json()["deferred"])


async def until_deferred(server: Served, number: int) -> None:
    """Wait until they are so many."""
    for _ in range(PATIENCE):
        if await deferred(server) == number:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"there are not {number}")


async def ask_and_leave(server: Served, seen: int, **headers: str) -> None:
    """Ask something that is not answered, and go away once it was put off."""
    async with server.client() as client:
        asking = asyncio.ensure_future(client.post("/v1/actors/actor/request", content="1", headers=headers))
        await until_deferred(server, seen)
        asking.cancel()


def test_a_request_whose_asker_goes_away_is_waited_for_by_nobody(desk: Desk) -> None:
    desk.start(wat.SILENT)

    async def scene() -> None:
        async with served(desk) as server:
            await ask_and_leave(server, 1)
            await until_deferred(server, 0)

    desk.stage.run(scene())


@pytest.mark.slow
def test_a_request_with_a_key_stays_for_whoever_asks_again(desk: Desk) -> None:
    actor = Troupe(desk.stage).player("actor")

    async def scene() -> None:
        async with served(desk) as server, server.client() as client:
            again = {"Idempotency-Key": "k"}
            body = json.dumps(puppet.remember())
            asking = asyncio.ensure_future(client.post("/v1/actors/actor/request", content=body, headers=again))
            await until_deferred(server, 1)
            asking.cancel()
            await client.post("/v1/actors/actor/send?wait=true", content=json.dumps(puppet.answer_first("late")))
            answer = await client.post("/v1/actors/actor/request", content=body, headers=again)
            assert answer.json()["reply"] == "late"

    desk.stage.run(scene())
    assert actor.status == "running"


def test_a_request_that_takes_too_long_does_not_keep_a_server_from_stopping(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "GRACE_S", 0.05)
    desk.start(wat.SILENT)

    async def scene() -> None:
        async with served(desk) as server, server.client() as client:
            asking = asyncio.ensure_future(client.post("/v1/actors/actor/request", content="1"))
            await until_deferred(server, 1)
            server.end()
            with pytest.raises(httpx.HTTPError):
                await asking

    desk.stage.run(scene())


def test_who_leaves_while_he_hears_lets_go_of_the_channel_and_loses_nothing(desk: Desk) -> None:
    Troupe(desk.stage).player("actor", handlers=("channels",))

    async def scene() -> None:
        async with served(desk) as server, server.client() as client:
            opened = await client.post("/v1/actors/actor/channels", content='""')
            path = opened.headers["location"]
            hearing = asyncio.ensure_future(client.get(path, params={"wait": "60s"}))
            for _ in range(PATIENCE):
                if any(held.users for held in desk.service.channels._held.values()):
                    break
                await asyncio.sleep(0.001)
            hearing.cancel()
            for _ in range(PATIENCE):
                if not any(held.users for held in desk.service.channels._held.values()):
                    break
                await asyncio.sleep(0.001)
            said = puppet.send_on_channel(puppet.ABOUT, "late")
            await client.post(path, content=json.dumps(said))
            heard = await client.get(path, params={"wait": "30s"})
            assert heard.json() == {"messages": ["late"], "closed": None}

    desk.stage.run(scene())


def test_a_channel_can_be_heard_as_a_stream(desk: Desk) -> None:
    Troupe(desk.stage).player("actor", handlers=("channels",))
    hello = puppet.send_on_channel(puppet.ABOUT, puppet.Json('{"a":1.0000,\n"a":2}'))

    async def scene() -> None:
        async with served(desk) as server, server.client() as client:
            opened = await client.post("/v1/actors/actor/channels", content='""')
            path = opened.headers["location"]
            async with server.stream(path) as stream:
                await client.post(path, content=json.dumps(hello))
                sent = await stream.next()
                assert (sent.event, sent.data, sent.id) == ("message", '{"a":1.0000,\n"a":2}', None)
                await client.post(path, content=json.dumps(puppet.close_channel(puppet.ABOUT)))
                sent = await stream.next()
                assert (sent.event, sent.row) == ("end", {"reason": "the actor closed the channel, or has ended"})
                assert await stream.is_over()
            assert (await client.get(path)).status_code == 410

    desk.stage.run(scene())
