"""What the writer knows of chains and names: remembered where it can be, looked up where it must be."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from theater.model.event import EMPTY, Head
from theater.model.ids import ActorId, Digest
from theater.store.large_payloads import LargePayloads

_CHAINS_MAX = 100_000  # remembered heads, 300 bytes each

_LAST_SEGMENT = """
SELECT first_seq + count - 1, last_hash, chain_bytes FROM segments WHERE ref = ? ORDER BY first_seq DESC LIMIT 1
"""
_NAME_HOLDER = """
SELECT actor FROM records JOIN chains USING (ref) WHERE name = ? AND status IN ('running', 'paused')
"""


def counted_size(connection: sqlite3.Connection, ref: int) -> int:
    """What the segments of a chain take, looking at each: 1 us or more a segment, but none of their bytes is read."""
    query = "SELECT coalesce(sum(length(frames)), 0) FROM segments WHERE ref = ?"
    (size_bytes,) = connection.execute(query, (ref,)).fetchone()
    return int(size_bytes)


class Chain(NamedTuple):
    """How far a chain goes. ``ref`` is what the tables call it, ``size_bytes`` what it takes."""

    ref: int
    head: Head
    size_bytes: int
    is_removed: bool = False


class ChainTable:
    """Nothing here is of a transaction under way. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, payloads: LargePayloads) -> None:
        self._connection = connection
        self._payloads = payloads
        self._chains: dict[ActorId, Chain] = {}

    def chain(self, actor: ActorId) -> Chain | None:
        """A chain, None where there is none."""
        known = self._chains.get(actor)
        if known is not None:
            return known
        found = self._connection.execute("SELECT ref, erasure FROM chains WHERE actor = ?", (actor,)).fetchone()
        if found is None:
            return None
        ref, erasure = found
        last = self._connection.execute(_LAST_SEGMENT, (ref,)).fetchone()
        if last is None:
            chain = Chain(ref, EMPTY, 0, is_removed=erasure != 0)
        else:
            seq, last_hash, size_bytes = last
            if not size_bytes:  # of an older store: counted once, and the next segment says it
                size_bytes = counted_size(self._connection, ref) + self._payloads.size_bytes(actor)
            chain = Chain(ref, Head(seq, Digest(last_hash.hex())), size_bytes, is_removed=erasure != 0)
        self._chains[actor] = chain
        return chain

    def name_holder(self, name: str) -> ActorId | None:
        """The living actor of that name."""
        found = self._connection.execute(_NAME_HOLDER, (name,)).fetchone()
        return None if found is None else ActorId(found[0])

    def ends(self) -> tuple[int, int]:
        """The node-wide index of the next event, and the ref of the next chain."""
        last = self._connection.execute(
            "SELECT first_index + count FROM segments ORDER BY first_index DESC LIMIT 1"
        ).fetchone()
        (ref,) = self._connection.execute("SELECT coalesce(max(ref), 0) + 1 FROM chains").fetchone()
        return (0 if last is None else last[0]), ref

    def learn(self, chains: dict[ActorId, Chain]) -> None:
        """These were committed."""
        if len(self._chains) > _CHAINS_MAX:
            self._chains.clear()
        self._chains.update(chains)

    def forget(self) -> None:
        """What is remembered may be wrong."""
        self._chains.clear()
