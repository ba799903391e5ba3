"""One workshop for all tests of this folder, and a stage for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.stage import Stage, Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    with Stage(workshop, tmp_path) as made:
        yield made
