"""Actors that serve HTTP, for tests: a puppet behind a server on the loopback, and clients that ask it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.guests import puppet
from tests.runtime.inside import settle
from tests.runtime.stage import Stage
from theater.testing.harness import Actor

PATIENCE_S = 20.0
HOST = "127.0.0.1"
SERVER = puppet.puppet_wat(imports=("runtime", "messaging", "timing", "http-server"), handlers=("http", "middleware"))
GRANT: Mapping[str, object] = {"listen": ["127.0.0.1:*"]}


@dataclass(frozen=True, slots=True)
class Page:
    """What came back."""

    status: int
    body: str
    headers: Mapping[str, str]


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    patience_s: float = PATIENCE_S,
) -> Page:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=patience_s)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        fields: dict[str, str] = {}
        for name, value in answer.getheaders():
            fields[name.lower()] = f"{fields[name.lower()]}, {value}" if name.lower() in fields else value
        return Page(answer.status, answer.read().decode(), fields)
    finally:
        connection.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look until it is so: what other threads and processes do tells nobody that it is done."""
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, "it never was"
        time.sleep(0.005)


def is_refused(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as trying:
        return trying.connect_ex((HOST, port)) != 0


def free_port() -> int:
    """One that nobody has right now."""
    with socket.create_server((HOST, 0)) as trying:
        port: int = trying.getsockname()[1]
        return port


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Somebody else listens there."""
    with socket.create_server((HOST, port)):
        yield


def play(
    stage: Stage,
    grant: Mapping[str, object] = GRANT,
    *,
    name: str = "actor",
    limits: Mapping[str, object] | None = None,
) -> Actor:
    """A puppet that may serve."""
    capabilities: dict[str, Mapping[str, object]] = {"http-server": dict(grant), "messaging": {}, "timing": {}}
    return stage.play(SERVER, name=name, capabilities=capabilities, allowed=["http-server"], limits=limits)


def serve(actor: Actor, *programs: str, port: int = 0, tls: str | None = None) -> int:
    """Open a server, and in the same step run these programs, in which ``ID`` is the server; gives the port.

    The log of the actor begins with the server's id.
    """
    answer = actor.request(
        puppet.open_server(HOST, port, tls)
        + puppet.reply(puppet.FULL_ANSWER)
        + puppet.log(puppet.HEAD)
        + "".join(programs)
    )
    assert isinstance(answer, str)
    assert not answer.startswith("err:"), answer
    return int(answer.split("/")[2])


ID = puppet.FIRST
"""The server, where the log begins with it."""


def log_of(actor: Actor) -> list[str]:
    """The tokens of its log behind the server's id."""
    settle(actor)
    return puppet.log_of(actor.state or "0")[1:]


def answering(path: str, program: str, methods: Sequence[str] = (), *, body_max: int | None = None) -> str:
    """Add a route whose requests are answered by this program."""
    return puppet.add_route(ID, puppet.route(path, program, methods, body_max=body_max))
