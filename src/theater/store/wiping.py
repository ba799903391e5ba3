"""Erasing what removed actors left: their payloads and salts. Their headers stay, so that every hash and link stands.

A chain is gone through in slices, each a short transaction in the committer's turn, so that nobody who writes waits
for more than one of them, and who reads waits for nothing. Then its large payloads are unlinked, and then it is marked
as done. Each of these steps can be made twice, so a process that dies anywhere leaves a store that is sound, and whose
next wipe begins with the first chain that is not marked.

A file is unlinked only when the rows that named it are on the disk without it, whatever the durability: the power may
fail, and a row that names a file which is not there would be damage.

``secure_delete`` overwrites what SQLite deletes, but not what it moves: when rows come and go, grow or shrink, others
are moved to other pages, and now and then a copy stays in the unused part of the page that they left. So the rows of
chains keep their length, and zeros are written over what they said, where it stands: they are only ever added at the
end of their table, and never moved. To make them shorter would give room back, and was tried: it left such copies. Rows
of entries, actors, blobs and labels do come and go. These tables are emptied in the end, which overwrites their pages,
and filled again, if they are small enough for that. That this is owed is noted by whoever removes an actor, in the
transaction that takes its rows, and struck off in the one that scrubs: where nobody was removed it costs nothing.

What remains, and for how long: copies of small rows in those tables, where they are large. The room of what was
erased, but for large payloads, is not given back. The log of SQLite (``events.db-wal``)
holds old pages until it is cut off. That is tried here, at the end, and comes about unless somebody reads just then, or
makes a backup; then the next wipe tries it again, and closing the store does it at the latest, unless another process
reads even then. What a file system or a disk keeps of bytes that were overwritten or unlinked, no program can say; nor
is anything recalled that has left the store: backups, bundles, answers.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from theater.errors import Damaged, Unsound
from theater.model.ids import ActorId
from theater.model.ports import Durability
from theater.store.connections import BUSY_TIMEOUT_S, in_full_sync
from theater.store.faults import Fault
from theater.store.frames import blanked
from theater.store.large_payloads import LargePayloads

_SLICE_ROWS = 64
_SLICE_BYTES = 1024 * 1024  # a slice ends with the row that goes beyond

_NEXT = "SELECT ref, actor, kept_from FROM chains WHERE erasure = 1 AND ref > ? ORDER BY ref LIMIT 1"
_SLICE = """
SELECT first_index, first_seq, count, frames FROM segments
WHERE ref = ? AND first_seq >= ? AND first_seq < ? ORDER BY first_seq LIMIT ?
"""
_MARK = "UPDATE chains SET erasure = 2 WHERE ref = ?"

OWE_SCRUBBING = "INSERT INTO node (key, value) VALUES ('unscrubbed', '1') ON CONFLICT DO NOTHING"
"""Belongs to every transaction that takes rows away which have to leave no trace."""

_IS_SCRUBBING_OWED = "SELECT EXISTS (SELECT 1 FROM node WHERE key = 'unscrubbed')"
_SCRUBBED_ALL = "DELETE FROM node WHERE key = 'unscrubbed'"
_SCRUB_ROWS = 20_000
_SCRUB_BYTES = 8 * 1024 * 1024  # 0.1 s in which nobody else writes

Change = Callable[[sqlite3.Connection], int]
Turn = Callable[[Change], int]
"""Runs a change with the connection that writes, while nobody else uses it."""


@dataclass(frozen=True, slots=True)
class _Chain:
    ref: int
    actor: ActorId
    kept_from: int


class _Table(NamedTuple):
    """What empties a table, as a whole, and fills it again."""

    size: str
    select: str
    delete: str
    insert: str


_SCRUBBED = (
    _Table(
        "SELECT count(*), coalesce(sum(length(value)), 0) FROM (SELECT value FROM entries LIMIT ?)",
        "SELECT * FROM entries ORDER BY position",
        "DELETE FROM entries",
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?)",
    ),
    _Table(
        "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM blobs LIMIT ?)",
        "SELECT * FROM blobs ORDER BY position",
        "DELETE FROM blobs",
        "INSERT INTO blobs VALUES (?, ?, ?, ?, ?)",
    ),
    _Table(
        "SELECT count(*), 0 FROM (SELECT name FROM labels LIMIT ?)",
        "SELECT * FROM labels",
        "DELETE FROM labels",
        "INSERT INTO labels VALUES (?, ?, ?)",
    ),
    _Table(
        "SELECT count(*), 0 FROM (SELECT ref FROM records LIMIT ?)",
        "SELECT * FROM records ORDER BY ref",
        "DELETE FROM records",
        "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ),
)

_FIRST = _Chain(0, ActorId(""), 0)  # comes before all


class Wiper:
    """Erases what can be erased now. Any thread may use it; a second one waits until the first is done."""

    def __init__(self, payloads: LargePayloads, durability: Durability, fault: Fault, *, is_log_clean: bool) -> None:
        """``is_log_clean``: no log was there when the store was opened. Who died may have left something in one."""
        self._payloads = payloads
        self._durability = durability
        self._fault = fault
        self._one_at_a_time = threading.Lock()
        self._is_log_clean = is_log_clean
        self._chain = _FIRST
        self._seq = 0  # of the first event that was not looked at yet

    def wipe(self, turn: Turn, may_go_on: Callable[[], bool]) -> int:
        """Erase the payloads of all removed actors; how many bytes these were.

        ``may_go_on`` is asked behind each slice and file: where it says no, the rest is for the next call.

        Raises:
            Damaged: a chain cannot be rewritten. The others were.
        """
        size_bytes, damage = 0, None
        with self._one_at_a_time:
            self._chain = _FIRST
            while turn(self._find_next):
                self._is_log_clean = False
                try:
                    for erased_bytes in self._wipe_chain(turn):
                        size_bytes += erased_bytes
                        if not may_go_on():
                            return size_bytes
                except _Unreadable as error:
                    damage = error
            turn(self._scrub)
            if not self._is_log_clean:
                turn(self._truncate)
        if damage is not None:
            raise Damaged(str(damage), actor=damage.actor) from damage
        return size_bytes

    def _wipe_chain(self, turn: Turn) -> Iterator[int]:
        chain = self._chain
        while self._seq < chain.kept_from:
            size_bytes = turn(self._wipe_slice)
            self._fault("wipe-slice-committed")
            yield size_bytes
        for size_bytes in self._payloads.remove(chain.actor, before=chain.kept_from):
            self._fault("wipe-file-removed")
            yield size_bytes
        self._fault("wipe-folder-removed")
        turn(self._mark)
        self._fault("wipe-marked")

    def _find_next(self, connection: sqlite3.Connection) -> int:
        """Go to the next chain; 0 where there is none."""
        found = connection.execute(_NEXT, (self._chain.ref,)).fetchone()
        if found is None:
            return 0
        self._chain = _Chain(*found)
        self._seq = 0
        return 1

    def _wipe_slice(self, connection: sqlite3.Connection) -> int:
        self._fault("wipe-begun")
        with self._transaction(connection):
            changes, seq, size_bytes = self._read_slice(connection)
            for first_index, frames in changes:
                with connection.blobopen("segments", "frames", first_index) as blob:
                    blob.write(frames)
            self._fault("wipe-rewritten")
        self._seq = seq
        return size_bytes

    def _read_slice(self, connection: sqlite3.Connection) -> tuple[list[tuple[int, bytes]], int, int]:
        """How the next rows are to be, the seq behind them, and how many bytes are erased by that."""
        chain, seq = self._chain, self._seq
        size_bytes = looked_at = 0
        changes: list[tuple[int, bytes]] = []
        # Closed whatever happens: a cursor in the middle of its rows would keep the log from being cut off.
        with closing(connection.execute(_SLICE, (chain.ref, seq, chain.kept_from, _SLICE_ROWS))) as rows:
            for first_index, first_seq, count, frames in rows:
                if first_seq != seq:
                    break
                try:
                    blank, blank_bytes = blanked(frames, count)
                except Unsound as error:
                    raise _Unreadable(chain.actor, seq) from error
                seq += count
                changes.append((first_index, blank))
                size_bytes += blank_bytes
                looked_at += len(frames)
                if looked_at > _SLICE_BYTES:
                    break
        if not changes:
            raise _Unreadable(chain.actor, seq)
        return changes, seq, size_bytes

    def _mark(self, connection: sqlite3.Connection) -> int:
        with self._transaction(connection):
            connection.execute(_MARK, (self._chain.ref,))
        return 0

    def _scrub(self, connection: sqlite3.Connection) -> int:
        """Overwrite the pages of tables whose rows come and go, if some of an actor that was removed went."""
        (is_owed,) = connection.execute(_IS_SCRUBBING_OWED).fetchone()
        if not is_owed:
            return 0
        self._is_log_clean = False
        with self._transaction(connection):
            for table in _SCRUBBED:
                rows, size_bytes = connection.execute(table.size, (_SCRUB_ROWS + 1,)).fetchone()
                if rows <= _SCRUB_ROWS and size_bytes <= _SCRUB_BYTES:
                    kept = connection.execute(table.select).fetchall()
                    connection.execute(table.delete)
                    connection.executemany(table.insert, kept)
            connection.execute(_SCRUBBED_ALL)
            self._fault("wipe-scrubbed")
        return 0

    def _truncate(self, connection: sqlite3.Connection) -> int:
        """Start the log over, unless somebody reads: nobody waits for that."""
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._is_log_clean = not is_busy
        finally:
            connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_TIMEOUT_S)}")
        self._fault("wipe-truncated")
        return 0

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """On the disk when it is over, or nothing of it."""
        with in_full_sync(connection, self._durability):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


class _Unreadable(Exception):
    """A segment is not what was written, or is missing."""

    def __init__(self, actor: ActorId, seq: int) -> None:
        super().__init__(f"event {seq} of the removed actor {actor} is damaged on the disk, and cannot be erased")
        self.actor = actor
