"""``wasi:http`` in a runtime: sent when the guest waits, recorded with its answer, replayed with no network at all."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.capabilities.web import PATIENCE_S, Page, Web, serving
from tests.guests.web import ASK, ERRORS
from tests.runtime.inside import settle
from tests.runtime.stage import Stage
from tests.runtime.test_http_recorded import forbid_the_network
from tests.runtime.web_stage import SECRET, may_ask, stage, web
from theater.capabilities.http_wire.service import HttpService
from theater.errors import Crashed, TheaterError
from theater.model.payload import HostCall, Intent
from theater.testing.harness import Actor

__all__ = ["stage", "web"]  # fixtures of another file


def error(name: str) -> str:
    """As the guest says it."""
    return f"error {ERRORS.index(name)}"


def play(stage: Stage, web: Web, **options: object) -> Actor:
    """An actor that may ask the server."""
    return stage.play(ASK, capabilities={"http-client": may_ask(web)}, allowed=["http-client"], **options)  # type: ignore[arg-type]  # passed on


def to(web: Web, method: str, path: str, body: str = "") -> str:
    """One item of a message."""
    return f"{method} 127.0.0.1:{web.port} {path}{body and ' '}{body}"


def test_a_history_of_requests_replays_with_the_server_gone_and_the_network_forbidden(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as web:
        web.pages["/v1/hello"] = Page(b"hello")
        actor = play(stage, web)
        assert actor.request(to(web, "GET", "/v1/hello")) == "0:200 hello|"
        assert actor.request(to(web, "POST", "/v1/hello", "some words")) == "0:200 hello|"
        assert actor.request(to(web, "GET", "/v2")) == f"0:refused {ERRORS.index('HTTP-request-denied')}|"
    assert actor.request(to(web, "GET", "/v1/hello")) == f"0:{error('connection-refused')}|"

    forbid_the_network(monkeypatch)

    assert actor.verify().ok
    assert [(asked.method, asked.body) for asked in web.asked] == [("GET", b""), ("POST", b"some words")]
    safe, unsafe = ["message", "host", "state"], ["message", "intent", "host", "state"]
    assert actor.kinds()[4:] == [*safe, *unsafe, *safe, *safe]


def test_what_is_sent_and_what_came_is_recorded_where_the_guest_waits_for_it(stage: Stage, web: Web) -> None:
    actor = play(stage, web)
    web.pages["/v1/hello"] = Page(b"\xff\x00", status=404, headers=(("X-Odd", "caf\xe9"), ("Upgrade", "h2c")))

    with pytest.raises(Crashed, match="utf-8"):  # it says what it read
        actor.request(to(web, "PUT", "/v1/hello?q={{secret:KEY}}", "words"))

    [intent] = actor.payloads("intent")
    assert isinstance(intent, Intent)
    url = f"{web.url}/v1/hello?q=%7B%7Bsecret:KEY%7D%7D"
    sent = {"method": "PUT", "url": url, "headers": [], "body": {"text": "words"}}
    assert intent.about == {"requests": [sent]}
    [host] = actor.payloads("host")
    assert isinstance(host, HostCall)
    assert (host.answer, host.arguments, host.about) == ([0], None, None)
    assert isinstance(host.read, list)
    [answer] = host.read
    assert answer["ok"]["body"] == {"base64": "/wA="}
    assert answer["ok"]["status"] == 404
    assert ["x-odd", "caf\xe9"] in answer["ok"]["headers"]
    assert web.asked[0].target == f"/v1/hello?q={SECRET}"


def test_a_request_without_a_grant_is_denied_and_recorded(stage: Stage, web: Web) -> None:
    actor = stage.play(ASK)

    assert actor.request(to(web, "GET", "/v1/hello", "body")) == f"0:refused {ERRORS.index('HTTP-request-denied')}|"

    [host] = actor.payloads("host")
    assert isinstance(host, HostCall)
    assert host.answer == {"err": {"HTTP-request-denied": None}}
    url = f"{web.url}/v1/hello"
    assert host.read == {"method": "GET", "url": url, "why": f'allow = ["GET {url}"]'}
    assert web.asked == []
    assert actor.verify().ok


def test_several_requests_are_sent_at_once_and_each_answer_is_had_when_it_comes(stage: Stage, web: Web) -> None:
    actor = play(stage, web)
    web.slow.add("/v1/slow")
    web.pages["/v1/slow"] = Page(b"late")
    pending = actor.start_request(json.dumps("|".join([to(web, "POST", "/v1/slow", "x"), to(web, "GET", "/v1/hello")])))
    assert web.arrived.wait(PATIENCE_S)
    while "host" not in actor.kinds():
        stage.rest()

    web.go_on.set()

    assert pending.result().text == '"1:200 hello|0:200 late|"'
    assert len(web.asked) == 2
    first, second = actor.payloads("host")
    assert isinstance(first, HostCall)
    assert isinstance(second, HostCall)
    assert first.intent is not None
    assert (second.intent, second.about) == (None, None)  # it only waits on
    assert actor.verify().ok


def test_more_requests_than_may_be_under_way_at_once_are_sent_when_there_are_answers(stage: Stage, web: Web) -> None:
    actor = play(stage, web)

    reply = actor.request("|".join(to(web, "GET", "/v1/hello") for _ in range(20)))

    assert isinstance(reply, str)
    assert sorted(reply.removesuffix("|").split("|")) == sorted(f"{number}:200 hello" for number in range(20))
    [about] = [host.about for host in actor.payloads("host")[:1] if isinstance(host, HostCall)]
    assert len(about["requests"]) == 16  # type: ignore[index]  # JSON
    assert actor.verify().ok


def test_a_timer_ends_the_wait_and_what_is_under_way_goes_on(stage: Stage, web: Web) -> None:
    actor = play(stage, web)
    web.slow.add("/v1/slow")
    web.pages["/v1/slow"] = Page(b"late")
    pending = actor.start_request(json.dumps(f"{to(web, 'POST', '/v1/slow', 'x')}|wait 5000"))
    assert web.arrived.wait(PATIENCE_S)
    stage.clock.wait_for_timers()

    stage.clock.advance(5)
    while "host" not in actor.kinds():
        stage.rest()
    web.go_on.set()

    assert pending.result().text == '"1:tick|0:200 late|"'
    assert len(web.asked) == 1
    assert actor.kinds()[-5:] == ["message", "intent", "host", "host", "state"]
    assert actor.verify().ok


def test_an_answer_that_takes_too_long_is_an_error_at_its_time(stage: Stage, web: Web) -> None:
    actor = play(stage, web, limits={"wait": "2m"})
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(to(web, "GET", "/v1/slow")))
    assert web.arrived.wait(PATIENCE_S)
    stage.clock.wait_for_timers()

    stage.clock.advance(60)

    assert pending.result().text == f'"0:{error("HTTP-response-timeout")}|"'
    assert actor.verify().ok


def test_the_limit_of_the_step_ends_every_wait_with_an_error(stage: Stage, web: Web) -> None:
    actor = play(stage, web, limits={"wait": "2s"})
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(f"{to(web, 'GET', '/v1/slow')}|wait 5000"))
    assert web.arrived.wait(PATIENCE_S)
    stage.clock.wait_for_timers()

    stage.clock.advance(2)

    assert pending.result().text == f'"0:{error("internal-error")}|"'
    [host] = actor.payloads("host")
    assert isinstance(host, HostCall)
    assert host.now == "2026-01-01T00:00:02.000000Z"
    assert actor.verify().ok


def test_a_step_that_is_stopped_breaks_off_what_it_left_under_way(stage: Stage, web: Web) -> None:
    actor = play(stage, web)
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(f"{to(web, 'POST', '/v1/slow', 'x')}|{to(web, 'GET', '/v1/hello')}"))
    assert web.arrived.wait(PATIENCE_S)
    while "host" not in actor.kinds():
        stage.rest()

    actor.terminate()

    with pytest.raises(TheaterError):
        pending.result()
    service = stage.runtime.node.services.of("http-client")  # type: ignore[union-attr]  # a node that runs steps
    assert isinstance(service, HttpService)
    service.run(nothing_left()).result(PATIENCE_S)
    report = actor.verify()
    assert (report.ok, report.unreproducible) == (True, 1)


async def nothing_left() -> None:
    """On the loop of the service: nothing else goes on there, once what was broken off has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


