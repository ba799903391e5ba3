"""One workshop for all tests of this folder, and a stage whose disk has a hitch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.hitch import Hitch
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def hitch() -> Hitch:
    return Hitch()


@pytest.fixture
def troupe(workshop: Workshop, tmp_path: Path, hitch: Hitch) -> Iterator[Troupe]:
    with Stage(workshop, tmp_path, fault=hitch, workers=2) as stage:
        yield Troupe(stage)
