"""A server for tests of the web: what it was asked, and answers that are as bad as a test wants."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from theater.capabilities.http_client import send
from theater.capabilities.http_client_grant import HttpClientGrant, parse
from theater.capabilities.http_wire.service import HttpService
from theater.model.capability import Denied, Wait
from theater.runtime.services import Interrupt
from theater.testing.step_context import FakeStepContext

PATIENCE_S = 20.0


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Page:
    """One answer. ``raw`` is sent instead of everything else."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None


@dataclass
class Web:
    """Pages by path; what has none is answered with what was asked, as text."""

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    slow: set[str] = field(default_factory=lambda: {"/slow"})
    go_on: threading.Event = field(default_factory=threading.Event)
    """What slow pages wait for."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, asked: Asked) -> Page:
        path = asked.target.partition("?")[0]
        if path in self.slow:
            self.go_on.wait(PATIENCE_S)
        if path in self.pages:
            return self.pages[path]
        echo = [f"{asked.method} {asked.target}", *(f"{name}: {value}" for name, value in asked.headers.items())]
        return Page("\n".join(echo).encode() + b"\n\n" + asked.body)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or did not trust us."""


@contextmanager
def serving(trust: ssl.SSLContext | None = None) -> Iterator[Web]:
    """A server on a port of its own, until the end; with TLS where ``trust`` has a certificate."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
            pass

        def _answer(self) -> None:
            size_bytes = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self.rfile.read(size_bytes))
            web.asked.append(asked)
            web.arrived.set()
            page = web.page(asked)
            self.close_connection = True
            if page.raw is not None:
                self.wfile.write(page.raw)
                return
            self.send_response(page.status)
            for name, value in page.headers:
                self.send_header(name, value)
            self.send_header("content-length", str(len(page.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page.body)

    server = _Server(("127.0.0.1", 0), Handler)
    if trust is not None:
        server.socket = trust.wrap_socket(server.socket, server_side=True)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield web
    finally:
        web.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def request(url: str, method: str = "GET", **changes: object) -> dict[str, object]:
    """An ``outgoing-request``; its keys with underscores."""
    made: dict[str, object] = {
        "method": method,
        "url": url,
        "headers": [],
        "body": None,
        "timeout-ms": None,
        "max-redirects": None,
        "max-response-bytes": None,
        "response-form": "automatic",
    }
    made |= {key.replace("_", "-"): value for key, value in changes.items()}
    return made


def grant_for(*allow: str, **more: object) -> HttpClientGrant:
    """A grant, its keys with underscores."""
    return parse({"allow": list(allow), **{key.replace("_", "-"): value for key, value in more.items()}})


def begun(service: HttpService, wait: Wait, interrupt: Interrupt) -> Future[object]:
    """The act under way, on a thread of its own."""
    act, outcome = wait.act, Future[object]()
    assert act is not None
    threading.Thread(target=lambda: outcome.set_result(act.perform(service, interrupt))).start()
    return outcome


def fetched(service: HttpService, grant: HttpClientGrant, asked: dict[str, object]) -> object:
    """What comes of a request: its answer, or the error."""
    decided = send(FakeStepContext(), grant, asked)  # type: ignore[arg-type]  # as the boundary gives it
    if isinstance(decided, Denied):
        return decided.answer
    return begun(service, decided, Interrupt()).result(PATIENCE_S)


def raw_deflate(data: bytes) -> bytes:
    """Without the header of zlib, as some servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def packed(data: bytes, coding: str = "gzip") -> Page:
    """A page in gzip."""
    return Page(gzip.compress(data), headers=(("Content-Encoding", coding),))


SECRET = "s3cr3t/v@lue+x"
VALUES = {"KEY": SECRET, "SHORT": "1234567", "ODD": "line\nbreak and more"}


class Names:
    """A resolver: addresses by name, and how often it was asked. Lists of lists are answers one after the other."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(-2, "Name or service not known")
        return self.known[host]


def local(web: Web, *more: str, **keys: object) -> HttpClientGrant:
    """Everything on the test's server, whatever it is called."""
    hosts = [f"* http://{host}:{web.port}/" for host in ("127.0.0.1", "here.example", "other.example")]
    return grant_for(*hosts, *more, private=["127.0.0.0/8"], **keys)


def ok(answer: object) -> dict[str, Any]:
    match answer:
        case ("ok", dict(response)):
            return response
    raise AssertionError(answer)


def refusal(grant: HttpClientGrant, asked: dict[str, object]) -> object:
    """The error with which a request is answered at once, which is recorded."""
    decided = send(FakeStepContext(), grant, asked)  # type: ignore[arg-type]  # as the boundary gives it
    assert isinstance(decided, Denied), decided
    match decided.answer:
        case ("err", problem):
            return problem
    raise AssertionError(decided)


def waits(grant: HttpClientGrant, asked: dict[str, object], ctx: FakeStepContext | None = None) -> Wait:
    decided = send(ctx or FakeStepContext(), grant, asked)  # type: ignore[arg-type]  # as the boundary gives it
    assert isinstance(decided, Wait), decided
    assert decided.act is not None
    return decided
