"""The resources of ``wasi:http``: what can be put into them, what they refuse, and what ends a step."""

from __future__ import annotations

import pytest

from tests.capabilities.wasi_web import Pair, call, fields, handle, io, number, read_body, request, write
from tests.capabilities.web import grant_for
from theater.capabilities.wasi_cli import get_stdin, output
from theater.capabilities.wasi_http_bodies import READ_MAX_BYTES, IncomingBody
from theater.capabilities.wasi_http_codes import ERROR_CODE, code_json, code_of_json
from theater.capabilities.wasi_http_fields import FIELDS_MAX, FIELDS_MAX_BYTES
from theater.capabilities.wasi_http_requests import IncomingRequest
from theater.capabilities.wasi_http_responses import ResponseOutparam
from theater.capabilities.wasi_io import read, to_debug_string
from theater.capabilities.wasi_poll import ready
from theater.capabilities.wasi_world import EMPTY_WORLD
from theater.model.crash import StepCrash
from theater.model.limits import Limits
from theater.testing.step_context import FakeStepContext, Written

OK = ("ok", None)
ERR = ("err", None)
INVALID = ("err", ("invalid-syntax", None))
FORBIDDEN = ("err", ("forbidden", None))
IMMUTABLE = ("err", ("immutable", None))
CLOSED = ("err", ("closed", None))

GRANT = grant_for("* https://a.example/", request_size=100)


@pytest.fixture
def ctx() -> FakeStepContext:
    return FakeStepContext()


def new_fields(ctx: FakeStepContext) -> int:
    return number(call(ctx, "[constructor]fields"))


def entries(ctx: FakeStepContext, made: int) -> list[Pair]:
    found = call(ctx, "fields.entries", made)
    assert isinstance(found, list)
    return found


# -- fields ----------------------------------------------------------------------------------------------------------


def test_fields_are_found_in_any_case_and_kept_as_they_were_written(ctx: FakeStepContext) -> None:
    made = fields(ctx, ("X-One", b"1"), ("x-two", b"2"), ("x-ONE", b"3"))

    assert entries(ctx, made) == [("X-One", b"1"), ("x-two", b"2"), ("x-ONE", b"3")]
    assert call(ctx, "fields.get", made, "x-one") == [b"1", b"3"]
    assert (call(ctx, "fields.has", made, "X-TWO"), call(ctx, "fields.has", made, "x-three")) == (True, False)
    assert call(ctx, "fields.get", made, "no name\n") == []
    assert call(ctx, "fields.has", made, "") is False


def test_fields_are_set_appended_and_deleted(ctx: FakeStepContext) -> None:
    made = new_fields(ctx)

    assert call(ctx, "fields.append", made, "a", b"1") == OK
    assert call(ctx, "fields.append", made, "A", b"") == OK
    assert call(ctx, "fields.append", made, "b", b"\t caf\xe9 ") == OK
    assert call(ctx, "fields.set", made, "a", [b"2", b"3"]) == OK
    assert entries(ctx, made) == [("b", b"\t caf\xe9 "), ("a", b"2"), ("a", b"3")]
    assert call(ctx, "fields.delete", made, "B") == OK
    assert call(ctx, "fields.delete", made, "never-there") == OK
    assert call(ctx, "fields.set", made, "a", []) == OK
    assert entries(ctx, made) == []


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "\u00e4", "a\0", "(", "a\n"])
def test_what_is_no_name_is_refused(ctx: FakeStepContext, name: str) -> None:
    made = new_fields(ctx)

    assert call(ctx, "fields.append", made, name, b"") == INVALID
    assert call(ctx, "fields.set", made, name, [b""]) == INVALID
    assert call(ctx, "fields.delete", made, name) == INVALID
    assert call(ctx, "[static]fields.from-list", [("a", b""), (name, b"")]) == INVALID
    assert entries(ctx, made) == []


@pytest.mark.parametrize("value", [b"a\r\nInjected: yes", b"a\nb", b"\r", b"\0", b"\x7f", b"a\x1b", b"\n"])
def test_no_line_can_be_smuggled_into_a_value(ctx: FakeStepContext, value: bytes) -> None:
    made = new_fields(ctx)

    assert call(ctx, "fields.append", made, "a", value) == INVALID
    assert call(ctx, "fields.set", made, "a", [b"fine", value]) == INVALID
    assert call(ctx, "[static]fields.from-list", [("a", value)]) == INVALID
    assert entries(ctx, made) == []


