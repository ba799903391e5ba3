"""WebSockets as a test wants them: frames by hand, good and bad, and a client that says them."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.capabilities.listening import PATIENCE_S, Play, rest, until

LATE_S = 0.03
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of that key, RFC 6455 section 1.3
TEXT, BINARY, CLOSE, PING, PONG, CONT = 1, 2, 8, 9, 10, 0


def opening(*lines: bytes, key: bytes = KEY) -> bytes:
    return b"\r\n".join(
        [
            b"GET /ws HTTP/1.1",
            b"Host: x",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + key,
            *lines,
            b"",
            b"",
        ]
    )


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, is_masked: bool = True) -> bytes:
    size = len(data)
    mask_bit = 0x80 if is_masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 2**16:
        head += bytes([mask_bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
    return head + (bytes(4) if is_masked else b"") + data  # a mask of zeros leaves it as it is


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


@contextmanager
def opened(play: Play) -> Iterator[socket.socket]:
    with play.connect() as connection:
        connection.sendall(opening())
        assert until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        yield connection


def frames(said: bytes) -> list[tuple[int, bytes]]:
    """Opcodes and contents of what the listener sent; none of it is masked or in parts."""
    found, start = [], 0
    while start < len(said):
        size, at = said[start + 1], start + 2
        assert size < 128
        if size == 126:
            size, at = struct.unpack_from("!H", said, at)[0], at + 2
        elif size == 127:
            size, at = struct.unpack_from("!Q", said, at)[0], at + 8
        found.append((said[start] & 0xF, said[at : at + size]))
        start = at + size
    return found


def last_code(said: bytes) -> int:
    opcode, data = frames(said)[-1]
    assert opcode == CLOSE
    return int(struct.unpack("!H", data[:2])[0])


@contextmanager
def client(play: Play, *protocols: str, max_size: int | None = 2**20) -> Iterator[ClientConnection]:
    offered = [Subprotocol(name) for name in protocols] or None
    address = f"ws://127.0.0.1:{play.port}/ws?x"
    with connect(address, subprotocols=offered, max_size=max_size, open_timeout=PATIENCE_S) as made:
        yield made


def rest_after_closing(connection: socket.socket) -> bytes:
    """All that comes; the close that ends it is answered."""
    read = bytearray()
    while b"\x0f\xa0" not in read[-20:]:
        piece = connection.recv(2**20)
        assert piece, read
        read += piece
    connection.sendall(closing(4000))
    return bytes(read) + rest(connection)


def wait_until(holds: Callable[[], bool]) -> None:
    """For what shows in a number alone."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def flooded(connection: socket.socket, flood: bytes) -> int:
    """How much was taken until no more was, for a while."""
    sent = 0
    while sent < 200_000_000:
        try:
            sent += connection.send(flood)
        except TimeoutError:
            return sent
    return sent


def take(connection: socket.socket, size: int) -> None:
    """Exactly so much of what comes."""
    while size > 0:
        piece = connection.recv(size)
        assert piece
        size -= len(piece)
