"""Reading a body: no more of it than is wanted, no slower than is bearable, and not too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from theater.errors import BadRequest, Busy

PATIENCE_S: Final = 30.0
"""How long a body may take beyond what its size excuses."""

RATE_MIN_BYTES_S: Final = 16 * 2**10
"""How fast a large body has to come: a modem was faster, and who is slower holds a connection and its memory."""

HELD_MAX_BYTES: Final = 256 * 2**20
"""What all bodies that are being read or answered may hold together: four of the largest messages."""


class Larder:
    """How much memory bodies hold. Belongs to one event loop."""

    def __init__(self, *, max_bytes: int = HELD_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Raises ``Busy`` where there is no room for that much more."""
        if self.held_bytes + size_bytes > self._max_bytes:
            raise Busy("too many large bodies are being read: try again when some are answered")
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """What was taken is free again."""
        self.held_bytes -= size_bytes


def declared_bytes(headers: Mapping[str, str]) -> int | None:
    """How large a body says it is; 0 where there is none, None where it does not say."""
    if "transfer-encoding" in headers:
        return None
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadRequest("the Content-Length is no number")
    return int(text) if len(text) <= len(str(2**63)) else 2**63


def check_size(declared: int | None, max_bytes: int) -> None:
    """Fail where a body says itself that it is too large.

    Raises:
        BadRequest: with code ``too-large``.
    """
    if declared is not None and declared > max_bytes:
        raise too_large(max_bytes)


def too_large(max_bytes: int) -> BadRequest:
    """What a body is answered with that has more bytes than that."""
    return BadRequest(f"the body is too large: {max_bytes} bytes are allowed", code="too-large", status=413)


async def chunks(receive: Receive, max_bytes: int) -> AsyncIterator[bytes]:
    """The pieces of a body, as they come.

    Raises:
        BadRequest: it is too large, or comes too slowly.
        ClientDisconnect: whoever sent it went away.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    got = 0
    while True:
        try:
            async with asyncio.timeout_at(begun + PATIENCE_S + got / RATE_MIN_BYTES_S):
                message = await receive()
        except TimeoutError as error:
            raise BadRequest(
                f"the body did not arrive in time: {got} bytes came", code="too-slow", status=408
            ) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = bytes(message.get("body", b""))
        got += len(piece)
        if got > max_bytes:
            raise too_large(max_bytes)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


async def no_chunks() -> AsyncIterator[bytes]:
    """The pieces of no body."""
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece
