"""The items of an ``http-server`` grant's ``listen``: an address, and which of its ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from theater.capabilities.http_addresses import IpAddress, embedded_address

ANY_PORT = "*"
PORT_MAX = 65_535

_PORT_DIGITS = len(str(PORT_MAX))


@dataclass(frozen=True, slots=True)
class ListenRule:
    """``127.0.0.1:8080``, ``[::1]:0``, ``127.0.0.1:9000-9010``, ``127.0.0.1:*``. Port 0: a free one is chosen.

    Nothing covers an address but itself: ``0.0.0.0``, on which everybody can reach an actor, is one like any other.
    """

    address: str
    first: int
    last: int

    def __str__(self) -> str:
        if (self.first, self.last) == (0, PORT_MAX):
            ports = ANY_PORT
        else:
            ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{bracketed(self.address)}:{ports}"

    def allows(self, address: str, port: int) -> bool:
        """Whether a server may be opened there. ``address`` is normalised."""
        return self.address == address and self.first <= port <= self.last

    def meet(self, other: ListenRule) -> ListenRule | None:
        """What is within both."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return ListenRule(self.address, first, last) if self.address == other.address and first <= last else None


def bracketed(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def parse_address(text: str) -> IpAddress:
    """An address to listen on. Raises ``ValueError`` saying what is wrong."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError("write an address such as 127.0.0.1 or ::1, and no name") from error
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a zone cannot be listened on")
        if address.ipv4_mapped is not None:
            raise ValueError(f"write {embedded_address(address)}, which it stands for")
    return address


def parse_listen(text: str) -> ListenRule:
    """Raises ``ValueError`` saying what is wrong."""
    host, colon, ports = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host) is not is_bracketed:
        raise ValueError('write an address and a port: "127.0.0.1:8080", "[::1]:0", "127.0.0.1:9000-9010"')
    address = str(parse_address(host[1:-1] if is_bracketed else host))
    if ports == ANY_PORT:
        return ListenRule(address, 0, PORT_MAX)
    first, dash, last = ports.partition("-")
    rule = ListenRule(address, _port(first), _port(last if dash else first))
    if rule.first > rule.last or (dash and not rule.first):
        raise ValueError("a range of ports begins with 1 or more, and ends behind its beginning")
    return rule


def fewest(rules: Iterable[ListenRule]) -> tuple[ListenRule, ...]:
    """Sorted, without those that another one covers."""
    every = set(rules)
    covered = {narrow for narrow in every for wide in every if wide != narrow and wide.meet(narrow) == narrow}
    return tuple(sorted(every - covered, key=str))


def beyond_all(rules: Iterable[ListenRule], allowed: Iterable[ListenRule]) -> list[ListenRule]:
    """Those of ``rules`` that none of ``allowed`` covers."""
    allowed = tuple(allowed)
    return [rule for rule in rules if not any(wide.meet(rule) == rule for wide in allowed)]


def within_both(left: Iterable[ListenRule], right: Iterable[ListenRule]) -> tuple[ListenRule, ...]:
    """What both allow."""
    right = tuple(right)
    met = [one.meet(other) for one in left for other in right]
    return fewest(rule for rule in met if rule is not None)


def _port(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _PORT_DIGITS
    if not is_number or int(text) > PORT_MAX:
        raise ValueError(f"a port is a number from 0 to {PORT_MAX}, or {ANY_PORT} for any")
    return int(text)
