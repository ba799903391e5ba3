"""The items of an ``http-client`` grant: what may be asked, which private places reached, which secrets sent.

Each is a text in a manifest; the texts in a grant are the normalised ones.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from theater.capabilities.http_addresses import IpAddress, embedded_address
from theater.capabilities.http_secrets import is_secret_name
from theater.capabilities.http_url import HttpUrl, host_name, parse_url

ANY_METHOD = "*"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,31}\Z")
_WITH_PORT = re.compile(r"(.*):([0-9]{1,5})\Z")
_PORT_MAX = 65_535


def is_method(text: str) -> bool:
    """Whether it is a method, in upper case. ``CONNECT`` is not: it asks for a tunnel."""
    return _METHOD.match(text) is not None and text != "CONNECT"


@dataclass(frozen=True, slots=True)
class AllowRule:
    """``GET https://api.example.com/v1/``: a method, or ``*`` for any, and what URLs begin with."""

    method: str
    prefix: HttpUrl

    def __str__(self) -> str:
        return f"{self.method} {self.prefix}"

    def allows(self, method: str, url: HttpUrl) -> bool:
        """Whether this may be asked."""
        return self.method in (ANY_METHOD, method) and self.prefix.holds(url)

    def meet(self, other: AllowRule) -> AllowRule | None:
        """What is within both."""
        prefix = _narrower(self.prefix, other.prefix)
        methods = {self.method, other.method} - {ANY_METHOD}
        if prefix is None or len(methods) > 1:
            return None
        return AllowRule(methods.pop() if methods else ANY_METHOD, prefix)


@dataclass(frozen=True, slots=True)
class PrivateRule:
    """``localhost:8080``, ``10.0.0.0/8``: a name or a network, and a port or any."""

    host: str | Network
    port: int | None = None

    def __str__(self) -> str:
        if isinstance(self.host, str):
            shown = self.host
        else:
            single = self.host.num_addresses == 1
            shown = str(self.host.network_address) if single else str(self.host)
            shown = f"[{shown}]" if self.host.version == 6 else shown  # noqa: PLR2004 - as in IPv6
        return shown if self.port is None else f"{shown}:{self.port}"

    def allows(self, url: HttpUrl, address: IpAddress) -> bool:
        """Whether a request to ``url`` may go to this private address."""
        if self.port not in (None, url.port):
            return False
        if isinstance(self.host, str):
            return self.host == url.host
        return any(each in self.host for each in (address, embedded_address(address)) if each is not None)

    def meet(self, other: PrivateRule) -> PrivateRule | None:
        """What is within both."""
        ports = {self.port, other.port} - {None}
        host = _narrower_host(self.host, other.host)
        if len(ports) > 1 or host is None:
            return None
        return PrivateRule(host, ports.pop() if ports else None)


@dataclass(frozen=True, slots=True)
class SecretRule:
    """``API_KEY https://api.example.com/``: a secret, and where it may be sent; without: wherever that is allowed."""

    name: str
    prefix: HttpUrl | None = None

    def __str__(self) -> str:
        return self.name if self.prefix is None else f"{self.name} {self.prefix}"

    def allows(self, name: str, url: HttpUrl) -> bool:
        """Whether the secret may be sent there."""
        return self.name == name and (self.prefix is None or self.prefix.holds(url))

    def meet(self, other: SecretRule) -> SecretRule | None:
        """What is within both."""
        if self.name != other.name:
            return None
        if self.prefix is None or other.prefix is None:
            return SecretRule(self.name, self.prefix or other.prefix)
        prefix = _narrower(self.prefix, other.prefix)
        return None if prefix is None else SecretRule(self.name, prefix)


def parse_allow(text: str) -> AllowRule:
    """Raises ``ValueError`` saying what is wrong."""
    method, _, url = text.partition(" ")
    if method != ANY_METHOD and not is_method(method):
        raise ValueError('begin with a method in upper case, or *: "GET https://api.example.com/v1/"')
    return AllowRule(method, _prefix(url))


def parse_private(text: str) -> PrivateRule:
    """Raises ``ValueError`` saying what is wrong."""
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("the address in brackets does not end")
        return PrivateRule(_network(inside), _port(rest[1:]) if rest else None)
    try:
        return PrivateRule(_network(text))
    except ValueError:
        match = _WITH_PORT.match(text)
    host, port = (match[1], _port(match[2])) if match is not None else (text, None)
    if "/" in host or _is_address(host):
        return PrivateRule(_network(host), port)
    return PrivateRule(host_name(host), port)


def parse_secret(text: str) -> SecretRule:
    """Raises ``ValueError`` saying what is wrong."""
    name, blank, url = text.partition(" ")
    if not is_secret_name(name):
        raise ValueError("a secret's name has up to 64 letters, digits, _ and -, and begins with no digit")
    return SecretRule(name, _prefix(url) if blank else None)


R = TypeVar("R", AllowRule, PrivateRule, SecretRule)


def fewest(rules: Iterable[R]) -> tuple[R, ...]:
    """Sorted, without those that another one covers."""
    every = set(rules)
    covered = {narrow for narrow in every for wide in every if wide != narrow and wide.meet(narrow) == narrow}
    return tuple(sorted(every - covered, key=str))


def beyond_all(rules: Iterable[R], allowed: Iterable[R]) -> list[R]:
    """Those of ``rules`` that none of ``allowed`` covers."""
    allowed = tuple(allowed)
    return [rule for rule in rules if not any(wide.meet(rule) == rule for wide in allowed)]


def within_both(left: Iterable[R], right: Iterable[R]) -> tuple[R, ...]:
    """What both allow."""
    right = tuple(right)
    met = [one.meet(other) for one in left for other in right]
    return fewest(rule for rule in met if rule is not None)


def _prefix(text: str) -> HttpUrl:
    url = parse_url(text)
    if url.query is not None:
        raise ValueError("it has a query: name what URLs begin with, up to the path")
    return url


def _narrower(left: HttpUrl, right: HttpUrl) -> HttpUrl | None:
    if left.holds(right):
        return right
    return left if right.holds(left) else None


def _narrower_host(left: str | Network, right: str | Network) -> str | Network | None:
    if isinstance(left, str) or isinstance(right, str):
        return left if left == right else None
    if _is_within(left, right):
        return left
    return right if _is_within(right, left) else None


def _is_within(narrow: Network, wide: Network) -> bool:
    return narrow.version == wide.version and wide.prefixlen <= narrow.prefixlen and narrow.network_address in wide


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither a name nor a network such as 10.0.0.0/8: {error}") from error


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _PORT_MAX):
        raise ValueError(f"a port is a number from 1 to {_PORT_MAX}")
    return int(text)
