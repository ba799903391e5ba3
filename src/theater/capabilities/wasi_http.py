"""``wasi:http``: requests under the grant of ``http-client``, for programs that know nothing of Theater.

A request is judged when it is handed over, and sent when the guest waits for its answer (``wasi:io/poll``): with a
body that is whole, and to the same places as ``http-client`` sends to, with placeholders for secrets filled in. It
follows no redirect. The answer is had whole before the guest sees it; reading it waits for nothing.

Recorded: a request that the grant does not allow, or that cannot be one, as ``host`` with ``HTTP-request-denied`` or
its error; everything else where it is waited for. Where the process died while a request was under way that is not
safe, its answer is ``internal-error`` with the text ``outcome-unknown``.

Limits: those of the grant, ``request-size``, ``response-size``, ``timeout``, and those of ``http-client``; 16 requests
of a step are under way at once, and the next ones are sent when there are answers. Bodies, header fields and answers
that the guest has not let go of are as many bytes as it may have memory of its own; more ends the step as
``host-data``. There are no trailers and no informational responses.
"""

from __future__ import annotations

from theater.capabilities import wasi_http_bodies as bodies
from theater.capabilities import wasi_http_fields as fields
from theater.capabilities import wasi_http_options as options
from theater.capabilities import wasi_http_requests as requests
from theater.capabilities import wasi_http_responses as responses
from theater.capabilities.http_client_grant import NAME, HttpClientGrant
from theater.capabilities.http_order import Order, Pace
from theater.capabilities.registration import drops, functions, methods
from theater.capabilities.wasi_http_bodies import BodyError
from theater.capabilities.wasi_http_codes import ErrorCode
from theater.capabilities.wasi_http_futures import FutureResponse
from theater.capabilities.wasi_http_options import RequestOptions
from theater.capabilities.wasi_http_requests import Request, granted_by, order_of
from theater.capabilities.wasi_poll import subscribe, subscribe_to_answer
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import Denied, HostClass, StepContext


def handle(ctx: StepContext, grant: HttpClientGrant | WasiGrant, number: int, chosen: int | None) -> object:
    """``outgoing-handler.handle``: it will be sent when the guest waits for its answer."""
    request: Request = ctx.resources.get(number)
    body = request.body
    pace = Pace()
    if chosen is not None:
        times: RequestOptions = ctx.resources.get(chosen)
        ctx.resources.drop(chosen)
        pace = times.pace
    granted = granted_by(grant)
    order = order_of(granted, request, pace)
    future = None
    if isinstance(order, Order):
        future = FutureResponse(granted, order, body)
        future.held_bytes = request.held_bytes
        if body is not None:
            body.holder = future
    ctx.resources.drop(number)
    if future is not None:
        return ("ok", ctx.resources.add(future))
    assert isinstance(order, tuple)
    code, asked = order
    return Denied(("err", code), asked)


def get_answer(ctx: StepContext, _grant: object, number: int) -> object:
    """``future-incoming-response.get``: none before the guest has waited for it, and the answer once."""
    future: FutureResponse = ctx.resources.get(number)
    return future.take(ctx)


def http_error_code(ctx: StepContext, _grant: object, error: int) -> ErrorCode | None:
    """Why writing a body failed."""
    found = ctx.resources.get(error)
    return found.code if isinstance(found, BodyError) else None


_TYPES = "wasi:http/types"
_OUTGOING = "wasi:http/outgoing-handler"
_D = HostClass.DERIVED

CAPABILITY = wasi_capability(
    "wasi-http",
    (
        *functions(_OUTGOING, _D, {"handle": handle}),
        *drops(_OUTGOING, "outgoing-request", "request-options", "future-incoming-response"),
        *functions(
            _TYPES,
            _D,
            {
                "http-error-code": http_error_code,
                "[constructor]fields": fields.new,
                "[static]fields.from-list": fields.from_list,
                "[constructor]outgoing-request": requests.new,
                "[constructor]request-options": options.new,
                "[static]response-outparam.set": responses.set_response,
                "[static]incoming-body.finish": bodies.finish_reading,
                "[constructor]outgoing-response": responses.new,
                "[static]outgoing-body.finish": bodies.finish,
            },
        ),
        *methods(
            _TYPES,
            "fields",
            _D,
            {
                "get": fields.get,
                "has": fields.has,
                "set": fields.set_values,
                "delete": fields.delete,
                "append": fields.append,
                "entries": fields.entries,
                "clone": fields.clone,
            },
        ),
        *methods(
            _TYPES,
            "incoming-request",
            _D,
            {
                "method": requests.asked_method,
                "path-with-query": requests.asked_path,
                "scheme": requests.asked_scheme,
                "authority": requests.asked_authority,
                "headers": requests.headers,
                "consume": requests.consume,
            },
        ),
        *methods(
            _TYPES,
            "outgoing-request",
            _D,
            {
                "body": requests.body,
                "method": requests.method,
                "set-method": requests.set_method,
                "path-with-query": requests.path_with_query,
                "set-path-with-query": requests.set_path_with_query,
                "scheme": requests.scheme,
                "set-scheme": requests.set_scheme,
                "authority": requests.authority,
                "set-authority": requests.set_authority,
                "headers": requests.headers,
            },
        ),
        *methods(
            _TYPES,
            "request-options",
            _D,
            {
                "connect-timeout": options.connect_timeout,
                "set-connect-timeout": options.set_connect_timeout,
                "first-byte-timeout": options.first_byte_timeout,
                "set-first-byte-timeout": options.set_first_byte_timeout,
                "between-bytes-timeout": options.between_bytes_timeout,
                "set-between-bytes-timeout": options.set_between_bytes_timeout,
            },
        ),
        *methods(_TYPES, "response-outparam", _D, {"send-informational": responses.send_informational}),
        *methods(
            _TYPES,
            "incoming-response",
            _D,
            {"status": responses.status, "headers": responses.headers, "consume": responses.consume},
        ),
        *methods(_TYPES, "incoming-body", _D, {"stream": bodies.read_stream}),
        *methods(_TYPES, "future-trailers", _D, {"subscribe": subscribe, "get": bodies.get_trailers}),
        *methods(
            _TYPES,
            "outgoing-response",
            _D,
            {
                "status-code": responses.status_code,
                "set-status-code": responses.set_status_code,
                "headers": responses.headers,
                "body": responses.body,
            },
        ),
        *methods(_TYPES, "outgoing-body", _D, {"write": bodies.write}),
        *methods(_TYPES, "future-incoming-response", _D, {"subscribe": subscribe_to_answer, "get": get_answer}),
        *drops(
            _TYPES,
            "fields",
            "incoming-request",
            "outgoing-request",
            "request-options",
            "response-outparam",
            "incoming-response",
            "incoming-body",
            "future-trailers",
            "outgoing-response",
            "outgoing-body",
            "future-incoming-response",
            "input-stream",
            "output-stream",
            "io-error",
            "pollable",
        ),
    ),
    under=NAME,
)