def test_an_answer_beyond_the_grant_is_an_error(stage: Stage, web: Web) -> None:
    web.pages["/v1/large"] = Page(b"x" * 2001)
    table = {"allow": [f"* {web.url}/v1/"], "private": ["127.0.0.1"], "response-size": 2000}
    actor = stage.play(ASK, capabilities={"http-client": table}, allowed=["http-client"])

    assert actor.request(to(web, "GET", "/v1/large")) == f"0:{error('HTTP-response-body-size')}|"
    web.pages["/v1/large"] = Page(b"x" * 2000)
    assert actor.request(to(web, "GET", "/v1/large")) == f"0:200 {'x' * 2000}|"
    assert actor.verify().ok


def test_an_answer_too_large_to_record_ends_the_step_and_its_replay_in_the_same_way(stage: Stage, web: Web) -> None:
    web.pages["/v1/large"] = Page(b"x" * 5000)
    actor = play(stage, web, limits={"bytes-per-step": 4000})

    with pytest.raises(Crashed, match="bytes"):
        actor.request(to(web, "POST", "/v1/large", "x"))

    assert actor.verify().ok


def test_an_answer_that_the_guest_could_not_hold_is_an_error(stage: Stage, web: Web) -> None:
    web.pages["/v1/large"] = Page(b"x" * 300_000)
    actor = play(stage, web, limits={"memory": "192KiB"})

    assert actor.request(to(web, "GET", "/v1/large")) == f"0:{error('HTTP-response-body-size')}|"
    assert actor.verify().ok


