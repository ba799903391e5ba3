"""A front for tests of the listener: it answers as a test says, and keeps what it was told."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from queue import Queue

from theater.capabilities.http_front import Admission, Answer, Certificate, Farewell, Head, Seat
from theater.capabilities.http_listener.bounds import Bounds
from theater.capabilities.http_listener.listener import Listener

PATIENCE_S = 10.0
SERVER = "5" * 32


def echo(head: Head, body: bytes) -> Answer:
    return Answer(200, (("content-type", "text/plain"),), f"{head.method} {head.path} {len(body)}".encode())


@dataclass
class PlayedFront:
    """``answering`` may be replaced by anything; so may the others."""

    body_max_bytes: int = 1000
    message_max_bytes: int = 1000
    heads: list[Head] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    offered: list[tuple[str, ...]] = field(default_factory=list)
    opened_ids: Queue[str] = field(default_factory=Queue)
    messages: Queue[str | bytes] = field(default_factory=Queue)
    ends: Queue[tuple[str, int, str]] = field(default_factory=Queue)
    admitting: Callable[[Head], Admission | Answer] | None = None
    answering: Callable[[Head, bytes], Awaitable[Answer]] | None = None
    choosing: Callable[[Head, tuple[str, ...]], str | Answer | None] | None = None
    opening: Callable[[Seat, Head], Awaitable[Answer | None]] | None = None
    hearing: Callable[[str, str | bytes], Awaitable[Farewell | None]] | None = None
    ids: Iterator[int] = field(default_factory=count)

    def admit(self, head: Head) -> Admission | Answer:
        self.heads.append(head)
        return Admission(self.body_max_bytes) if self.admitting is None else self.admitting(head)

    async def answer(self, head: Head, body: bytes) -> Answer:
        self.bodies.append(body)
        return echo(head, body) if self.answering is None else await self.answering(head, body)

    def seat(self, head: Head, protocols: tuple[str, ...]) -> Seat | Answer:
        self.heads.append(head)
        self.offered.append(protocols)
        chosen = None if self.choosing is None else self.choosing(head, protocols)
        if isinstance(chosen, Answer):
            return chosen
        return Seat(f"{next(self.ids):032x}", chosen, self.message_max_bytes)

    async def opened(self, seat: Seat, head: Head) -> Answer | None:
        answer = None if self.opening is None else await self.opening(seat, head)
        self.opened_ids.put(seat.connection)
        return answer

    async def heard(self, connection: str, message: str | bytes) -> Farewell | None:
        self.messages.put(message)
        return None if self.hearing is None else await self.hearing(connection, message)

    def closed(self, connection: str, code: int, reason: str) -> None:
        self.ends.put((connection, code, reason))

    def end(self) -> tuple[int, str]:
        """The next that is told."""
        return self.ends.get(timeout=PATIENCE_S)[1:]


class Gate:
    """What a front waits at, on the loop, until the test lets it go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.left = threading.Event()
        """Whoever waited was cancelled."""
        self._open = threading.Event()

    async def passed(self) -> None:
        self.reached.set()
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._open.wait, PATIENCE_S)
        except asyncio.CancelledError:
            self.left.set()
            raise

    def let_go(self) -> None:
        self._open.set()


@dataclass
class Play:
    """A listener with one server, and what it reported."""

    front: PlayedFront
    listener: Listener
    port: int
    reports: list[BaseException]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        made.settimeout(PATIENCE_S)
        return made

    def say(self, *pieces: bytes) -> bytes:
        """All that comes back on one connection until it is closed."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """Until the other side closes."""
    read = b""
    while True:
        try:
            piece = connection.recv(2**16)
        except ConnectionResetError:
            return read
        if not piece:
            return read
        read += piece


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to there."""
    read = b""
    while not read.endswith(end):
        piece = connection.recv(1)
        assert piece, read
        read += piece
    return read


def bound() -> socket.socket:
    """A socket on a free port."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(("127.0.0.1", 0))
    return made


@contextmanager
def playing(
    front: PlayedFront | None = None, bounds: Bounds | None = None, certificate: Certificate | None = None
) -> Iterator[Play]:
    """A server that listens; what was reported and not looked at fails the test."""
    front, reports = front or PlayedFront(), list[BaseException]()
    listener = Listener(front, report=reports.append, bounds=bounds)
    server = bound()
    port: int = server.getsockname()[1]
    try:
        listener.open(SERVER, server, certificate)
        yield Play(front, listener, port, reports)
    finally:
        listener.shut()
    assert listener.held_bytes == 0
    assert reports == []
