"""The end of a channel that somebody outside of any actor holds: what was said to it waits here until it is read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

MESSAGES_MAX = 1000
"""Messages that wait for a reader, as many as a mailbox has by default. Whoever is slower loses the channel."""

TOO_SLOW = f"{MESSAGES_MAX} messages waited to be read"


class Outside:
    """Any thread may put; ``wake`` is called whenever there may be something new for a reader."""

    def __init__(self, *, wake: Callable[[], None], lost: Callable[[], None]) -> None:
        self._wake = wake
        self._lost = lost
        self._lock = threading.Lock()
        self._messages: deque[str] = deque()
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why nothing more comes, if so."""
        return self._reason

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be read."""
        return not self._messages

    def put(self, body: str) -> None:
        """One more message, which is durable. Where too many wait, that is the end: ``lost`` is called."""
        with self._lock:
            if self._reason is not None:
                return
            is_lost = len(self._messages) >= MESSAGES_MAX
            if is_lost:
                self._reason = TOO_SLOW
            else:
                self._messages.append(body)
        if is_lost:
            self._lost()
        self._wake()

    def take(self) -> str | None:
        """The next message; None where there is none now."""
        with self._lock:
            return self._messages.popleft() if self._messages else None

    def end(self, reason: str) -> None:
        """Nothing more comes. What waits can be read all the same."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
        self._wake()
