"""What the listener of HTTP servers and those who answer its requests know of each other.

The listener has the sockets, the protocols and the limits of connections, on an event loop of its own thread. A
``Front`` knows actors, routes and grants; its methods are called on that loop. Nobody else may hold the loop up.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, and values (ISO 8859-1 where they are not UTF-8), in their order."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request, as it came."""

    server: str
    """The id of the server that it came to."""
    method: str
    authority: str
    path: str
    """Percent-encoded as sent, without the query."""
    query: str | None
    headers: Headers
    peer: str
    """Address and port of the other side: ``127.0.0.1:50123``, ``[::1]:50123``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. ``content-length``, ``connection``, ``transfer-encoding`` and ``date`` are the listener's."""

    status: int
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Admission:
    """A request that will be answered once its body is there."""

    body_max_bytes: int
    """A larger one is answered 413."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A WebSocket that will be opened if its actor wants it."""

    connection: str
    """Its id: 32 lower-case hex digits."""
    protocol: str | None
    """The chosen subprotocol."""
    message_max_bytes: int
    """A larger one closes the connection with 1009."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """A WebSocket is to be closed, by a code of RFC 6455 section 7.4."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files in PEM."""

    certificate: str
    key: str


class Front(Protocol):
    """Who answers."""

    def admit(self, head: Head) -> Admission | Answer:
        """Whether somebody answers such a request; else the answer: 404, 405, 503."""

    async def answer(self, head: Head, body: bytes) -> Answer:
        """The answer. Cancelled where the client has gone."""

    def seat(self, head: Head, protocols: tuple[str, ...]) -> Seat | Answer:
        """Whether somebody takes WebSockets there; ``protocols`` are those that the client offers, in its order."""

    async def opened(self, seat: Seat, head: Head) -> Answer | None:
        """The actor's decision: None where it takes the connection. What it said meanwhile is sent right behind.

        It is asked for to its end, also where the client has gone: whoever takes a connection hears of its end.
        """

    async def heard(self, connection: str, message: str | bytes) -> Farewell | None:
        """A message has come; the next one is read when this returns. A farewell where nobody listens any more."""

    def closed(self, connection: str, code: int, reason: str) -> None:
        """A connection that was taken has ended, whoever ended it: 1005 where no code came, 1006 where it broke.

        Once for each, behind all that was heard on it. The code is that of whoever was first to end it: the client,
        the front, or the listener for one that breaks the rules.
        """


class Listening(Protocol):
    """The listener, as its front uses it. Any thread may; nothing blocks but ``shut``."""

    def open(self, server: str, bound: socket.socket, certificate: Certificate | None) -> None:
        """Take connections on a socket that is bound. The listener owns it from then on, also where it raises.

        Raises:
            InvalidInput: the certificate cannot be used.
            OSError: the socket cannot be listened on.
            Closing: the listener was shut, or its loop has died.
        """

    def close(self, server: str) -> None:
        """Take no more; what is under way is still answered, WebSockets are closed with 1001."""

    def waiting_bytes(self, connection: str) -> int:
        """How much that was said on a WebSocket its client has not read."""

    def say(self, connection: str, message: str | bytes) -> None:
        """Send a message over a WebSocket, behind those before it. Where it has ended, nothing happens."""

    def part(self, connection: str, farewell: Farewell) -> None:
        """Close a WebSocket behind what was said on it."""

    def shut(self) -> None:
        """Close everything, and join the thread. WebSockets are closed with 1001."""
