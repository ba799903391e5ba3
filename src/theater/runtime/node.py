"""The parts that a running node is made of, and nothing of what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.registry import Registry
from theater.model.execution import Engine
from theater.model.payload import EngineFacts
from theater.model.ports import BlobStore, Clock, Entropy, EventStore
from theater.runtime.loading import Loader
from theater.runtime.permissions import Grants
from theater.runtime.services import Services


@dataclass(frozen=True, slots=True)
class Node:
    """Everything is handed in, so that a test can hand in something else."""

    store: EventStore
    blobs: BlobStore
    engine: Engine
    registry: Registry
    loader: Loader
    clock: Clock
    entropy: Entropy
    ceiling: Grants
    environ: Mapping[str, str]
    reserve_bytes: int = 0
    """Room in the store that is kept free: with less, no new work is begun."""
    services: Services | None = None
    """What its capabilities keep; None where no step is run live."""

    def engine_facts(self) -> EngineFacts:
        """As recorded in the first event of a chain."""
        identity = self.engine.identity
        return EngineFacts(
            name=identity.name,
            version=identity.version,
            settings=identity.settings,
            architecture=identity.architecture,
        )
