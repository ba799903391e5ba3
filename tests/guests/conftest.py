"""One engine for the puppets."""

from collections.abc import Iterator

import pytest

from tests.engine.rig import Rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("puppet"))
    yield made
    made.close()
