"""The requests of ``wasi:http``: one that a guest makes, and one that a service answers."""

from __future__ import annotations

import re
from dataclasses import replace

from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_order import Order, OutgoingRequest, Pace, read_order
from theater.capabilities.http_rules import is_method
from theater.capabilities.http_url import URL_MAX_CHARS, parse_url
from theater.capabilities.wasi_http_bodies import IncomingBody, OutgoingBody, add_body
from theater.capabilities.wasi_http_codes import DENIED, ErrorCode
from theater.capabilities.wasi_http_fields import Entry, Fields, add_fields, take_fields
from theater.capabilities.wasi_world import WasiGrant
from theater.model.capability import StepContext

Case = tuple[str, str | None]
"""A ``method`` or a ``scheme``."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,63}\Z")
_AUTHORITY = re.compile(r"[^\x00-\x20\x7f/?#\\]+\Z")
_TARGET = re.compile(r"(?:[/?][^\x00-\x20\x7f#]*)?\Z")

_OK = ("ok", None)
_ERR = ("err", None)


class Request:
    """An ``outgoing-request``. ``held_bytes`` are those of its header and its body."""

    __slots__ = ("authority", "body", "fields", "held_bytes", "method", "scheme", "target")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.held_bytes = fields.held_bytes
        self.method: Case = ("get", None)
        self.scheme: Case | None = None
        self.authority: str | None = None
        self.target: str | None = None
        self.body: OutgoingBody | None = None

    def let_go(self) -> None:
        """It is not sent, unless somebody took its body first."""
        if self.body is not None and self.body.holder is self:
            self.body.forget()


class IncomingRequest:
    """What a service is asked."""

    __slots__ = ("authority", "body", "fields", "held_bytes", "method", "scheme", "target")

    def __init__(
        self, method: Case, target: str, scheme: Case, authority: str, fields: tuple[Entry, ...], body: bytes
    ) -> None:
        self.method = method
        self.target = target
        self.scheme = scheme
        self.authority = authority
        self.fields = fields
        self.body: bytes | None = body
        self.held_bytes = len(body)

    def let_go(self) -> None:
        """Nobody reads it any more."""
        self.fields = ()
        self.body = None
        self.held_bytes = 0


def granted_by(grant: HttpClientGrant | WasiGrant) -> HttpClientGrant:
    """What the actor may ask of the web: nothing, where it has no grant for that."""
    return grant if isinstance(grant, HttpClientGrant) else HttpClientGrant()


# -- an order of it --------------------------------------------------------------------------------------------------


def order_of(grant: HttpClientGrant, request: Request, pace: Pace) -> Order | tuple[ErrorCode, object]:
    """What the request asks for, without its body; or the error, and what is recorded with it."""
    method = method_name(request.method)
    scheme = "https" if request.scheme is None else scheme_name(request.scheme)
    text = f"{scheme}://{request.authority or ''}{request.target or ''}"
    about: dict[str, object] = {"method": method, "url": text[:URL_MAX_CHARS]}
    if scheme not in ("http", "https"):
        return ("HTTP-protocol-error", None), about
    if not is_method(method):
        return ("HTTP-request-method-invalid", None), about
    if len(text) > URL_MAX_CHARS:
        return ("HTTP-request-URI-too-long", None), about
    try:
        url = parse_url(text)
        headers = _headers(request.fields)
    except UnicodeDecodeError:
        return ("internal-error", "the value of a header field is not UTF-8"), about
    except ValueError as error:
        return ("HTTP-request-URI-invalid", None), {**about, "why": str(error)}
    asked: OutgoingRequest = {
        "method": method,
        "url": text,
        "headers": headers,
        "body": None,
        "timeout-ms": grant.timeout_ms,
        "max-redirects": 0,
        "max-response-bytes": None,
        "response-form": "bytes",
    }
    order = read_order(grant, asked)
    if isinstance(order, Order):
        return replace(order, pace=pace)
    case, why = order
    about["why"] = why
    if case != "denied":  # of what can be wrong with it, this is left
        return ("HTTP-request-header-section-size", None), about
    is_allowed = grant.missing(method, url) is None
    if is_allowed and url.address is not None and grant.missing_private(url, url.address) is not None:
        return ("destination-IP-prohibited", None), about
    return DENIED, about


def _headers(fields: Fields) -> list[tuple[str, str]]:
    """As they are sent. Their length is that of what is really sent."""
    return [(name, value.strip(b" \t").decode()) for name, value in fields.entries if name.lower() != "content-length"]


def method_name(method: Case) -> str:
    """As it is sent."""
    case, other = method
    return other or "" if case == "other" else case.upper()


def method_case(name: str) -> Case:
    """The ``method`` of a name as it was sent."""
    return (name.lower(), None) if name in _METHODS else ("other", name)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


def scheme_name(scheme: Case) -> str:
    """In lower case."""
    case, other = scheme
    return (other or "" if case == "other" else case).lower()


# -- outgoing-request ------------------------------------------------------------------------------------------------


def new(ctx: StepContext, _grant: object, headers: int) -> int:
    """``[constructor]outgoing-request``."""
    return ctx.resources.add(Request(take_fields(ctx, headers)))


def body(ctx: StepContext, grant: HttpClientGrant | WasiGrant, number: int) -> object:
    """``outgoing-request.body``, once."""
    request: Request = ctx.resources.get(number)
    if request.body is not None:
        return _ERR
    most_bytes = granted_by(grant).request_bytes
    made = add_body(ctx, request, request.fields, most_bytes=most_bytes, too_large="HTTP-request-body-size")
    if made is None:
        return _ERR
    request.body, found = made
    return ("ok", found)


def method(ctx: StepContext, _grant: object, number: int) -> Case:
    """``outgoing-request.method``."""
    request: Request = ctx.resources.get(number)
    return request.method


def set_method(ctx: StepContext, _grant: object, number: int, wanted: Case) -> object:
    """``outgoing-request.set-method``."""
    request: Request = ctx.resources.get(number)
    if not _TOKEN.match(method_name(wanted)):
        return _ERR
    request.method = wanted
    return _OK


def path_with_query(ctx: StepContext, _grant: object, number: int) -> str | None:
    """``outgoing-request.path-with-query``."""
    request: Request = ctx.resources.get(number)
    return request.target


def set_path_with_query(ctx: StepContext, _grant: object, number: int, wanted: str | None) -> object:
    """``outgoing-request.set-path-with-query``: it begins where an authority ends, so that it cannot go on with one."""
    request: Request = ctx.resources.get(number)
    if wanted is not None and (len(wanted) > URL_MAX_CHARS or not _TARGET.match(wanted)):
        return _ERR
    request.target = wanted
    return _OK


def scheme(ctx: StepContext, _grant: object, number: int) -> Case | None:
    """``outgoing-request.scheme``."""
    request: Request = ctx.resources.get(number)
    return request.scheme


def set_scheme(ctx: StepContext, _grant: object, number: int, wanted: Case | None) -> object:
    """``outgoing-request.set-scheme``."""
    request: Request = ctx.resources.get(number)
    if wanted is not None and not _SCHEME.match(scheme_name(wanted)):
        return _ERR
    request.scheme = wanted
    return _OK


def authority(ctx: StepContext, _grant: object, number: int) -> str | None:
    """``outgoing-request.authority``."""
    request: Request = ctx.resources.get(number)
    return request.authority


def set_authority(ctx: StepContext, _grant: object, number: int, wanted: str | None) -> object:
    """``outgoing-request.set-authority``."""
    request: Request = ctx.resources.get(number)
    if wanted is not None and (len(wanted) > URL_MAX_CHARS or not _AUTHORITY.match(wanted)):
        return _ERR
    request.authority = wanted
    return _OK


def headers(ctx: StepContext, _grant: object, number: int) -> int:
    """The header of any request, which is not changed any more."""
    request: Request | IncomingRequest = ctx.resources.get(number)
    fields = request.fields.entries if isinstance(request, Request) else request.fields
    return add_fields(ctx, Fields(fields, is_mutable=False))


# -- incoming-request ------------------------------------------------------------------------------------------------


def asked_method(ctx: StepContext, _grant: object, number: int) -> Case:
    """``incoming-request.method``."""
    request: IncomingRequest = ctx.resources.get(number)
    return request.method


def asked_path(ctx: StepContext, _grant: object, number: int) -> str | None:
    """``incoming-request.path-with-query``."""
    request: IncomingRequest = ctx.resources.get(number)
    return request.target


def asked_scheme(ctx: StepContext, _grant: object, number: int) -> Case | None:
    """``incoming-request.scheme``."""
    request: IncomingRequest = ctx.resources.get(number)
    return request.scheme


def asked_authority(ctx: StepContext, _grant: object, number: int) -> str | None:
    """``incoming-request.authority``."""
    request: IncomingRequest = ctx.resources.get(number)
    return request.authority


def consume(ctx: StepContext, _grant: object, number: int) -> object:
    """``incoming-request.consume``: its body, once."""
    request: IncomingRequest = ctx.resources.get(number)
    if request.body is None:
        return _ERR
    content, request.body = request.body, None
    ctx.resources.hold(request, -len(content), most_bytes=ctx.limits.memory_bytes)
    return ("ok", ctx.resources.add(IncomingBody(content)))
