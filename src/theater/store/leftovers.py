"""Files that nobody names: what a process left that died between writing a file and committing what names it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from theater.errors import Unsound
from theater.model.ids import ActorId, is_actor_id
from theater.model.ports import Swept
from theater.store.connections import Readers, translated
from theater.store.files import TEMPORARY, remove_file, remove_if_empty
from theater.store.frames import large_in

_SLICE_FILES = 256  # looked at in one turn: a look-up each
_PAYLOAD = re.compile(rf"(0|[1-9][0-9]{{0,15}})({re.escape(TEMPORARY)})?")

_SEGMENT = """
SELECT first_seq, frames FROM segments
WHERE ref = (SELECT ref FROM chains WHERE actor = ?) AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1
"""

Turn = Callable[[Callable[[], Swept]], Swept]
"""Runs something while nobody writes: what lies there then, and is not named, nobody is about to name."""


class Leftovers:
    """Removes large payloads that no chain names, and what was half written. Leaves alone what it does not know."""

    def __init__(self, folder: Path, readers: Readers, turn: Turn) -> None:
        self._folder = folder
        self._readers = readers
        self._turn = turn

    def sweep(self) -> Swept:
        """Look at every file, some at a time.

        Raises:
            Damaged: something cannot be removed.
        """
        swept = Swept()
        try:
            for actor in _names(self._folder):
                folder = self._folder / actor
                if is_actor_id(actor) and folder.is_dir() and not folder.is_symlink():
                    for names in _slices(_names(folder)):
                        swept += self._turn(lambda actor=actor, names=names: self._sweep(ActorId(actor), names))  # type: ignore[misc]
        except OSError as error:
            raise translated(error, "written to") from error
        return swept

    def _sweep(self, actor: ActorId, names: list[str]) -> Swept:
        swept = Swept()
        folder = self._folder / actor
        for name in names:
            found = _PAYLOAD.fullmatch(name)
            if found and (found[2] or not self._is_named(actor, int(found[1]))):
                swept += Swept(1, remove_file(folder / name))
        remove_if_empty(folder)
        return swept

    def _is_named(self, actor: ActorId, seq: int) -> bool:
        with self._readers.lend() as connection:
            found = connection.execute(_SEGMENT, (actor, seq)).fetchone()
        if found is None:
            return False
        try:
            return any(named == seq for named, _ in large_in(found[1], found[0]))
        except Unsound:  # who knows what a damaged segment named
            return True


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []


def _slices(names: list[str]) -> Iterator[list[str]]:
    """At least one, so that an empty folder is looked at, too."""
    for start in range(0, max(1, len(names)), _SLICE_FILES):
        yield names[start : start + _SLICE_FILES]
