"""The index of actors: by id, by name, by the beginning of an id."""

from __future__ import annotations

import re

from theater.model.ids import ID_LENGTH, ID_PREFIX_MIN, ActorId
from theater.model.ports import ActorRecord
from theater.store.connections import Readers
from theater.store.migrations import REMOVAL_SINCE, version_of

_COLUMNS = """
SELECT actor, name, status, parent, created_us, program, has_hidden_state, engine, {restarts}
FROM records JOIN chains USING (ref)
"""
_BY_ID = f"{_COLUMNS} WHERE actor = ?"
_ALL = f"{_COLUMNS} ORDER BY ref"
_BY_NAME = f"{_COLUMNS} WHERE name = ? ORDER BY status NOT IN ('running', 'paused'), ref DESC"
_BY_PREFIX = f"{_COLUMNS} WHERE actor >= ? AND actor < ? ORDER BY actor"

_PREFIX = re.compile(rf"[0-9a-f]{{{ID_PREFIX_MIN},{ID_LENGTH}}}")


class ActorIndex:
    """See above. Any thread may use it."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._has_restarts = False

    def record(self, actor: ActorId) -> ActorRecord | None:
        """The row of one actor."""
        found = self._query(_BY_ID, actor)
        return found[0] if found else None

    def records(self) -> list[ActorRecord]:
        """All rows, oldest first."""
        return self._query(_ALL)

    def find(self, text: str) -> list[ActorRecord]:
        """Those of that name, living ones first; else that of that id; else those whose id begins with it."""
        found = self._query(_BY_NAME, text)
        if not found and _PREFIX.fullmatch(text):
            found = self._query(_BY_PREFIX, text, text + "g")  # 'g' is behind every hex digit
        return found

    def attempt(self, actor: ActorId) -> int:
        """The attempt mark of an actor."""
        with self._readers.lend() as connection:
            found = connection.execute("SELECT attempt FROM chains WHERE actor = ?", (actor,)).fetchone()
        return 0 if found is None else int(found[0])

    def _query(self, query: str, *values: str) -> list[ActorRecord]:
        with self._readers.lend() as connection:
            # One that is only read may be older; whoever holds it may bring it up to date meanwhile.
            self._has_restarts = self._has_restarts or version_of(connection) >= REMOVAL_SINCE
            restarts = "restarts" if self._has_restarts else "0"
            rows = connection.execute(query.format(restarts=restarts), values).fetchall()
        return [
            ActorRecord(*plain, has_hidden_state=bool(hidden), engine=engine, restarts=restarts)  # type: ignore[misc]  # six plain
            for *plain, hidden, engine, restarts in rows
        ]
