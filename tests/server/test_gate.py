"""What every request goes through, whatever it asks."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from msgspec import Meta
from starlette.responses import Response

from tests.server.frame import Frame, framed
from theater.errors import Busy, MailboxFull, NotFound
from theater.model import wire
from theater.server.body import Larder
from theater.server.endpoint import (
    EVENT_STREAM,
    ZIP,
    Answer,
    Call,
    Endpoint,
    Parameter,
    any_json,
    document,
    nothing,
    order,
    raw,
    stream,
)
from theater.server.tokens import add_token

ID = Parameter[str]("id", "path", str, "Which.")
LIMIT = Parameter[int]("limit", "query", Annotated[int, Meta(ge=1, le=10)], "How many.", default=7)
TREE = Parameter[bool]("tree", "query", bool, "All of it.", default=False)
KEY = Parameter[str | None]("Idempotency-Key", "header", Annotated[str, Meta(max_length=5)], "A key.")

OK = (Answer(200, wire.Health),)
SECRET = "the password is swordfish"


async def healthy(_call: Call) -> Response:
    return document(wire.Health())


async def told(call: Call) -> Response:
    says = f"{call.value(ID)} {call.value(LIMIT)} {call.value(TREE)} {call.value(KEY)} {call.caller.name}"
    return Response(says)


async def echo(call: Call) -> Response:
    return Response(call.text)


async def stopped(call: Call) -> Response:
    return Response(str(call.order(wire.StopOrder).now))


async def counted(call: Call) -> Response:
    return Response(str([len(chunk) async for chunk in call.chunks]))


async def missing(_call: Call) -> Response:
    raise NotFound("no actor '\x1b[31m'", nearest="counter", path=Path("/etc"), _hidden=1)


async def full(_call: Call) -> Response:
    raise MailboxFull("it holds 1000 messages")


async def broken(_call: Call) -> Response:
    raise RuntimeError(SECRET)


async def stuck(_call: Call) -> Response:
    await asyncio.Event().wait()
    return nothing()


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


async def streamed(_call: Call) -> Response:
    return stream(pieces(), EVENT_STREAM)


async def breaking_off() -> AsyncIterator[bytes]:
    yield b"one "
    raise RuntimeError(SECRET)


async def half(_call: Call) -> Response:
    return stream(breaking_off(), EVENT_STREAM)


ENDPOINTS = (
    Endpoint("GET", "/open", "open", "", None, healthy, OK),
    Endpoint("GET", "/things", "look", "", "read", healthy, OK),
    Endpoint("POST", "/things", "make", "", "operate", healthy, OK),
    Endpoint("GET", "/things/{id}", "tell", "", "read", told, OK, parameters=(ID, LIMIT, TREE, KEY)),
    Endpoint("POST", "/echo", "echo", "", "operate", echo, OK, body=any_json("Anything.", max_bytes=1000)),
    Endpoint("POST", "/stop", "stop", "", "operate", stopped, OK, body=order(wire.StopOrder, may_be_empty=True)),
    Endpoint("PUT", "/bytes", "bytes", "", "operate", counted, OK, body=raw(ZIP, "A zip.", max_bytes=10)),
    Endpoint("GET", "/missing", "missing", "", None, missing, OK),
    Endpoint("GET", "/full", "full", "", None, full, OK),
    Endpoint("GET", "/broken", "broken", "", None, broken, OK),
    Endpoint("GET", "/stuck", "stuck", "", None, stuck, OK, time_limit_s=0.01),
    Endpoint("GET", "/stream", "stream", "", None, streamed, OK),
    Endpoint("GET", "/half", "half", "", None, half, OK),
)


@pytest.fixture
def frame(tmp_path: Path) -> Iterator[Frame]:
    with framed(tmp_path, ENDPOINTS, allowed_hosts=["Theater.example:80"]) as made:
        yield made


def ask(
    frame: Frame,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    with_token: bool = True,
) -> httpx.Response:
    sent = {**(frame.auth if with_token else {}), **(headers or {})}
    return asyncio.run(frame.client.request(method, path, headers=sent, content=content))


def called(frame: Frame, path: str, *, version: str = "1.1") -> list[dict[str, object]]:
    """What the application sends, message by message."""
    sent: list[dict[str, object]] = []
    asked: list[str] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        if asked:  # nothing more comes from there
            await asyncio.Event().wait()
        asked.append(path)
        return {"type": "http.request"}

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "GET", "path": path, "http_version": version, "headers": headers}
    transport = frame.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    asyncio.run(transport.app({**scope, "query_string": b""}, receive, send))  # type: ignore[arg-type]  # as uvicorn does
    return sent


def code_of(response: httpx.Response) -> str:
    """The code of a problem that is as it has to be."""
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["type"] == f"urn:theater:error:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    return str(problem["code"])


def test_every_answer_has_a_request_id_of_ours(frame: Frame) -> None:
    first = ask(frame, "GET", "/open", headers={"X-Request-Id": "forged"})
    second = ask(frame, "GET", "/nowhere")

    ids = [first.headers["x-request-id"], second.headers["x-request-id"]]
    assert all(re.fullmatch("[0-9a-f]{16}", text) for text in ids)
    assert ids[0] != ids[1]


def test_no_answer_is_kept_by_a_cache_or_guessed_at(frame: Frame) -> None:
    response = ask(frame, "GET", "/open")

    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:2823", "127.9.9.9", "[::1]:2823", "node.example", "theater.example:2823"],
)
def test_a_host_of_ours_is_answered(frame: Frame, host: str) -> None:
    assert ask(frame, "GET", "/open", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]",
        "",
        "a b",
        "localhost:x",
        "0",
    ],
)
def test_a_foreign_host_is_misdirected(frame: Frame, host: str) -> None:
    response = ask(frame, "GET", "/open", headers={"Host": host})

    assert response.status_code == 421
    assert code_of(response) == "foreign-host"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:2823", "null", ""])
def test_a_request_of_a_web_page_is_refused_whatever_its_origin(frame: Frame, origin: str) -> None:
    response = ask(frame, "GET", "/open", headers={"Origin": origin})

    assert response.status_code == 403
    assert code_of(response) == "foreign-origin"
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_another_version_of_http_is_refused(frame: Frame) -> None:
    assert called(frame, "/open", version="1.0")[0]["status"] == 505


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dGhlYXRlcg==",
        "Bearer one two",
        "Bearer \u00e9",
        "Token x",
        "bearer nobody-has-it",
    ],
)
def test_a_token_that_is_none_is_unauthorized(frame: Frame, value: str) -> None:
    headers = [(b"Authorization", value.encode("latin-1"))]
    response = asyncio.run(frame.client.get("/things", headers=headers))

    assert response.status_code == 401
    assert code_of(response) == "unauthorized"
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_two_tokens_are_none(frame: Frame) -> None:
    headers = [("Authorization", f"Bearer {frame.token}")] * 2

    assert asyncio.run(frame.client.get("/things", headers=headers)).status_code == 401


def test_the_scheme_is_read_in_any_case(frame: Frame) -> None:
    headers = {"Authorization": f"bEaReR {frame.token}"}

    assert ask(frame, "GET", "/things", headers=headers).status_code == 200


def test_a_request_without_a_token_is_unauthorized_before_its_body_is_looked_at(frame: Frame) -> None:
    response = ask(frame, "POST", "/echo", content=b"{" * 2000, with_token=False)

    assert response.status_code == 401


def test_a_token_for_reading_may_not_operate(frame: Frame) -> None:
    reader = {"Authorization": f"Bearer {add_token(frame.folder, 'reader', 'read')}"}

    assert ask(frame, "GET", "/things", headers=reader).status_code == 200
    refused = ask(frame, "POST", "/things", headers=reader)
    assert refused.status_code == 403
    assert code_of(refused) == "forbidden"


def test_what_needs_no_token_is_answered_without_one_and_with_any(frame: Frame) -> None:
    assert ask(frame, "GET", "/open", with_token=False).status_code == 200
    assert ask(frame, "GET", "/open", headers={"Authorization": "nonsense"}).status_code == 200


def test_a_path_that_is_none_is_a_problem(frame: Frame) -> None:
    for path in ("/nowhere", "/things/a/b", "/things/", "/things/a%2Fb"):
        response = ask(frame, "GET", path)
        assert response.status_code == 404
        assert code_of(response) == "no-such-route"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "DELETE", "TRACE", "STRANGE"])
def test_a_method_that_a_path_does_not_have_is_a_problem_that_names_the_others(frame: Frame, method: str) -> None:
    response = ask(frame, method, "/things")

    assert response.status_code == 405
    assert code_of(response) == "no-such-method"
    assert response.headers["allow"] == "GET, HEAD, POST"


def test_head_is_get_without_the_body(frame: Frame) -> None:
    got, headed = ask(frame, "GET", "/things"), ask(frame, "HEAD", "/things")

    assert headed.status_code == 200
    assert headed.content == b""
    assert headed.headers["content-length"] == got.headers["content-length"]
    assert ask(frame, "HEAD", "/things", with_token=False).status_code == 401


def test_head_of_a_stream_begins_none(frame: Frame) -> None:
    response = ask(frame, "HEAD", "/stream")

    assert response.status_code == 200
    assert response.content == b""


def test_a_stream_is_counted_while_it_lasts(frame: Frame) -> None:
    assert ask(frame, "GET", "/stream").content == b"one two"
    assert frame.traffic.streams == 0


def test_parameters_arrive_parsed_with_their_defaults(frame: Frame) -> None:
    assert ask(frame, "GET", "/things/a").text == "a 7 False None local"
    response = ask(frame, "GET", "/things/b%20%C3%A9?limit=3&tree=true", headers={"idempotency-key": "k"})
    assert response.text == "b \u00e9 3 True k local"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limits=3", "did you mean 'limit'"),
        ("limit=3&limit=3", "'limit' is given twice"),
        ("limit=0", "'limit'"),
        ("limit=11", "'limit'"),
        ("limit=", "'limit'"),
        ("limit=3.0", "'limit'"),
        ("limit=%203", "'limit'"),
        ("limit=0x3", "'limit'"),
        ("limit=1e0", "'limit'"),
        ("limit=99999999999999999999999999999999", "'limit'"),
        ("tree=1", "'tree'"),
        ("tree=True", "'tree'"),
        ("limit=%FF", "percent-encoded UTF-8"),
        ("&".join(["limit=1"] * 60), "cannot be read"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused_by_name(frame: Frame, query: str, says: str) -> None:
    response = ask(frame, "GET", f"/things/a?{query}")

    assert response.status_code == 400
    assert says in response.json()["detail"]
    code_of(response)


def test_a_header_that_cannot_be_used_is_refused_by_name(frame: Frame) -> None:
    response = ask(frame, "GET", "/things/a", headers={"Idempotency-Key": "too long"})

    assert response.status_code == 400
    assert "'Idempotency-Key'" in response.json()["detail"]


def test_a_json_body_is_kept_exactly(frame: Frame) -> None:
    body = b' {"a": 1.0e+2, "a":\t[1,  2] }\n'

    assert ask(frame, "POST", "/echo", content=body).content == body


@pytest.mark.parametrize("body", [b"", b"\xff", b"\xed\xa0\x80"])
def test_a_body_that_is_no_text_is_a_problem(frame: Frame, body: bytes) -> None:
    response = ask(frame, "POST", "/echo", content=body)

    assert response.status_code == 400
    assert code_of(response) == "invalid-json"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "x"]
)
def test_a_body_of_another_type_is_refused(frame: Frame, kind: str) -> None:
    response = ask(frame, "POST", "/echo", content=b"1", headers={"Content-Type": kind})

    assert response.status_code == 415
    assert code_of(response) == "wrong-type"


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_taken_however_it_is_announced(frame: Frame, kind: str) -> None:
    assert ask(frame, "POST", "/echo", content=b"1", headers={"Content-Type": kind}).status_code == 200


def test_a_compressed_body_is_refused(frame: Frame) -> None:
    assert ask(frame, "POST", "/echo", content=b"1", headers={"Content-Encoding": "gzip"}).status_code == 415


def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_is_read(frame: Frame) -> None:
    response = ask(frame, "POST", "/echo", content=b"1", headers={"Content-Length": "1001"})

    assert response.status_code == 413
    assert code_of(response) == "too-large"


def test_a_body_that_turns_out_to_be_too_large_is_refused(frame: Frame) -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    response = asyncio.run(frame.client.post("/echo", content=much(), headers=frame.auth))

    assert response.status_code == 413
    assert code_of(response) == "too-large"


def test_bytes_are_streamed_and_bounded(frame: Frame) -> None:
    async def slices(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"1234"

    assert asyncio.run(frame.client.put("/bytes", content=slices(2), headers=frame.auth)).text == "[4, 4]"
    assert asyncio.run(frame.client.put("/bytes", content=slices(3), headers=frame.auth)).status_code == 413


def test_an_order_is_decoded_and_may_be_empty_where_it_says_so(frame: Frame) -> None:
    assert ask(frame, "POST", "/stop").text == "False"
    assert ask(frame, "POST", "/stop", content=b"{}").text == "False"
    assert ask(frame, "POST", "/stop", content=b'{"now":true}').text == "True"
    # as curl announces no body at all
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "0"}
    assert ask(frame, "POST", "/stop", headers=form).text == "False"


@pytest.mark.parametrize("body", [b'{"now":1}', b'{"nwo":true}', b"[]", b"null", b"[" * 1000 + b"]" * 1000])
def test_an_order_that_is_none_says_why(frame: Frame, body: bytes) -> None:
    response = ask(frame, "POST", "/stop", content=body)

    assert response.status_code == 400
    assert code_of(response) == "invalid-input"


def test_a_body_where_none_is_wanted_is_refused(frame: Frame) -> None:
    assert code_of(ask(frame, "POST", "/things", content=b"{}")) == "bad-request"


def test_an_error_of_ours_is_told_with_what_is_known_of_it(frame: Frame) -> None:
    response = ask(frame, "GET", "/missing")

    assert response.status_code == 404
    assert code_of(response) == "not-found"
    assert response.json()["detail"] == "no actor '\x1b[31m'"
    assert response.json()["data"] == {"nearest": "counter"}


def test_what_may_succeed_later_says_when_to_try_again(frame: Frame) -> None:
    response = ask(frame, "GET", "/full")

    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"


def test_a_bug_tells_nothing_and_is_in_the_log_under_the_same_id(frame: Frame) -> None:
    response = ask(frame, "GET", "/broken")

    assert response.status_code == 500
    assert code_of(response) == "internal"
    assert "swordfish" not in response.text
    assert SECRET in frame.log
    assert f"request_id={response.headers['x-request-id']}" in frame.log
    assert "Traceback" in frame.log


def test_what_is_damaged_here_is_in_the_log_as_well(frame: Frame) -> None:
    frame.folder.tokens.write_text("{")
    frame.folder.tokens.chmod(0o600)

    response = ask(frame, "GET", "/things")

    assert (response.status_code, code_of(response)) == (500, "damaged")
    assert str(frame.folder.root) not in response.text  # whoever asks may be nobody
    assert "tokens.json is no list of tokens" in frame.log
    assert "Traceback" not in frame.log


def test_an_answer_that_takes_too_long_is_given_up(frame: Frame) -> None:
    response = ask(frame, "GET", "/stuck")

    assert response.status_code == 504
    assert code_of(response) == "timed-out"


def test_an_answer_that_breaks_off_is_not_finished_as_if_it_were_whole(frame: Frame) -> None:
    sent = called(frame, "/half")

    assert [message.get("body") for message in sent[1:]] == [b"one "]
    assert sent[-1]["more_body"]
    assert SECRET in frame.log


def test_a_server_that_stops_takes_no_more(frame: Frame) -> None:
    frame.service.stopping.set()

    response = ask(frame, "GET", "/open")

    assert response.status_code == 503
    assert code_of(response) == "closing"
    assert response.headers["retry-after"] == "1"


def test_the_log_has_the_route_and_never_the_target(frame: Frame) -> None:
    ask(frame, "GET", "/things/%1b%5b31m?limit=3")
    ask(frame, "GET", "/%0aforged")

    first, second = frame.log.splitlines()
    assert "route=/things/{id} status=200" in first
    assert "token=local" in first
    assert "route=- status=404" in second
    assert "forged" not in frame.log
    assert frame.token not in frame.log


def test_requests_are_counted_by_names_of_ours_alone(frame: Frame) -> None:
    for method in ("GET", "STRANGE", "STRANGER"):
        ask(frame, method, "/things/a")
        ask(frame, method, "/nowhere")

    assert frame.traffic.requests == {
        ("/things/{id}", "GET", 200): 1,
        ("/things/{id}", "other", 405): 2,
        ("-", "GET", 404): 1,
        ("-", "other", 404): 2,
    }


def test_a_body_that_comes_too_slowly_is_given_up(frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.server.body.PATIENCE_S", 0.01)
    monkeypatch.setattr("theater.server.body.RATE_MIN_BYTES_S", 1e9)

    async def slow() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.Event().wait()

    response = asyncio.run(frame.client.post("/echo", content=slow(), headers=frame.auth))

    assert response.status_code == 408
    assert code_of(response) == "too-slow"


def test_bodies_together_hold_no_more_than_they_may() -> None:
    larder = Larder(max_bytes=10)
    larder.take(7)

    with pytest.raises(Busy):
        larder.take(4)
    larder.give_back(7)
    larder.take(10)

    assert larder.held_bytes == 10
