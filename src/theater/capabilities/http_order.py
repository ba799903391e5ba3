"""A guest's request, judged by itself and by the grant, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from theater.capabilities.guest_content import Content, bytes_within
from theater.capabilities.http_client_grant import (
    REDIRECTS_DEFAULT,
    HttpClientGrant,
    redirects_line,
    response_line,
    timeout_line,
)
from theater.capabilities.http_rules import is_method
from theater.capabilities.http_secrets import secrets_in_query, secrets_in_value
from theater.capabilities.http_url import HttpUrl, parse_url
from theater.capabilities.moment import TIMEOUT_DEFAULT_MS
from theater.model.actor_system import Problem

HEADERS_MAX = 100
HEADERS_MAX_BYTES = 64 * 1024
"""Servers take 8 to 64 KiB in all."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110, section 9.2.1."""

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_FIELD_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*\Z")

_OURS = frozenset(
    {
        "host",
        "content-length",
        "connection",
        "transfer-encoding",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    }
)
"""What frames a request, or concerns the connection: the host's."""

Header = tuple[str, str]

OutgoingRequest = TypedDict(
    "OutgoingRequest",
    {
        "method": str,
        "url": str,
        "headers": Sequence[Header],
        "body": Content | None,
        "timeout-ms": int | None,
        "max-redirects": int | None,
        "max-response-bytes": int | None,
        "response-form": str,
    },
)
"""As in WIT."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long parts of an exchange may take, in seconds; None: as long as the whole."""

    connect_s: float | None = None
    """Until there is a connection."""
    first_byte_s: float | None = None
    """From then on until the answer begins."""
    between_bytes_s: float | None = None
    """From one piece of the answer's body to the next."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent, with placeholders, and what may come back."""

    method: str
    url: HttpUrl
    headers: tuple[Header, ...]
    body: bytes | None
    timeout_ms: int
    redirects: int
    response_bytes: int
    form: str
    pace: Pace = Pace()

    @property
    def is_safe(self) -> bool:
        """Whether it may be sent again."""
        return self.method in SAFE_METHODS

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of those that it needs."""
        in_headers = [name for _, value in self.headers for name in secrets_in_value(value)]
        return tuple(dict.fromkeys([*in_headers, *secrets_in_query(self.url.query)]))


def read_order(grant: HttpClientGrant, request: OutgoingRequest) -> Order | Problem:
    """The order that an ``outgoing-request`` is, or why it cannot be sent."""
    try:
        url = parse_url(request["url"])
    except ValueError as error:
        return "invalid-url", str(error)
    method: str = request["method"]
    problem = _malformed(method, request["headers"])
    if problem is not None:
        return "invalid-request", problem
    body = None if request["body"] is None else bytes_within(request["body"], grant.request_bytes)
    if isinstance(body, tuple):
        return body
    timeout_ms, redirects, most = request["timeout-ms"], request["max-redirects"], request["max-response-bytes"]
    order = Order(
        method=method,
        url=url,
        headers=tuple((name.lower(), value) for name, value in request["headers"]),
        body=body,
        timeout_ms=min(TIMEOUT_DEFAULT_MS, grant.timeout_ms) if timeout_ms is None else timeout_ms,
        redirects=min(REDIRECTS_DEFAULT, grant.redirects) if redirects is None else redirects,
        response_bytes=grant.response_bytes if most is None else most,
        form=request["response-form"],
    )
    missing = _missing(grant, order)
    return order if missing is None else ("denied", missing)


def _malformed(method: str, headers: Sequence[Header]) -> str | None:
    if not is_method(method):
        return f"method {method[:40]!r}"
    size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in headers)
    if len(headers) > HEADERS_MAX or size_bytes > HEADERS_MAX_BYTES:
        return f"more than {HEADERS_MAX} header fields, or than {HEADERS_MAX_BYTES} bytes of them"
    for name, value in headers:
        if not _FIELD_NAME.match(name):
            return f"header field {name[:40]!r}"
        if name.lower() in _OURS:
            return f"header field {name[:40]!r} is the host's"
        if not _FIELD_VALUE.match(value) or value != value.strip(" \t"):
            return f"the value of header field {name[:40]!r}"
    return None


def _missing(grant: HttpClientGrant, order: Order) -> str | None:
    """The first manifest line that the grant lacks."""
    missing = grant.missing(order.method, order.url)
    if missing is None and order.url.address is not None:
        missing = grant.missing_private(order.url, order.url.address)
    for name in order.secrets:
        missing = missing or grant.missing_secret(name, order.url)
    if missing is None and order.timeout_ms > grant.timeout_ms:
        missing = timeout_line(order.timeout_ms)
    if missing is None and order.redirects > grant.redirects:
        missing = redirects_line(order.redirects)
    if missing is None and order.response_bytes > grant.response_bytes:
        missing = response_line(order.response_bytes)
    return missing
