"""The least grant of ``http-client`` that the requests of a history need.

An answer says which URL gave it, after redirects; the places between are nowhere to be seen, and are not in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from theater.capabilities.grant_table import ITEMS_MAX
from theater.capabilities.guest_content import size_at_most
from theater.capabilities.http_client_grant import HttpClientGrant
from theater.capabilities.http_rules import AllowRule, PrivateRule, SecretRule, is_method, within_both
from theater.capabilities.http_secrets import secrets_in_query, secrets_in_value
from theater.capabilities.http_url import HttpUrl, parse_url
from theater.capabilities.wasi_http_futures import FutureResponse
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall, number_within, size_within

INTERFACE = "theater:actor/http-client"

R = TypeVar("R", AllowRule, PrivateRule, SecretRule)


def needs(call: SeenCall) -> Iterator[Need]:
    """``url`` and ``secret`` with where, and the numbers of the request."""
    if call.interface != INTERFACE:
        yield from _of_wasi(call)
        return
    (request,) = call.arguments
    assert isinstance(request, Mapping)
    url = _url(request["url"])
    if url is None or not is_method(request["method"]):
        return  # refused whatever is granted
    in_headers = [name for _, value in request["headers"] for name in secrets_in_value(value)]
    for method, place in _places(request["method"], url, call.answer):
        yield "url", method, place.place
        for name in [*in_headers, *secrets_in_query(url.query)]:
            yield "secret", name, place.place
    yield from _numbers(request, call.answer)


def grant(granted: HttpClientGrant, found: Collection[Need]) -> HttpClientGrant:
    """The folders that were asked, with each method, and what of the rest that takes."""
    urls = [each for each in _named(found, "url") if granted.missing(*each) is None]
    secrets = [each for each in _named(found, "secret") if granted.missing_secret(*each) is None]
    return HttpClientGrant(
        allow=_few((AllowRule(*each) for each in _folders(urls)), granted.allow),
        private=_few(_private({url.origin: url for _, url in urls}.values(), granted.private), granted.private),
        secrets=_few((SecretRule(*each) for each in _folders(secrets)), granted.secrets),
        request_bytes=size_within(found, "request-size", granted.request_bytes),
        response_bytes=size_within(found, "response-size", granted.response_bytes),
        timeout_ms=number_within(found, "timeout", granted.timeout_ms),
        redirects=number_within(found, "redirects", granted.redirects),
    )


LEAST = Least(needs, grant)


def _of_wasi(call: SeenCall) -> Iterator[Need]:
    """A guest of WASI asks for the answer of what it handed over before. How large it was is said elsewhere."""
    match call.function, call.arguments:
        case "[method]future-incoming-response.get", (FutureResponse() as future,):
            order = future.order
            yield "url", order.method, order.url.place
            for name in order.secrets:
                yield "secret", name, order.url.place
            for kind in ("response-size", "timeout", *(("request-size",) if future.body is not None else ())):
                yield kind, AS_GRANTED


def _url(text: str) -> HttpUrl | None:
    try:
        return parse_url(text)
    except ValueError:
        return None


def _places(method: str, url: HttpUrl, answer: object) -> Iterator[tuple[str, HttpUrl]]:
    """What was asked, and where its answer came from: a redirect may have made a ``GET`` of it."""
    yield method, url
    match answer:
        case ("ok", {"url": str(text)}) if (last := _url(text)) is not None and last.place != url.place:
            yield method, last
            yield "GET", last


def _numbers(request: Mapping[str, object], answer: object) -> Iterator[Need]:
    """Each as the request has it, or as granted where that was its default."""
    body = request["body"]
    if isinstance(body, tuple):
        yield "request-size", size_at_most(body)
    for key, kind in (("timeout-ms", "timeout"), ("max-redirects", "redirects")):
        value = request[key]
        yield kind, value if isinstance(value, int) else AS_GRANTED
    most = request["max-response-bytes"]
    if isinstance(most, int):
        yield "response-size", most
    match answer:
        case ("ok", {"body": (str(form), str() | bytes() as content)}):
            yield "response-size", size_at_most((form, content))
        case ("err", ("too-large", _)):
            yield "request-size", AS_GRANTED
            yield "response-size", AS_GRANTED


def _named(found: Iterable[Need], kind: str) -> list[tuple[str, HttpUrl]]:
    return [(str(need[1]), parse_url(str(need[2]))) for need in found if need[0] == kind]


def _folders(places: Iterable[tuple[str, HttpUrl]]) -> Iterator[tuple[str, HttpUrl]]:
    """For each word and server the longest folder that holds all of its URLs."""
    groups: dict[tuple[str, tuple[str, str, int]], list[HttpUrl]] = {}
    for word, url in places:
        groups.setdefault((word, url.origin), []).append(url)
    for (word, (scheme, host, port)), urls in groups.items():
        same: list[str] = []
        for level in zip(*(url.path.split("/")[:-1] for url in urls), strict=False):
            if len(set(level)) > 1:
                break
            same.append(level[0])
        yield word, HttpUrl(scheme, host, port, "/".join([*same, ""]))


def _private(urls: Iterable[HttpUrl], granted: Iterable[PrivateRule]) -> Iterator[PrivateRule]:
    """What URLs name themselves. A name may have led to any address of a granted network, which so stays whole."""
    granted = tuple(granted)
    for url in urls:
        address = url.address
        for rule in granted:
            if rule.port not in (None, url.port):
                continue
            if address is None and rule.host == url.host:
                yield PrivateRule(url.host, url.port)
            elif address is None and not isinstance(rule.host, str):
                yield PrivateRule(rule.host, url.port)
            elif address is not None and rule.allows(url, address):
                alone = PrivateRule(ipaddress.ip_network(address), url.port)
                yield alone if alone.meet(rule) == alone else PrivateRule(rule.host, url.port)


def _few(rules: Iterable[R], granted: tuple[R, ...]) -> tuple[R, ...]:
    """Within what was granted; that itself where it would be more than a grant may have."""
    narrow = within_both(rules, granted)
    return narrow if len(narrow) <= ITEMS_MAX else granted
