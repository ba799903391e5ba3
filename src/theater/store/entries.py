"""What actors hold beside their chains, on its way into the table: what is there, and what a transaction changes.

A message waits for its step so briefly that putting and dropping it mostly meet in one transaction. They cancel here,
and then cost no statement at all. For that it must be known without asking that the table does not hold the entry
already, so whole shelves are remembered: all keys of one space of one actor. A shelf is loaded when it is first
touched, and from then on neither a put nor a drop asks anything. Remembering single entries would not do: each put of a
fresh key would have to ask whether it is fresh.

Rows are written and deleted by their position, the primary key, many with one statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from theater.model.ports import Entry, Space
from theater.store.undo import Undo

_KNOWN_MAX = 100_000  # remembered entries, 300 bytes each
_SHELF_MAX = 1000  # entries of a shelf that is loaded whole: 0.5 ms; of a larger one, each is looked up when touched
_ROWS_MAX = 64

_SHELF = "SELECT key, position FROM entries WHERE ref = ? AND space = ? LIMIT ?"
_POSITION = "SELECT position FROM entries WHERE ref = ? AND space = ? AND key = ?"
_ALL_OF_ACTOR = "SELECT space, key, position FROM entries WHERE ref = ?"
_NEXT_POSITION = "SELECT coalesce(max(position), 0) + 1 FROM entries"

_DELETE = "DELETE FROM entries WHERE position IN "
_DELETES = tuple(_DELETE + "(" + ", ".join("?" * rows) + ")" for rows in range(_ROWS_MAX + 1))
_INSERT = "INSERT INTO entries (position, ref, space, key, value) VALUES "
_REPLACE = " ON CONFLICT (position) DO UPDATE SET value = excluded.value"
_UPSERTS = tuple(_INSERT + ", ".join(["(?, ?, ?, ?, ?)"] * rows) + _REPLACE for rows in range(_ROWS_MAX + 1))
_COLUMNS = 5
_UNCHANGED = -1

Place = tuple[int, Space, str]
"""The ref of a chain, a space of its actor's, a key in there."""

Statement = tuple[str, list[object]]


class EntryTable:
    """What the table holds, as far as that is known. Nothing here is of a transaction under way."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._positions: dict[Place, int] = {}
        self._shelves: dict[tuple[int, Space], bool] = {}  # True: all of it is in `_positions`
        self.next_position = 1

    def position(self, place: Place) -> int | None:
        """Where an entry stands, None where there is none."""
        position = self._positions.get(place)
        if position is not None:
            return position
        ref, space, _ = place
        is_whole = self._shelves.get((ref, space))
        if is_whole is None:
            is_whole = self._load(ref, space)
            position = self._positions.get(place)
        if is_whole or position is not None:
            return position
        found = self._connection.execute(_POSITION, place).fetchone()
        return None if found is None else int(found[0])

    def places(self, ref: int) -> list[tuple[Place, int]]:
        """All that one actor holds, and where it stands."""
        rows = self._connection.execute(_ALL_OF_ACTOR, (ref,)).fetchall()
        return [((ref, space, key), position) for space, key, position in rows]

    def learn(self, plan: EntryPlan) -> None:
        """These changes were committed."""
        self.next_position = plan.next_position
        for place, position in plan.changes.items():
            if position is None:
                self._positions.pop(place, None)
            else:
                self._positions[place] = position
        self._bound()

    def forget(self) -> None:
        """What is remembered may be wrong."""
        self._positions.clear()
        self._shelves.clear()

    def find_end(self) -> None:
        """Look where the next entry will stand. A place that was free again at the end may be given out again."""
        (self.next_position,) = self._connection.execute(_NEXT_POSITION).fetchone()

    def _load(self, ref: int, space: Space) -> bool:
        self._bound()
        rows = self._connection.execute(_SHELF, (ref, space, _SHELF_MAX + 1)).fetchall()
        for key, position in rows:
            self._positions[ref, space, key] = position
        is_whole = self._shelves[ref, space] = len(rows) <= _SHELF_MAX
        return is_whole

    def _bound(self) -> None:
        if len(self._positions) > _KNOWN_MAX or len(self._shelves) > _KNOWN_MAX:
            self.forget()


class EntryPlan:
    """What one transaction changes of the entries."""

    __slots__ = ("_deletes", "_first", "_table", "_undo", "_upserts", "changes", "next_position")

    def __init__(self, table: EntryTable, undo: Undo) -> None:
        self._table = table
        self._undo = undo
        self._first = self.next_position = table.next_position
        self._deletes: dict[int, None] = {}
        self._upserts: dict[int, tuple[object, ...]] = {}
        self.changes: dict[Place, int | None] = {}  # None: it is gone

    def __bool__(self) -> bool:
        return bool(self._deletes or self._upserts)

    def has(self, ref: int, space: Space, key: str) -> bool:
        """Whether an entry is there, as far as this transaction has come."""
        return self._position((ref, space, key)) is not None

    def drop(self, ref: int, space: Space, key: str) -> bool:
        """Take an entry away; False where there is none."""
        place = (ref, space, key)
        position = self._position(place)
        if position is None:
            return False
        self._take(place, position)
        return True

    def drop_all(self, ref: int) -> None:
        """Take all entries of an actor away."""
        for place, position in self._table.places(ref):
            if place not in self.changes:
                self._take(place, position)
        for place, changed in list(self.changes.items()):
            if place[0] == ref and changed is not None:
                self._take(place, changed)

    def put(self, ref: int, entry: Entry) -> None:
        """Add an entry, or replace its value."""
        place = (ref, entry.space, entry.key)
        position = self._position(place)
        if position is None:
            position = self.next_position
            self.next_position += 1
            self._undo.put(self.changes, place, position)
        elif entry.once:
            return
        self._undo.put(self._upserts, position, (position, ref, entry.space, entry.key, entry.value))

    def deletes(self) -> Iterator[Statement]:
        """What to execute first: an entry may have been dropped and put again."""
        positions: list[object] = list(self._deletes)
        for start in range(0, len(positions), _ROWS_MAX):
            chunk = positions[start : start + _ROWS_MAX]
            yield _DELETES[len(chunk)], chunk

    def upserts(self) -> Iterator[Statement]:
        """What to execute then."""
        values = [value for row in self._upserts.values() for value in row]
        for start in range(0, len(values), _ROWS_MAX * _COLUMNS):
            chunk = values[start : start + _ROWS_MAX * _COLUMNS]
            yield _UPSERTS[len(chunk) // _COLUMNS], chunk

    def _take(self, place: Place, position: int) -> None:
        undo = self._undo
        undo.put(self.changes, place, None)
        if position in self._upserts:
            undo.pop(self._upserts, position)
        if position < self._first:  # else it was put in this very transaction, and the table never sees it
            undo.put(self._deletes, position, None)

    def _position(self, place: Place) -> int | None:
        position = self.changes.get(place, _UNCHANGED)
        return self._table.position(place) if position == _UNCHANGED else position
