"""A server process for a test of its own; or, in this one, the server's application on a stage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.stage import Stage, Workshop
from tests.server.desk import Desk
from tests.server.process import RunningServer


@pytest.fixture
def running_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server on an empty data directory; mark the test slow."""
    with RunningServer(tmp_path) as server:
        yield server


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    """A runtime in this process."""
    with Stage(workshop, tmp_path) as made:
        yield made


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    """The server's application over it, without a socket."""
    made = Desk(stage)
    yield made
    made.close()
