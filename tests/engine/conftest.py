"""One engine for all tests of this folder that do not need one of their own."""

from collections.abc import Iterator

import pytest

from tests.engine.rig import Rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("engine"))
    yield made
    made.close()
