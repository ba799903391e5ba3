"""Everything that the server can be asked."""

from __future__ import annotations

from typing import Final

from theater.server import (
    routes_actors,
    routes_blobs,
    routes_bundles,
    routes_channels,
    routes_events,
    routes_forks,
    routes_messages,
    routes_node,
)
from theater.server.endpoint import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *routes_actors.ENDPOINTS,
    *routes_forks.ENDPOINTS,
    *routes_messages.ENDPOINTS,
    *routes_events.ENDPOINTS,
    *routes_channels.ENDPOINTS,
    *routes_bundles.ENDPOINTS,
    *routes_blobs.ENDPOINTS,
    *routes_node.ENDPOINTS,
)
"""In the order in which the API's description lists them."""
