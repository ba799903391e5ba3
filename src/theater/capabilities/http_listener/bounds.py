"""What clients of actors' servers may cost, each number with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from theater.capabilities.http_listener.protocol import ConnectionBounds


@dataclass(frozen=True, slots=True)
class Bounds:
    """For a whole listener, unless it says otherwise. Sizes in bytes, durations in seconds."""

    connections_max: int = 1000
    """Each takes an open file and about 20 KiB. One more is answered 503 and closed."""
    connections_of_server_max: int = 500
    """So that whoever floods one server leaves room for the others."""
    websockets_max: int = 500
    """They last, and each may hold a message that is not complete."""
    target_max_bytes: int = 8 * 2**10
    """What RFC 9110 section 4.1 recommends to support."""
    head_max_bytes: int = 64 * 2**10
    """Large cookies fit; nobody fills memory with what is no request yet."""
    headers_max: int = 100
    """Browsers send about 20, proxies add a few."""
    head_s: float = 10.0
    """From the connection, or the first byte of a further request, to the end of its head."""
    keep_alive_s: float = 30.0
    """How long a connection is kept between two requests."""
    body_s: float = 60.0
    """From the head to the last byte of the body."""
    held_max_bytes: int = 256 * 2**20
    """Bodies and messages of all connections that are not complete, or wait to be handled."""
    stalled_s: float = 60.0
    """How long a client may take nothing of what is sent to it."""
    untaken_max_bytes: int = 256 * 2**20
    """All answers together that are made and not taken: beyond it the oldest are given up."""
    grace_s: float = 10.0
    """How long requests that are under way may go on when their server closes."""
    shut_s: float = 5.0
    """How long the end of the listener may take."""
    tls_s: float = 10.0
    """How long a connection may take to agree on TLS, or to end it."""
    waiting_max_bytes: int = 2**20
    """What may wait for the client of a WebSocket when more is said to it."""
    unheard_max: int = 16
    """Messages of a WebSocket that wait behind the one that is being handled; then no more are read."""
    ping_every_s: float = 30.0
    """Shorter than what routers remember of a connection on which nothing is said."""
    pong_s: float = 20.0
    """How long a client may give no sign of life after a ping."""
    closing_s: float = 5.0
    """How long the close handshake of a WebSocket may take."""

    @property
    def of_connection(self) -> ConnectionBounds:
        """The part that the HTTP protocol keeps."""
        return ConnectionBounds(
            connections_max=self.connections_max,
            target_max_bytes=self.target_max_bytes,
            head_max_bytes=self.head_max_bytes,
            headers_max=self.headers_max,
            head_s=self.head_s,
            stuck_s=self.stalled_s,
            stalled_s=self.stalled_s,
            untaken_max_bytes=self.untaken_max_bytes,
        )
