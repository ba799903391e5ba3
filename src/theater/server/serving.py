"""A server from its start to its end: ``theater server``.

Up: the port is bound, the data directory taken, the actors go on, the port is listened on, ``server.json`` says where.
Down, on SIGTERM or SIGINT: nothing new is accepted; streams end with ``event: end``; requests that are under way get
their answers, and 10 s for it; the runtime is closed, which commits; ``server.json`` goes; the process exits with 0. A
second signal does not wait for requests.
"""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from starlette.types import ASGIApp

from theater import __version__
from theater.capabilities.http_listener.protocol import BoundedProtocol, ConnectionBounds, Connections
from theater.errors import InvalidInput
from theater.model.header import format_time
from theater.model.ports import Durability
from theater.runtime.opening import Options
from theater.runtime.runtime import Runtime
from theater.runtime.server_files import (
    ServerFile,
    hold_server_lock,
    load_tokens,
    make_or_read_token,
    write_server_file,
)
from theater.server.app import make_app
from theater.server.hosts import Hosts
from theater.server.life_log import LifeLog
from theater.server.listener import Listener
from theater.server.listening import Door, bind
from theater.server.log import Log, LogFormat
from theater.server.metrics import Metrics
from theater.server.openapi import make_openapi
from theater.server.refusal import refusal
from theater.server.routes import ENDPOINTS
from theater.server.service import Service
from theater.server.stop import Stop
from theater.server.tokens import TokenStore
from theater.server.traffic import Traffic
from theater.store import DataDir

PORT: Final = 2823
CONNECTIONS_MAX: Final = 2000
KEEP_ALIVE_S: Final = 60
"""How long a connection may be idle between two requests: longer than most clients keep one."""

PURPOSE: Final = "theater server"

SWITCH_INTERVAL_S: Final = 2e-3
"""How long a thread may hold the interpreter while another wants it. Longer than what an embedded runtime takes: here
the event loop always has work of its own, and handing it to and fro costs a sixth of the requests."""

_OWN_FILES: Final = 500
"""Open files of the node itself: its database, its components, the pipes of compilers."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve; None means as the config says. ``data_dir`` is the one in force already."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = PORT
    durability: Durability | None = None
    workers: int | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure_behind_proxy: bool = False
    allowed_hosts: Sequence[str] = ()
    log_format: LogFormat = "human"
    connections_max: int = CONNECTIONS_MAX

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidInput("TLS takes both --tls-cert and --tls-key")
        if self.connections_max < 1:
            raise InvalidInput("--max-connections: there has to be at least one")

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS."""
        return self.tls_cert is not None


def run_server(options: ServerOptions, environ: Mapping[str, str]) -> None:
    """Serve until a signal ends it. Blocks; belongs to the main thread.

    Raises: as ``serve``.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options, environ))


async def serve(options: ServerOptions, environ: Mapping[str, str]) -> None:
    """Serve until a signal ends it; returns when everything is committed and closed.

    Raises:
        DataDirLocked: another process holds the data directory; ``data["holder"]`` says which.
        InvalidInput: the port is in use, the host is none of this machine's or is public without TLS, or the
            certificate cannot be used.
        Damaged: the store, or a file of tokens, is not what was written.
    """
    stop = Stop(asyncio.get_running_loop())
    with ExitStack() as closing:
        log = closing.enter_context(Log(sys.stderr, options.log_format))
        closing.enter_context(stop.on_signals())
        _check_tls(options)
        may_be_public = options.is_secure or options.insecure_behind_proxy
        door = bind(options.host, options.port, may_be_public=may_be_public)
        closing.callback(door.socket.close)
        connections_max = _room_for(options.connections_max, log)
        runtime = Runtime.with_options(
            Options(data_dir=options.data_dir, durability=options.durability, workers=options.workers, purpose=PURPOSE),
            environ,
        )
        async with runtime:
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            closing.enter_context(_life_told(runtime, log))
            folder = DataDir(options.data_dir.absolute())
            with hold_server_lock(folder):
                await _Serving(options, runtime, folder, door, log, stop, connections_max).run()
            log.info("closing", detail="what is under way is finished and committed")
        log.info("stopped")


class _Serving:
    """One runtime being served."""

    def __init__(
        self,
        options: ServerOptions,
        runtime: Runtime,
        folder: DataDir,
        door: Door,
        log: Log,
        stop: Stop,
        connections_max: int,
    ) -> None:
        self._options = options
        self._runtime = runtime
        self._folder = folder
        self._door = door
        self._log = log
        self._stop = stop
        self._connections_max = connections_max
        self._url = door.url(is_secure=options.is_secure)
        self._started = format_time(time.time_ns() // 1000)

    async def run(self) -> None:
        """Until it is stopped."""
        if self._stop.wanted.is_set():  # while the runtime was being opened
            return
        token = make_or_read_token(self._folder)
        load_tokens(self._folder)  # what is wrong with them is said now, and not to everybody who asks
        listener = Listener(
            self._config(self._app()),
            Connections(ConnectionBounds(connections_max=self._connections_max), refusal),
            self._stop,
        )
        asyncio.get_running_loop().set_exception_handler(self._unexpected)
        self._door.listen()
        write_server_file(
            self._folder,
            ServerFile(url=self._url, token=token, pid=os.getpid(), version=__version__, started=self._started),
        )
        self._log.info(f"listening on {self._url}", data_dir=str(self._folder.root), version=__version__)
        ending = asyncio.ensure_future(self._tell_end())
        try:
            await listener.serve(sockets=[self._door.socket])
        finally:
            ending.cancel()

    async def _tell_end(self) -> None:
        await self._stop.wanted.wait()
        self._log.info(
            "stopping", detail="no more requests are taken; a second signal does not wait for those there are"
        )

    def _app(self) -> ASGIApp:
        traffic = Traffic()
        service = Service(
            runtime=self._runtime,
            data_dir=self._folder.root,
            version=__version__,
            started=self._started,
            openapi=make_openapi(ENDPOINTS),
            metrics=Metrics(self._runtime, traffic, version=__version__).text,
            stopping=self._stop.wanted,
        )
        hosts = Hosts(self._options.host, self._options.allowed_hosts)
        tokens = TokenStore(self._folder)
        return make_app(ENDPOINTS, service, tokens=tokens, hosts=hosts, log=self._log, traffic=traffic)

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            ssl_certfile=self._options.tls_cert,
            ssl_keyfile=self._options.tls_key,
        )

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self._log.error(str(context.get("message", "")), error if isinstance(error, BaseException) else None)


@contextmanager
def _life_told(runtime: Runtime, log: Log) -> Iterator[None]:
    life = LifeLog(runtime, log)
    try:
        yield
    finally:
        life.close()


def _check_tls(options: ServerOptions) -> None:
    """Fail before anything is opened where the certificate cannot be used."""
    if options.tls_cert is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InvalidInput(f"--tls-cert and --tls-key cannot be used: {error}") from error


def _room_for(wanted: int, log: Log) -> int:
    """How many connections there can be: each takes an open file, and the system may allow fewer of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OWN_FILES
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    elif soft != resource.RLIM_INFINITY:
        most = min(needed, soft)
    possible = max(1, most - _OWN_FILES)
    if possible < wanted:
        log.warning("fewer connections than were asked for: the system allows too few open files", connections=possible)
    return min(wanted, possible)
