"""Whether a store holds what was written to it: its end when it is opened, all of it when somebody asks."""

from __future__ import annotations

from typing import cast

from theater.errors import Damaged
from theater.model.event import EMPTY, Head
from theater.model.ids import ActorId
from theater.store.connections import Readers, Row
from theater.store.segments import Segments

_COLUMNS = "SELECT first_index, actor, first_seq, count, last_hash, frames FROM segments JOIN chains USING (ref)"
_TAIL = f"{_COLUMNS} ORDER BY first_index DESC"  # the first page of it
_FROM = f"{_COLUMNS} WHERE first_index >= ? ORDER BY first_index"


class _Check:
    """Takes segments in the order of the index and knows what each must follow."""

    def __init__(self, segments: Segments, *, is_whole: bool) -> None:
        self._segments = segments
        self._is_whole = is_whole
        self._heads: dict[ActorId, Head] = {}
        self.index: int | None = 0 if is_whole else None

    def feed(self, row: Row) -> None:
        first_index, actor, first_seq, count, last_hash, frames = cast(
            "tuple[int, ActorId, int, int, bytes, bytes]", row
        )
        if self.index is not None and first_index != self.index:
            raise Damaged(f"the events from index {self.index} to {first_index} are missing", index=self.index)
        self.index = first_index + count
        events = self._segments.events(actor, first_seq, count, last_hash, frames)
        head = self._heads.get(actor, EMPTY if self._is_whole or first_seq == 0 else None)
        if head is not None and (first_seq != head.seq + 1 or events[0].header.prev != head.hash):
            raise Damaged(
                f"event {first_seq} of actor {actor} does not follow event {head.seq}", actor=actor, seq=first_seq
            )
        self._heads[actor] = Head(events[-1].header.seq, events[-1].hash)


def check_tail(readers: Readers, segments: Segments) -> None:
    """Look at the last segments.

    Raises:
        Damaged: one is not what was written.
    """
    check = _Check(segments, is_whole=False)
    for row in reversed(readers.page(_TAIL, ())):
        check.feed(row)


def check_all(readers: Readers, segments: Segments) -> int:
    """Look at everything; the number of events.

    Raises:
        Damaged: something is not what was written.
    """
    with readers.lend() as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(f"the database is damaged: {verdict}")
    check = _Check(segments, is_whole=True)
    while True:
        rows = readers.page(_FROM, (check.index,))
        for row in rows:
            check.feed(row)
        if not rows:
            assert check.index is not None
            return check.index
