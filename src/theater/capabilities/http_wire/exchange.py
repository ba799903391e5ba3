"""Sending an order: where its host is, whether that may be reached, the answer, and where that points to.

Every redirect is a request of its own: its method and URL, and each address of its host, are checked like the first
ones, and the connection goes to exactly an address that was checked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import urldefrag, urljoin

import httpx

from theater.capabilities.guest_content import content_of
from theater.capabilities.http_addresses import IpAddress
from theater.capabilities.http_body import Body, TooLarge, Unreadable
from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_order import SAFE_METHODS, Order
from theater.capabilities.http_secrets import SecretUnavailable, SecretValues, secrets_in_value
from theater.capabilities.http_url import HttpUrl, parse_url
from theater.capabilities.http_wire.service import ADDRESSES_MAX, CONNECT_TIMEOUT_S, HttpService

REASON_MAX_CHARS = 300

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BECOME_GET = frozenset({301, 302, 303})
_SEE_OTHER = 303
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
_FOR_ONE_ORIGIN = frozenset({"authorization", "cookie"})


class Failed(Exception):
    """The answer is an error of the interface."""

    def __init__(self, case: str, value: str | int | None = None) -> None:
        super().__init__(case)
        self.problem = (case, value)


@dataclass(frozen=True, slots=True)
class Received:
    """An answer, with nothing masked yet."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    is_unpacked: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer for a guest: names of header fields in lower case, and placeholders where secrets came back."""

    status: int
    headers: list[tuple[str, bytes]]
    body: bytes
    url: str


async def exchange(service: HttpService, grant: HttpClientGrant, order: Order) -> tuple[str, object]:
    """What comes of an order: an ``incoming-response``, or an error. Never raises, but where it is cancelled."""
    try:
        fetched = await fetch(service, grant, order)
    except Failed as failed:
        return "err", failed.problem
    body = content_of(fetched.body, order.form)
    if body is None:
        return "err", ("not-text", None)
    headers = [(name, _text(value)) for name, value in fetched.headers]
    return "ok", {"status": fetched.status, "headers": headers, "body": body, "url": fetched.url}


async def fetch(service: HttpService, grant: HttpClientGrant, order: Order) -> Fetched:
    """The answer to an order. Raises ``Failed``, without any secret in its text."""
    try:
        values = SecretValues(order.secrets, service.secret)
    except SecretUnavailable as error:
        raise Failed("other", f"secret-unavailable: {error}") from error
    try:
        return await _followed(service, grant, order, values)
    except Failed as failed:
        case, value = failed.problem
        raise Failed(case, values.mask_text(value) if isinstance(value, str) else value) from failed.__cause__


async def _followed(service: HttpService, grant: HttpClientGrant, order: Order, values: SecretValues) -> Fetched:
    left = order.redirects
    sent = order.url.target if order.url.query is None else f"{order.url.path}?{values.fill_query(order.url.query)}"
    while True:
        received = await _asked(service, grant, order, sent.encode("ascii"), values)
        location = _first(received.headers, b"location")
        if received.status not in _REDIRECTS or location is None or order.redirects == 0:
            return _answer(order, received, values)
        if left == 0:
            raise Failed("too-many-redirects")
        left -= 1
        order = _redirected(order, received.status, location, sent)
        sent = order.url.target  # a placeholder that a server wrote is text
        missing = grant.missing(order.method, order.url)
        if missing is not None:
            raise Failed("denied", missing)
        order = replace(order, headers=tuple(each for each in order.headers if _may_go(grant, each[1], order.url)))


def _may_go(grant: HttpClientGrant, value: str, url: HttpUrl) -> bool:
    return all(grant.missing_secret(name, url) is None for name in secrets_in_value(value))


def _redirected(order: Order, status: int, location: bytes, sent: str) -> Order:
    try:
        base = f"{order.url.scheme}://{order.url.authority}{sent}"
        url = parse_url(urldefrag(urljoin(base, location.decode("utf-8"))).url)
    except ValueError as error:
        raise Failed("protocol", f"it redirects to what is no URL: {error}") from error
    method, body, headers = order.method, order.body, order.headers
    if status in _BECOME_GET and (method == "POST" or (status == _SEE_OTHER and method not in SAFE_METHODS)):
        method, body = "GET", None
        headers = tuple(each for each in headers if each[0] not in _OF_THE_BODY)
    if url.origin != order.url.origin:
        headers = tuple(each for each in headers if each[0] not in _FOR_ONE_ORIGIN and not secrets_in_value(each[1]))
    return replace(order, method=method, url=url, body=body, headers=headers)


