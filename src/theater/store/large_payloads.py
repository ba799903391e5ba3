"""Payloads over 64 KiB, a file each: ``payloads/ACTOR/SEQ``. Never shared, so that erasing one erases it.

A file is written before the transaction that commits its event. One whose event was never committed is harmless: no
event names it, and the one that gets its place replaces it.
"""

from __future__ import annotations

from pathlib import Path

from theater.errors import Damaged
from theater.model.ids import ActorId
from theater.store.files import make_folder, write_whole


class LargePayloads:
    """The files below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, actor: ActorId, seq: int, payload: bytes, *, synced: bool) -> None:
        """Keep the payload of event ``seq``."""
        folder = self._folder / actor
        make_folder(folder, synced=synced)
        write_whole(folder / str(seq), payload, synced=synced)

    def read(self, actor: ActorId, seq: int, size_bytes: int) -> bytes:
        """The payload of event ``seq``.

        Raises:
            Damaged: it is not there, or has another size. Whether its bytes are right, its commitment says.
        """
        try:
            with (self._folder / actor / str(seq)).open("rb") as file:
                payload = file.read(size_bytes + 1)
        except OSError as error:
            raise Damaged(
                f"the payload of event {seq} of actor {actor} cannot be read: {error}", actor=actor, seq=seq
            ) from error
        if len(payload) != size_bytes:
            raise Damaged(
                f"the payload of event {seq} of actor {actor} has another size than written", actor=actor, seq=seq
            )
        return payload
