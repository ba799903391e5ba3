"""What a segment says, for whoever reads one: its events, checked, and withheld where their actor was removed."""

from __future__ import annotations

from theater.errors import Damaged
from theater.model.event import Event
from theater.model.ids import ActorId, Digest
from theater.store.connections import Readers
from theater.store.frames import decode_frames
from theater.store.large_payloads import LargePayloads
from theater.store.migrations import REMOVAL_SINCE, version_of

_IS_REMOVED = "SELECT erasure <> 0 FROM chains WHERE actor = ?"


class Segments:
    """Turns rows into events. Any thread may use it."""

    def __init__(self, readers: Readers, payloads: LargePayloads) -> None:
        self._readers = readers
        self._payloads = payloads

    def events(
        self, actor: ActorId, first_seq: object, count: object, last_hash: object, frames: object
    ) -> list[Event]:
        """The events of a segment, in order.

        Raises:
            Damaged: they are not what was written.
        """
        assert isinstance(first_seq, int)
        assert isinstance(count, int)
        assert isinstance(last_hash, bytes)
        assert isinstance(frames, bytes)
        return decode_frames(
            frames,
            actor=actor,
            first_seq=first_seq,
            count=count,
            last_hash=Digest(last_hash.hex()),
            load_large=self._load_large,
        )

    def is_removed(self, actor: ActorId) -> bool:
        """Whether the actor was removed, so that its payloads may be gone at any time."""
        with self._readers.lend() as connection:
            if version_of(connection) < REMOVAL_SINCE:
                return False
            found = connection.execute(_IS_REMOVED, (actor,)).fetchone()
        return found is not None and bool(found[0])

    def _load_large(self, actor: ActorId, seq: int, size_bytes: int) -> bytes | None:
        try:
            return self._payloads.read(actor, seq, size_bytes)
        except Damaged:
            # The row may have been read before it was wiped. Whoever wipes removes files only of actors that are known
            # to be removed, so the answer is there before the file is gone.
            if self.is_removed(actor):
                return None
            raise
