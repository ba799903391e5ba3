"""A disk that is full for one transaction."""

from __future__ import annotations

import threading

from tests.runtime.stage import Gate
from theater.store.faults import FaultPoint


class Hitch(Gate):
    """A gate that fills the disk for one transaction: the one that is held back when this is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_once = threading.Event()

    def __call__(self, point: FaultPoint) -> None:
        super().__call__(point)
        if point == "before-commit" and self.fails_once.is_set():
            self.fails_once.clear()
            raise OSError(28, "No space left on device")
