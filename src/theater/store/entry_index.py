"""What actors hold beside their chains, as it is durable."""

from __future__ import annotations

import sqlite3

from theater.model.ids import ActorId
from theater.model.ports import Entry, Space
from theater.store.connections import Readers
from theater.store.migrations import ENTRIES_SINCE, version_of

_OF_ACTOR = "SELECT space, key, value FROM entries WHERE ref = (SELECT ref FROM chains WHERE actor = ?)"
_ALL = f"{_OF_ACTOR} ORDER BY position"
_OF_SPACE = f"{_OF_ACTOR} AND space = ? ORDER BY position"
_ONE = f"{_OF_ACTOR} AND space = ? AND key = ?"

# These two go through the whole index of the table: it holds what is waiting now, not what has ever been.
_HOLDERS = """
SELECT actor FROM chains WHERE ref IN (SELECT ref FROM entries WHERE space IN ({spaces})) ORDER BY ref
"""
_SIZES = """
SELECT actor, size FROM (SELECT ref, count(*) AS size FROM entries WHERE space = ? GROUP BY ref) JOIN chains USING (ref)
ORDER BY ref
"""


class EntryIndex:
    """See above. Any thread may use it."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._has_table = False

    def entries(self, actor: ActorId, space: Space | None = None) -> list[Entry]:
        """All that an actor holds, or all of a space, in the order in which it was first put."""
        rows = self._rows(_ALL, actor) if space is None else self._rows(_OF_SPACE, actor, space)
        return [Entry(actor, *row) for row in rows]

    def entry(self, actor: ActorId, space: Space, key: str) -> Entry | None:
        """One of them."""
        rows = self._rows(_ONE, actor, space, key)
        return Entry(actor, *rows[0]) if rows else None

    def holders(self, *spaces: Space) -> list[ActorId]:
        """Who holds anything in one of these spaces, oldest first."""
        return [actor for (actor,) in self._rows(_HOLDERS.format(spaces=", ".join("?" * len(spaces))), *spaces)]

    def size_entries(self, space: Space) -> dict[ActorId, int]:
        """How many entries of a space there are, oldest actor first."""
        return {actor: size for actor, size in self._rows(_SIZES, space)}  # noqa: C416 - a row is no pair to mypy

    def _rows(self, query: str, *values: str) -> list[sqlite3.Row]:
        with self._readers.lend() as connection:
            # One that is only read may be older than the table; whoever holds it may bring it up to date meanwhile.
            self._has_table = self._has_table or version_of(connection) >= ENTRIES_SINCE
            return connection.execute(query, values).fetchall() if self._has_table else []
