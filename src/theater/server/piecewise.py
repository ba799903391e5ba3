"""An answer that is sent piece by piece, and lets go of what it holds when it ends, however that is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Piecewise(StreamingResponse):
    """The pieces come from an async generator, which is closed at once where the reader goes away."""

    def __init__(self, pieces: AsyncIterator[bytes], media: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(pieces, headers=headers, media_type=media)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()
