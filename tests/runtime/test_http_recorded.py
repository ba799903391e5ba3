"""HTTP in a runtime: recorded with its answer, replayed with no network at all, and without a secret anywhere."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.capabilities.web import PATIENCE_S, Page, Web, serving
from tests.guests.component import Import, actor
from tests.runtime.inside import settle
from tests.runtime.stage import Stage
from tests.runtime.web_stage import SECRET, may_ask, stage, web
from theater.errors import Denied, TheaterError
from theater.model.payload import HostCall, Intent
from theater.testing.harness import Actor

__all__ = ["stage", "web"]  # fixtures of another file

_ERRORS = "".join(
    f'(case "{name}"{payload})'
    for name, payload in (
        ("denied", " string"),
        ("invalid-url", " string"),
        ("invalid-request", " string"),
        ("invalid-content", ""),
        ("name-not-resolved", " string"),
        ("connection-failed", " string"),
        ("tls-failed", " string"),
        ("protocol", " string"),
        ("timeout", ""),
        ("wait-exhausted", ""),
        ("too-many-redirects", ""),
        ("too-large", " u64"),
        ("not-text", ""),
        ("outcome-unknown", ""),
        ("other", " string"),
    )
)
SEND = Import(
    "theater:actor/http-client@0.1.0",
    "send",
    '(param "request" $request) (result (result $response (error $error)))',
    "(param i32 i32)",
    types=f"""
    (type $c (variant (case "text" string) (case "base64" string) (case "bytes" (list u8))))
    (export "content" (type $content (eq $c)))
    (type $f (enum "automatic" "text" "base64" "bytes")) (export "content-form" (type $form (eq $f)))
    (type $h (tuple string string)) (export "header" (type $header (eq $h)))
    (type $q (record (field "method" string) (field "url" string) (field "headers" (list $header))
      (field "body" (option $content)) (field "timeout-ms" (option u64)) (field "max-redirects" (option u32))
      (field "max-response-bytes" (option u64)) (field "response-form" $form)))
    (export "outgoing-request" (type $request (eq $q)))
    (type $r (record (field "status" u16) (field "headers" (list $header)) (field "body" $content)
      (field "url" string)))
    (export "incoming-response" (type $response (eq $r)))
    (type $e (variant {_ERRORS})) (export "error" (type $error (eq $e)))""",
)
ASK = actor(
    imports=[SEND],
    handle="""(local $request i32) (local $answer i32) (local $skipped i32)
    (local.set $request (call $reserve (i32.const 88)))
    (local.set $answer (call $reserve (i32.const 64)))
    (memory.fill (local.get $request) (i32.const 0) (i32.const 88))
    (local.set $skipped
      (if (result i32) (call $is (local.get $body) (local.get $body-len) @"\\"POST")
        (then (i32.const 6)) (else (i32.const 5))))
    (i32.store (local.get $request) (i32.add (local.get $body) (i32.const 1)))
    (i32.store offset=4 (local.get $request) (i32.sub (local.get $skipped) (i32.const 2)))
    (i32.store offset=8 (local.get $request) (i32.add (local.get $body) (local.get $skipped)))
    (i32.store offset=12 (local.get $request)
      (i32.sub (local.get $body-len) (i32.add (local.get $skipped) (i32.const 1))))
    (call $send (local.get $request) (local.get $answer))
    (call $begin) (call $put @"\\"")
    (if (i32.load8_u (local.get $answer))
      (then (call $put @"error ") (call $put-number (i64.load8_u offset=8 (local.get $answer))))
      (else
        (call $put-number (i64.load16_u offset=8 (local.get $answer))) (call $put @" ")
        (call $put (i32.load offset=24 (local.get $answer)) (i32.load offset=28 (local.get $answer)))))
    (call $put @"\\"")
    (call $ok (local.get $body) (local.get $body-len) (global.get $out) (global.get $out-len))""",
)
"""``"GET URL"`` or ``"POST URL"``: asks that and answers with status and body, or with the number of the error."""
DENIED, INVALID_URL, CONNECTION_FAILED, TIMEOUT = 0, 1, 5, 8


def play(stage: Stage, web: Web, **options: object) -> Actor:
    """An actor that may ask the server."""
    return stage.play(ASK, capabilities={"http-client": may_ask(web)}, allowed=["http-client"], **options)  # type: ignore[arg-type]  # passed on


def forbid_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a replay asks the world")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbidden)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, forbidden)


def test_a_node_allows_nothing_that_nobody_allowed(stage: Stage) -> None:
    with pytest.raises(Denied) as caught:
        stage.play(ASK, capabilities={"http-client": {"allow": ["GET https://api.example.com/v1/"]}})

    assert caught.value.data["asked"] == [
        "[capabilities.http-client]",
        'allow = ["GET https://api.example.com/v1/"]',
    ]


def test_what_a_person_allowed_by_its_pattern_is_granted(stage: Stage) -> None:
    line = "GET https://api.example.com/v1/"
    table: dict[str, object] = {"allow": [line]}

    actor = stage.play(ASK, capabilities={"http-client": table}, allowed=[f"http-client={line}"])

    assert actor.status == "running"


def test_a_history_of_requests_replays_with_the_server_gone_and_the_network_forbidden(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as web:
        web.pages["/v1/hello"] = Page(b"hello")
        actor = play(stage, web)
        assert actor.request(f"GET {web.url}/v1/hello") == "200 hello"
        assert actor.request(f"POST {web.url}/v1/hello") == "200 hello"
        assert actor.request(f"GET {web.url}/v2") == f"error {DENIED}"
        assert actor.request(f"GET http://user@127.0.0.1:{web.port}/v1/") == f"error {INVALID_URL}"
    assert actor.request(f"GET {web.url}/v1/hello") == f"error {CONNECTION_FAILED}"

    forbid_the_network(monkeypatch)

    assert actor.verify().ok
    assert len(web.asked) == 2
    safe, unsafe = ["message", "host", "state"], ["message", "intent", "host", "state"]
    assert actor.kinds()[4:] == [*safe, *unsafe, *safe, *safe, *safe]


def test_a_denied_request_is_recorded_with_the_line_that_is_missing(stage: Stage, web: Web) -> None:
    actor = play(stage, web)

    actor.request(f"POST {web.url}/v2/x?secret=1")

    [host] = actor.payloads("host")
    assert isinstance(host, HostCall)
    assert host.answer == {"err": {"denied": f'allow = ["POST {web.url}/v2/x"]'}}
    assert web.asked == []


def test_a_secret_is_on_the_wire_and_nowhere_else(stage: Stage, web: Web, tmp_path: Path) -> None:
    actor = play(stage, web)
    url = f"{web.url}/v1/echo?key={{{{secret:KEY}}}}"
    web.pages["/v1/echo"] = Page(f"you are {SECRET}".encode())

    assert actor.request(f"POST {url}") == "200 you are {{secret:KEY}}"

    assert web.asked[0].target == f"/v1/echo?key={SECRET}"
    [intent] = actor.payloads("intent")
    assert isinstance(intent, Intent)
    assert "{{secret:KEY}}" in json.dumps(intent.arguments)
    assert actor.verify().ok
    stage.reopen()
    for file in (tmp_path / "data").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_a_request_that_takes_too_long_is_answered_at_its_time(stage: Stage, web: Web) -> None:
    actor = play(stage, web)
    web.pages["/v1/slow"] = Page(b"late")
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(f"GET {web.url}/v1/slow"))
    assert web.arrived.wait(PATIENCE_S)
    stage.clock.wait_for_timers()

    stage.clock.advance(30)

    assert pending.result().text == f'"error {TIMEOUT}"'
    assert actor.verify().ok


@pytest.mark.slow
@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("GET", 2)])
def test_what_was_under_way_when_the_node_closed_is_unknown_or_asked_again(
    stage: Stage, web: Web, method: str, times: int
) -> None:
    actor = play(stage, web)
    web.pages["/v1/slow"] = Page(b"late")
    web.slow.add("/v1/slow")
    pending = actor.start_request(json.dumps(f"{method} {web.url}/v1/slow"))
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
    assert ("outcome-unknown" in json.dumps(host.answer)) is (method == "POST")
    assert again.verify().ok
