"""The responses of ``wasi:http``: what a guest gets, and what a service gives."""

from __future__ import annotations

from dataclasses import dataclass

from theater.capabilities.wasi_http_bodies import IncomingBody, OutgoingBody, add_body
from theater.capabilities.wasi_http_codes import ErrorCode
from theater.capabilities.wasi_http_fields import Entry, Fields, add_fields, take_fields
from theater.capabilities.wasi_http_requests import IncomingRequest
from theater.model.capability import StepContext

STATUS_MIN, STATUS_MAX = 100, 999
"""Three digits: RFC 9110, section 15."""

_OK = ("ok", None)
_ERR = ("err", None)


class IncomingResponse:
    """An answer from the web, whole."""

    __slots__ = ("body", "fields", "held_bytes", "status")

    def __init__(self, status: int, fields: tuple[Entry, ...], body: bytes) -> None:
        self.status = status
        self.fields = fields
        self.body: bytes | None = body
        self.held_bytes = len(body)


class OutgoingResponse:
    """An answer of a service."""

    __slots__ = ("body", "fields", "held_bytes", "status")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.held_bytes = fields.held_bytes
        self.status = 200
        self.body: OutgoingBody | None = None

    def let_go(self) -> None:
        """It is not given, unless somebody took its body first."""
        if self.body is not None and self.body.holder is self:
            self.body.forget()


@dataclass(slots=True)
class Given:
    """What a service gives as its answer to a request: a response, whose body may still grow, or an error."""

    request: IncomingRequest | None = None
    held_bytes: int = 0
    response: OutgoingResponse | None = None
    error: ErrorCode | None = None


class ResponseOutparam:
    """Where a service puts its answer, once."""

    __slots__ = ("given",)

    def __init__(self) -> None:
        self.given = Given()


# -- incoming-response -----------------------------------------------------------------------------------------------


def status(ctx: StepContext, _grant: object, number: int) -> int:
    """``incoming-response.status``."""
    response: IncomingResponse = ctx.resources.get(number)
    return response.status


def headers(ctx: StepContext, _grant: object, number: int) -> int:
    """The header of any response, which is not changed any more."""
    response: IncomingResponse | OutgoingResponse = ctx.resources.get(number)
    fields = response.fields.entries if isinstance(response, OutgoingResponse) else response.fields
    return add_fields(ctx, Fields(fields, is_mutable=False))


def consume(ctx: StepContext, _grant: object, number: int) -> object:
    """``incoming-response.consume``: its body, once."""
    response: IncomingResponse = ctx.resources.get(number)
    if response.body is None:
        return _ERR
    content, response.body = response.body, None
    ctx.resources.hold(response, -len(content), most_bytes=ctx.limits.memory_bytes)
    return ("ok", ctx.resources.add(IncomingBody(content)))


# -- outgoing-response -----------------------------------------------------------------------------------------------


def new(ctx: StepContext, _grant: object, fields: int) -> int:
    """``[constructor]outgoing-response``."""
    return ctx.resources.add(OutgoingResponse(take_fields(ctx, fields)))


def status_code(ctx: StepContext, _grant: object, number: int) -> int:
    """``outgoing-response.status-code``."""
    response: OutgoingResponse = ctx.resources.get(number)
    return response.status


def set_status_code(ctx: StepContext, _grant: object, number: int, wanted: int) -> object:
    """``outgoing-response.set-status-code``."""
    response: OutgoingResponse = ctx.resources.get(number)
    if not STATUS_MIN <= wanted <= STATUS_MAX:
        return _ERR
    response.status = wanted
    return _OK


def body(ctx: StepContext, _grant: object, number: int) -> object:
    """``outgoing-response.body``, once. It may be as large as a reply."""
    response: OutgoingResponse = ctx.resources.get(number)
    if response.body is not None:
        return _ERR
    most_bytes = ctx.limits.reply_bytes
    made = add_body(ctx, response, response.fields, most_bytes=most_bytes, too_large="HTTP-response-body-size")
    if made is None:
        return _ERR
    response.body, found = made
    return ("ok", found)


# -- response-outparam -----------------------------------------------------------------------------------------------


def set_response(ctx: StepContext, _grant: object, number: int, wanted: tuple[str, object]) -> None:
    """``response-outparam.set``: what is written to the body afterwards is part of it, too."""
    outparam: ResponseOutparam = ctx.resources.get(number)
    ctx.resources.drop(number)
    case, value = wanted
    given = outparam.given
    if case == "err":
        assert isinstance(value, tuple)
        given.error = value
        return
    assert isinstance(value, int)
    response: OutgoingResponse = ctx.resources.get(value)
    if response.body is not None:
        response.body.holder = given
    size_bytes = response.held_bytes
    ctx.resources.drop(value)
    given.response = response
    ctx.resources.hold(given, size_bytes, most_bytes=ctx.limits.memory_bytes)


def send_informational(_ctx: StepContext, _grant: object, _number: int, _status: int, _headers: int) -> object:
    """``response-outparam.send-informational``: nothing is sent before the step is over."""
    return ("err", ("internal-error", "informational responses are not sent"))