@pytest.mark.parametrize(
    "name", ["Host", "connection", "KEEP-ALIVE", "transfer-encoding", "Upgrade", "te", "Proxy-Authorization", "expect"]
)
def test_what_frames_a_message_is_the_hosts(ctx: FakeStepContext, name: str) -> None:
    made = new_fields(ctx)

    assert call(ctx, "fields.append", made, name, b"x") == FORBIDDEN
    assert call(ctx, "fields.set", made, name, [b"x"]) == FORBIDDEN
    assert call(ctx, "fields.delete", made, name) == FORBIDDEN
    assert call(ctx, "[static]fields.from-list", [(name, b"x")]) == FORBIDDEN


def test_a_copy_can_be_changed_and_what_belongs_to_a_message_cannot(ctx: FakeStepContext) -> None:
    made = request(ctx, "https://a.example/", headers=[("a", b"1")])
    theirs = number(call(ctx, "outgoing-request.headers", made))
    copy = number(call(ctx, "fields.clone", theirs))

    assert call(ctx, "fields.append", theirs, "b", b"2") == IMMUTABLE
    assert call(ctx, "fields.set", theirs, "b", []) == IMMUTABLE
    assert call(ctx, "fields.delete", theirs, "a") == IMMUTABLE
    assert call(ctx, "fields.append", copy, "b", b"2") == OK
    assert (entries(ctx, theirs), entries(ctx, copy)) == ([("a", b"1")], [("a", b"1"), ("b", b"2")])


def test_fields_have_a_limit_and_beyond_it_the_step_ends(ctx: FakeStepContext) -> None:
    many = [("a", b"")] * FIELDS_MAX
    large = [("a", b"x" * (FIELDS_MAX_BYTES - 1))]

    for found in (many, large):
        made = fields(ctx, *found)
        with pytest.raises(StepCrash) as caught:
            call(ctx, "fields.append", made, "b", b"")
        assert caught.value.crash.reason == "host-data"
    with pytest.raises(StepCrash, match="at most"):
        fields(ctx, *many, ("b", b""))


def test_what_the_host_keeps_for_a_guest_is_bounded_and_given_back(ctx: FakeStepContext) -> None:
    ctx.limits = Limits(memory_bytes=1_000_000)
    kept = [fields(ctx, ("a", b"x" * 200_000)) for _ in range(4)]

    with pytest.raises(StepCrash) as caught:
        call(ctx, "fields.clone", fields(ctx, ("a", b"x" * 200_000)))

    assert caught.value.crash.reason == "host-data"
    for made in kept:
        ctx.resources.drop(made)
    fields(ctx, ("a", b"x" * 200_000))


# -- outgoing-request ------------------------------------------------------------------------------------------------


def test_a_request_begins_as_the_interface_says(ctx: FakeStepContext) -> None:
    made = number(call(ctx, "[constructor]outgoing-request", new_fields(ctx)))

    names = ("method", "scheme", "authority", "path-with-query")
    assert [call(ctx, f"outgoing-request.{name}", made) for name in names] == [("get", None), None, None, None]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("method", [("post", None), ("other", "PROPFIND")], [("other", ""), ("other", "A B"), ("other", "GET\r\n")]),
        ("scheme", [None, ("HTTPS", None), ("other", "ftp")], [("other", ""), ("other", "a b"), ("other", "1a")]),
        (
            "authority",
            [None, "a.example", "a.example:80", "[::1]:80"],
            ["", "a/b", "a?b", "a#b", "a\\b", "a b", "a\r\nb", "a\0", "x" * 9000],
        ),
        (
            "path-with-query",
            [None, "", "/", "/a?b", "?b", "/%20"],
            ["a", "@evil.example/", ".evil.example/", ":80/", "/a b", "/a#b", "/a\r\nb", "/a\0", "/" + "x" * 9000],
        ),
    ],
)
def test_a_part_that_cannot_be_one_is_refused_and_changes_nothing(
    ctx: FakeStepContext, name: str, good: list[object], bad: list[object]
) -> None:
    made = number(call(ctx, "[constructor]outgoing-request", new_fields(ctx)))
    for value in good:
        assert call(ctx, f"outgoing-request.set-{name}", made, value) == OK
        assert call(ctx, f"outgoing-request.{name}", made) == value
    for value in bad:
        assert call(ctx, f"outgoing-request.set-{name}", made, value) == ERR
        assert call(ctx, f"outgoing-request.{name}", made) == good[-1]


