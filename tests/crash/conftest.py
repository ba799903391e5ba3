"""A stage whose disk has a hitch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.hitch import Hitch
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe


@pytest.fixture
def hitch() -> Hitch:
    return Hitch()


@pytest.fixture
def troupe(workshop: Workshop, tmp_path: Path, hitch: Hitch) -> Iterator[Troupe]:
    with Stage(workshop, tmp_path, fault=hitch, workers=2) as stage:
        yield Troupe(stage)
