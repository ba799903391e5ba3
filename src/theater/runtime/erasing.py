"""Having the store erase what removed actors recorded: in the background, and one after the other."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from theater.runtime.mishap import report
from theater.runtime.node import Node

if TYPE_CHECKING:
    from theater.runtime.surroundings import Router


CLOSING_S = 10.0
"""For how long it goes on when the runtime closes. What is left then is erased when the node is opened again."""


class Erasing:
    """See above. One for a node; any thread may use it."""

    def __init__(self, node: Node, router: Router) -> None:
        self._node = node
        self._router = router
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by whoever erases
        self._is_busy = False
        self._is_wanted = False
        self._until_s: float | None = None

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

    def hasten(self) -> None:
        """The runtime closes: from now on there is only so much time."""
        self._until_s = time.monotonic() + CLOSING_S

    def finish(self) -> None:
        """Nobody else works for the runtime any more: what did not get a thread is done here."""
        if self._is_busy:
            self._work()

    def wipe(self) -> int:
        """Erase all that can be erased now, and say how many bytes. Blocks, also for whoever does so already."""
        with self._turn:
            return self._node.store.wipe(self._may_go_on)

    def _may_go_on(self) -> bool:
        return self._until_s is None or time.monotonic() < self._until_s

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
