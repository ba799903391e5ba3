"""How much room chains take, and how much is left."""

from __future__ import annotations

import os
from pathlib import Path

from theater.model.ids import ActorId
from theater.store.chain_table import counted_size
from theater.store.connections import Readers, translated
from theater.store.large_payloads import LargePayloads
from theater.store.migrations import REMOVAL_SINCE, version_of

_REF = "SELECT ref FROM chains WHERE actor = ?"
_LAST = """
SELECT chain_bytes FROM segments JOIN chains USING (ref) WHERE ref = ? AND erasure = 0 ORDER BY first_seq DESC LIMIT 1
"""


class Room:
    """See above. Any thread may use it."""

    def __init__(self, readers: Readers, payloads: LargePayloads, folder: Path) -> None:
        self._readers = readers
        self._payloads = payloads
        self._folder = folder

    def size_bytes(self, actor: ActorId) -> int:
        """What a chain takes, in one look-up; one a segment where it was removed, or written by an older store."""
        with self._readers.lend() as connection:
            found = connection.execute(_REF, (actor,)).fetchone()
            if found is None:
                return 0
            (ref,) = found
            last = connection.execute(_LAST, (ref,)).fetchone() if version_of(connection) >= REMOVAL_SINCE else None
            if last is not None and last[0]:
                return int(last[0])
            size_bytes = counted_size(connection, ref)
        return size_bytes + self._payloads.size_bytes(actor)

    def free_bytes(self) -> int:
        """What the file system would give to this user.

        Raises:
            Damaged: the system does not say.
        """
        try:
            found = os.statvfs(self._folder)
        except OSError as error:
            raise translated(error, "measured") from error
        return found.f_bavail * found.f_frsize
