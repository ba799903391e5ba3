"""What an actor says on a channel, heard on a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Queue
from types import TracebackType
from typing import Self

from theater.model.wire import ChannelMessages

Hear = Callable[[], ChannelMessages]
"""What an actor said since the last time; waits a while for something."""


class Listener:
    """Calls ``hear`` again and again, until it says that the channel is closed, or fails. Use it in a ``with``.

    Who waits does so on ``descriptor``, which can be read from when there is something to take. It holds one answer,
    and asks for the next when that has been taken: the bound on what waits is the server's.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._heard: Queue[ChannelMessages | Exception] = Queue(maxsize=1)
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="theater-channel")
        self.descriptor, self._bell = os.pipe()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread, which comes back as soon as ``hear`` does."""
        self._is_closing.set()
        with suppress(Empty):
            self._heard.get_nowait()  # the thread puts at most one more
        self._thread.join()
        os.close(self.descriptor)
        os.close(self._bell)

    def take(self) -> ChannelMessages:
        """What was heard, once ``descriptor`` is ready. Raises what ``hear`` raised."""
        os.read(self.descriptor, 1)
        heard = self._heard.get()
        if isinstance(heard, Exception):
            raise heard
        return heard

    def _listen(self) -> None:
        is_over = False
        while not is_over and not self._is_closing.is_set():
            try:
                heard: ChannelMessages | Exception = self._hear()
            except Exception as error:  # noqa: BLE001 - raised again where it is taken
                heard = error
            is_over = isinstance(heard, Exception) or heard.closed is not None
            if not self._is_closing.is_set() and (isinstance(heard, Exception) or is_over or heard.messages):
                self._heard.put(heard)
                os.write(self._bell, b"!")
