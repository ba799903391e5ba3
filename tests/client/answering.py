"""A server that says exactly what a test tells it to, byte by byte, and keeps what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

import msgspec

from theater.model import wire

PATIENCE_S = 10.0

Script = bytes | Callable[[socket.socket], None]


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    line: str
    headers: dict[str, str]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


class Answering:
    """Answers the n-th connection with the n-th script, and closes it. What comes beyond them is let in and closed."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, name="answering")
        self._is_over = False
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        with socket.create_connection(self._listener.getsockname()):  # wakes it
            pass
        self._thread.join(PATIENCE_S)
        self._listener.close()

    def _serve(self) -> None:
        for script in self._each():
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                if self._is_over:
                    return
                with suppress(OSError):  # the client has seen enough
                    self._answer(connection, script)

    def _each(self) -> Iterator[Script]:
        yield from self._scripts
        while True:
            yield b""

    def _answer(self, connection: socket.socket, script: Script) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                return
            head += piece
        line, *rest = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        pairs = (text.split(": ", 1) for text in rest)
        self.asked.append(Asked(line, {name.lower(): value for name, value in pairs}))
        if callable(script):
            script(connection)
        else:
            connection.sendall(script)
            connection.shutdown(socket.SHUT_WR)


@contextmanager
def answering(*scripts: Script) -> Iterator[Answering]:
    """A server of these scripts, for as long as it is needed."""
    with Answering(scripts) as server:
        yield server


def answer(
    body: bytes, *, status: str = "200 OK", media: str = "application/json", headers: str = "", size: int | None = None
) -> bytes:
    """One whole answer, unless ``size`` says that it is larger than it is."""
    length = len(body) if size is None else size
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def document(value: object, *, status: str = "200 OK") -> bytes:
    """An answer that is a document."""
    return answer(msgspec.json.encode(value), status=status)


def problem(code: str, status: int, detail: str = "no", **data: object) -> bytes:
    """An answer that says what is wrong."""
    told = wire.Problem(type="t", title="t", status=status, detail=detail, code=code, request_id="r", data=data)
    return answer(msgspec.json.encode(told), status=f"{status} No", media="application/problem+json")


def stream(text: str) -> bytes:
    """The beginning of an answer that is a stream of events; it ends with the connection."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + text.encode()
