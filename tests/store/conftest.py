"""What a committer writes to, and who hears of it."""

import pytest

from tests.store.committing import Disk, Ears


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def ears() -> Ears:
    return Ears()
