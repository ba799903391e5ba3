"""Sending, and asking for replies, over HTTP."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.guests import wat
from tests.server.desk import Desk, problem, table
from theater.model.ids import is_actor_id

TEXTS = {
    "duplicate keys": '{"a":1,"a":2}',
    "a number as it is written": '{"price":1.0000,"e":1E+2,"z":-0.0}',
    "a huge number": "9" * 4000,
    "beyond a float": "[1e999999]",
    "escapes": '"\\u0041\\/\\ud83d\\ude00"',
    "spaces": ' { "a" : [ 1 ,\n2 ] }\r\n',
    "as deep as may be": "[" * 1024 + "]" * 1024,
    "plain": "null",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_a_guests_json_passes_through_as_exactly_its_text(desk: Desk, text: str) -> None:
    desk.start(wat.ECHO, "echo")
    desk.start(wat.REMEMBER, "remember")

    reply = desk.local.post("/v1/actors/echo/request", text.encode())
    desk.local.post("/v1/actors/remember/request", text.encode())
    state = desk.local.get("/v1/actors/remember/state")

    assert reply.text.startswith(f'{{"reply":{text},"receipt":')
    assert state.text.endswith(f'"state":{text}}}')


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 1025 + b"]" * 1025, b"NaN", b"\xef\xbb\xbf1"]
)
def test_what_is_not_json_is_refused(desk: Desk, body: bytes) -> None:
    desk.start(wat.ECHO)

    for verb in ("send", "request", "channels"):
        assert problem(desk.local.post(f"/v1/actors/actor/{verb}", body)) == (400, "invalid-json")


def test_a_reply_comes_with_the_event_that_proves_it(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)

    answer = desk.local.post("/v1/actors/actor/request", {"by": 2})

    assert answer.status_code == 200
    head = actor.head
    receipt = {"seq": head.seq, "hash": head.hash}
    assert answer.json() == {"reply": {"count": 2}, "receipt": receipt, "has_reply": True}


def test_a_send_is_accepted_and_handled(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)

    answer = desk.local.post("/v1/actors/actor/send", {"by": 2})

    assert answer.status_code == 202
    assert is_actor_id(str(table(answer)["id"]))
    assert table(answer)["receipt"] is None
    desk.stage.rest()
    assert actor.state == '{"count":2}'


def test_who_waits_for_a_send_gets_its_receipt(desk: Desk) -> None:
    actor = desk.actor(wat.WHO)

    answer = desk.local.post("/v1/actors/actor/send?wait=true", {"by": 2})

    assert answer.status_code == 200
    (message,) = [each for each in actor.payloads("message") if getattr(each, "export", "").endswith("handle")]
    assert table(answer)["id"] == getattr(message, "id", None)
    assert table(answer)["receipt"] == {"seq": actor.head.seq, "hash": actor.head.hash}


def test_a_refusal_and_a_crash_are_two_things(desk: Desk) -> None:
    desk.start(wat.MOODY)

    refused = desk.local.post("/v1/actors/actor/request", "refuse")
    crashed = desk.local.post("/v1/actors/actor/send?wait=true", "trap")
    dead = desk.local.post("/v1/actors/actor/send", "refuse")

    assert (problem(refused), table(refused)["detail"]) == ((422, "refused"), "not today")
    assert problem(crashed) == (424, "crashed")
    assert table(crashed)["data"]["reason"] == "trap"  # type: ignore[index]  # an object
    assert problem(dead) == (409, "not-running")


def test_no_answer_in_time_is_told(desk: Desk) -> None:
    desk.start(wat.SILENT)

    assert problem(desk.local.post("/v1/actors/actor/request?timeout=1ms", 1)) == (504, "timed-out")
    assert problem(desk.local.post("/v1/actors/actor/request?timeout=301s", 1)) == (400, "invalid-input")
    assert problem(desk.local.post("/v1/actors/actor/request?timeout=soon", 1)) == (400, "invalid-input")


def test_what_took_too_long_may_be_handled_all_the_same(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    desk.local.post("/v1/actors/actor/pause")

    assert problem(desk.local.post("/v1/actors/actor/request?timeout=1ms", {"by": 2})) == (504, "timed-out")
    desk.local.post("/v1/actors/actor/resume")
    desk.stage.rest()

    assert actor.state == '{"count":2}'


def test_a_full_mailbox_says_when_to_try_again(desk: Desk) -> None:
    manifest = 'name = "a"\ncomponent = "a.wasm"\n[limits]\nmailbox = 1\n'
    desk.local.post("/v1/actors", {"manifest": manifest, "component": desk.digest(wat.ECHO)})
    desk.local.post("/v1/actors/a/pause")
    assert desk.local.post("/v1/actors/a/send", 1).status_code == 202

    full = desk.local.post("/v1/actors/a/send", 2)

    assert problem(full) == (429, "mailbox-full")
    assert int(full.headers["retry-after"]) > 0


def test_a_message_is_as_large_as_the_actor_allows(desk: Desk) -> None:
    manifest = 'name = "a"\ncomponent = "a.wasm"\n[limits]\nmessage = "1KiB"\n'
    desk.local.post("/v1/actors", {"manifest": manifest, "component": desk.digest(wat.ECHO)})

    assert desk.local.post("/v1/actors/a/request", b'"%b"' % (b"x" * 1022)).status_code == 200
    assert problem(desk.local.post("/v1/actors/a/request", b'"%b"' % (b"x" * 1023))) == (400, "invalid-json")


def test_the_same_key_is_handled_once_and_answered_twice(desk: Desk) -> None:
    actor = desk.actor(wat.COUNTER)
    key = {"Idempotency-Key": "k 1"}

    first = desk.local.post("/v1/actors/actor/request", {"by": 2}, headers=key)
    second = desk.local.post("/v1/actors/actor/request", {"by": 2}, headers=key)
    other = desk.local.post("/v1/actors/actor/request", {"by": 3}, headers=key)

    assert (first.json(), first.status_code) == (second.json(), second.status_code)
    assert problem(other) == (422, "idempotency-mismatch")
    assert actor.state == '{"count":2}'
    sent = [desk.local.post("/v1/actors/actor/send", {"by": 1}, headers=key).json() for _ in range(2)]
    assert sent[0] == sent[1]
    desk.stage.rest()
    assert actor.state == '{"count":3}'
    assert desk.token("b").post("/v1/actors/actor/request", {"by": 5}, headers=key).json()["reply"] == {"count": 8}
    for bad in ("x" * 256, "caf\xe9", ""):
        headers = {"Idempotency-Key": bad.encode("latin-1")}
        assert problem(desk.local.post("/v1/actors/actor/send", 1, headers=headers)) == (400, "invalid-input")
    assert problem(desk.local.post("/v1/actors/actor/send?wait=true", 1, headers=key)) == (400, "invalid-input")


def test_requests_of_many_are_answered_each_with_its_own(desk: Desk) -> None:
    desk.start(wat.ECHO)

    async def ask(number: int) -> httpx.Response:
        return await desk.local.asking("POST", "/v1/actors/actor/request", content=str(number))

    async def everybody() -> list[httpx.Response]:
        return await asyncio.gather(*(ask(number) for number in range(30)))

    assert [answer.json()["reply"] for answer in desk.stage.run(everybody())] == list(range(30))
