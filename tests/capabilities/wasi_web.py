"""Requests of ``wasi:http`` as a guest makes them, call by call, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_order import Order
from theater.capabilities.http_url import parse_url
from theater.capabilities.http_wire.service import HttpService
from theater.capabilities.registry import built_in
from theater.capabilities.wasi_cli import get_stdin
from theater.capabilities.wasi_http_bodies import BodyError, FutureTrailers, IncomingBody
from theater.capabilities.wasi_http_codes import ErrorCode
from theater.capabilities.wasi_http_futures import FutureResponse
from theater.capabilities.wasi_http_requests import IncomingRequest
from theater.capabilities.wasi_http_responses import IncomingResponse, ResponseOutparam
from theater.capabilities.wasi_poll import block
from theater.capabilities.wasi_world import EMPTY_WORLD, WasiGrant
from theater.model.capability import Denied, Noted, Wait
from theater.runtime.services import Interrupt
from theater.testing.step_context import FakeStepContext

TABLE = built_in().table
Pair = tuple[str, bytes]


def call(ctx: FakeStepContext, name: str, *args: object, grant: HttpClientGrant | WasiGrant = EMPTY_WORLD) -> object:
    """A function of ``wasi:http/types``, by its name as in WIT."""
    found = TABLE.get(("wasi:http/types", name)) or TABLE["wasi:http/types", f"[method]{name}"]
    return found[1].run(ctx, grant, *args)


def number(answer: object) -> int:
    """The resource in an answer that is ok."""
    match answer:
        case ("ok", int(found)):
            return found
        case int(found):
            return found
    raise AssertionError(answer)


def fields(ctx: FakeStepContext, *entries: Pair) -> int:
    return number(call(ctx, "[static]fields.from-list", list(entries)))


def request(
    ctx: FakeStepContext,
    url: str = "http://127.0.0.1/",
    method: str = "GET",
    *,
    headers: Iterable[Pair] = (),
    body: bytes | None = None,
    grant: HttpClientGrant | WasiGrant = EMPTY_WORLD,
) -> int:
    """An ``outgoing-request``, its body written and finished."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    made = number(call(ctx, "[constructor]outgoing-request", fields(ctx, *headers)))
    for name, value in (
        ("set-method", ("other", method)),
        ("set-scheme", (scheme.upper(), None)),
        ("set-authority", authority),
        ("set-path-with-query", slash + path),
    ):
        assert call(ctx, f"outgoing-request.{name}", made, value) == ("ok", None), name
    if body is not None:
        write(ctx, number(call(ctx, "outgoing-request.body", made, grant=grant)), body)
    return made


def write(ctx: FakeStepContext, body: int, data: bytes) -> None:
    """Write a body, and finish it."""
    stream = number(call(ctx, "outgoing-body.write", body))
    for at in range(0, len(data), 4096):
        assert io(ctx, "output-stream.blocking-write-and-flush", stream, data[at : at + 4096]) == ("ok", None)
    ctx.resources.drop(stream)
    assert call(ctx, "[static]outgoing-body.finish", body, None) == ("ok", None)


def io(ctx: FakeStepContext, name: str, *args: object) -> object:
    """A function of ``wasi:io/streams`` that acts and looks at nothing."""
    return TABLE["wasi:io/streams", f"[method]{name}"][1].run(ctx, EMPTY_WORLD, *args)


def handle(
    ctx: FakeStepContext, grant: HttpClientGrant | WasiGrant, made: int, options: int | None = None
) -> int | Denied:
    """``outgoing-handler.handle``."""
    answer = TABLE["wasi:http/outgoing-handler", "handle"][1].run(ctx, grant, made, options)
    return answer if isinstance(answer, Denied) else number(answer)


def refusal(ctx: FakeStepContext, grant: HttpClientGrant | WasiGrant, made: int) -> ErrorCode:
    """The error with which a request is refused, which is recorded."""
    denied = handle(ctx, grant, made)
    assert isinstance(denied, Denied), denied
    match denied.answer:
        case ("err", (str(case), payload)):
            return case, payload
    raise AssertionError(denied.answer)


def waits(ctx: FakeStepContext, future: int) -> Wait:
    """What a guest that blocks for an answer waits for."""
    wait = block(ctx, EMPTY_WORLD, number(call(ctx, "future-incoming-response.subscribe", future)))
    assert isinstance(wait, Wait)
    assert wait.act is not None
    return wait


def performed(wait: Wait, service: HttpService, interrupt: Interrupt | None = None) -> object:
    """Have it done; the note that is recorded of it."""
    assert wait.act is not None
    assert wait.act.give is not None
    noted = wait.act.perform(service, interrupt or Interrupt())
    assert isinstance(noted, Noted)
    wait.act.give(noted.answer, noted.note)
    return noted.note


def again(wait: Wait, note: object) -> None:
    """What a replay makes of a note."""
    assert wait.act is not None
    assert wait.act.give is not None
    wait.act.give([], note)


def answer(ctx: FakeStepContext, future: int) -> tuple[str, object]:
    """What is in the future: the number of a response, or an error."""
    match call(ctx, "future-incoming-response.get", future):
        case ("ok", (str(case), value)):
            return case, value
        case other:
            raise AssertionError(other)


