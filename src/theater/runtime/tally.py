"""Counting what a node does, from what it committed: for metrics.

An observer of the store's: it sees each transaction once, behind its commit, and counts what is in it. Nothing is
decoded but the few payloads that say why a step crashed. What happened before the node was opened is not counted.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from typing import Final

from theater.errors import TheaterError
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, decode_payload
from theater.model.ports import Append, Written

OTHER: Final = "other"

# fmt: off
LATENCY_BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)
# fmt: on
"""Upper bounds of the commit latency histogram, in seconds; what took longer is in one more."""


class Tally:
    """See above. ``written`` is called by one thread at a time; any thread may read.

    ``interfaces`` are those that guests can call here. A chain that is taken in may name any others.
    """

    def __init__(self, interfaces: Collection[str]) -> None:
        self._interfaces = interfaces
        self._lock = threading.Lock()
        self.events = 0
        self.event_bytes = 0
        """Headers and payloads."""
        self.transactions = 0
        self.batches = 0
        self.restarts = 0
        """Actors that were started again."""
        self.logs = 0
        """``log`` events."""
        self.steps: Counter[str] = Counter()
        """Closed steps by outcome: ``state``, ``refused``, ``crashed``."""
        self.crashes: Counter[str] = Counter()
        """Crashed steps by reason; ``unknown`` where that cannot be read."""
        self.host_calls: Counter[str] = Counter()
        """Answered calls by interface; those of interfaces that nobody can call here under ``other``."""
        self.latency_s = 0.0
        """What all commits took together, in seconds."""
        self.latency_counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        """Commits by bucket, not cumulated."""
        self._steps_of: dict[ActorId, int] = {}

    def steps_of(self, actor: ActorId) -> int:
        """Steps that an actor closed."""
        return self._steps_of.get(actor, 0)

    def written(self, written: Written) -> None:
        """Count a transaction."""
        with self._lock:
            self.transactions += 1
            self.latency_s += written.took_s
            self.latency_counts[bisect_left(LATENCY_BUCKETS_S, written.took_s)] += 1
            for batch in written.batches:
                self.batches += 1
                self._count(batch)
                for birth in batch.births:
                    self._count(birth)

    def _count(self, batch: Append) -> None:
        if batch.erases:
            self._steps_of.pop(batch.actor, None)
        steps = 0
        for event in batch.events:
            header = event.header
            self.event_bytes += len(event.header_bytes) + header.size_bytes
            kind = header.kind
            if kind == "host":
                interface = header.name.partition("#")[0]
                self.host_calls[interface if interface in self._interfaces else OTHER] += 1
            elif kind in ("state", "refused", "crashed"):
                steps += 1
                self.steps[kind] += 1
                if kind == "crashed":
                    self.crashes[_reason(event)] += 1
            elif kind == "log":
                self.logs += 1
            elif kind == "lifecycle" and header.name == "restarted":
                self.restarts += 1
        self.events += len(batch.events)
        if steps and not batch.erases:
            self._steps_of[batch.actor] = self._steps_of.get(batch.actor, 0) + steps


def _reason(event: Event) -> str:
    try:
        payload = decode_payload("crashed", event.payload or b"", seq=event.header.seq)
    except TheaterError:
        return "unknown"
    return payload.reason if isinstance(payload, CrashedPayload) else "unknown"
