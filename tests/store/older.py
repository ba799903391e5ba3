"""A store as an older version would have left it."""

from __future__ import annotations

import sqlite3

_BACK = {
    3: """
        DROP INDEX chains_to_wipe;
        ALTER TABLE segments DROP COLUMN chain_bytes;
        ALTER TABLE chains DROP COLUMN kept_from;
        ALTER TABLE chains DROP COLUMN erasure;
        ALTER TABLE records DROP COLUMN restarts;
    """,
    2: "DROP TABLE entries;",
    4: "DROP TABLE labels; DROP TABLE blobs;",
}


def make_older(connection: sqlite3.Connection, version: int) -> None:
    """Take back the newest migrations."""
    for number, script in _BACK.items():
        if number > version:
            connection.executescript(script)
    connection.execute(f"PRAGMA user_version = {version}")
