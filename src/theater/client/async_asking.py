"""Carrying out calls for programs that do not block: as ``asking``, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import httpx

from theater.client import calls, exchange
from theater.client.calls import Call
from theater.client.event_stream import EventStream
from theater.client.finding import Where
from theater.client.following import Following
from theater.errors import Busy
from theater.model import wire

T = TypeVar("T")


class AsyncAsking:
    """The connections to one server. Belong to one event loop. Raises as ``Asking``."""

    def __init__(self, where: Where) -> None:
        self.where = where
        """As of the last time that it was looked for."""
        self._http = httpx.AsyncClient(
            verify=exchange.tls_for(where.url), trust_env=False, follow_redirects=False, limits=exchange.LIMITS
        )
        self._closing = asyncio.Event()

    async def close(self) -> None:
        """Let go of them. What follows events ends."""
        self._closing.set()
        await self._http.aclose()

    async def document(self, call: Call[T]) -> T:
        """The document that answers a call."""
        assert call.gives is not None
        return exchange.decoded(self.where, call.gives, await self.content(call))

    async def content(self, call: Call[T]) -> bytes:
        """What answers a call, whole."""
        async with self.opened(call) as response:
            return await self._read(response, calls.ANSWER_MAX_BYTES)

    @asynccontextmanager
    async def opened(self, call: Call[T]) -> AsyncIterator[httpx.Response]:
        """An answer that has what was hoped for, of which nothing has been read."""
        async with self.sent(call) as response:
            if not exchange.is_hoped_for(call, response):
                refused = await self._read(response, exchange.PROBLEM_MAX_BYTES)
                raise exchange.refusal_of(self.where, response, refused)
            yield response

    @asynccontextmanager
    async def sent(self, call: Call[T]) -> AsyncIterator[httpx.Response]:
        """An answer, whatever it is, of which nothing has been read."""
        where = self.where
        request = exchange.request_of(where, call)
        try:
            response = await self._http.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            exchange.raise_broken(where, error)

    async def _read(self, response: httpx.Response, most: int) -> bytes:
        pieces: list[bytes] = []
        size_bytes = 0
        async for piece in response.aiter_raw():
            size_bytes += len(piece)
            if size_bytes > most:
                raise exchange.too_much(self.where, most)
            pieces.append(piece)
        return b"".join(pieces)

    async def followed(self, following: Following) -> AsyncGenerator[wire.EventRow, None]:
        """The events that come, over any number of connections."""
        is_again = False
        while not self._closing.is_set():
            try:
                if is_again and self.where.again is not None:
                    self.where = self.where.again()
                is_again = True
                async with self.opened(following.call()) as response:
                    following.opened(time.monotonic())
                    stream = EventStream()
                    async for piece in response.aiter_raw():
                        for event in stream.feed(piece):
                            row = following.take(self.where, event)
                            if row is not None:
                                yield row
                        if following.is_over:
                            return
                raise following.ended(self.where)
            except Busy as error:
                if self._closing.is_set():
                    return
                delay_s = following.delay_s(error, time.monotonic())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closing.wait(), delay_s)
