"""Having the store erase what removed actors recorded: in the background, and one after the other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from theater.runtime.mishap import report
from theater.runtime.node import Node

if TYPE_CHECKING:
    from theater.runtime.surroundings import Router


class Erasing:
    """See above. One for a node; any thread may use it."""

    def __init__(self, node: Node, router: Router) -> None:
        self._node = node
        self._router = router
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by whoever erases
        self._is_busy = False
        self._is_wanted = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is being erased."""
        return not self._is_busy

    def begin(self) -> None:
        """There may be something to erase. Where the runtime closes, the next one finds it."""
        with self._lock:
            self._is_wanted = True
            if self._is_busy:
                return
            self._is_busy = True
        if not self._router.background(self._work):
            self._is_busy = False

    def finish(self) -> None:
        """The runtime closes, and nobody else works for it: what did not get a thread any more is done here."""
        if self._is_busy:
            self._work()

    def wipe(self) -> int:
        """Erase all that can be erased now, and say how many bytes. Blocks, also for whoever does so already."""
        with self._turn:
            return self._node.store.wipe()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._is_wanted:
                    self._is_busy = False
                    return
                self._is_wanted = False
            try:
                self.wipe()
            except Exception as error:  # noqa: BLE001 - what could not be erased is tried again after the next removal
                report(error)
