"""The stores without a disk: for tests, and for a replay that keeps nothing. They pass the same suite as the others."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from theater.errors import HeadConflict, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ID_PREFIX_MIN, ActorId, Digest
from theater.model.ports import LIVING, ActorRecord, Append, AppendDone, Appended, NodeFacts
from theater.store.committer import Committer
from theater.store.content import FileBlobStore


class MemoryEventStore:
    """Implements ``EventStore``. What is durable here is what was committed, as elsewhere, until the object ends."""

    def __init__(self, *, public_key: str = "00" * 32) -> None:
        self._facts = NodeFacts(unclean=False, public_key=public_key, durability="process")
        self._lock = threading.Lock()
        self._chains: dict[ActorId, list[Event]] = {}
        self._all: list[Event] = []
        self._records: dict[ActorId, ActorRecord] = {}
        self._attempts: dict[ActorId, int] = {}
        self._committer = Committer(self._commit)

    def facts(self) -> NodeFacts:
        return self._facts

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        self._committer.put(batch, done, hurry=hurry)

    def flush(self, written: Callable[[], None] = lambda: None) -> None:
        self._committer.flush(written)

    def head(self, actor: ActorId) -> Head:
        with self._lock:
            return self._head(actor)

    def events(self, actor: ActorId, *, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        with self._lock:
            events = self._chains.get(actor, [])[start:stop]
        return iter(events)

    def events_reversed(self, actor: ActorId, *, start: int) -> Iterator[Event]:
        with self._lock:
            events = self._chains.get(actor, [])[: start + 1]
        return reversed(events)

    def events_by_index(self, *, start: int, limit: int) -> Iterator[tuple[int, Event]]:
        with self._lock:
            events = self._all[start : start + limit]
        return enumerate(events, start=start)

    def record(self, actor: ActorId) -> ActorRecord | None:
        with self._lock:
            return self._records.get(actor)

    def records(self) -> list[ActorRecord]:
        with self._lock:
            return list(self._records.values())

    def find(self, text: str) -> list[ActorRecord]:
        records = self.records()
        named = [record for record in reversed(records) if record.name == text]
        if named:
            return sorted(named, key=lambda record: record.status not in LIVING)
        if len(text) < ID_PREFIX_MIN:
            return []
        return sorted((record for record in records if record.id.startswith(text)), key=lambda record: record.id)

    def attempt(self, actor: ActorId) -> int:
        with self._lock:
            return self._attempts.get(actor, 0)

    def size_events(self) -> int:
        with self._lock:
            return len(self._all)

    def close(self) -> None:
        self._committer.close()

    def _commit(self, batches: list[Append]) -> list[Appended | StoreError]:
        with self._lock:
            return [self._written(batch) for batch in batches]

    def _written(self, batch: Append) -> Appended | StoreError:
        actor, record = batch.actor, batch.record
        head = self._head(actor)
        if head != batch.expected:
            return HeadConflict(
                f"the chain of {actor} ends with event {head.seq}, and {batch.expected.seq} was expected", head=head
            )
        if record is not None:
            if record.status in LIVING:
                for other in self._records.values():
                    if other.name == record.name and other.status in LIVING and other.id != actor:
                        return StoreError(
                            f"an actor named '{record.name}' is alive already", name_taken=record.name, by=other.id
                        )
            self._records[actor] = record
        if batch.attempt is not None:
            self._attempts[actor] = batch.attempt
        first_index = len(self._all)
        self._chains.setdefault(actor, []).extend(batch.events)
        self._all += batch.events
        return Appended(self._head(actor), first_index)

    def _head(self, actor: ActorId) -> Head:
        chain = self._chains.get(actor)
        return Head(chain[-1].header.seq, chain[-1].hash) if chain else EMPTY


class MemoryBlobStore:
    """Implements ``BlobStore`` in a temporary folder, which ends with ``close``: an engine wants files."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="theater-blobs-")
        self._blobs = FileBlobStore(Path(self._folder.name))

    def put(self, data: bytes) -> Digest:
        return self._blobs.put(data)

    def path(self, digest: Digest) -> Path:
        return self._blobs.path(digest)

    def has(self, digest: Digest) -> bool:
        return self._blobs.has(digest)

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
