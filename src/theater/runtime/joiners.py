"""Who outside waits for what becomes of a message that came with a key: whoever asked first, and whoever asked again.

They are found by the place of the key, so that it makes no difference whether the message has been in memory since, or
was read from the store by another process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from theater.errors import NotRunning
from theater.runtime.letter import Answer, Deferred, Done, Letter

M = TypeVar("M", Letter, Deferred)


class Joiners:
    """Any thread may use it. Nobody is told under its lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Done]] = {}

    @contextmanager
    def joined(self, place: str, done: Done) -> Iterator[None]:
        """``done`` hears what becomes of the message of that key, if that is within this."""
        with self._lock:
            self._waiting.setdefault(place, []).append(done)
        try:
            yield
        finally:
            with self._lock:
                waiting = self._waiting.get(place, [])
                if done in waiting:
                    waiting.remove(done)
                    if not waiting:
                        del self._waiting[place]

    def tell(self, place: str, answer: Answer) -> None:
        """What became of it. Nobody is told twice."""
        with self._lock:
            waiting = self._waiting.pop(place, [])
        for done in waiting:
            done(answer)

    def close(self) -> None:
        """Tell whoever is left that the runtime is closed."""
        for place in list(self._waiting):
            self.tell(place, NotRunning("the runtime was closed; ask again with the same key when it is open"))

    def attached(self, asked: M) -> M:
        """The message, with a ``done`` that tells them, where it came with a key."""
        if asked.key is None:
            return asked
        return msgspec.structs.replace(asked, done=_Telling(self, asked.key.place))

    def attach_all(self, waiting: Mapping[str, Deferred]) -> dict[str, Deferred]:
        """The same for requests that were put off, by id."""
        return {id: self.attached(request) for id, request in waiting.items()}


@dataclass(frozen=True, slots=True)
class _Telling:
    joiners: Joiners
    place: str

    def __call__(self, answer: Answer) -> None:
        """The answer."""
        self.joiners.tell(self.place, answer)
