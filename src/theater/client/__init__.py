"""The HTTP client: the API as methods, for programs that wait for answers and for those that do not block.

The classes are imported when they are asked for: who only wants to know whether there is a server pays for no client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from theater.client.finding import Where, find

if TYPE_CHECKING:
    from theater.client.async_client import AsyncClient
    from theater.client.client import Client

__all__ = ["AsyncClient", "Client", "Where", "find"]

_HOMES = {"AsyncClient": "theater.client.async_client", "Client": "theater.client.client"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
