"""Payloads over 64 KiB, a file each: ``payloads/ACTOR/SEQ``. Never shared, so that erasing one erases it.

A file is written before the transaction that commits its event. One whose event was never committed is harmless: no
event names it, and the one that gets its place replaces it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from theater.errors import Damaged
from theater.model.ids import ActorId
from theater.store.files import TEMPORARY, make_folder, remove_file, remove_if_empty, sync_folder, write_whole


class LargePayloads:
    """The files below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, actor: ActorId, seq: int, payload: bytes, *, synced: bool) -> None:
        """Keep the payload of event ``seq``."""
        folder = self.folder / actor
        make_folder(folder, synced=synced)
        write_whole(folder / str(seq), payload, synced=synced)

    def size_bytes(self, actor: ActorId) -> int:
        """What the files of one actor take together."""
        try:
            with os.scandir(self.folder / actor) as files:
                return sum(file.stat().st_size for file in files if file.name.isdecimal())
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise Damaged(f"the large payloads of actor {actor} cannot be looked at: {error}", actor=actor) from error

    def remove(self, actor: ActorId, *, before: int) -> Iterator[int]:
        """Remove the payloads of all events before one, and say of each how many bytes it had.

        The folder goes with them if nothing is left in it. When this is over they are gone from the disk.
        """
        folder = self.folder / actor
        try:
            paths = list(folder.iterdir())
        except FileNotFoundError:
            return
        for path in paths:
            seq = path.name.removesuffix(TEMPORARY)
            if seq.isdecimal() and int(seq) < before:
                yield remove_file(path)
        if remove_if_empty(folder):
            sync_folder(self.folder)
        else:
            sync_folder(folder)

    def read(self, actor: ActorId, seq: int, size_bytes: int) -> bytes:
        """The payload of event ``seq``.

        Raises:
            Damaged: it is not there, or has another size. Whether its bytes are right, its commitment says.
        """
        try:
            with (self.folder / actor / str(seq)).open("rb") as file:
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