def test_what_was_handed_over_is_the_guests_no_longer(ctx: FakeStepContext) -> None:
    made = new_fields(ctx)
    whole = number(call(ctx, "[constructor]outgoing-request", made))

    with pytest.raises(KeyError):
        ctx.resources.get(made)
    options = number(call(ctx, "[constructor]request-options"))
    handle(ctx, GRANT, whole, options)
    for gone in (whole, options):
        with pytest.raises(KeyError):
            ctx.resources.get(gone)


# -- outgoing-body ---------------------------------------------------------------------------------------------------


def body_of(ctx: FakeStepContext, made: int) -> int:
    return number(call(ctx, "outgoing-request.body", made, grant=GRANT))


def test_a_body_is_had_once_and_its_stream_once(ctx: FakeStepContext) -> None:
    made = request(ctx, "https://a.example/")
    body = body_of(ctx, made)

    assert call(ctx, "outgoing-request.body", made, grant=GRANT) == ERR
    number(call(ctx, "outgoing-body.write", body))
    assert call(ctx, "outgoing-body.write", body) == ERR


def test_a_body_at_the_limit_is_taken_and_one_beyond_it_fails_with_its_size(ctx: FakeStepContext) -> None:
    body = body_of(ctx, request(ctx, "https://a.example/"))
    stream = number(call(ctx, "outgoing-body.write", body))
    permitted = io(ctx, "output-stream.check-write", stream)
    assert permitted == ("ok", 65_536)

    assert io(ctx, "output-stream.write", stream, b"x" * 100) == OK
    match io(ctx, "output-stream.write", stream, b"y"):
        case ("err", ("last-operation-failed", int(error))):
            assert call(ctx, "http-error-code", error) == ("HTTP-request-body-size", 100)
            assert to_debug_string(ctx, EMPTY_WORLD, error) == "HTTP-request-body-size"
        case other:
            raise AssertionError(other)
    assert io(ctx, "output-stream.check-write", stream) == CLOSED
    assert io(ctx, "output-stream.blocking-write-and-flush", stream, b"z") == CLOSED
    assert io(ctx, "output-stream.blocking-flush", stream) == OK


def test_zeroes_and_what_is_spliced_from_another_body_are_written_too(ctx: FakeStepContext) -> None:
    made = request(ctx, "https://a.example/")
    body = body_of(ctx, made)
    content = ctx.resources.get(body)
    stream = number(call(ctx, "outgoing-body.write", body))
    source = number(call(ctx, "incoming-body.stream", ctx.resources.add(IncomingBody(b"words"))))

    assert io(ctx, "output-stream.blocking-write-zeroes-and-flush", stream, 2) == OK
    assert io(ctx, "output-stream.blocking-splice", stream, source, 3) == ("ok", 3)
    assert io(ctx, "output-stream.splice", output("stdout")(ctx, EMPTY_WORLD), source, 99) == ("ok", 2)
    assert io(ctx, "output-stream.splice", stream, source, 99) == CLOSED
    assert io(ctx, "output-stream.splice", stream, get_stdin(ctx, EMPTY_WORLD), 99) == CLOSED

    assert bytes(content.content) == b"\0\0wor"
    assert ctx.written == [Written("stdout", b"ds")]


@pytest.mark.parametrize("length", [b"x", b"-1", b"1, 1", b"", b"9" * 30])
def test_a_length_that_cannot_be_one_gives_no_body(ctx: FakeStepContext, length: bytes) -> None:
    made = request(ctx, "https://a.example/", headers=[("content-length", length)])

    assert call(ctx, "outgoing-request.body", made, grant=GRANT) == ERR


def test_a_body_has_the_length_that_its_header_says(ctx: FakeStepContext) -> None:
    for data, finished in ((b"12345", OK), (b"1234", ("err", ("HTTP-request-body-size", 4)))):
        made = request(ctx, "https://a.example/", headers=[("Content-Length", b"5")])
        body = body_of(ctx, made)
        stream = number(call(ctx, "outgoing-body.write", body))
        assert io(ctx, "output-stream.blocking-write-and-flush", stream, data) == OK
        if data == b"12345":
            assert io(ctx, "output-stream.blocking-write-and-flush", stream, b"6")[0] == "err"  # type: ignore[index]  # a result
        ctx.resources.drop(stream)
        assert call(ctx, "[static]outgoing-body.finish", body, None) == finished


