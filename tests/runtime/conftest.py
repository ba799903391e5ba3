"""A stage for each test, and a company on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    with Stage(workshop, tmp_path) as made:
        yield made


@pytest.fixture
def company(stage: Stage) -> Iterator[Troupe]:
    """A troupe, every chain of which has to be sound in the end."""
    made = Troupe(stage)
    yield made
    made.rest()
    made.verify()
