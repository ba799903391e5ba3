"""What becomes of actors, told in the log: that they ended, crashed, began again, were paused, upgraded or erased.

It hears of each transaction on the thread that wrote it, keeps what is to be told, and tells it on the event loop: no
commit waits for whoever reads the log. Where more comes than can be told, the log says how much was left out.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Final

from theater.errors import TheaterError
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, Lifecycle, decode_payload
from theater.model.ports import Written
from theater.runtime.runtime import Runtime
from theater.server.log import Log

WAITING_MAX: Final = 10_000
"""Events that wait to be told: seconds' worth of a node on which everything crashes."""

TOLD: Final = frozenset(
    {"started", "stopped", "paused", "resumed", "restarted", "upgraded", "erased", "taken-in", "hidden-state"}
)
"""Lifecycle events that whoever runs a node wants to know of; a supervisor's decisions are in its chain."""


class LifeLog:
    """Observes the store of ``runtime``. Made on the event loop, before anything runs."""

    def __init__(self, runtime: Runtime, log: Log) -> None:
        self._runtime = runtime
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Event, str]] = deque()
        self._left_out = 0
        self._is_called = False
        self._is_closed = False
        runtime.store.observe(self._written)

    def close(self) -> None:
        """Tell what is left, and nothing from then on."""
        self._tell()
        with self._lock:
            self._is_closed = True

    def _written(self, written: Written) -> None:
        found = [
            (event, one.record.name if one.record is not None else self._name(one.actor))
            for batch in written.batches
            for one in (batch, *batch.births)
            for event in one.events
            if event.header.kind == "crashed" or (event.header.kind == "lifecycle" and event.header.name in TOLD)
        ]
        if found:
            self._keep(found)

    def _keep(self, found: list[tuple[Event, str]]) -> None:
        with self._lock:
            if self._is_closed:
                return
            room = WAITING_MAX - len(self._waiting)
            self._waiting.extend(found[:room])
            self._left_out += max(0, len(found) - room)
            if not self._is_called:
                self._is_called = True
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        with self._lock:
            told, left_out = list(self._waiting), self._left_out
            self._waiting.clear()
            self._left_out = 0
            self._is_called = False
        for event, name in told:
            self._tell_one(event, name)
        if left_out:
            self._log.warning("more became of actors than could be told", left_out=left_out)

    def _tell_one(self, event: Event, name: str) -> None:
        header = event.header
        fields: dict[str, object] = {"actor": header.actor, "name": name, "seq": header.seq}
        try:
            payload = decode_payload(header.kind, event.payload or b"", seq=header.seq)
        except TheaterError:
            payload = None
        if isinstance(payload, CrashedPayload):
            self._log.warning("actor crashed", **fields, reason=payload.reason, detail=payload.message or "")
        elif isinstance(payload, Lifecycle):
            self._log.info(f"actor {header.name}", **fields, by=payload.by)
        else:
            self._log.warning(f"actor {header.name or header.kind}", **fields)

    def _name(self, actor: ActorId) -> str:
        """From memory: whoever waits for the next commit waits for this."""
        record = self._runtime.live.record(actor)
        return record.name if record is not None else "-"