def outcome(
    ctx: FakeStepContext, service: HttpService, grant: HttpClientGrant, made: int, options: int | None = None
) -> tuple[str, object]:
    """What came of a request, which the grant allows."""
    future = handle(ctx, grant, made, options)
    assert isinstance(future, int), future
    performed(waits(ctx, future), service)
    return answer(ctx, future)


def fetched(service: HttpService, grant: HttpClientGrant, url: str) -> tuple[int, list[Pair], bytes]:
    """Status, header and body of what is at ``url``."""
    ctx = FakeStepContext()
    case, value = outcome(ctx, service, grant, request(ctx, url))
    assert case == "ok", value
    assert isinstance(value, int)
    return read_response(ctx, value)


def failed(service: HttpService, grant: HttpClientGrant, url: str, *, headers: Iterable[Pair] = ()) -> object:
    """Why that cannot be had: the error's code."""
    ctx = FakeStepContext()
    case, value = outcome(ctx, service, grant, request(ctx, url, headers=headers))
    assert case == "err"
    return value


def read_response(ctx: FakeStepContext, response: int) -> tuple[int, list[Pair], bytes]:
    """All of it."""
    status = call(ctx, "incoming-response.status", response)
    entries = call(ctx, "fields.entries", number(call(ctx, "incoming-response.headers", response)))
    body = number(call(ctx, "incoming-response.consume", response))
    assert isinstance(status, int)
    assert isinstance(entries, list)
    return status, entries, read_body(ctx, body)


def read_body(ctx: FakeStepContext, body: int) -> bytes:
    """Read it to its end, and finish it."""
    stream = number(call(ctx, "incoming-body.stream", body))
    content = b""
    while True:
        match io(ctx, "input-stream.blocking-read", stream, 50_000):
            case ("ok", bytes() as piece):
                content += piece
            case end:
                assert end == ("err", ("closed", None))
                break
    ctx.resources.drop(stream)
    trailers = number(call(ctx, "[static]incoming-body.finish", body))
    assert call(ctx, "future-trailers.get", trailers) == ("ok", ("ok", None))
    return content


def arguments(ctx: FakeStepContext, name: str) -> list[object]:
    """Arguments for a function of ``wasi:http``, by its name as in WIT, made anew: its resource, and the rest."""
    resource = name.partition("]")[2].partition(".")[0]
    made: dict[str, Callable[[], int]] = {
        "fields": lambda: fields(ctx, ("LANG", b"x")),
        "incoming-request": lambda: ctx.resources.add(
            IncomingRequest(("get", None), "/", ("HTTP", None), "a.example", (), b"words")
        ),
        "outgoing-request": lambda: request(ctx),
        "request-options": lambda: number(call(ctx, "[constructor]request-options")),
        "response-outparam": lambda: ctx.resources.add(ResponseOutparam()),
        "incoming-response": lambda: ctx.resources.add(IncomingResponse(200, (), b"words")),
        "incoming-body": lambda: ctx.resources.add(IncomingBody(b"words")),
        "future-trailers": lambda: ctx.resources.add(FutureTrailers()),
        "outgoing-response": lambda: number(call(ctx, "[constructor]outgoing-response", fields(ctx))),
        "outgoing-body": lambda: number(call(ctx, "outgoing-request.body", request(ctx))),
        "future-incoming-response": lambda: ctx.resources.add(FutureResponse(HttpClientGrant(), order(), None)),
    }
    more: dict[str, list[object]] = {
        "[static]fields.from-list": [[("a", b"b")]],
        "[method]fields.get": ["LANG"],
        "[method]fields.has": ["LANG"],
        "[method]fields.set": ["LANG", [b"y"]],
        "[method]fields.delete": ["LANG"],
        "[method]fields.append": ["LANG", b"y"],
        "[method]outgoing-request.set-method": [("put", None)],
        "[method]outgoing-request.set-path-with-query": ["/x"],
        "[method]outgoing-request.set-scheme": [None],
        "[method]outgoing-request.set-authority": ["b.example"],
        "[method]request-options.set-connect-timeout": [5],
        "[method]request-options.set-first-byte-timeout": [5],
        "[method]request-options.set-between-bytes-timeout": [5],
        "[method]response-outparam.send-informational": [103, 1],
        "[static]response-outparam.set": [("err", ("loop-detected", None))],
        "[method]outgoing-response.set-status-code": [404],
        "[static]outgoing-body.finish": [None],
    }
    match name:
        case "handle":
            return [request(ctx), None]
        case "http-error-code":
            return [ctx.resources.add(BodyError(("loop-detected", None)))]
        case "[constructor]outgoing-request" | "[constructor]outgoing-response":
            return [fields(ctx)]
        case "[constructor]fields" | "[constructor]request-options" | "[static]fields.from-list":
            return more.get(name, [])
    own = made[resource]() if resource in made else get_stdin(ctx, EMPTY_WORLD)
    return [own, *more.get(name, [])]


def order() -> Order:
    """One for a place that is nowhere."""
    return Order("GET", parse_url("http://a.example/"), (), None, 1000, 0, 1000, "bytes")
