"""The client for programs that do not block."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from theater.client import calls, exchange
from theater.client.async_asking import AsyncAsking
from theater.client.calls import Call, Json
from theater.client.client import PIECE_BYTES
from theater.client.event_pages import EventPages
from theater.client.finding import Where, origin_of
from theater.client.following import Following, OnBreak, tell_nobody
from theater.errors import Damaged, InternalError
from theater.model import wire


class AsyncClient:
    """A server's API for programs that do not block: each method is that of ``Client``, awaited, and raises the same.

    What ``Client`` gives as an iterator is an asynchronous one here, and begins when it is first asked: what ``Client``
    raises at once is raised there. Close it with ``await close()``, or use it in an ``async with``. Belongs to one
    event loop.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        again: Callable[[], Where] | None = None,
    ) -> None:
        self._asking = AsyncAsking(Where(origin_of(url), token, "argument", again))

    @classmethod
    def at(cls, where: Where) -> AsyncClient:
        return cls(where.url, where.token, again=where.again)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def url(self) -> str:
        return self._asking.where.url

    async def close(self) -> None:
        await self._asking.close()

    # -- the node ----------------------------------------------------------------------------------------------------

    async def node(self) -> wire.NodeDocument:
        return await self._asking.document(calls.node())

    async def health(self) -> wire.Health:
        return await self._asking.document(calls.health())

    async def metrics(self) -> str:
        return (await self._asking.content(calls.metrics())).decode("utf-8", "replace")

    async def openapi(self) -> dict[str, object]:
        return await self._asking.document(calls.openapi())

    async def collect(self) -> wire.Collected:
        return await self._asking.document(calls.collect())

    # -- actors ------------------------------------------------------------------------------------------------------

    async def actors(self, status: str | None = None, parent: str | None = None) -> AsyncIterator[wire.ActorRow]:
        after: str | None = None
        while True:
            page = await self._asking.document(calls.actors(status, parent, after))
            for row in page.actors:
                yield row
            if page.next is None:
                return
            if page.next == after:
                raise InternalError(f"the server at {self.url} sends the same page of actors for ever")
            after = page.next

    async def actor(self, id: str) -> wire.ActorDetail:
        return await self._asking.document(calls.actor(id))

    async def start(self, order: wire.StartOrder) -> wire.Started:
        return await self._asking.document(calls.start(order))

    async def remove(self, id: str, *, tree: bool = False) -> wire.Removed:
        return await self._asking.document(calls.remove(id, tree=tree))

    async def stop(self, id: str, *, now: bool = False) -> wire.ActorRow:
        return await self._asking.document(calls.stop(id, now=now))

    async def restart(self, id: str, *, from_init: bool = False, allowance: str | None = None) -> wire.ActorRow:
        return await self._asking.document(calls.restart(id, from_init=from_init, allowance=allowance))

    async def pause(self, id: str) -> wire.ActorRow:
        return await self._asking.document(calls.pause(id))

    async def resume(self, id: str) -> wire.ActorRow:
        return await self._asking.document(calls.resume(id))

    async def upgrade(self, id: str, digest: str) -> wire.ActorRow:
        return await self._asking.document(calls.upgrade(id, digest))

    async def fork(self, id: str, order: wire.ForkOrder) -> wire.Started:
        return await self._asking.document(calls.fork(id, order))

    # -- messages ----------------------------------------------------------------------------------------------------

    async def send(self, id: str, body: Json, *, key: str | None = None) -> wire.Accepted:
        return await self._asking.document(calls.send(id, body, key=key, wait=False))

    async def send_and_wait(self, id: str, body: Json) -> wire.Accepted:
        return await self._asking.document(calls.send(id, body, key=None, wait=True))

    async def request(
        self, id: str, body: Json, *, timeout_s: float | None = None, key: str | None = None
    ) -> wire.Replied:
        return await self._asking.document(calls.request(id, body, timeout_s=timeout_s, key=key))

    # -- events ------------------------------------------------------------------------------------------------------

    async def state(self, id: str, at: int | None = None) -> wire.StateDocument:
        return await self._asking.document(calls.state(id, at))

    def events(
        self, id: str, start: int = 0, kind: str | None = None, limit: int | None = None
    ) -> AsyncIterator[wire.EventRow]:
        return self._events(lambda at, most: calls.events(id, start=at, kind=kind, limit=most), start, limit)

    def node_events(self, start: int = 0, limit: int | None = None) -> AsyncIterator[wire.EventRow]:
        return self._events(lambda at, most: calls.node_events(start=at, limit=most), start, limit)

    async def follow(
        self,
        id: str,
        start: int | None = None,
        *,
        patience_s: float | None = None,
        on_break: OnBreak = tell_nobody,
    ) -> AsyncIterator[wire.EventRow]:
        row = (await self.actor(id)).actor
        start = row.seq + 1 if start is None else start
        # By its id from here on: of its name there may be another actor one day.
        following = Following(row.id, start, patience_s=patience_s, on_break=on_break)
        async with aclosing(self._asking.followed(following)) as events:
            async for event in events:
                yield event

    async def follow_node(
        self, start: int | None = None, *, patience_s: float | None = None, on_break: OnBreak = tell_nobody
    ) -> AsyncIterator[wire.EventRow]:
        start = (await self.node()).events if start is None else start
        following = Following(None, start, patience_s=patience_s, on_break=on_break)
        async with aclosing(self._asking.followed(following)) as events:
            async for event in events:
                yield event

    # -- channels ----------------------------------------------------------------------------------------------------

    async def open_channel(self, actor: str, opening: Json) -> wire.ChannelOpened:
        return await self._asking.document(calls.open_channel(actor, opening))

    async def say(self, channel: str, body: Json) -> wire.Accepted:
        return await self._asking.document(calls.say(channel, body))

    async def hear(self, channel: str, wait_s: float) -> wire.ChannelMessages:
        return await self._asking.document(calls.hear(channel, wait_s))

    async def close_channel(self, channel: str) -> None:
        await self._asking.content(calls.close_channel(channel))

    # -- files -------------------------------------------------------------------------------------------------------

    async def bundle(self, id: str, to: BinaryIO) -> None:
        async with self._asking.opened(calls.bundle(id)) as response:
            async for piece in response.aiter_raw():
                to.write(piece)

    async def import_bundle(self, path: Path) -> wire.Imported:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            file.seek(0)
            return await self._asking.document(calls.import_bundle(_pieces(file), size_bytes))

    async def has_blob(self, digest: str) -> bool:
        async with self._asking.sent(calls.has_blob(digest)) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return False
            if not response.is_success:
                raise exchange.refusal_of(self._asking.where, response, b"")
        return True

    async def blob(self, digest: str) -> bytes:
        content = await self._asking.content(calls.blob(digest))
        if hashlib.sha256(content).hexdigest() != digest:
            raise Damaged(f"the server at {self.url} has something else under {digest[:12]}")
        return content

    async def put_blob(self, data: bytes) -> wire.Blob:
        digest = hashlib.sha256(data).hexdigest()
        if await self.has_blob(digest):
            return wire.Blob(digest=digest, size=len(data))
        return await self._asking.document(calls.put_blob(digest, data))

    async def _events(
        self, call: Callable[[int, int], Call[wire.EventPage]], start: int, limit: int | None
    ) -> AsyncIterator[wire.EventRow]:
        pages = EventPages(start, limit)
        while not pages.is_over:
            for row in pages.took(await self._asking.document(call(pages.start, pages.size))):
                yield row


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
