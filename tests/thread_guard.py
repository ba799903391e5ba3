"""The fixture that fails a test which leaves a thread behind."""

import threading
import time
from collections.abc import Iterable, Iterator

import pytest

# Time that threads get, all of them together, to end after the test that started them: a shutdown that was begun may
# finish, one that was forgotten does not.
JOIN_S = 2.0


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    before = frozenset(threading.enumerate())
    yield
    if request.node.get_closest_marker("leaves_threads"):
        return
    left = _alive_after(JOIN_S, (thread for thread in threading.enumerate() if thread not in before))
    if left:
        names = ", ".join(sorted(thread.name for thread in left))
        pytest.fail(f"threads left behind: {names}; who starts a thread joins it", pytrace=False)


def _alive_after(wait_s: float, threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Those still alive when all have been joined, or `wait_s` has passed."""
    deadline = time.monotonic() + wait_s
    # A dummy stands for a thread that C code started and Python merely saw: it cannot be joined, and is not ours.
    ours = [thread for thread in threads if not isinstance(thread, threading._DummyThread)]
    for thread in ours:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in ours if thread.is_alive()]
