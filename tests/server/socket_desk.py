"""The server's application behind a real socket, on the event loop of the test's stage."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import uvicorn

from tests.server.desk import Desk
from theater.capabilities.http_listener.protocol import BoundedProtocol, ConnectionBounds, Connections
from theater.server.listener import Listener
from theater.server.listening import bind
from theater.server.refusal import refusal
from theater.server.stop import Stop


@dataclass
class Served:
    """Where it listens, and how to end it."""

    desk: Desk
    port: int
    connections: Connections
    stop: Stop

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """With the default token."""
        base = f"http://127.0.0.1:{self.port}"
        headers = self.desk.local.headers
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30, verify=False) as client:
            yield client

    @contextlib.asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[Stream]:
        """A live stream."""
        async with (
            self.client() as client,
            client.stream("GET", path, headers={"Accept": "text/event-stream", **headers}) as response,
        ):
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            stream = Stream(response.aiter_lines())
            assert await anext(stream.lines) == ": "
            yield stream

    def end(self) -> None:
        """As a signal does."""
        self.desk.service.stopping.set()
        self.stop.want()


@dataclass
class Sent:
    """One event of a stream."""

    event: str
    data: str
    id: str | None

    @property
    def row(self) -> dict[str, object]:
        """Its data."""
        row = json.loads(self.data)
        assert isinstance(row, dict)
        return row


@dataclass
class Stream:
    """What comes on it."""

    lines: AsyncIterator[str]

    async def next(self) -> Sent:
        """The next event."""
        fields: dict[str, list[str]] = {}
        async for line in self.lines:
            if line.startswith(":"):
                assert not fields
            elif line:
                name, _, value = line.partition(": ")
                fields.setdefault(name, []).append(value)
            elif fields:
                break
        return Sent("\n".join(fields["event"]), "\n".join(fields["data"]), fields.get("id", [None])[0])

    async def take(self, number: int) -> list[Sent]:
        """So many."""
        return [await self.next() for _ in range(number)]

    async def is_over(self) -> bool:
        """Whether nothing more comes."""
        return [line async for line in self.lines if line] == []


@contextlib.asynccontextmanager
async def served(desk: Desk, **bounds: float) -> AsyncIterator[Served]:
    """Serve it meanwhile."""
    stop = Stop(asyncio.get_running_loop())
    door = bind("127.0.0.1", 0, may_be_public=False)
    connections = Connections(ConnectionBounds(**bounds), refusal)  # type: ignore[arg-type]  # numbers
    config = uvicorn.Config(
        desk.app, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    door.listen()
    listener = Listener(config, connections, stop)
    serving = asyncio.ensure_future(listener.serve(sockets=[door.socket]))
    try:
        yield Served(desk, door.port, connections, stop)
    finally:
        desk.service.stopping.set()
        stop.want()
        stop.hurried.set()
        await serving
        door.socket.close()
