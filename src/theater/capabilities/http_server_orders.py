"""What the service of ``http-server`` is told by the steps of actors, and what it is told about."""

from __future__ import annotations

import msgspec

from theater.capabilities.http_routes import ContentForm, Spec
from theater.capabilities.http_server_grant import (
    CONNECTIONS_DEFAULT,
    MESSAGE_DEFAULT_BYTES,
    REQUEST_DEFAULT_BYTES,
    TIMEOUT_DEFAULT_MS,
    HttpServerGrant,
)


class ServerLimits(msgspec.Struct, frozen=True):
    """What the grant says of requests: it is kept with each server, for requests come while nobody looks at grants."""

    request_bytes: int = REQUEST_DEFAULT_BYTES
    message_bytes: int = MESSAGE_DEFAULT_BYTES
    timeout_ms: int = TIMEOUT_DEFAULT_MS
    connections: int = CONNECTIONS_DEFAULT


class Server(msgspec.Struct, frozen=True):
    """One server of an actor. ``port`` is the one really used."""

    id: str
    address: str
    port: int
    tls: str | None
    limits: ServerLimits
    is_service: bool = False
    """Whether every request goes to the ``wasi:http`` export of the actor: it has no routes."""


class Added(msgspec.Struct, frozen=True):
    """What was added to a server. ``number`` says in which order."""

    id: str
    server: str
    number: int
    spec: Spec


class Connection(msgspec.Struct, frozen=True):
    """A WebSocket."""

    id: str
    server: str
    tag: str
    peer: str
    binary_form: ContentForm
    message_max_bytes: int
    is_open: bool = False
    """Whether its actor has taken it."""


class Open(msgspec.Struct, frozen=True):
    """These servers take connections."""

    servers: tuple[Server, ...]


class Close(msgspec.Struct, frozen=True):
    """A server is no more, nor are its routes and connections."""

    server: str


class Add(msgspec.Struct, frozen=True):
    """A route, a middleware or a WebSocket route is added."""

    added: Added


class Remove(msgspec.Struct, frozen=True):
    """One of those is removed."""

    added: str


class Say(msgspec.Struct, frozen=True):
    """A message goes out over a WebSocket."""

    connection: str
    message: str | bytes

    @property
    def size_bytes(self) -> int:
        """Of the message."""
        return len(self.message.encode()) if isinstance(self.message, str) else len(self.message)


class Part(msgspec.Struct, frozen=True):
    """A WebSocket is closed by its actor."""

    connection: str
    code: int
    reason: str


class Take(msgspec.Struct, frozen=True):
    """A connection is there, or its actor has taken it. No step says so: it comes from outside."""

    connection: Connection


class Lose(msgspec.Struct, frozen=True):
    """A connection has ended, other than by its actor. No step says so either."""

    connection: str


Order = Open | Close | Add | Remove | Say | Part | Take | Lose


def limits_of(grant: HttpServerGrant) -> ServerLimits:
    """What a server that is opened under this grant is kept with."""
    return ServerLimits(
        request_bytes=grant.request_bytes,
        message_bytes=grant.message_bytes,
        timeout_ms=grant.timeout_ms,
        connections=grant.connections,
    )