async def _asked(
    service: HttpService, grant: HttpClientGrant, order: Order, target: bytes, values: SecretValues
) -> Received:
    """One request, to the first address of its host that answers."""
    try:
        addresses = await service.addresses(order.url)
    except OSError as error:
        raise Failed("name-not-resolved", _reason(error.strerror or str(error))) from error
    for address in addresses:  # all of them: a name that also has an address of ours is not to be trusted
        missing = grant.missing_private(order.url, address)
        if missing is not None:
            raise Failed("denied", missing)
    failure: Failed | None = None
    for address in addresses[:ADDRESSES_MAX]:
        try:
            async with asyncio.timeout(_until_first_byte_s(order)):
                response = await service.send(_request(order, address, target, values))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = _not_connected(error, _connect_timeout_s(order))
            failure.__cause__ = error
            if failure.problem[0] == "tls-failed":
                break
        except TimeoutError as error:
            raise Failed("timeout") from error
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise Failed("protocol", _reason(values.mask_text(str(error) or type(error).__name__))) from error
        else:
            return await _received(order, response)
    assert failure is not None
    raise failure from failure.__cause__


def _connect_timeout_s(order: Order) -> float:
    own = order.pace.connect_s
    return CONNECT_TIMEOUT_S if own is None else min(own, CONNECT_TIMEOUT_S)


def _until_first_byte_s(order: Order) -> float | None:
    return None if order.pace.first_byte_s is None else _connect_timeout_s(order) + order.pace.first_byte_s


def _request(order: Order, address: IpAddress, target: bytes, values: SecretValues) -> httpx.Request:
    given = {name for name, _ in order.headers}
    usual = {"user-agent": "theater", "accept": "*/*", "accept-encoding": "gzip, deflate"}
    headers = [
        ("host", order.url.authority),
        *((name, value) for name, value in usual.items() if name not in given),
        *((name, values.fill_value(value)) for name, value in order.headers),
        ("connection", "close"),
    ]
    return httpx.Request(
        order.method,
        httpx.URL(scheme=order.url.scheme, host=str(address), port=order.url.port, path="/"),
        headers=[(name.encode("ascii"), value.encode()) for name, value in headers],
        content=order.body,
        extensions={
            "target": target,
            "sni_hostname": order.url.host,
            "timeout": {"connect": _connect_timeout_s(order), "read": None, "write": None, "pool": None},
        },
    )


async def _received(order: Order, response: httpx.Response) -> Received:
    headers = response.headers.raw
    coding = _first(headers, b"content-encoding") or b""
    body = Body(coding.decode("latin-1"), order.response_bytes)
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    try:
        async for piece in _paced(aiter(stream), order.pace.between_bytes_s):
            body.add(piece)
        return Received(response.status_code, headers, body.whole(), body.is_unpacked)
    except TooLarge as error:
        raise Failed("too-large", order.response_bytes) from error
    except Unreadable as error:
        raise Failed("protocol", str(error)) from error
    except TimeoutError as error:
        raise Failed("timeout", "body") from error
    except (httpx.HTTPError, OSError) as error:
        raise Failed("protocol", _reason(str(error) or type(error).__name__)) from error
    finally:
        await stream.aclose()


async def _paced(pieces: AsyncIterator[bytes], most_s: float | None) -> AsyncIterator[bytes]:
    """The pieces, as long as none of them takes too long. Raises ``TimeoutError``."""
    while True:
        async with asyncio.timeout(most_s):
            piece = await anext(pieces, None)
        if piece is None:
            return
        yield piece


def _first(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key.lower() == name), None)


def _answer(order: Order, received: Received, values: SecretValues) -> Fetched:
    gone = ("content-encoding", "content-length") if received.is_unpacked else ()
    headers = [(name.decode("latin-1").lower(), values.mask(value)) for name, value in received.headers]
    return Fetched(
        received.status,
        [header for header in headers if header[0] not in gone],
        values.mask(received.body),
        values.mask_text(str(order.url)),
    )


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _not_connected(error: httpx.TransportError, most_s: float) -> Failed:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return Failed("tls-failed", _reason(str(cause)))
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectTimeout):
        return Failed("connection-failed", f"no answer within {most_s:g} s")
    return Failed("connection-failed", _reason(str(error)))


def _reason(text: str) -> str:
    return text[:REASON_MAX_CHARS]
