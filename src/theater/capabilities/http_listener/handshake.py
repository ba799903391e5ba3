"""The opening handshake of a WebSocket, RFC 6455 section 4.2: whether a request is one, and what is said to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from theater.capabilities.http_front import Answer, Head
from theater.capabilities.http_listener.wire import Date, head_bytes, is_token, said

VERSION: Final = "13"
_SWITCHING: Final = 101


@dataclass(frozen=True, slots=True)
class Handshake:
    """A request for a WebSocket that can be had."""

    accept: str
    """What proves that the request was understood."""
    protocols: tuple[str, ...]
    """What the client offers, in its order."""

    def answer(self, protocol: str | None) -> bytes:
        """The head that opens it. No extension is ever agreed upon: a small message would unpack to a large one."""
        chosen = [] if protocol is None else [(b"sec-websocket-protocol", protocol.encode("ascii"))]
        return head_bytes(
            _SWITCHING,
            [
                (b"upgrade", b"websocket"),
                (b"connection", b"Upgrade"),
                (b"sec-websocket-accept", self.accept.encode("ascii")),
                *chosen,
                (b"date", Date().now),
            ],
        )


def read_handshake(head: Head) -> Handshake | Answer:
    """What is asked for, or what has to be answered instead."""
    versions = [value for name, value in head.headers if name == "sec-websocket-version"]
    if versions != [VERSION]:  # RFC 6455 section 4.4
        return said(426, "WebSockets are spoken in version 13", ("sec-websocket-version", VERSION))
    protocols = _protocols(head)
    if protocols is None:
        return said(400, "the subprotocols of a WebSocket are names, and differ from each other")
    response = ServerProtocol().accept(Request(head.path, Headers(head.headers)))
    if response.status_code != _SWITCHING:
        return said(response.status_code, (response.body or b"").decode().strip())
    return Handshake(response.headers["Sec-WebSocket-Accept"], protocols)


def _protocols(head: Head) -> tuple[str, ...] | None:
    """In the order of the client; None where the header is not what RFC 6455 section 11.3.4 has."""
    found = [
        piece.strip(" \t")
        for name, value in head.headers
        if name == "sec-websocket-protocol"
        for piece in value.split(",")
    ]
    if len(set(found)) != len(found) or not all(is_token(name) for name in found):
        return None
    return tuple(found)
