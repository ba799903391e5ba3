"""What holds for every test: it is deterministic, and it leaves no thread behind."""

import threading
import time
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import settings

from tests.runtime.stage import Workshop

pytest_plugins = ["pytester"]

# Time that threads get, all of them together, to end after the test that started them: a shutdown that was begun may
# finish, one that was forgotten does not.
JOIN_S = 2.0

# The same examples in each run. `pytest --hypothesis-profile explore` looks for new ones; one that it finds becomes an
# `@example`.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, database=None, max_examples=10_000)
settings.load_profile("deterministic")


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


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Makes guests, each compiled once, for all tests that want any."""
    return Workshop(tmp_path_factory.mktemp("workshop"))


def _alive_after(wait_s: float, threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Those still alive when all have been joined, or `wait_s` has passed."""
    deadline = time.monotonic() + wait_s
    # A dummy stands for a thread that C code started and Python merely saw: it cannot be joined, and is not ours.
    ours = [thread for thread in threads if not isinstance(thread, threading._DummyThread)]
    for thread in ours:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in ours if thread.is_alive()]
