"""Many connections at once to a server process, each a socket of its own; and what they cost the server."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.server.process import PATIENCE_S, RunningServer

SPARE_FILES = 300
STEP_S = 0.01


def need_files(number: int) -> None:
    """Have this process, and those that it starts, open so many files; skip the test where the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"takes {wanted} open files, and the system allows {hard}")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def head(server: RunningServer, method: str, path: str, **headers: str) -> bytes:
    """The head of a request with the default token, but for the empty line behind it."""
    given = {"Host": "127.0.0.1", "Authorization": f"Bearer {server.token}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return ("\r\n".join(lines) + "\r\n").encode()


@contextmanager
def crowd(server: RunningServer, number: int, *, buffer_bytes: int | None = None) -> Iterator[list[socket.socket]]:
    """So many connections; ``buffer_bytes`` is how much of what is sent to one waits in this system."""
    made: list[socket.socket] = []
    try:
        for _ in range(number):
            one = socket.socket()
            made.append(one)
            if buffer_bytes is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            one.settimeout(PATIENCE_S)
            one.connect(server.address)
        yield made
    finally:
        for one in made:
            one.close()


def wait_for_all(connections: Sequence[socket.socket], said: bytes) -> list[bytes]:
    """What each of them was sent, as soon as there is ``said`` in it."""
    heard = dict.fromkeys(connections, b"")
    waiting = set(connections)
    deadline = time.monotonic() + PATIENCE_S
    with selectors.DefaultSelector() as selector:
        for one in connections:
            selector.register(one, selectors.EVENT_READ)
        while waiting:
            assert time.monotonic() < deadline, f"{len(waiting)} of {len(connections)} wait in vain for {said!r}"
            for key, _ in selector.select(1.0):
                assert isinstance(key.fileobj, socket.socket)
                got = key.fileobj.recv(2**16)
                heard[key.fileobj] += got
                assert got, f"an end, where {said!r} was to come: {heard[key.fileobj]!r}"
                if said in heard[key.fileobj]:
                    selector.unregister(key.fileobj)
                    waiting.remove(key.fileobj)
    return list(heard.values())


def memory_bytes(server: RunningServer) -> int:
    """What the server process has in memory now."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_bytes(server: RunningServer) -> int:
    """The most that it ever had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def open_sockets(server: RunningServer) -> int:
    """How many it has open. Its other files are its threads', which each open the store once."""
    number = 0
    for entry in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            number += entry.readlink().name.startswith("socket:")
    return number


def wait_until_left(server: RunningServer, sockets: int) -> None:
    """Return when it has no more open than that."""
    wait_until(lambda: open_sockets(server) <= sockets, f"more than {sockets} sockets are open")


def wait_until(is_so: Callable[[], bool], complaint: str) -> None:
    """Return when the server, of which nobody hears when, has come to that."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, complaint
        time.sleep(STEP_S)