def test_trailers_are_taken_and_left_out(ctx: FakeStepContext) -> None:
    trailers = fields(ctx, ("a", b"b"))
    body = body_of(ctx, request(ctx, "https://a.example/"))

    assert call(ctx, "[static]outgoing-body.finish", body, trailers) == OK
    with pytest.raises(KeyError):
        ctx.resources.get(trailers)


def test_a_stream_has_to_go_before_its_body(ctx: FakeStepContext) -> None:
    body = body_of(ctx, request(ctx, "https://a.example/"))
    number(call(ctx, "outgoing-body.write", body))
    incoming = ctx.resources.add(IncomingBody(b""))
    number(call(ctx, "incoming-body.stream", incoming))

    with pytest.raises(StepCrash) as finished:
        call(ctx, "[static]outgoing-body.finish", body, None)
    with pytest.raises(StepCrash) as dropped:
        ctx.resources.drop(body)
    with pytest.raises(StepCrash) as read_out:
        call(ctx, "[static]incoming-body.finish", incoming)
    assert {caught.value.crash.reason for caught in (finished, dropped, read_out)} == {"trap"}


def test_a_body_that_is_let_go_of_unfinished_is_never_sent(ctx: FakeStepContext) -> None:
    made = request(ctx, "https://a.example/")
    body = body_of(ctx, made)
    future = handle(ctx, GRANT, made)
    assert isinstance(future, int)
    pollable = number(call(ctx, "future-incoming-response.subscribe", future))
    assert ready(ctx, EMPTY_WORLD, pollable) is False

    ctx.resources.drop(body)

    assert ready(ctx, EMPTY_WORLD, pollable) is True
    assert call(ctx, "future-incoming-response.get", future) == (
        "ok",
        ("err", ("internal-error", "the body of the request was not finished")),
    )


def test_what_is_written_for_nobody_is_not_kept(ctx: FakeStepContext) -> None:
    made = request(ctx, "https://a.example/")
    body = body_of(ctx, made)
    content = ctx.resources.get(body)
    stream = number(call(ctx, "outgoing-body.write", body))
    io(ctx, "output-stream.blocking-write-and-flush", stream, b"some")

    ctx.resources.drop(made)
    assert io(ctx, "output-stream.blocking-write-and-flush", stream, b"more") == OK

    assert bytes(content.content) == b""
    for left in (stream, body):
        ctx.resources.drop(left)
    assert ctx.resources.held_bytes == 0


def test_a_body_is_kept_with_whatever_will_send_it(ctx: FakeStepContext) -> None:
    made = request(ctx, "https://a.example/")
    body = body_of(ctx, made)
    future = handle(ctx, GRANT, made)
    assert isinstance(future, int)
    before = ctx.resources.held_bytes

    write(ctx, body, b"x" * 50)

    assert ctx.resources.held_bytes == before + 50
    ctx.resources.drop(future)
    assert ctx.resources.held_bytes == 0


# -- incoming --------------------------------------------------------------------------------------------------------


def test_a_body_is_read_in_pieces_skipped_and_read_once(ctx: FakeStepContext) -> None:
    body = ctx.resources.add(IncomingBody(b"0123456789" * 10_000))
    stream = number(call(ctx, "incoming-body.stream", body))

    assert call(ctx, "incoming-body.stream", body) == ERR
    assert read(ctx, EMPTY_WORLD, stream, 3) == ("ok", b"012")
    assert read(ctx, EMPTY_WORLD, stream, 0) == ("ok", b"")
    assert io(ctx, "input-stream.skip", stream, 4) == ("ok", 4)
    assert io(ctx, "input-stream.read", stream, 2) == ("ok", b"78")
    answer = io(ctx, "input-stream.blocking-read", stream, 2**64 - 1)
    assert isinstance(answer, tuple)
    assert len(answer[1]) == READ_MAX_BYTES
    assert io(ctx, "input-stream.blocking-skip", stream, 2**64 - 1) == ("ok", 100_000 - 9 - READ_MAX_BYTES)
    assert io(ctx, "input-stream.read", stream, 1) == CLOSED
    assert io(ctx, "input-stream.skip", stream, 1) == CLOSED


