"""HTTP requests: what is granted arrives as it was meant, and nothing else leaves the node."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest

from tests.capabilities.web import (
    PATIENCE_S,
    VALUES,
    Names,
    Page,
    Web,
    begun,
    fetched,
    grant_for,
    local,
    ok,
    packed,
    raw_deflate,
    refusal,
    request,
    waits,
)
from theater.capabilities.http_client_grant import HttpClientGrant, parse
from theater.capabilities.http_wire.service import HttpService
from theater.errors import InvalidManifest
from theater.runtime.services import Interrupt
from theater.testing.step_context import FakeStepContext

# -- what arrives ----------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_written_and_its_answer_comes_back(web: Web, service: HttpService) -> None:
    web.pages["/v1/x"] = Page(b"\xc3\xa4", 418, (("X-Odd", "caf\xe9"), ("X-Two", "1"), ("X-Two", "2")))
    asked = request(
        f"{web.url}/v1/./x?q=%41 ".strip(),
        "POST",
        headers=[("X-Own", "ä"), ("accept", "text/plain")],
        body=("text", "hä"),
    )

    response = ok(fetched(service, local(web), asked))

    [arrived] = web.asked
    assert (arrived.method, arrived.target, arrived.body) == ("POST", "/v1/x?q=A", "hä".encode())
    assert arrived.headers["host"] == f"127.0.0.1:{web.port}"
    assert arrived.headers["x-own"].encode("latin-1").decode() == "ä"
    assert arrived.headers["accept"] == "text/plain"
    assert arrived.headers["content-length"] == "3"
    assert "cookie" not in arrived.headers
    assert response["status"] == 418
    assert response["body"] == ("text", "ä")
    assert response["url"] == f"{web.url}/v1/x?q=A"
    assert ("x-odd", "café") in response["headers"]
    assert [value for name, value in response["headers"] if name == "x-two"] == ["1", "2"]


@pytest.mark.parametrize(
    ("form", "body"),
    [("automatic", ("base64", "/wA=")), ("base64", ("base64", "/wA=")), ("bytes", ("bytes", b"\xff\x00"))],
)
def test_a_body_is_handed_out_in_the_form_that_was_asked_for(
    web: Web, service: HttpService, form: str, body: object
) -> None:
    web.pages["/"] = Page(b"\xff\x00")

    assert ok(fetched(service, local(web), request(web.url, response_form=form)))["body"] == body


def test_a_body_that_is_no_text_is_refused_where_text_was_asked_for(web: Web, service: HttpService) -> None:
    web.pages["/"] = Page(b"\xff\x00")

    assert fetched(service, local(web), request(web.url, response_form="text")) == ("err", ("not-text", None))


@pytest.mark.parametrize("content", [("text", "ab"), ("base64", "YWI="), ("bytes", b"ab")])
def test_a_body_is_sent_in_any_form(web: Web, service: HttpService, content: object) -> None:
    ok(fetched(service, local(web), request(web.url, "PUT", body=content)))

    assert web.asked[0].body == b"ab"


def test_a_head_has_no_body_and_options_are_asked(web: Web, service: HttpService) -> None:
    assert ok(fetched(service, local(web), request(web.url, "HEAD")))["body"] == ("text", "")
    assert ok(fetched(service, local(web), request(web.url, "OPTIONS")))["status"] == 200
    assert [each.method for each in web.asked] == ["HEAD", "OPTIONS"]


def test_no_cookie_of_one_answer_goes_with_another_request(web: Web, service: HttpService) -> None:
    web.pages["/in"] = Page(headers=(("Set-Cookie", "a=1"),))

    ok(fetched(service, local(web), request(f"{web.url}/in")))
    ok(fetched(service, local(web), request(f"{web.url}/again")))

    assert "cookie" not in web.asked[1].headers


def test_the_environment_names_no_proxy(web: Web, service: HttpService, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert ok(fetched(service, local(web), request(web.url)))["status"] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_only_what_changes_nothing_is_repeated(web: Web, method: str) -> None:
    act = waits(local(web), request(web.url, method)).act
    assert act is not None
    assert act.is_safe is (method in ("GET", "HEAD", "OPTIONS", "TRACE"))
    assert act.unknown() == ("err", ("outcome-unknown", None))


# -- the grant -------------------------------------------------------------------------------------------------------


def test_nothing_is_allowed_that_is_not_named() -> None:
    assert refusal(HttpClientGrant(), request("https://a.b/x?y=z")) == ("denied", 'allow = ["GET https://a.b/x"]')
    grant = grant_for("GET https://a.b/v1/")
    assert refusal(grant, request("https://a.b/v1/x", "POST")) == ("denied", 'allow = ["POST https://a.b/v1/x"]')
    assert refusal(grant, request("https://a.b/v1/../v2")) == ("denied", 'allow = ["GET https://a.b/v2"]')
    waits(grant, request("https://a.b/v1/x"))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"allow": ["GET a.b"]}, "allow: 'GET a.b'"),
        ({"allow": "GET https://a.b/"}, "list of texts"),
        ({"private": ["127.1"]}, "private: '127.1'"),
        ({"secrets": ["a b c"]}, "secrets: 'a b c'"),
        ({"request-size": "65MiB"}, "64MiB is the most"),
        ({"response-size": "1 mile"}, "response-size"),
        ({"timeout": "25h"}, "timeout: 86400s is the most"),
        ({"redirects": 21}, "redirects: 20 is the most"),
        ({"redirects": -1}, "redirects"),
        ({"alow": []}, "did you mean 'allow'"),
        ({"allow": [f"GET https://a.b/{number}" for number in range(257)]}, "256 items"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_key(table: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidManifest, match=says):
        parse(table)


def test_a_child_has_what_both_allow() -> None:
    parent = grant_for(
        "* https://a.b/v1/", "GET https://c.d/", private=["10.0.0.0/8:443"], secrets=["KEY https://a.b/"]
    )
    child = grant_for(
        "GET https://a.b/", "* https://e.f/", private=["10.1.0.0/16"], secrets=["KEY", "OTHER"], redirects=2
    )

    assert child.narrowed(parent).table() == {
        "allow": ["GET https://a.b/v1/"],
        "private": ["10.1.0.0/16:443"],
        "secrets": ["KEY https://a.b/"],
        "request-size": "1MiB",
        "response-size": "1MiB",
        "timeout": "60s",
        "redirects": 2,
    }
    assert child.lines(parent) == [
        'allow = ["* https://e.f/"]',
        'allow = ["GET https://a.b/"]',
        'private = ["10.1.0.0/16"]',
        'secrets = ["KEY"]',
        'secrets = ["OTHER"]',
    ]


# -- what is written wrong is refused before anything is sent, and recorded ------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://user@here.example/",
        "http://[::1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://here.example/v1/..%2f..%2fadmin",
        "http://here.example/#x",
        "gopher://here.example/",
    ],
)
def test_a_url_that_means_two_things_is_refused(url: str) -> None:
    match refusal(grant_for("* http://here.example/"), request(url)):
        case ("invalid-url", str()):
            return
    pytest.fail(url)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("get", []),
        ("CONNECT", []),
        ("GET\r\nX: y", []),
        ("", []),
        ("GET", [("x", "a\r\nhost: evil")]),
        ("GET", [("x", "a\x00")]),
        ("GET", [("x", "a\nb")]),
        ("GET", [("x", " a")]),
        ("GET", [("x\r\ny", "a")]),
        ("GET", [("", "a")]),
        ("GET", [("x y", "a")]),
        ("GET", [("ä", "a")]),
        ("GET", [("Host", "evil")]),
        ("GET", [("Content-Length", "1")]),
        ("GET", [("Transfer-Encoding", "chunked")]),
        ("GET", [("Connection", "x")]),
        ("GET", [("Upgrade", "x")]),
        ("GET", [("Proxy-Authorization", "x")]),
        ("GET", [("x", "a")] * 101),
        ("GET", [("x", "a" * 65_536)]),
    ],
)
def test_what_is_no_method_and_no_header_field_is_refused(method: str, headers: object) -> None:
    match refusal(grant_for("* https://a.b/"), request("https://a.b/", method, headers=headers)):
        case ("invalid-request", str()):
            return
    pytest.fail(method)


def test_as_many_header_fields_as_there_may_be_are_sent() -> None:
    waits(grant_for("* https://a.b/"), request("https://a.b/", headers=[("x", "a")] * 100))
    waits(grant_for("* https://a.b/"), request("https://a.b/", headers=[("x", "a" * 65_535)]))


def test_a_content_that_is_not_base64_is_refused() -> None:
    for text in ("x", "YWI", "YW I=", "YWI=\n"):
        asked = request("https://a.b/", "POST", body=("base64", text))
        assert refusal(grant_for("* https://a.b/"), asked) == ("invalid-content", None)


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "bytes", "base64"])
def test_a_body_of_the_largest_size_is_sent_and_a_larger_one_is_not(form: str) -> None:
    grant = grant_for("* https://a.b/", request_size=6)
    at, over = {"text": ("äää", "äääx"), "bytes": (b"123456", b"1234567"), "base64": ("MTIzNDU2", "MTIzNDU2Nw==")}[form]

    waits(grant, request("https://a.b/", "POST", body=(form, at)))
    assert refusal(grant, request("https://a.b/", "POST", body=(form, over))) == ("too-large", 6)


@pytest.mark.parametrize("pack", [Page, packed])
def test_an_answer_of_the_largest_size_is_taken_and_a_larger_one_is_not(
    web: Web, service: HttpService, pack: Callable[[bytes], Page]
) -> None:
    web.pages |= {"/at": pack(b"x" * 5000), "/over": pack(b"x" * 5001)}
    grant = local(web, response_size=5000)

    assert ok(fetched(service, grant, request(f"{web.url}/at")))["body"] == ("text", "x" * 5000)
    assert fetched(service, grant, request(f"{web.url}/over")) == ("err", ("too-large", 5000))
    own = request(f"{web.url}/at", max_response_bytes=4999)
    assert fetched(service, grant, own) == ("err", ("too-large", 4999))
    more = request(f"{web.url}/at", max_response_bytes=5001)
    assert refusal(grant, more) == ("denied", 'response-size = "5001"')


def test_a_packed_answer_is_unpacked_and_says_so_no_longer(web: Web, service: HttpService) -> None:
    text = b"hello " * 100
    web.pages |= {
        "/gzip": packed(text),
        "/two": Page(gzip.compress(b"a") + gzip.compress(b"b"), headers=(("Content-Encoding", "GZIP"),)),
        "/deflate": Page(zlib.compress(text), headers=(("Content-Encoding", "deflate"),)),
        "/raw": Page(raw_deflate(text), headers=(("Content-Encoding", "deflate"),)),
        "/br": Page(b"xyz", headers=(("Content-Encoding", "br"),)),
    }
    found = {path: ok(fetched(service, local(web), request(web.url + path))) for path in web.pages}

    assert {path: response["body"][1] for path, response in found.items()} == {
        "/gzip": text.decode(),
        "/two": "ab",
        "/deflate": text.decode(),
        "/raw": text.decode(),
        "/br": "xyz",
    }
    kept = {path: {name for name, _ in response["headers"]} for path, response in found.items()}
    assert not kept["/gzip"] & {"content-encoding", "content-length"}
    assert kept["/br"] >= {"content-encoding", "content-length"}


def test_a_bomb_is_broken_off(web: Web, service: HttpService) -> None:
    web.pages["/"] = packed(bytes(40 * 2**20))

    answer = fetched(service, local(web, response_size="64MiB"), request(web.url))

    assert answer == ("err", ("protocol", "the body unpacks to more than 200 times of what was sent"))
    assert fetched(service, local(web), request(web.url)) == ("err", ("too-large", 2**20))


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"hello", mtime=0)[:-4]])
def test_a_body_that_is_packed_wrongly_is_an_error(web: Web, service: HttpService, body: bytes) -> None:
    web.pages["/"] = Page(body, headers=(("Content-Encoding", "gzip"),))

    match fetched(service, local(web), request(web.url)):
        case ("err", ("protocol", str())):
            return
    pytest.fail("it was taken")


def test_time_is_what_was_asked_for_and_at_most_what_is_granted() -> None:
    ctx, grant = FakeStepContext(), grant_for("* https://a.b/", timeout="40s")

    def seconds(**changes: int) -> float:
        return (waits(grant, request("https://a.b/", "GET", **changes), ctx).until_us - ctx.now_us) / 1_000_000

    assert (seconds(), seconds(timeout_ms=40_000), seconds(timeout_ms=0)) == (30, 40, 0)
    assert refusal(grant, request("https://a.b/", timeout_ms=40_001)) == ("denied", 'timeout = "40001ms"')
    brief = grant_for("* https://a.b/", timeout="2s")
    assert waits(brief, request("https://a.b/"), ctx).until_us - ctx.now_us == 2_000_000


def test_the_end_of_its_time_and_that_of_the_step_are_told_apart() -> None:
    ctx = FakeStepContext()
    wait = waits(grant_for("* https://a.b/"), request("https://a.b/"), ctx)

    assert wait.answer() == ("err", ("wait-exhausted", None))
    ctx.now_us = wait.until_us
    assert wait.answer() == ("err", ("timeout", None))


def test_an_interrupted_request_ends_at_once(web: Web, service: HttpService) -> None:
    interrupt = Interrupt()
    outcome = begun(service, waits(local(web), request(f"{web.url}/slow", "POST")), interrupt)
    assert web.arrived.wait(PATIENCE_S)

    interrupt.want()

    assert outcome.result(PATIENCE_S) == ("err", ("outcome-unknown", None))


def test_closing_breaks_off_what_is_under_way(web: Web, names: Names) -> None:
    service = HttpService(VALUES.get, look_up=names)
    outcome = begun(service, waits(local(web), request(f"{web.url}/slow")), Interrupt())
    assert web.arrived.wait(PATIENCE_S)

    service.close()

    assert outcome.result(PATIENCE_S) == ("err", ("outcome-unknown", None))
