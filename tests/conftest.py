"""What holds for every test: it is deterministic, and it leaves no thread behind."""

import pytest
from hypothesis import settings

from tests.runtime.stage import Workshop

pytest_plugins = ["pytester", "tests.thread_guard"]

# The same examples in each run. `pytest --hypothesis-profile explore` looks for new ones; one that it finds becomes an
# `@example`.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, database=None, max_examples=10_000)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Makes guests, each compiled once, for all tests that want any."""
    return Workshop(tmp_path_factory.mktemp("workshop"))
