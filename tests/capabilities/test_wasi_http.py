"""``wasi:http``: what is granted arrives as it was meant, nothing else leaves, and each failure has its name."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.capabilities.wasi_web import (
    again,
    answer,
    call,
    failed,
    fetched,
    handle,
    number,
    outcome,
    performed,
    read_response,
    refusal,
    request,
    waits,
)
from tests.capabilities.web import PATIENCE_S, SECRET, Names, Page, Web, grant_for, local, packed
from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_wire.service import HttpService
from theater.capabilities.registry import built_in
from theater.capabilities.wasi_clocks import subscribe_duration
from theater.capabilities.wasi_http_codes import EXHAUSTED, TIMED_OUT, UNKNOWN
from theater.capabilities.wasi_http_futures import AT_ONCE_MAX
from theater.capabilities.wasi_poll import block, poll, ready
from theater.capabilities.wasi_world import EMPTY_WORLD, WasiGrant
from theater.model.capability import Denied, Wait
from theater.model.limits import Limits
from theater.runtime.services import Interrupt
from theater.testing.step_context import FakeStepContext

DENIED = ("HTTP-request-denied", None)
S = 1_000_000
NS = 1000


# -- what arrives ----------------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_written_and_its_answer_comes_back(web: Web, service: HttpService) -> None:
    web.pages["/v1/x"] = Page(b"\x00\xff", 418, (("X-Odd", "caf\xe9"), ("X-Two", "1"), ("X-Two", "2")))

    ctx, grant = FakeStepContext(), local(web)
    headers = [("X-Own", "ä".encode()), ("Content-Length", b"5000")]
    made = request(ctx, f"{web.url}/v1/./x?q=%41", "PUT", headers=headers, body=b"w" * 5000, grant=grant)

    case, response = outcome(ctx, service, grant, made)

    [arrived] = web.asked
    assert (arrived.method, arrived.target, arrived.body) == ("PUT", "/v1/x?q=A", b"w" * 5000)
    assert arrived.headers["x-own"].encode("latin-1").decode() == "ä"
    assert (arrived.headers["content-length"], arrived.headers["host"]) == ("5000", f"127.0.0.1:{web.port}")
    assert case == "ok"
    status, header, body = read_response(ctx, number(response))
    assert (status, body) == (418, b"\x00\xff")
    assert ("x-odd", "caf\xe9".encode("latin-1")) in header
    assert [value for name, value in header if name == "x-two"] == [b"1", b"2"]


def test_a_body_of_any_length_is_read_piece_by_piece(web: Web, service: HttpService) -> None:
    web.pages["/x"] = Page(bytes(range(256)) * 600)

    assert fetched(service, local(web), f"{web.url}/x")[-1] == bytes(range(256)) * 600


def test_a_packed_answer_is_handed_out_unpacked(web: Web, service: HttpService) -> None:
    web.pages["/x"] = packed(b"words " * 100)

    found = fetched(service, local(web), f"{web.url}/x")

    assert found[-1] == b"words " * 100
    assert not [name for name, _ in found[1] if name in ("content-encoding", "content-length")]


def test_what_concerns_the_connection_is_not_shown_to_the_guest(web: Web, service: HttpService) -> None:
    web.pages["/x"] = Page(b"x", headers=(("Connection", "close"), ("Keep-Alive", "timeout=5"), ("X", "y")))

    found = fetched(service, local(web), f"{web.url}/x")

    assert {name for name, _ in found[1]} == {"server", "date", "content-length", "x"}


def test_a_redirect_is_the_guests_to_follow(web: Web, service: HttpService) -> None:
    web.pages["/a"] = Page(status=302, headers=(("Location", "http://10.0.0.1/"),))

    found = fetched(service, local(web), f"{web.url}/a")

    assert (found[0], len(web.asked)) == (302, 1)
    assert ("location", b"http://10.0.0.1/") in found[1]
    everything = grant_for("* http://10.0.0.1/")
    ctx = FakeStepContext()
    assert refusal(ctx, everything, request(ctx, "http://10.0.0.1/")) == ("destination-IP-prohibited", None)


def test_a_secret_is_put_in_on_the_way_out_and_masked_on_the_way_back(web: Web, service: HttpService) -> None:
    web.pages["/x"] = Page(f"you are {SECRET}".encode(), headers=(("X-You", SECRET),))
    grant = local(web, secrets=[f"KEY {web.url}/"])
    ctx = FakeStepContext()
    future = handle(ctx, grant, request(ctx, f"{web.url}/x", "POST", headers=[("x-key", b"{{secret:KEY}}")]))
    assert isinstance(future, int)
    wait = waits(ctx, future)

    note = performed(wait, service)

    assert web.asked[0].headers["x-key"] == SECRET
    assert SECRET not in repr(note)
    assert SECRET not in repr(wait.act)
    assert wait.act is not None
    assert "{{secret:KEY}}" in repr(wait.act.about)
    _, header, body = read_response(ctx, number(answer(ctx, future)[1]))
    assert body == b"you are {{secret:KEY}}"
    assert ("x-you", b"{{secret:KEY}}") in header


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grant", [EMPTY_WORLD, HttpClientGrant()])
def test_without_a_grant_every_request_is_denied(grant: HttpClientGrant | WasiGrant) -> None:
    ctx = FakeStepContext()

    assert refusal(ctx, grant, request(ctx, "https://example.com/", "POST", body=b"words", grant=grant)) == DENIED


def test_every_function_is_linked_without_a_grant() -> None:
    registry = built_in()

    for (interface, name), (capability, _) in registry.table.items():
        if capability.name == "wasi-http":
            assert registry.refusal(f"{interface}@0.2.12", name, granted=()) is None
    assert registry.capabilities["wasi-http"].under == "http-client"


def test_a_refusal_is_recorded_with_what_was_asked_and_the_line_that_is_missing() -> None:
    ctx = FakeStepContext()

    denied = handle(ctx, grant_for("GET https://a.example/v1/"), request(ctx, "https://a.example/v2?x=1", "PUT"))

    url = "https://a.example/v2"
    assert denied == Denied(("err", DENIED), {"method": "PUT", "url": f"{url}?x=1", "why": f'allow = ["PUT {url}"]'})


@pytest.mark.parametrize(
    ("url", "method", "code"),
    [
        ("https://a.example/v2", "GET", DENIED),
        ("https://a.example/v1", "POST", DENIED),
        ("https://a.example:444/v1", "GET", DENIED),
        ("http://a.example/v1", "GET", DENIED),
        ("https://a.example/v1/../v2", "GET", DENIED),
        ("https://a.example/v1/%2e%2e/v2", "GET", DENIED),
        ("https://a.example/v1/%252e%252e/v2", "GET", ("HTTP-request-URI-invalid", None)),
        ("https://user@a.example/v1", "GET", ("HTTP-request-URI-invalid", None)),
        ("https://a.example@evil.example/v1", "GET", ("HTTP-request-URI-invalid", None)),
        ("https://127.1/v1", "GET", ("HTTP-request-URI-invalid", None)),
        ("https://[::ffff:127.0.0.1/v1", "GET", ("HTTP-request-URI-invalid", None)),
        ("https://a.example/v1", "CONNECT", ("HTTP-request-method-invalid", None)),
        ("https://a.example/v1", "get", ("HTTP-request-method-invalid", None)),
        ("https://a.example/v1/" + "x" * 8200, "GET", ("HTTP-request-URI-too-long", None)),
    ],
)
def test_what_the_grant_does_not_name_or_what_means_two_things_is_refused(
    url: str, method: str, code: tuple[str, object]
) -> None:
    ctx = FakeStepContext()
    grant = grant_for("GET https://a.example/v1")
    if "x" * 100 in url:  # the guest hears of a path that is too long when it sets it
        made = request(ctx, "https://a.example/", method)
        assert call(ctx, "outgoing-request.set-path-with-query", made, "/" + "x" * 8193) == ("err", None)
        assert call(ctx, "outgoing-request.set-path-with-query", made, "/" + "x" * 8191) == ("ok", None)
    else:
        made = request(ctx, url, method)

    assert refusal(ctx, grant, made) == code


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "169.254.169.254"])
def test_a_private_address_is_prohibited_though_its_url_is_allowed(address: str) -> None:
    ctx = FakeStepContext()

    made = request(ctx, f"http://{address}/")

    assert refusal(ctx, grant_for(f"* http://{address}/"), made) == ("destination-IP-prohibited", None)


def test_a_name_of_a_private_address_is_prohibited_when_it_is_looked_up(service: HttpService, names: Names) -> None:
    names.known["inner.example"] = ["93.184.216.34", "10.0.0.1"]

    everything = grant_for("* http://inner.example/")
    assert failed(service, everything, "http://inner.example/") == ("destination-IP-prohibited", None)


def test_more_header_than_servers_take_is_refused() -> None:
    ctx = FakeStepContext()
    grant = grant_for("* https://a.example/")
    code = ("HTTP-request-header-section-size", None)

    assert refusal(ctx, grant, request(ctx, "https://a.example/", headers=[("x", b"y")] * 101)) == code
    assert refusal(ctx, grant, request(ctx, "https://a.example/", headers=[("x", b"y" * 65_536)])) == code
    assert isinstance(handle(ctx, grant, request(ctx, "https://a.example/", headers=[("x", b"y")] * 100)), int)


def test_a_value_that_is_not_text_is_refused() -> None:
    ctx = FakeStepContext()
    made = request(ctx, "https://a.example/", headers=[("x", b"\xff")])

    assert refusal(ctx, grant_for("* https://a.example/"), made) == (
        "internal-error",
        "the value of a header field is not UTF-8",
    )


def test_a_secret_that_was_not_granted_is_denied_and_one_without_a_value_is_a_configuration_error(
    web: Web, service: HttpService
) -> None:
    ctx = FakeStepContext()
    made = request(ctx, f"{web.url}/", headers=[("x", b"{{secret:KEY}}")])

    assert refusal(ctx, local(web), made) == DENIED
    grant = local(web, secrets=["NONE"])
    headers = [("x", b"{{secret:NONE}}")]
    assert failed(service, grant, f"{web.url}/", headers=headers) == ("configuration-error", None)


@pytest.mark.parametrize("scheme", ["ftp", "file", "HTTP2"])
def test_another_scheme_is_refused(scheme: str) -> None:
    ctx = FakeStepContext()
    made = request(ctx, "https://a.example/")
    assert call(ctx, "outgoing-request.set-scheme", made, ("other", scheme)) == ("ok", None)

    assert refusal(ctx, grant_for("* https://a.example/"), made) == ("HTTP-protocol-error", None)


def test_no_scheme_is_https_and_another_spelling_of_one_is_that_one() -> None:
    ctx = FakeStepContext()
    grant = grant_for("* https://a.example/")
    for scheme in (None, ("other", "HTTPS")):
        made = request(ctx, "http://a.example/")
        call(ctx, "outgoing-request.set-scheme", made, scheme)
        assert isinstance(handle(ctx, grant, made), int)


def test_a_request_to_nowhere_is_refused() -> None:
    ctx = FakeStepContext()
    made = number(call(ctx, "[constructor]outgoing-request", number(call(ctx, "[constructor]fields"))))

    assert refusal(ctx, grant_for("* https://a.example/"), made) == ("HTTP-request-URI-invalid", None)


# -- how it fails ----------------------------------------------------------------------------------------------------


def test_each_failure_has_its_name(web: Web, service: HttpService, names: Names) -> None:
    grant = local(web, "* http://gone.example/", "* http://127.0.0.1:1/", "* http://far.example/")
    names.known["far.example"] = ["127.0.0.1"]
    web.pages |= {
        "/odd": Page(raw=b"SMTP ready\r\n\r\n"),
        "/short": Page(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
        "/torn": Page(b"no gzip", headers=(("Content-Encoding", "gzip"),)),
        "/silent": Page(raw=b""),
    }

    assert failed(service, grant, "http://gone.example/") == (
        "DNS-error",
        {"rcode": "Name or service not known", "info-code": None},
    )
    assert failed(service, grant, "http://127.0.0.1:1/") == ("connection-refused", None)
    assert failed(service, grant, f"{web.url}/odd") == ("HTTP-protocol-error", None)
    assert failed(service, grant, f"{web.url}/short") == ("HTTP-response-incomplete", None)
    assert failed(service, grant, f"{web.url}/torn") == ("HTTP-response-content-coding", None)
    assert failed(service, grant, f"{web.url}/silent") == ("HTTP-protocol-error", None)


def test_a_server_that_speaks_no_tls_is_a_protocol_error(web: Web, service: HttpService) -> None:
    grant = grant_for(f"* https://127.0.0.1:{web.port}/", private=["127.0.0.1"])

    assert failed(service, grant, f"https://127.0.0.1:{web.port}/") == ("TLS-protocol-error", None)


def test_an_answer_at_the_limit_comes_and_one_beyond_it_does_not(web: Web, service: HttpService) -> None:
    web.pages |= {"/fits": Page(b"x" * 1000), "/large": Page(b"x" * 1001), "/bomb": packed(b"x" * 1001)}
    grant = local(web, response_size=1000)

    assert fetched(service, grant, f"{web.url}/fits")[-1] == b"x" * 1000
    assert failed(service, grant, f"{web.url}/large") == ("HTTP-response-body-size", 1000)
    assert failed(service, grant, f"{web.url}/bomb") == ("HTTP-response-body-size", 1000)


@pytest.mark.parametrize(("name", "path"), [("first-byte-timeout", "/slow"), ("between-bytes-timeout", "/part")])
def test_the_times_that_a_guest_sets_end_an_exchange(web: Web, service: HttpService, name: str, path: str) -> None:
    web.pages["/part"] = Page(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    ctx = FakeStepContext()
    options = number(call(ctx, "[constructor]request-options"))
    assert call(ctx, f"request-options.set-{name}", options, 1) == ("ok", None)
    assert call(ctx, f"request-options.{name}", options) == 1
    if name == "first-byte-timeout":
        call(ctx, "request-options.set-connect-timeout", options, 100_000_000)

    case, code = outcome(ctx, service, local(web), request(ctx, f"{web.url}{path}"), options)

    assert case == "err"
    assert code in (TIMED_OUT, ("connection-read-timeout", None))


# -- when it is sent -------------------------------------------------------------------------------------------------


def pollable(ctx: FakeStepContext, future: int) -> int:
    return number(call(ctx, "future-incoming-response.subscribe", future))


def asked(ctx: FakeStepContext, web: Web, path: str, method: str = "GET") -> int:
    """The future of a request that was handed over."""
    future = handle(ctx, local(web), request(ctx, f"{web.url}{path}", method))
    assert isinstance(future, int)
    return future


def test_nothing_is_sent_before_the_guest_waits(web: Web) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/a")

    assert call(ctx, "future-incoming-response.get", future) is None
    assert ready(ctx, EMPTY_WORLD, pollable(ctx, future)) is False
    assert isinstance(waits(ctx, future), Wait)
    assert web.asked == []


def test_an_answer_is_had_once_and_a_poll_finds_it_ready_at_once(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/a")
    performed(waits(ctx, future), service)

    assert poll(ctx, EMPTY_WORLD, [pollable(ctx, future)]) == [0]
    assert block(ctx, EMPTY_WORLD, pollable(ctx, future)) is None
    assert answer(ctx, future)[0] == "ok"
    assert call(ctx, "future-incoming-response.get", future) == ("err", None)


def test_an_unsafe_request_is_announced_and_a_safe_one_is_not(web: Web) -> None:
    ctx = FakeStepContext()
    safe, unsafe = asked(ctx, web, "/a"), asked(ctx, web, "/b", "DELETE")

    both = poll(ctx, EMPTY_WORLD, [pollable(ctx, safe), pollable(ctx, unsafe)])

    assert isinstance(both, Wait)
    assert both.act is not None
    assert not both.act.is_safe
    assert both.act.about == {
        "requests": [
            {"method": "GET", "url": f"{web.url}/a", "headers": [], "body": None},
            {"method": "DELETE", "url": f"{web.url}/b", "headers": [], "body": None},
        ]
    }
    alone = waits(ctx, asked(ctx, web, "/c"))
    assert alone.act is not None
    assert alone.act.is_safe


def test_one_poll_sends_no_more_than_may_be_under_way_at_once(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    pollables = [pollable(ctx, asked(ctx, web, f"/{i}")) for i in range(AT_ONCE_MAX + 3)]

    wait = poll(ctx, EMPTY_WORLD, pollables)

    assert isinstance(wait, Wait)
    note = performed(wait, service)
    assert isinstance(note, list)
    assert len(note) == AT_ONCE_MAX
    later = poll(ctx, EMPTY_WORLD, pollables[AT_ONCE_MAX:])
    assert isinstance(later, Wait)
    assert later.act is not None
    room = sum(answer is not None for answer in note)
    assert len(later.act.about["requests"]) == min(3, room)  # type: ignore[index]  # JSON


def under_way(ctx: FakeStepContext, futures: list[int]) -> None:
    """Have them sent by a poll that a timer ends."""
    timer = subscribe_duration(ctx, EMPTY_WORLD, S * NS)
    wait = poll(ctx, EMPTY_WORLD, [timer, *(pollable(ctx, future) for future in futures)])
    assert isinstance(wait, Wait)
    ctx.now_us = wait.until_us
    again(wait, None)


def test_other_polls_send_no_more_than_may_be_under_way_at_once(web: Web) -> None:
    ctx = FakeStepContext()
    under_way(ctx, [asked(ctx, web, "/slow") for _ in range(AT_ONCE_MAX)])

    one_more, timer = asked(ctx, web, "/a", "POST"), subscribe_duration(ctx, EMPTY_WORLD, 5 * S * NS)
    waiting = poll(ctx, EMPTY_WORLD, [pollable(ctx, one_more), timer])
    assert isinstance(waiting, Wait)
    assert waiting.act is None  # for the timer alone
    assert block(ctx, EMPTY_WORLD, pollable(ctx, one_more)) is None
    assert answer(ctx, one_more) == ("err", ("connection-limit-reached", None))


def test_what_the_guest_let_go_of_makes_room_for_others(web: Web) -> None:
    ctx = FakeStepContext()
    futures = [asked(ctx, web, "/slow") for _ in range(AT_ONCE_MAX)]
    under_way(ctx, futures)

    ctx.resources.drop(futures[0])

    assert waits(ctx, asked(ctx, web, "/a")).act is not None


def test_what_the_guest_let_go_of_is_never_sent(web: Web) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/a", "POST")
    found = pollable(ctx, future)

    ctx.resources.drop(future)

    assert poll(ctx, EMPTY_WORLD, [found]) == [0]
    assert ctx.resources.held_bytes == 0


def test_an_act_that_is_late_sends_nothing_of_what_the_guest_let_go_of(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/a", "POST")
    wait = waits(ctx, future)
    assert wait.act is not None
    again(wait, None)

    ctx.resources.drop(future)
    wait.act.perform(service, Interrupt())

    assert web.asked == []


def test_a_wait_for_what_has_had_its_time_is_over_at_once(web: Web) -> None:
    ctx = FakeStepContext()
    grant = replace(local(web), timeout_ms=2000)
    future = handle(ctx, grant, request(ctx, f"{web.url}/slow"))
    assert isinstance(future, int)
    waits(ctx, future)
    ctx.now_us += 50 * S

    assert waits(ctx, future).until_us == ctx.now_us


def test_two_pollables_of_one_answer_are_ready_together(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/a")
    pollables = [pollable(ctx, future), pollable(ctx, future)]
    wait = poll(ctx, EMPTY_WORLD, pollables)
    assert isinstance(wait, Wait)

    performed(wait, service)

    assert len(web.asked) == 1
    assert poll(ctx, EMPTY_WORLD, pollables) == [0, 1]


def test_a_timer_bounds_the_wait_and_the_answer_can_be_waited_for_again(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future, timer = asked(ctx, web, "/slow", "POST"), subscribe_duration(ctx, EMPTY_WORLD, 5 * S * NS)
    first = poll(ctx, EMPTY_WORLD, [pollable(ctx, future), timer])
    assert isinstance(first, Wait)
    assert first.act is not None
    assert first.act.give is not None
    assert first.until_us == ctx.now_us + 5 * S
    interrupt = Interrupt()
    acting = threading.Thread(target=first.act.perform, args=(service, interrupt))
    acting.start()
    assert web.arrived.wait(PATIENCE_S)
    ctx.now_us = first.until_us
    assert first.act.give(first.answer(), None) == [1]
    interrupt.want()
    acting.join()

    second = waits(ctx, future)
    assert second.act is not None
    assert second.act.is_safe  # it is under way already
    assert second.act.about is None
    web.go_on.set()
    performed(second, service)

    assert answer(ctx, future)[0] == "ok"
    assert len(web.asked) == 1


def test_what_is_under_way_ends_with_the_step(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/slow", "POST")
    wait = waits(ctx, future)
    assert wait.act is not None
    assert wait.act.lasts
    interrupt = Interrupt()
    notes: list[object] = []
    acting = threading.Thread(target=lambda: notes.append(performed(wait, service, interrupt)))
    acting.start()
    assert web.arrived.wait(PATIENCE_S)

    interrupt.end()
    acting.join()

    assert ctx.resources.get(future).under_way is None or ctx.resources.get(future).under_way.cancelled()


def test_what_is_under_way_ends_when_the_guest_lets_go_of_it(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future = asked(ctx, web, "/slow")
    item = ctx.resources.get(future)
    wait = waits(ctx, future)
    assert wait.act is not None
    acting = threading.Thread(target=wait.act.perform, args=(service, Interrupt()))
    acting.start()
    assert web.arrived.wait(PATIENCE_S)

    under_way = item.under_way
    ctx.resources.drop(future)
    acting.join()

    assert under_way.cancelled()


def test_an_answer_that_does_not_come_in_time_is_an_error(web: Web) -> None:
    ctx = FakeStepContext()
    grant = replace(local(web), timeout_ms=2000)
    future = handle(ctx, grant, request(ctx, f"{web.url}/slow"))
    assert isinstance(future, int)
    wait = waits(ctx, future)
    assert wait.until_us == ctx.now_us + 2 * S

    ctx.now_us = wait.until_us
    again(wait, None)

    assert answer(ctx, future) == ("err", TIMED_OUT)


def test_a_limit_that_ends_the_wait_before_its_time_is_an_error_for_every_request(web: Web) -> None:
    ctx = FakeStepContext()
    futures = [asked(ctx, web, "/slow"), asked(ctx, web, "/slow", "POST")]
    wait = poll(ctx, EMPTY_WORLD, [pollable(ctx, future) for future in futures])
    assert isinstance(wait, Wait)

    again(wait, None)

    assert [answer(ctx, future) for future in futures] == [("err", EXHAUSTED)] * 2


def test_after_a_death_what_is_unsafe_is_unknown_and_what_is_safe_is_asked_again(
    web: Web, service: HttpService
) -> None:
    ctx = FakeStepContext()
    safe, unsafe = asked(ctx, web, "/a"), asked(ctx, web, "/b", "POST")
    wait = poll(ctx, EMPTY_WORLD, [pollable(ctx, safe), pollable(ctx, unsafe)])
    assert isinstance(wait, Wait)
    assert wait.act is not None

    again(wait, wait.act.unknown().note)  # type: ignore[attr-defined]  # noted

    assert answer(ctx, unsafe) == ("err", UNKNOWN)
    assert call(ctx, "future-incoming-response.get", safe) is None
    performed(waits(ctx, safe), service)
    assert answer(ctx, safe)[0] == "ok"


def test_what_another_process_sent_is_not_sent_again(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future, timer = asked(ctx, web, "/a", "POST"), subscribe_duration(ctx, EMPTY_WORLD, 5 * S * NS)
    first = poll(ctx, EMPTY_WORLD, [pollable(ctx, future), timer])
    assert isinstance(first, Wait)
    ctx.now_us = first.until_us
    again(first, None)  # as it stands in the record

    performed(waits(ctx, future), service)

    assert answer(ctx, future) == ("err", UNKNOWN)
    assert web.asked == []


def test_what_a_timer_kept_from_being_sent_is_sent_by_the_next_poll(web: Web, service: HttpService) -> None:
    ctx = FakeStepContext()
    future, timer = asked(ctx, web, "/a", "POST"), subscribe_duration(ctx, EMPTY_WORLD, 5 * S * NS)
    first = poll(ctx, EMPTY_WORLD, [pollable(ctx, future), timer])
    assert isinstance(first, Wait)
    assert first.act is not None
    assert first.act.begins is not None
    first.act.begins()
    ctx.now_us = first.until_us
    again(first, None)  # before a thread had come to it

    performed(waits(ctx, future), service)

    assert answer(ctx, future)[0] == "ok"
    assert len(web.asked) == 1


def test_a_replay_makes_the_same_of_what_is_noted(web: Web, service: HttpService) -> None:
    web.pages["/a"] = Page(b"\xff\x00", headers=(("X-Odd", "caf\xe9"),))

    def responses(note: object) -> tuple[object, object]:
        ctx = FakeStepContext()
        future = asked(ctx, web, "/a")
        wait = waits(ctx, future)
        if note is None:
            note = performed(wait, service)
        else:
            again(wait, note)
        return note, read_response(ctx, number(answer(ctx, future)[1]))

    note, live = responses(None)

    assert responses(note) == (note, live)
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "note",
    [
        {},
        [],
        [None, None],
        [{"ok": {"status": 200}}],
        [{"ok": {"status": -1, "headers": [], "body": None}}],
        [{"ok": {"status": 200, "headers": [["x", "\u20ac"]], "body": None}}],
        [{"ok": {"status": 200, "headers": [], "body": {"base64": "%"}}}],
        [{"err": {"no-such-error": None}}],
        [{"err": {"internal-error": 5}}],
        "text",
    ],
)
def test_a_note_that_cannot_be_one_is_none(web: Web, note: object) -> None:
    ctx = FakeStepContext()
    wait = waits(ctx, asked(ctx, web, "/a"))

    with pytest.raises((ValueError, TypeError, LookupError)):
        again(wait, note)


def test_an_answer_beyond_what_the_host_keeps_is_an_error(web: Web) -> None:
    ctx = FakeStepContext(limits=Limits(memory_bytes=100_000))
    future = asked(ctx, web, "/a")
    wait = waits(ctx, future)

    again(wait, [{"ok": {"status": 200, "headers": [], "body": {"text": "x" * 100_001}}}])

    assert answer(ctx, future) == ("err", ("HTTP-response-body-size", 100_000))
