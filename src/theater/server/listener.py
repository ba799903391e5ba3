"""From a listening socket to connections, and the end of them all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from theater.capabilities.http_listener.protocol import BoundedProtocol, Connections
from theater.server.listening import BACKLOG
from theater.server.stop import Stop

GRACE_S: Final = 10.0
"""How long requests that are under way may go on when the server stops."""

ABORTING_S: Final = 2.0
"""How long what was cut off gets to notice."""

HANDSHAKE_S: Final = 10.0
"""How long a connection may take to agree on TLS; it is none of ours before it has."""

_DATE_EVERY_S: Final = 1.0


class Listener(uvicorn.Server):
    """uvicorn's server without its own ideas of signals, of when to stop, and of how to say so."""

    def __init__(self, config: uvicorn.Config, connections: Connections, stop: Stop) -> None:
        super().__init__(config)
        self.server_state = connections
        self._connections = connections
        self._stop = stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config, connections = self.config, self._connections
        wait_s = HANDSHAKE_S if config.ssl is not None else None
        self.servers = [
            await asyncio.get_running_loop().create_server(
                lambda: BoundedProtocol(config, connections, {}),
                sock=door,
                ssl=config.ssl,
                backlog=BACKLOG,
                ssl_handshake_timeout=wait_s,
                ssl_shutdown_timeout=wait_s,
            )
            for door in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self._stop.wanted.is_set():
            try:
                async with asyncio.timeout(_DATE_EVERY_S):
                    await self._stop.wanted.wait()
            except TimeoutError:
                await self.on_tick(0)  # the Date header

    async def shutdown(self, sockets: object = None) -> None:
        """Take nothing new, let what is under way come to its end, and end what does not."""
        for server in self.servers:
            server.close()
        for connection in list(self._connections.connections):
            connection.shutdown()
        waiting = [asyncio.ensure_future(self._drained()), asyncio.ensure_future(self._stop.hurried.wait())]
        await asyncio.wait(waiting, timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        for connection in list(self._connections.connections):
            connection.transport.abort()
        await asyncio.wait(
            waiting[:1], timeout=ABORTING_S
        )  # then whoever still handles a request knows that it is gone
        left = list(self._connections.tasks)
        for task in (*waiting, *left):
            task.cancel()
        await asyncio.wait((*waiting, *left), timeout=ABORTING_S)

    async def _drained(self) -> None:
        while self._connections.connections:
            self._connections.gone.clear()
            await self._connections.gone.wait()
