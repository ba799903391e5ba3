"""A web of one server, and the service that asks it."""

from collections.abc import Iterator

import pytest

from tests.capabilities.web import VALUES, Names, Web, serving
from theater.capabilities.http_wire.service import HttpService


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        yield made


@pytest.fixture
def names() -> Names:
    return Names(here_example=["127.0.0.1"], other_example=["127.0.0.1"])


@pytest.fixture
def service(names: Names) -> Iterator[HttpService]:
    made = HttpService(VALUES.get, look_up=names)
    yield made
    made.close()