def test_trailers_are_none_once(ctx: FakeStepContext) -> None:
    trailers = number(call(ctx, "[static]incoming-body.finish", ctx.resources.add(IncomingBody(b"x"))))

    assert ready(ctx, EMPTY_WORLD, number(call(ctx, "future-trailers.subscribe", trailers))) is True
    assert call(ctx, "future-trailers.get", trailers) == ("ok", ("ok", None))
    assert call(ctx, "future-trailers.get", trailers) == ERR


def test_a_service_is_told_what_it_is_asked(ctx: FakeStepContext) -> None:
    made = ctx.resources.add(
        IncomingRequest(("post", None), "/a?b", ("HTTP", None), "a.example", (("x", b"y"),), b"words")
    )

    names = ("method", "path-with-query", "scheme", "authority")
    assert [call(ctx, f"incoming-request.{name}", made) for name in names] == [
        ("post", None),
        "/a?b",
        ("HTTP", None),
        "a.example",
    ]
    header = number(call(ctx, "incoming-request.headers", made))
    assert (entries(ctx, header), call(ctx, "fields.append", header, "a", b"")) == ([("x", b"y")], IMMUTABLE)
    assert read_body(ctx, number(call(ctx, "incoming-request.consume", made))) == b"words"
    assert call(ctx, "incoming-request.consume", made) == ERR


# -- outgoing-response -----------------------------------------------------------------------------------------------


def test_a_response_has_a_status_a_header_and_a_body(ctx: FakeStepContext) -> None:
    made = number(call(ctx, "[constructor]outgoing-response", fields(ctx, ("a", b"b"))))

    assert call(ctx, "outgoing-response.status-code", made) == 200
    for status, answer in ((404, OK), (99, ERR), (1000, ERR), (0, ERR), (65_535, ERR)):
        assert call(ctx, "outgoing-response.set-status-code", made, status) == answer
    assert call(ctx, "outgoing-response.status-code", made) == 404
    assert entries(ctx, number(call(ctx, "outgoing-response.headers", made))) == [("a", b"b")]
    number(call(ctx, "outgoing-response.body", made))
    assert call(ctx, "outgoing-response.body", made) == ERR


def test_what_is_written_behind_the_answer_is_part_of_it(ctx: FakeStepContext) -> None:
    outparam = ResponseOutparam()
    made = number(call(ctx, "[constructor]outgoing-response", new_fields(ctx)))
    body = number(call(ctx, "outgoing-response.body", made))
    place = ctx.resources.add(outparam)

    assert call(ctx, "[static]response-outparam.set", place, ("ok", made)) is None
    write(ctx, body, b"late")

    given = outparam.given
    assert given.response is not None
    assert given.response.body is not None
    assert (bytes(given.response.body.content), given.response.body.is_finished) == (b"late", True)
    for gone in (made, place):
        with pytest.raises(KeyError):
            ctx.resources.get(gone)


def test_an_error_can_be_given_in_place_of_a_response(ctx: FakeStepContext) -> None:
    outparam = ResponseOutparam()

    call(ctx, "[static]response-outparam.set", ctx.resources.add(outparam), ("err", ("loop-detected", None)))

    assert (outparam.given.response, outparam.given.error) == (None, ("loop-detected", None))


def test_informational_responses_are_not_sent(ctx: FakeStepContext) -> None:
    place = ctx.resources.add(ResponseOutparam())

    assert call(ctx, "response-outparam.send-informational", place, 103, new_fields(ctx)) == (
        "err",
        ("internal-error", "informational responses are not sent"),
    )


# -- the interface ---------------------------------------------------------------------------------------------------


def test_every_error_code_can_be_recorded_and_read_back() -> None:
    for case, _ in ERROR_CODE.cases:
        payload = {
            "DNS-error": {"rcode": "x", "info-code": 5},
            "TLS-alert-received": {"alert-id": 1, "alert-message": None},
        }.get(case)
        if payload is None and case.endswith(("-size", "-coding")):
            payload = {"field-name": "a", "field-size": 1} if case.endswith(("header-size", "trailer-size")) else None
        code = (case, payload)

        assert code_of_json(code_json(code)) == code


def test_a_stream_of_stdin_is_no_error_of_http(ctx: FakeStepContext) -> None:
    assert call(ctx, "http-error-code", get_stdin(ctx, EMPTY_WORLD)) is None
