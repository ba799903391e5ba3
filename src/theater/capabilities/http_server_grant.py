"""Where an actor may serve HTTP, and how much of it: the grant of ``http-server``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import check_keys, few_texts_of, items_of, manifest_line, number_lines, number_of
from theater.capabilities.http_server_listen import ListenRule, beyond_all, bracketed, fewest, parse_listen, within_both
from theater.errors import InvalidManifest
from theater.model.quantity import parse_count, parse_milliseconds, parse_size, show_milliseconds, show_size

NAME = "http-server"

SERVERS_DEFAULT = 8
"""One for each kind of client is more than most have."""
SERVERS_MAX = 64
"""Each is a socket of the node's."""
ROUTES_DEFAULT = 256
"""More than an actor with a table of them in its sources has."""
ROUTES_MAX = 1024
"""A request is held against each: 1 ms."""
CONNECTIONS_DEFAULT = 100
"""As many as an actor has channels."""
CONNECTIONS_MAX = 10_000
"""Each is a socket and some 20 kB."""
REQUEST_DEFAULT_BYTES = 2**20
"""As large as a message may be: it is recorded whole."""
MESSAGE_DEFAULT_BYTES = 2**20
"""Likewise."""
BODY_MAX_BYTES = 64 * 2**20
"""A body is in memory and in the chain whole: for more, another way is needed."""
TIMEOUT_DEFAULT_MS = 30_000
"""What the interface promises; as long as an actor waits for a reply of another."""
TIMEOUT_MAX_MS = 24 * 3_600_000
"""A day: the most that the limit ``wait`` can be."""

_KEYS = (
    "listen",
    "allow",
    "tls",
    "servers",
    "routes",
    "connections",
    "request",
    "message",
    "response-timeout",
)
_TLS_NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class HttpServerGrant:
    """Where servers may listen, under which of the node's certificates, and how much they take in.

    ``tls`` are names of certificates: which files they are, the node's config says.
    """

    listen: tuple[ListenRule, ...] = ()
    tls: tuple[str, ...] = ()
    servers: int = SERVERS_DEFAULT
    routes: int = ROUTES_DEFAULT
    connections: int = CONNECTIONS_DEFAULT
    request_bytes: int = REQUEST_DEFAULT_BYTES
    message_bytes: int = MESSAGE_DEFAULT_BYTES
    timeout_ms: int = TIMEOUT_DEFAULT_MS

    def __post_init__(self) -> None:
        for key, value, most, shown in (
            ("servers", self.servers, SERVERS_MAX, str(SERVERS_MAX)),
            ("routes", self.routes, ROUTES_MAX, str(ROUTES_MAX)),
            ("connections", self.connections, CONNECTIONS_MAX, str(CONNECTIONS_MAX)),
            ("request", self.request_bytes, BODY_MAX_BYTES, show_size(BODY_MAX_BYTES)),
            ("message", self.message_bytes, BODY_MAX_BYTES, show_size(BODY_MAX_BYTES)),
            ("response-timeout", self.timeout_ms, TIMEOUT_MAX_MS, show_milliseconds(TIMEOUT_MAX_MS)),
        ):
            if not 0 <= value <= most:
                raise InvalidManifest(f"[capabilities.{NAME}] {key}: {shown} is the most")
        for name in self.tls:
            if not is_tls_name(name):
                raise InvalidManifest(
                    f"[capabilities.{NAME}] tls: {name!r} names no certificate: 1 to {_TLS_NAME_MAX} of a-z, A-Z, 0-9, "
                    "'_' and '-'; which files it is, the node's config says under [tls.NAME]"
                )
        object.__setattr__(self, "listen", fewest(self.listen))
        object.__setattr__(self, "tls", tuple(sorted(set(self.tls))))

    def missing(self, address: str, port: int) -> str | None:
        """The manifest line without which a server may not be opened there; None where it may."""
        if any(rule.allows(address, port) for rule in self.listen):
            return None
        return manifest_line("listen", [f"{bracketed(address)}:{port}"])

    def table(self) -> dict[str, object]:
        return {"listen": [str(rule) for rule in self.listen], "tls": list(self.tls), **self._numbers()}

    def lines(self, beyond: HttpServerGrant | None) -> list[str]:
        wide = beyond or HttpServerGrant()
        found = [manifest_line("listen", [str(rule)]) for rule in beyond_all(self.listen, wide.listen)]
        found += [manifest_line("tls", [name]) for name in self.tls if name not in wide.tls]
        own, most, shown = self._sizes(), wide._sizes(), self._numbers()  # noqa: SLF001 - another one of its own kind
        found += number_lines(own, most, shown, is_named=beyond is None)
        return found or ([f"[capabilities.{NAME}]"] if beyond is None else [])

    def narrowed(self, ceiling: HttpServerGrant) -> HttpServerGrant:
        return HttpServerGrant(
            listen=within_both(self.listen, ceiling.listen),
            tls=tuple(name for name in self.tls if name in ceiling.tls),
            servers=min(self.servers, ceiling.servers),
            routes=min(self.routes, ceiling.routes),
            connections=min(self.connections, ceiling.connections),
            request_bytes=min(self.request_bytes, ceiling.request_bytes),
            message_bytes=min(self.message_bytes, ceiling.message_bytes),
            timeout_ms=min(self.timeout_ms, ceiling.timeout_ms),
        )

    def _sizes(self) -> dict[str, int]:
        return {
            "servers": self.servers,
            "routes": self.routes,
            "connections": self.connections,
            "request": self.request_bytes,
            "message": self.message_bytes,
            "response-timeout": self.timeout_ms,
        }

    def _numbers(self) -> dict[str, object]:
        return {
            "servers": self.servers,
            "routes": self.routes,
            "connections": self.connections,
            "request": show_size(self.request_bytes),
            "message": show_size(self.message_bytes),
            "response-timeout": show_milliseconds(self.timeout_ms),
        }


def parse(table: Mapping[str, object]) -> HttpServerGrant:
    """Keys: ``listen`` (or ``allow``) and ``tls``, lists; ``servers``, ``routes``, ``connections``, ``request``,
    ``message``, ``response-timeout``.
    """  # noqa: D205 - one list
    check_keys(NAME, table, _KEYS)
    return HttpServerGrant(
        listen=_rules(table),
        tls=few_texts_of(NAME, table, "tls"),
        servers=number_of(NAME, table, "servers", parse=parse_count, default=SERVERS_DEFAULT),
        routes=number_of(NAME, table, "routes", parse=parse_count, default=ROUTES_DEFAULT),
        connections=number_of(NAME, table, "connections", parse=parse_count, default=CONNECTIONS_DEFAULT),
        request_bytes=number_of(NAME, table, "request", parse=parse_size, default=REQUEST_DEFAULT_BYTES),
        message_bytes=number_of(NAME, table, "message", parse=parse_size, default=MESSAGE_DEFAULT_BYTES),
        timeout_ms=number_of(NAME, table, "response-timeout", parse=parse_milliseconds, default=TIMEOUT_DEFAULT_MS),
    )


def is_tls_name(name: str) -> bool:
    """Whether a certificate may be called that."""
    return 0 < len(name) <= _TLS_NAME_MAX and name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def _rules(table: Mapping[str, object]) -> tuple[ListenRule, ...]:
    found = []
    for text in items_of(NAME, table, "listen") or ():
        try:
            found.append(parse_listen(text))
        except ValueError as error:
            raise InvalidManifest(f"[capabilities.{NAME}] listen: {text!r}: {error}") from error
    return tuple(found)
