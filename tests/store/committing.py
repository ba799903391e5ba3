"""A disk and ears for a committer, which note what they are given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from theater.errors import StoreError
from theater.model.event import EMPTY
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended
from theater.store.committer import Committer

PATIENCE_S = 10.0
COMMITTER = "theater-committer"


class Disk:
    """A commit function that notes what it was given, and by which thread; it waits while it is ``held``."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.threads: list[str] = []
        self.begun = threading.Semaphore(0)
        self._is_free = threading.Event()
        self._is_free.set()
        self._one_at_a_time = threading.Lock()

    def commit(self, batches: list[Append]) -> list[Appended | StoreError]:
        assert self._one_at_a_time.acquire(blocking=False), "two threads write at once"
        try:
            numbers = [number_of(batch) for batch in batches]
            self.groups.append(numbers)
            self.threads.append(threading.current_thread().name)
            self.begun.release()
            assert self._is_free.wait(PATIENCE_S)
            return [Appended(EMPTY, number) for number in numbers]
        finally:
            self._one_at_a_time.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        self._is_free.clear()
        try:
            yield
        finally:
            self._is_free.set()

    def wait_begun(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE_S)


class Ears:
    """Callbacks that note what they hear, and on which thread."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.errors: list[StoreError] = []
        self.threads: list[str] = []
        self._called = threading.Semaphore(0)

    def done(self, result: Appended | StoreError) -> None:
        self.threads.append(threading.current_thread().name)
        if isinstance(result, Appended):
            self.heard.append(result.first_index)
        else:
            self.errors.append(result)
        self._called.release()

    def wait_called(self, times: int = 1) -> None:
        for _ in range(times):
            assert self._called.acquire(timeout=PATIENCE_S), "never called back"


class WatchedTurn:
    """The turn to write, as a lock that tells who wants it and lets something happen just before it is let go of."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.before_release: Callable[[], None] = nothing
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True) -> bool:
        if blocking:
            self.wanted.set()
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self.before_release()
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def nothing() -> None:
    pass


def batch(number: int) -> Append:
    return Append(ActorId("a"), EMPTY, (), attempt=number)


def number_of(written: Append) -> int:
    assert written.attempt is not None
    return written.attempt


def at_once(action: Callable[[], None]) -> None:
    """Do it on another thread, and wait for the end of it."""
    thread = threading.Thread(target=action)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@contextmanager
def open_committer(
    commit: Callable[[list[Append]], list[Appended | StoreError]], *, inline: bool = True
) -> Iterator[Committer]:
    committer = Committer(commit, inline=inline)
    try:
        yield committer
    finally:
        committer.close()
