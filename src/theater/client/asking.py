"""Carrying out calls for programs that wait: one request and its answer, or events for as long as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


class Asking:
    """The connections to one server. Threads may share them.

    Everything here raises what the server's problem says, ``NoServer`` where no answer came or one that is none of a
    server of ours, and ``InternalError`` where it cannot be read or is too much.
    """

    def __init__(self, where: Where) -> None:
        self.where = where
        """As of the last time that it was looked for."""
        self._http = httpx.Client(
            verify=exchange.tls_for(where.url), trust_env=False, follow_redirects=False, limits=exchange.LIMITS
        )
        self._closing = threading.Event()
        self._streams: set[httpx.Response] = set()

    def close(self) -> None:
        """Let go of them. What follows events ends, on whatever thread."""
        self._closing.set()
        for response in self._streams.copy():
            exchange.wake(response)
        self._http.close()

    def document(self, call: Call[T]) -> T:
        """The document that answers a call."""
        assert call.gives is not None
        return exchange.decoded(self.where, call.gives, self.content(call))

    def content(self, call: Call[T]) -> bytes:
        """What answers a call, whole."""
        with self.opened(call) as response:
            return self._read(response, calls.ANSWER_MAX_BYTES)

    @contextmanager
    def opened(self, call: Call[T]) -> Iterator[httpx.Response]:
        """An answer that has what was hoped for, of which nothing has been read."""
        with self.sent(call) as response:
            if not exchange.is_hoped_for(call, response):
                refused = self._read(response, exchange.PROBLEM_MAX_BYTES)
                raise exchange.refusal_of(self.where, response, refused)
            yield response

    @contextmanager
    def sent(self, call: Call[T]) -> Iterator[httpx.Response]:
        """An answer, whatever it is, of which nothing has been read."""
        where = self.where
        request = exchange.request_of(where, call)
        try:
            response = self._http.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            exchange.raise_broken(where, error)

    def _read(self, response: httpx.Response, most: int) -> bytes:
        pieces: list[bytes] = []
        size_bytes = 0
        for piece in response.iter_raw():
            size_bytes += len(piece)
            if size_bytes > most:
                raise exchange.too_much(self.where, most)
            pieces.append(piece)
        return b"".join(pieces)

    def followed(self, following: Following) -> Iterator[wire.EventRow]:
        """The events that come, over any number of connections."""
        is_again = False
        while not self._closing.is_set():
            try:
                if is_again and self.where.again is not None:
                    self.where = self.where.again()
                is_again = True
                with self.opened(following.call()) as response:
                    following.opened(time.monotonic())
                    yield from self._streamed(following, response)
                if following.is_over:
                    return
                raise following.ended(self.where)
            except Busy as error:
                if self._closing.is_set():
                    return
                self._closing.wait(following.delay_s(error, time.monotonic()))

    def _streamed(self, following: Following, response: httpx.Response) -> Iterator[wire.EventRow]:
        stream = EventStream()
        self._streams.add(response)
        try:
            for piece in response.iter_raw():
                for event in stream.feed(piece):
                    row = following.take(self.where, event)
                    if row is not None:
                        yield row
                if following.is_over:
                    return
        finally:
            self._streams.discard(response)
