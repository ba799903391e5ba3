"""Waiting for something as long as whoever asked for it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def while_present(work: Awaitable[T], receive: Receive) -> T:
    """What ``work`` comes to; it is cancelled where whoever asked goes away. The request's body has been read.

    Raises:
        ClientDisconnect: he went away.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        left = [task for task in (working, leaving) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
