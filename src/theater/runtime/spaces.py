"""The spaces for blobs of a node, as they are in memory: what is in each, but for the contents.

A step's changes pass three points. When it is *settled* they go into what its actor's chain brings along; from then on
the actor's own next steps see them. When that is *queued*, it has its place in the order of all transactions, and
everybody sees them. When it is *written*, the store has told its observers. Spaces that only one actor writes need no
difference between the first two.

What is known of a space was read from the store once, while nobody wrote, and is changed by what is queued. Where it
then is written in another order than was seen, or not at all, the space is read again. So what is in memory is what is
in the store, and what is on its way there.

Sizes and labels of a space are held in memory once a step has looked at it, 200 bytes each; of many spaces, those that
were used last.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from theater.errors import StoreError
from theater.model.blob_space import BlobChange, BlobEffect, BlobIndex, BlobSpace, BlobWrites, spaces_of
from theater.model.effects import RemoveBlob
from theater.model.ids import ActorId, Digest
from theater.model.ports import EventStore, Written
from theater.runtime.consequences import Consequences
from theater.runtime.directory import Directory
from theater.runtime.space_layers import Ground, Layer
from theater.runtime.space_room import Party

SPACES_MAX = 1000
"""Spaces that are known, of those that nobody uses just now."""

ROWS_MAX = 200_000
"""Blobs and labels in these: 40 MB."""

_READS_MAX = 100  # of one space, for one call: each time it was written in another order meanwhile


class _Settled:
    """What one step changes, on its way into the store. Known by its identity."""

    __slots__ = ("entered", "is_queued", "is_written", "layers", "party", "writes")

    def __init__(self, party: Party, writes: BlobWrites, layers: dict[BlobSpace, Layer]) -> None:
        self.party = party
        self.writes = writes
        self.layers = layers
        self.entered: set[BlobSpace] = set()  # those in which everybody sees it
        self.is_queued = False
        self.is_written = False

    def is_hidden(self, space: BlobSpace) -> bool:
        """Whether its actor alone sees what it changes there."""
        return space in self.layers and space not in self.entered and not self.is_written

    def changes(self, space: BlobSpace) -> Iterator[BlobEffect]:
        """Those of one space."""
        return (change.effect for change in self.writes.changes if change.space == space)


class _Known:
    """One space."""

    __slots__ = ("ground", "is_known", "pending")

    def __init__(self) -> None:
        self.ground = Ground()
        self.is_known = False
        self.pending: deque[_Settled] = deque()  # queued and not written, in the order in which they were seen

    @property
    def is_idle(self) -> bool:
        """Whether it can be forgotten, and read again when somebody asks."""
        return not self.pending and self.ground.is_quiet

    @property
    def rows(self) -> int:
        return len(self.ground.blobs) + len(self.ground.labels)


class Spaces:
    """See above. One for a node; any thread may use it. Its lock is held while nothing else is called."""

    def __init__(self, store: EventStore, directory: Directory) -> None:
        self._store = store
        self._directory = directory
        self._lock = threading.Lock()
        self._known: dict[BlobSpace, _Known] = {}  # the one that was used last is the last
        self._settled: dict[int, _Settled] = {}  # by the identity of what is written
        self._unqueued: dict[ActorId, list[_Settled]] = {}
        store.observe(self._observe)

    def meant(self, actor: ActorId, name: str) -> BlobSpace:
        """The space that an actor means by a name. Its tree is that of its topmost ancestor on this node."""
        if name == "self":
            return BlobSpace("self", actor)
        return BlobSpace("tree", self._root(actor)) if name == "tree" else BlobSpace("name", name)

    @contextmanager
    def reading(self, space: BlobSpace, actor: ActorId) -> Iterator[tuple[Ground, list[Layer]]]:
        """What is in a space, and over it what this actor's earlier steps have changed, the latest first.

        Nobody changes either meanwhile. Reads from the store where the space is not known; not to be called from what
        the store calls back.

        Raises:
            StoreError: it cannot be read.
        """
        for _ in range(_READS_MAX):
            with self._lock:
                known = self._find(space)
                if known.is_known:
                    own = self._unqueued.get(actor, ())
                    yield known.ground, [each.layers[space] for each in reversed(own) if each.is_hidden(space)]
                    return
            self._store.read_space(space, lambda index: self._learn(space, index))
        raise StoreError(f"the space {space.key} changes too fast to be read: try again")

    def content(
        self, space: BlobSpace, blob: Digest, layers: Sequence[Layer], *, offset: int, size_bytes: int
    ) -> bytes | None:
        """A part of a blob: from ``layers``, from what is on its way into the store, or from there."""
        with self._lock:
            known = self._known.get(space)
            on_the_way = [each.layers[space] for each in known.pending] if known is not None else []
        for layer in (*layers, *on_the_way):
            content = layer.blobs.get(blob)
            if content is not None:
                return content[offset : offset + size_bytes]
        return self._store.blob(space, blob, offset=offset, size_bytes=size_bytes)

    def settle(self, party: Party, effects: Sequence[BlobEffect], brought: Consequences) -> None:
        """A step that succeeded changes this. A removal passes over a blob that another actor is about to put."""
        with self._lock:
            changes: list[BlobChange] = []
            layers: dict[BlobSpace, Layer] = {}
            for effect in effects:
                space = self.meant(party.actor, effect.space)
                ground = self._find(space).ground
                is_kept = isinstance(effect, RemoveBlob) and ground.blob_room.is_wanted_beside(party.actor, effect.blob)
                if not is_kept:
                    changes.append(BlobChange(space, effect))
                    layers.setdefault(space, Layer()).apply(effect)
            settled = _Settled(party, BlobWrites(tuple(changes)), layers)
            self._settled[id(settled.writes)] = settled
            self._unqueued.setdefault(party.actor, []).append(settled)
            for space in layers:
                if space.kind == "self":  # only this actor writes it, in the order of its steps
                    self._enter(settled, space)
                    ground = self._find(space).ground
                    ground.blob_room.release(party)
                    ground.label_room.release(party)
        brought.blobs.append(settled.writes)
        brought.after.append(lambda: self._queued(settled))
        brought.undone.append(lambda _: self._undone(settled))

    def release(self, party: Party) -> None:
        """The step is over, and was not settled: whatever room it took is free again."""
        with self._lock:
            _release(party)

    # -- from here on the lock is held, unless it says otherwise

    def _root(self, actor: ActorId) -> ActorId:
        seen = {actor}
        while (card := self._directory.card(actor)) is not None:
            parent = card.record.parent
            if parent is None or parent in seen or self._directory.card(parent) is None:
                break
            actor = parent
            seen.add(actor)
        return actor

    def _find(self, space: BlobSpace) -> _Known:
        known = self._known.pop(space, None) or _Known()
        self._known[space] = known
        return known

    def _learn(self, space: BlobSpace, index: BlobIndex) -> None:
        """Called by the store, while nobody writes. The lock is not held."""
        with self._lock:
            known = self._find(space)
            known.ground.learn(index, (change for each in known.pending for change in each.changes(space)))
            known.is_known = True
            self._forget_some(space)

    def _forget_some(self, spared: BlobSpace) -> None:
        rows = sum(each.rows for each in self._known.values())
        for space, each in list(self._known.items()):
            if len(self._known) <= SPACES_MAX and rows <= ROWS_MAX:
                return
            if space != spared and each.is_idle:
                rows -= each.rows
                del self._known[space]

    def _enter(self, settled: _Settled, space: BlobSpace) -> None:
        """Everybody sees it from now on."""
        known = self._find(space)
        settled.entered.add(space)
        known.pending.append(settled)
        if known.is_known:
            for change in settled.changes(space):
                known.ground.apply(change)

    def _queued(self, settled: _Settled) -> None:
        """It has its place. The lock is not held."""
        with self._lock:
            settled.is_queued = True
            if not settled.is_written:
                for space in settled.layers:
                    if space not in settled.entered:
                        self._enter(settled, space)
            self._leave(settled)

    def _observe(self, written: Written) -> None:
        """Called by the store, while nobody else writes. The lock is not held."""
        for batch in written.batches:
            if batch.blobs or batch.erases:
                with self._lock:
                    for writes in batch.blobs:
                        self._written(writes)
                    if batch.erases:
                        for space in spaces_of(batch.actor):
                            self._known.pop(space, None)

    def _written(self, writes: BlobWrites) -> None:
        settled = self._settled.pop(id(writes), None)
        if settled is None:
            return
        settled.is_written = True
        for space in settled.layers:
            known = self._find(space)
            if space in settled.entered:
                if known.pending and known.pending[0] is settled:
                    known.pending.popleft()
                else:  # others were seen before it, and are written behind it
                    self._lose(known, settled)
            elif known.pending:
                known.is_known = False
            elif known.is_known:  # whoever queued it has not come to say so
                for change in settled.changes(space):
                    known.ground.apply(change)

    def _undone(self, settled: _Settled) -> None:
        """It was not written. The lock is not held."""
        with self._lock:
            self._settled.pop(id(settled.writes), None)
            for space in settled.entered:
                self._lose(self._find(space), settled)
            settled.is_written = True  # so that nobody enters it any more
            self._leave(settled)

    def _lose(self, known: _Known, settled: _Settled) -> None:
        """What is known is not what is in the store."""
        known.is_known = False
        if settled in known.pending:
            known.pending.remove(settled)

    def _leave(self, settled: _Settled) -> None:
        """Its actor needs no layer of it any more."""
        own = self._unqueued.get(settled.party.actor, [])
        if settled in own:
            own.remove(settled)
        if not own:
            self._unqueued.pop(settled.party.actor, None)
        _release(settled.party)


def _release(party: Party) -> None:
    for room in list(party.rooms):
        room.release(party)
