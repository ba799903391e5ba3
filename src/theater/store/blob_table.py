"""The blobs and labels of guests, as rows beside the chains.

The bytes lie in the database, and not in files of their own as large payloads do. So a blob, its labels and the event
that closed the step are one transaction with nothing to sweep up behind it, an actor that is removed takes its blobs
along in the transaction that removes it, and nothing that a guest says ever becomes part of a path. What that costs: a
blob is written twice, to the log and to the table, and the room of one that was removed is used again but not given
back. Both are bearable, since a blob has a few megabytes at most, and a space a quota.

The conditions stand in the statements themselves: whatever was known when a step asked for something, no label ever
names a blob that is not there.
"""

from __future__ import annotations

from theater.model.blob_space import BlobChange, BlobIndex, BlobSpace, spaces_of
from theater.model.effects import PutBlob, RemoveBlob, SetLabel
from theater.model.ids import ActorId, Digest
from theater.store.connections import Readers

_PUT = "INSERT INTO blobs (space, digest, size, content) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_REMOVE = """
DELETE FROM blobs WHERE space = ?1 AND digest = ?2
    AND NOT EXISTS (SELECT 1 FROM labels WHERE labels.space = ?1 AND labels.digest = ?2)
"""
_SET = """
INSERT INTO labels (space, name, digest) SELECT ?1, ?2, ?3
WHERE EXISTS (SELECT 1 FROM blobs WHERE blobs.space = ?1 AND blobs.digest = ?3)
ON CONFLICT (space, name) DO UPDATE SET digest = excluded.digest
"""
_UNSET = "DELETE FROM labels WHERE space = ? AND name = ?"
_EMPTY = ("DELETE FROM labels WHERE space = ?", "DELETE FROM blobs WHERE space = ?")

_SIZES = "SELECT digest, size FROM blobs WHERE space = ?"
_LABELS = "SELECT name, digest FROM labels WHERE space = ?"
_PART = "SELECT coalesce(substr(content, ? + 1, ?), x'') FROM blobs WHERE space = ? AND digest = ?"

Statement = tuple[str, tuple[object, ...]]


def statement_of(change: BlobChange) -> Statement:
    """What carries out one change."""
    space, effect = change.space.key, change.effect
    match effect:
        case PutBlob():
            return _PUT, (space, effect.blob, len(effect.content), effect.content)
        case RemoveBlob():
            return _REMOVE, (space, effect.blob)
        case SetLabel():
            return _SET, (space, effect.label, effect.blob)
        case _:
            return _UNSET, (space, effect.label)


def statements_ending(actor: ActorId) -> list[Statement]:
    """What empties the spaces that end with an actor."""
    return [(statement, (space.key,)) for space in spaces_of(actor) for statement in _EMPTY]


class BlobReader:
    """What is durable. Any thread may use it."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def index(self, space: BlobSpace) -> BlobIndex:
        """All that is in a space. Two queries: nobody may write meanwhile."""
        with self._readers.lend() as connection:
            blobs = connection.execute(_SIZES, (space.key,)).fetchall()
            labels = connection.execute(_LABELS, (space.key,)).fetchall()
        return BlobIndex(
            {Digest(digest): size for digest, size in blobs}, {name: Digest(digest) for name, digest in labels}
        )

    def part(self, space: BlobSpace, blob: Digest, *, offset: int, size_bytes: int) -> bytes | None:
        """Some bytes of a blob."""
        with self._readers.lend() as connection:
            found = connection.execute(_PART, (offset, size_bytes, space.key, blob)).fetchone()
        return None if found is None else bytes(found[0])
