"""What the handlers work with: the runtime, and what belongs to the server itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from theater.runtime.runtime import Runtime
from theater.server.channel_table import ChannelTable
from theater.server.seats import Seats

STREAMS_MAX: Final = 1500
"""An idle one takes some kB, one that is being sent a page of events."""

TRANSFERS_MAX: Final = 4
"""Components and bundles that come in, and bundles that are made, at once: each takes memory, or room on the disk."""

PAGES_MAX: Final = 16
"""Pages of events that are read and written down at once: 4 MiB each and more, and other requests wait meanwhile."""

OUTGOING_MAX: Final = 16
"""Bundles that are sent at once: each takes room on the disk, 1 GiB at most."""


@dataclass(frozen=True, slots=True)
class Service:
    """Handed to every call. Nothing here is known before the runtime has been opened."""

    runtime: Runtime
    data_dir: Path
    version: str
    """Of Theater."""
    started: str
    """When the server was, as in a chain's headers."""
    openapi: bytes
    """The document at ``/openapi.json``."""
    metrics: Callable[[], tuple[bytes, str]]
    """What ``/metrics`` answers now, and its media type. Reads the store: call it on a thread."""
    stopping: asyncio.Event
    """Set when the server begins to stop: streams end then with ``event: end``, long polls with what they have."""
    channels: ChannelTable = field(default_factory=ChannelTable)
    """Those that clients hold open."""
    streams: Seats = field(default_factory=lambda: Seats(STREAMS_MAX, "live streams"))
    transfers: Seats = field(default_factory=lambda: Seats(TRANSFERS_MAX, "transfers of components or bundles"))
    pages: Seats = field(default_factory=lambda: Seats(PAGES_MAX, "pages of events"))
    outgoing: Seats = field(default_factory=lambda: Seats(OUTGOING_MAX, "bundles"))
