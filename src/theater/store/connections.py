"""Connections to the database: how they are set up, lent for reading, and what their errors mean."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from theater.errors import Damaged, DiskFull
from theater.model.ports import Durability

BUSY_TIMEOUT_S = 10.0
"""For another process that checkpoints or makes a backup; nobody else writes."""

_CACHED_STATEMENTS = 512  # one a size of insert or delete, and the rest

# WAL: readers and the writer do not wait for each other. With NORMAL a commit is handed to the kernel (it survives the
# process), with FULL it is on the disk (it survives the power). secure_delete: what was erased is overwritten.
_WRITER_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = {synchronous};
PRAGMA secure_delete = ON;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 67108864;
PRAGMA foreign_keys = OFF;
PRAGMA trusted_schema = OFF;
"""

_SYNCHRONOUS: dict[Durability, str] = {"process": "NORMAL", "power": "FULL"}

_PAGE_ROWS = 64
_PAGE_BYTES = 1024 * 1024  # a page ends with the row that goes beyond

Mode = Literal["rw", "ro"]

Row = tuple[object, ...]


def connect(path: Path, mode: Mode) -> sqlite3.Connection:
    """A connection without a thread of its own and without transactions that nobody asked for."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )


def prepare_writer(connection: sqlite3.Connection, durability: Durability) -> None:
    """Set up the one connection that writes."""
    connection.executescript(_WRITER_PRAGMAS.format(synchronous=_SYNCHRONOUS[durability]))


@contextmanager
def in_full_sync(connection: sqlite3.Connection, durability: Durability) -> Iterator[None]:
    """What is committed within is on the disk, whatever the durability."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")


class Readers:
    """Connections for reading, each lent to one thread at a time. They see what is committed, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False

    @contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection for the length of one query. Errors of the database come out as ``Damaged``."""
        with self._lock:
            if self._is_closed:
                raise Damaged("the store is closed")
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = connect(self._path, "ro")
            yield connection
        except sqlite3.Error as error:
            raise translated(error, "read from") from error
        finally:
            if connection is not None:
                self._take_back(connection)

    def page(self, query: str, values: tuple[object, ...]) -> list[Row]:
        """The first rows of a query whose last column is a blob: some, and not too many bytes of them."""
        rows: list[Row] = []
        size = 0
        with self.lend() as connection:
            cursor = connection.execute(query, values)
            for row in cursor:
                rows.append(row)
                size += len(row[-1])
                if len(rows) == _PAGE_ROWS or size > _PAGE_BYTES:
                    break
            cursor.close()
        return rows

    def close(self) -> None:
        """Close them; one that is lent is closed when it comes back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()


def translated(error: sqlite3.Error | OSError, verb: str) -> Damaged:
    """What an error of the disk means to a caller. ``verb`` is what was to be done to the store."""
    if isinstance(error, OSError):
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    else:
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    if is_full:
        return DiskFull("the disk is full: nothing was written; make room and try again")
    return Damaged(f"the store cannot be {verb}: {error}")