def test_a_warm_instance_asks_again_and_again(stage: Stage, web: Web) -> None:
    actor = play(stage, web, instance="warm")

    for _ in range(3):
        assert actor.request(to(web, "POST", "/v1/hello", "x")) == "0:200 hello|"

    assert actor.verify().ok
    assert "hidden-state" not in actor.kinds()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("GET", 2)])
def test_what_was_under_way_when_the_node_closed_is_unknown_or_asked_again(
    stage: Stage, web: Web, method: str, times: int
) -> None:
    actor = play(stage, web)
    web.pages["/v1/slow"] = Page(b"late")
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(to(web, method, "/v1/slow")))
    assert web.arrived.wait(PATIENCE_S)

    stage.reopen()
    web.go_on.set()
    with pytest.raises(TheaterError):
        pending.result()
    again = stage.actor("actor", allowed=["http-client"])
    settle(again)
    stage.rest()

    assert len(web.asked) == times
    [host] = again.payloads("host")
    assert isinstance(host, HostCall)
    assert ("outcome-unknown" in json.dumps(host.read)) is (method == "POST")
    assert again.verify().ok


@pytest.mark.slow
def test_what_an_earlier_poll_left_under_way_when_the_node_closed_is_unknown_and_not_sent_again(
    stage: Stage, web: Web
) -> None:
    actor = play(stage, web)
    web.pages["/v1/slow"] = Page(b"late")
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(f"{to(web, 'POST', '/v1/slow', 'x')}|{to(web, 'GET', '/v1/hello')}"))
    assert web.arrived.wait(PATIENCE_S)
    while "host" not in actor.kinds():
        stage.rest()

    stage.reopen()
    web.go_on.set()
    with pytest.raises(TheaterError):
        pending.result()
    again = stage.actor("actor", allowed=["http-client"])
    settle(again)
    stage.rest()

    assert len(web.asked) == 2
    first, second = again.payloads("host")
    assert "hello" in json.dumps(first.read)  # type: ignore[attr-defined]  # host events
    assert "outcome-unknown" in json.dumps(second.read)  # type: ignore[attr-defined]  # host events
    assert again.verify().ok
