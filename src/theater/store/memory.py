"""The stores without a disk: for tests, and for a replay that keeps nothing. They pass the same suite as the others."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from theater.errors import StoreError
from theater.model.blob_space import BlobChange, BlobIndex, BlobSpace, LearnIndex, spaces_of
from theater.model.effects import PutBlob, RemoveBlob, RemoveLabel, SetLabel
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ID_PREFIX_MIN, ActorId, Digest
from theater.model.ports import (
    LIVING,
    ActorRecord,
    Append,
    AppendDone,
    Appended,
    Entry,
    Kept,
    NodeFacts,
    Observer,
    Space,
    Swept,
)
from theater.store.batches import require_well_made
from theater.store.committer import Committer
from theater.store.content import FileBlobStore
from theater.store.refusals import missing_entry, missing_holder, name_taken, other_head, removed
from theater.store.undo import Undo

_FRAME_BYTES = 9  # what the other store adds to a header, so that sizes are the same
_ENDLESS = 2**62

_Shelves = dict[tuple[Space, str], tuple[int, Entry]]  # what one actor holds, each with its position


class MemoryEventStore:
    """Implements ``EventStore``. What is durable here is what was committed, as elsewhere, until the object ends."""

    def __init__(self, *, public_key: str = "00" * 32) -> None:
        self._facts = NodeFacts(unclean=False, public_key=public_key, durability="process")
        self._lock = threading.Lock()
        self._chains: dict[ActorId, list[Event]] = {}
        self._all: list[Event] = []
        self._records: dict[ActorId, ActorRecord] = {}
        self._attempts: dict[ActorId, int] = {}
        self._removed: dict[ActorId, int] = {}  # the seq of the first event that keeps its payload
        self._entries: dict[ActorId, _Shelves] = {}
        self._blobs: dict[tuple[BlobSpace, Digest], bytes] = {}
        self._labels: dict[tuple[BlobSpace, str], Digest] = {}
        self._next_position = 0
        self._undo = Undo()
        self._committer = Committer(self._commit)

    def facts(self) -> NodeFacts:
        return self._facts

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        require_well_made(batch)
        self._committer.put(batch, done, hurry=hurry)

    def flush(self, written: Callable[[], None] = lambda: None) -> None:
        self._committer.flush(written)

    def head(self, actor: ActorId) -> Head:
        with self._lock:
            return self._head(actor)

    def heads(self, actors: Sequence[ActorId]) -> dict[ActorId, Head]:
        with self._lock:
            return {actor: self._head(actor) for actor in actors if actor in self._chains}

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
            return [self._records[actor] for actor in self._chains if actor in self._records]

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

    def entries(self, actor: ActorId, space: Space | None = None) -> list[Entry]:
        with self._lock:
            held = sorted(self._entries.get(actor, {}).values(), key=lambda numbered: numbered[0])
        return [entry for _, entry in held if space in (None, entry.space)]

    def entry(self, actor: ActorId, space: Space, key: str) -> Entry | None:
        with self._lock:
            found = self._entries.get(actor, {}).get((space, key))
        return None if found is None else found[1]

    def holders(self, *spaces: Space) -> list[ActorId]:
        with self._lock:
            return [actor for actor in self._chains if any(self._size(actor, space) for space in spaces)]

    def size_entries(self, space: Space) -> dict[ActorId, int]:
        with self._lock:
            return {actor: size for actor in self._chains if (size := self._size(actor, space))}

    def read_space(self, space: BlobSpace, learn: LearnIndex) -> None:
        def read() -> None:
            with self._lock:
                blobs = {digest: len(data) for (where, digest), data in self._blobs.items() if where == space}
                labels = {name: digest for (where, name), digest in self._labels.items() if where == space}
            learn(BlobIndex(blobs, labels))

        self._committer.between(read)

    def blob(self, space: BlobSpace, blob: Digest, *, offset: int, size_bytes: int) -> bytes | None:
        with self._lock:
            found = self._blobs.get((space, blob))
        return None if found is None else found[offset : offset + size_bytes]

    def size_events(self) -> int:
        with self._lock:
            return len(self._all)

    def observe(self, observer: Observer) -> None:
        self._committer.observe(observer)

    def size_bytes(self, actor: ActorId) -> int:
        with self._lock:
            events = list(self._chains.get(actor, ()))
        return sum(_FRAME_BYTES + len(event.header_bytes) + _size_of(event) for event in events)

    def free_bytes(self) -> int:
        return _ENDLESS

    def wipe(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        del may_go_on  # it takes a moment
        return self._committer.take_turn(self._wipe)

    def sweep(self) -> Swept:
        """Nothing is left behind: what ends with the process cannot be."""
        return Swept()

    def close(self) -> None:
        self._committer.close()

    def _commit(self, batches: list[Append]) -> list[Appended | StoreError]:
        with self._lock:
            return [self._written(batch) for batch in batches]

    def _written(self, batch: Append) -> Appended | StoreError:
        self._undo.begin()
        first_index = len(self._all)
        refusal = self._refusal(batch)
        if refusal is None:
            return Appended(self._head(batch.actor), first_index)
        for event in self._all[first_index:]:
            self._chains[event.header.actor].pop()
        del self._all[first_index:]
        self._undo.roll_back()
        return refusal

    def _refusal(self, batch: Append) -> StoreError | None:
        # Chains first: an entry may be put for an actor that is born in the same batch.
        refusal = self._extend_chain(batch)
        for birth in batch.births:
            refusal = refusal or self._extend_chain(birth)
        refusal = refusal or self._change_entries(batch)
        for birth in batch.births:
            refusal = refusal or self._change_entries(birth)
        if refusal is None:
            for writes in batch.blobs:
                for change in writes.changes:
                    self._change_blob(change)
        return refusal

    def _extend_chain(self, part: Append) -> StoreError | None:
        actor, record = part.actor, part.record
        if part.expected is None:
            return None
        head = self._head(actor)
        if actor in self._removed:
            return removed(actor, head)
        if head != part.expected:
            return other_head(actor, head, part.expected)
        if record is not None:
            if record.status in LIVING:
                for other in self._records.values():
                    if other.name == record.name and other.status in LIVING and other.id != actor:
                        return name_taken(record.name, other.id)
            self._undo.put(self._records, actor, record)
        if part.attempt is not None:
            self._undo.put(self._attempts, actor, part.attempt)
        if actor not in self._chains:
            self._undo.put(self._chains, actor, [])
        self._chains[actor] += part.events
        self._all += part.events
        if part.erases:
            self._undo.put(self._removed, actor, head.seq + 1)
            self._undo.pop_if_there(self._records, actor)
            for space in spaces_of(actor):
                for blob in [place for place in self._blobs if place[0] == space]:
                    self._undo.pop(self._blobs, blob)
                for label in [place for place in self._labels if place[0] == space]:
                    self._undo.pop(self._labels, label)
            self._undo.put(self._attempts, actor, 0)
        return None

    def _change_entries(self, part: Append) -> StoreError | None:
        for needed in part.requires:
            if (needed.space, needed.key) not in self._entries.get(needed.actor, {}):
                return missing_entry(needed)
        for drop in part.drops:
            held = self._entries.get(drop.actor, {})
            if (drop.space, drop.key) in held:
                self._undo.pop(held, (drop.space, drop.key))
            elif drop.required:
                return missing_entry(drop)
        for put in part.puts:
            if self._head(put.actor) == EMPTY:
                return missing_holder(put)
            if put.actor in self._removed:
                continue  # it was on its way when its holder was removed
            held = self._entries.setdefault(put.actor, {})
            place = put.space, put.key
            found = held.get(place)
            if found is None or not put.once:
                position = self._next_position if found is None else found[0]
                self._undo.put(held, place, (position, Entry(put.actor, put.space, put.key, put.value)))
                self._next_position += 1
        if part.erases:
            self._undo.pop_if_there(self._entries, part.actor)
        return None

    def _change_blob(self, change: BlobChange) -> None:
        space, effect = change
        if space.owner in self._removed:
            return
        match effect:
            case PutBlob():
                if (space, effect.blob) not in self._blobs:
                    self._undo.put(self._blobs, (space, effect.blob), effect.content)
            case RemoveBlob():
                labels = self._labels.items()
                if not any(where == space and digest == effect.blob for (where, _), digest in labels):
                    self._undo.pop_if_there(self._blobs, (space, effect.blob))
            case SetLabel():
                if (space, effect.blob) in self._blobs:
                    self._undo.put(self._labels, (space, effect.label), effect.blob)
            case RemoveLabel():
                self._undo.pop_if_there(self._labels, (space, effect.label))

    def _wipe(self) -> int:
        size_bytes = 0
        with self._lock:
            for actor in self._removed:
                events = self._chains[actor]
                for seq in range(self._removed[actor]):
                    size_bytes += _size_of(events[seq])
                    events[seq] = _withheld(events[seq])
            if size_bytes:
                self._all = [self._chains[event.header.actor][event.header.seq] for event in self._all]
        return size_bytes

    def _size(self, actor: ActorId, space: Space) -> int:
        return sum(kind == space for kind, _ in self._entries.get(actor, {}))

    def _head(self, actor: ActorId) -> Head:
        chain = self._chains.get(actor)
        return Head(chain[-1].header.seq, chain[-1].hash) if chain else EMPTY


def _size_of(event: Event) -> int:
    return 0 if event.salt is None or event.payload is None else len(event.salt) + len(event.payload)


def _withheld(event: Event) -> Event:
    return Event(event.header, event.header_bytes, event.hash, None, None)


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

    def kept(self) -> Iterator[Kept]:
        return self._blobs.kept()

    def remove(self, digest: Digest, *, put_before_us: int | None = None) -> bool:
        return self._blobs.remove(digest, put_before_us=put_before_us)

    def sweep(self) -> Swept:
        """Nothing is left behind: what ends with the process cannot be."""
        return Swept()

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
