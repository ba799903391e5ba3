"""Takes pictures of a data directory whenever something has been committed: each is what a kill there would leave."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.store.faults import FaultPoint


class Camera:
    """A store's fault that copies the folder behind each commit, while it is on."""

    def __init__(self, data_dir: Path, pictures: Path) -> None:
        self._data_dir = data_dir
        self._pictures = pictures
        self._count = 0
        self.is_on = False

    def __call__(self, point: FaultPoint) -> None:
        if self.is_on and point == "after-commit":
            picture = self._pictures / f"{self._count:03d}" / "data"
            self._count += 1
            # the index of the log is made anew by whoever opens it first
            shutil.copytree(self._data_dir, picture, ignore=shutil.ignore_patterns("*-shm", "*.lock", "lock"))


def developed(workshop: Workshop, pictures: Path, *, later_s: float = 0, seed: int = 0) -> Iterator[Troupe]:
    """A troupe for each picture, in which everything has been done that was to be done.

    Another ``seed`` than the one before: ids of messages from outside do not come a second time.
    """
    for folder in sorted(pictures.iterdir()):
        with Stage(workshop, folder, seed=seed) as stage:
            troupe = Troupe(stage)
            stage.clock.advance(later_s)
            troupe.rest()
            for record in stage.runtime.store.records():
                if record.status == "paused":
                    troupe.find(record.id).resume()
            troupe.rest()
            stage.clock.advance(later_s)
            troupe.rest()
            yield troupe
            troupe.verify()
