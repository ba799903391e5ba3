"""Reading chains: page by page, so that no iteration, however slow, holds a transaction or much memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from theater.errors import Damaged
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId, Digest
from theater.store.connections import Readers, Row
from theater.store.segments import Segments

_REF = "SELECT ref FROM chains WHERE actor = ?"
_HEAD = """
SELECT first_seq + count - 1, last_hash FROM segments WHERE ref = ? ORDER BY first_seq DESC LIMIT 1
"""
_HEADS = """
SELECT chains.actor, first_seq + count - 1, last_hash FROM json_each(?)
JOIN chains ON chains.actor = json_each.value
JOIN segments ON segments.ref = chains.ref
    AND first_seq = (SELECT max(first_seq) FROM segments AS own WHERE own.ref = chains.ref)
"""
_FORWARD = """
SELECT first_seq, count, last_hash, frames FROM segments
WHERE ref = ? AND first_seq < ?
    AND first_seq >= coalesce((SELECT max(first_seq) FROM segments WHERE ref = ? AND first_seq <= ?), 0)
ORDER BY first_seq
"""
_BACKWARD = """
SELECT first_seq, count, last_hash, frames FROM segments WHERE ref = ? AND first_seq <= ? ORDER BY first_seq DESC
"""
_BY_INDEX = """
SELECT first_index, actor, first_seq, count, last_hash, frames FROM segments JOIN chains USING (ref)
WHERE first_index >= coalesce((SELECT max(first_index) FROM segments WHERE first_index <= ?), 0)
ORDER BY first_index
"""
_SIZE = "SELECT first_index + count FROM segments ORDER BY first_index DESC LIMIT 1"


class ChainReader:
    """Durable events, checked as they are read. Any thread may use it."""

    def __init__(self, readers: Readers, segments: Segments) -> None:
        self._readers = readers
        self._segments = segments

    def head(self, actor: ActorId) -> Head:
        """The last event of a chain."""
        ref = self._ref(actor)
        return EMPTY if ref is None else self._head(ref)

    def heads(self, actors: Sequence[ActorId]) -> dict[ActorId, Head]:
        """The last events of those chains, of which there are any."""
        with self._readers.lend() as connection:
            rows = connection.execute(_HEADS, (json.dumps(actors),)).fetchall()
        return {ActorId(actor): Head(seq, Digest(last.hex())) for actor, seq, last in rows}

    def size_events(self) -> int:
        """One more than the last node-wide index."""
        found = self._one(_SIZE, ())
        return 0 if found is None else int(found[0])

    def events(self, actor: ActorId, *, start: int, stop: int | None) -> Iterator[Event]:
        """Those that are durable when the iteration begins."""
        ref = self._ref(actor)
        if ref is None:
            return
        end = self._head(ref).seq + 1
        stop = end if stop is None else min(stop, end)
        position = start
        previous: Event | None = None
        while position < stop:
            begun = position
            for row in self._readers.page(_FORWARD, (ref, stop, ref, position)):
                for event in self._segment(actor, row):
                    if previous is not None:
                        _require_link(actor, previous, event)
                    previous = event
                    seq = event.header.seq
                    if seq > position and seq < stop:
                        raise _missing(actor, position)
                    if seq == position and seq < stop:
                        yield event
                        position += 1
            if position == begun:
                raise _missing(actor, position)

    def events_reversed(self, actor: ActorId, *, start: int) -> Iterator[Event]:
        """From ``start``, or from the head if that comes before it, down to 0."""
        ref = self._ref(actor)
        if ref is None:
            return
        position = min(start, self._head(ref).seq)
        following: Event | None = None
        while position >= 0:
            begun = position
            for row in self._readers.page(_BACKWARD, (ref, position)):
                for event in reversed(self._segment(actor, row)):
                    if following is not None:
                        _require_link(actor, event, following)
                    following = event
                    if event.header.seq < position:
                        raise _missing(actor, position)
                    if event.header.seq == position:
                        yield event
                        position -= 1
            if position == begun:
                raise _missing(actor, position)

    def events_by_index(self, *, start: int, limit: int) -> Iterator[tuple[int, Event]]:
        """In node-wide order."""
        position, stop = start, min(start + limit, self.size_events())
        while position < stop:
            begun = position
            for row in self._readers.page(_BY_INDEX, (position,)):
                index, actor = row[:2]
                assert isinstance(index, int)
                assert isinstance(actor, str)
                if index > position:
                    break
                for at, event in enumerate(self._segment(ActorId(actor), row), start=index):
                    if at == position and at < stop:
                        yield at, event
                        position += 1
                if position == stop:
                    return
            if position == begun:
                raise Damaged(f"the event with index {position} is missing", index=position)

    def _segment(self, actor: ActorId, row: Row) -> list[Event]:
        return self._segments.events(actor, *row[-4:])

    def _ref(self, actor: ActorId) -> int | None:
        found = self._one(_REF, (actor,))
        return None if found is None else int(found[0])

    def _head(self, ref: int) -> Head:
        found = self._one(_HEAD, (ref,))
        return EMPTY if found is None else Head(found[0], Digest(found[1].hex()))

    def _one(self, query: str, values: tuple[object, ...]) -> sqlite3.Row | None:
        with self._readers.lend() as connection:
            found: sqlite3.Row | None = connection.execute(query, values).fetchone()
            return found


def _missing(actor: ActorId, seq: int) -> Damaged:
    return Damaged(f"event {seq} of actor {actor} is missing", actor=actor, seq=seq)


def _require_link(actor: ActorId, event: Event, following: Event) -> None:
    if following.header.prev != event.hash or following.header.seq != event.header.seq + 1:
        seq = event.header.seq
        raise Damaged(f"event {seq} of actor {actor} is not the one that the next event names", actor=actor, seq=seq)
