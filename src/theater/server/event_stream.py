"""Live events as a stream of server-sent events (WHATWG HTML, section 9.2).

::

    id: 17                      the place: seq in one actor's chain, node-wide index in those of all
    event: event
    data: {"seq":17,...}        one wire.EventRow, on one line

A comment line ``: `` comes whenever nothing has come for a while, so that both sides notice a dead connection. The last
thing is ``event: end`` with ``{"reason":"stopping"}`` where the server stops, ``{"reason":"removed"}`` where the actor
was removed, ``{"reason":"busy"}`` where there are too many streams: a client comes again, but not after ``removed``.
There is no queue behind a stream: a page is read from the chain when the one before has been sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Final

import msgspec

from theater.model.ids import ActorId
from theater.runtime.following import Page, pages
from theater.runtime.views import event_row
from theater.server.service import Service

BEAT_S: Final = 15.0
"""Proxies let go of connections on which nothing comes for 30 to 60 s."""

CHUNK_BYTES: Final = 2**16
"""What is handed to the socket at once: an event may have 16 MiB, and others want to be served meanwhile."""

UNBUFFERED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Headers of a stream: the second is for a proxy that would hold it back."""

BEAT: Final = b": \n\n"

_encode = msgspec.json.Encoder().encode


def named(event: str, data: bytes, *, id: int | None = None) -> bytes:
    """One event of a stream. ``data`` is JSON; an end of line in it, which JSON may have between values, is kept."""
    head = b"event: %b\n" % event.encode() if id is None else b"id: %d\nevent: %b\n" % (id, event.encode())
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # all three end a line there, and come out as one
    return b"%bdata: %b\n\n" % (head, data.replace(b"\n", b"\ndata: "))


def end(reason: str) -> bytes:
    """The last event of a stream."""
    return named("end", _encode({"reason": reason}))


def chunked(events: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about ``CHUNK_BYTES``: small events together, large ones apart."""
    held = bytearray()
    for event in events:
        if len(held) + len(event) <= CHUNK_BYTES:
            held += event
            continue
        if held:
            yield bytes(held)
            held.clear()
        whole = len(event) - len(event) % CHUNK_BYTES
        for at in range(0, whole, CHUNK_BYTES):
            yield event[at : at + CHUNK_BYTES]
        held += event[whole:]
    if held:
        yield bytes(held)


async def event_stream(
    service: Service, actor: ActorId | None, *, start: int, kind: str | None = None
) -> AsyncGenerator[bytes, None]:
    """The events of one actor, or of all, from place ``start`` on; only those of ``kind``, where that is given.

    It begins with a comment, so that a reader knows at once that he is heard.
    """
    runtime = service.runtime
    if service.streams.is_full:  # there was room when it was asked for
        yield end("busy")
        return
    with service.streams:
        following = pages(runtime.store, runtime.feed, actor, start=start, beat_s=BEAT_S)
        try:
            yield BEAT
            async for page in until_stopping(service, following):
                if not page:
                    yield BEAT
                for chunk in chunked(_events(page, kind, of_all=actor is None)):
                    yield chunk
        finally:
            await following.aclose()
        is_removed = actor is not None and not service.stopping.is_set() and runtime.store.record(actor) is None
        yield end("removed" if is_removed else "stopping")


async def until_stopping(service: Service, source: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """What ``source`` gives, until it ends or the server begins to stop."""
    stopping = asyncio.ensure_future(service.stopping.wait())
    try:
        while not service.stopping.is_set():
            coming = asyncio.ensure_future(_next(source))
            try:
                await asyncio.wait((coming, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():
                    coming.cancel()
                    await asyncio.wait((coming,))
            page = None if coming.cancelled() else coming.result()
            if page is None:
                return
            yield page
    finally:
        stopping.cancel()


async def _next(source: AsyncIterator[Page]) -> Page | None:
    return await anext(source, None)


def _events(page: Page, kind: str | None, *, of_all: bool) -> Iterator[bytes]:
    for place, event in page:
        if kind is None or event.header.kind == kind:
            yield named("event", _encode(event_row(event, place if of_all else None)), id=place)
