"""When a server is to stop: on a signal, and at once on the second."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """When to stop, and whether to hurry. Belongs to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.wanted = asyncio.Event()
        self.hurried = asyncio.Event()

    def want(self) -> None:
        """Stop; asked a second time, hurry."""
        (self.hurried if self.wanted.is_set() else self.wanted).set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Signals of this process mean that, meanwhile."""
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self.want)
        try:
            yield
        finally:
            for number in _SIGNALS:
                self._loop.remove_signal_handler(number)
