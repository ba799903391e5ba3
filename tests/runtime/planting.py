"""Stores that look as a process left them that died."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

from theater.model.event import EMPTY, Event
from theater.model.ports import ActorRecord, Append, Appended
from theater.store import DataDir, SqliteEventStore


def plant(folder: Path, events: Sequence[Event], record: ActorRecord, *, attempt: int = 0) -> None:
    """Make ``folder`` a data directory whose store has this chain and no other. Components are not put there."""
    data_dir = DataDir(folder)
    data_dir.hold("planting")
    try:
        store = SqliteEventStore.open(data_dir)
        heard: SimpleQueue[object] = SimpleQueue()
        store.append(Append(record.id, EMPTY, tuple(events), record=record, attempt=attempt), heard.put)
        assert isinstance(heard.get(timeout=10.0), Appended)
        store.close()
    finally:
        data_dir.release()
