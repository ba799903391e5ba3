"""The tables, as numbered steps from an empty file to the newest form. A step that was released is never changed."""

from __future__ import annotations

import sqlite3

from theater.errors import Damaged

# A segment is what one append brought: one row, however many events. `first_index` is the node-wide index of its first
# event; rows are written in its order, so the file only grows at its end. `last_hash` makes the head of a chain one
# look-up, and vouches for the last event, which no other event names yet.
_TABLES = """
CREATE TABLE node (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE chains (
    ref INTEGER PRIMARY KEY,
    actor TEXT NOT NULL UNIQUE,
    attempt INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE records (
    ref INTEGER PRIMARY KEY REFERENCES chains (ref),
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    parent TEXT,
    created_us INTEGER NOT NULL,
    program TEXT NOT NULL,
    has_hidden_state INTEGER NOT NULL,
    engine TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX records_by_living_name ON records (name) WHERE status IN ('running', 'paused');
CREATE INDEX records_by_name ON records (name);

CREATE TABLE segments (
    first_index INTEGER PRIMARY KEY,
    ref INTEGER NOT NULL REFERENCES chains (ref),
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    last_hash BLOB NOT NULL,
    frames BLOB NOT NULL,
    UNIQUE (ref, first_seq)
) STRICT;
"""

# What actors hold beside their chains. `position` is given out by the writer, and is the order in which entries were
# first put.
_ENTRIES = """
CREATE TABLE entries (
    position INTEGER PRIMARY KEY,
    ref INTEGER NOT NULL REFERENCES chains (ref),
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (ref, space, key)
) STRICT;
"""

# `erasure`: 0 whole, 1 removed, 2 removed and wiped; of a removed chain the events before `kept_from` lose their
# payloads. `chain_bytes`: what the chain takes up to and with this segment, so that its size is one look-up; 0 in
# segments of older stores, where nobody has counted yet.
_REMOVAL = """
ALTER TABLE records ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chains ADD COLUMN erasure INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chains ADD COLUMN kept_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN chain_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX chains_to_wipe ON chains (ref) WHERE erasure = 1;
"""

# What guests keep. `space` is the key of a `BlobSpace`; `content` stands last, so that who wants a size reads no more.
# Names compare by their bytes, as the guests' interface has it.
_BLOBS = """
CREATE TABLE blobs (
    position INTEGER PRIMARY KEY,
    space TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (space, digest)
) STRICT;

CREATE TABLE labels (
    space TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (space, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX labels_by_digest ON labels (space, digest);
"""

MIGRATIONS: tuple[str, ...] = (_TABLES, _ENTRIES, _REMOVAL, _BLOBS)
"""Number ``n`` (from 1) takes a store of version ``n - 1`` to version ``n``."""


ENTRIES_SINCE = 2
"""The version that brought the entries: a store that is only read may be older."""

REMOVAL_SINCE = 3
"""The version that brought removal, restarts and sizes. Before, nothing was removed and no restart counted."""


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring a store to the newest version, each step in a transaction of its own.

    Raises:
        Damaged: it is of a version that this program does not know.
    """
    version = version_of(connection)
    require_known(version, migrations)
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last migration that was made."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def require_known(version: int, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Fail for a store from the future."""
    if version > len(migrations):
        raise Damaged(
            f"this store has version {version}, and this program knows up to {len(migrations)}: use a newer one"
        )
