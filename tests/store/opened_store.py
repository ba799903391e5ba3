"""A store on a disk for the length of a test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from theater.model.ports import Durability
from theater.store import DataDir, SqliteEventStore
from theater.store.faults import Fault, no_fault

EXITED_S = 99


@contextmanager
def opened(root: Path, *, durability: Durability = "process", fault: Fault = no_fault) -> Iterator[SqliteEventStore]:
    data_dir = DataDir(root)
    data_dir.hold("test")
    try:
        store = SqliteEventStore.open(data_dir, durability=durability, fault=fault)
        try:
            yield store
        finally:
            store.close()
    finally:
        data_dir.release()


def in_child(action: Callable[[], None]) -> int:
    """Run ``action`` in a process of its own; the signal that ended it, or 0 if it came to its end."""
    child = os.fork()
    if child == 0:
        status = EXITED_S
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def die() -> None:
    """As by ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)
