"""What a commit brings along beside the events of its own chain: for the same transaction, and for right after it.

``puts``, ``drops``, ``births`` and ``blobs`` are written in the same transaction, and only where ``requires`` are in
the store.
``after`` is done in memory as soon as the transaction has its place in the order of all transactions: what others do on
it is then written behind it, so that nobody's step can become durable without what it rests on.
"""

from __future__ import annotations

from collections.abc import Callable

from theater.errors import StoreError
from theater.model.blob_space import BlobWrites
from theater.model.event import Event
from theater.model.ids import ActorId
from theater.model.ports import Append, Entry, EntryKey, Space


class Consequences:
    """Collects them. Used under the appender's lock; ``after`` is called when no lock is held."""

    __slots__ = ("after", "births", "blobs", "drops", "puts", "requires", "twice", "undone")

    def __init__(self) -> None:
        self.puts: dict[tuple[ActorId, Space, str], Entry] = {}
        self.drops: dict[tuple[ActorId, Space, str], EntryKey] = {}
        self.twice: list[EntryKey] = []
        """What was dropped before by this very commit, and needed again."""
        self.requires: dict[tuple[ActorId, Space, str], EntryKey] = {}
        self.births: list[Append] = []
        self.blobs: list[BlobWrites] = []
        self.after: list[Callable[[], None]] = []
        self.undone: list[Callable[[StoreError], None]] = []
        """Called where the transaction was not written: what was done in memory already has to be taken back."""

    def put(self, actor: ActorId, space: Space, key: str, value: bytes, *, once: bool = False) -> None:
        """Have an entry written, in place of one of the same key unless ``once``."""
        place = actor, space, key
        if not (once and place in self.puts):
            self.puts[place] = Entry(actor, space, key, value, once)

    def drop(self, actor: ActorId, space: Space, key: str, *, required: bool = True) -> None:
        """Have an entry dropped, be it one that this very commit would write."""
        place = actor, space, key
        put = self.puts.pop(place, None)
        if put is None:
            before = self.drops.get(place)
            if required and before is not None and before.required:
                self.twice.append(before)  # nothing is there twice, so that the store refuses it
            self.drops[place] = EntryKey(actor, space, key, required)
        elif not put.once:  # it may have been about to replace one that is in the store
            self.drops.setdefault(place, EntryKey(actor, space, key, required=False))

    def require(self, actor: ActorId, space: Space, key: str) -> None:
        """Have nothing written unless that entry is in the store; one that this very commit writes will be there."""
        place = actor, space, key
        if place not in self.puts:
            self.requires[place] = EntryKey(actor, space, key)

    def is_empty(self) -> bool:
        """Whether there is nothing to be written."""
        return not (self.puts or self.drops or self.births or self.requires or self.blobs)


Bring = Callable[[list[Event], Consequences], None]
"""Adds to what a commit brings along; is given the events that this commit itself made."""
