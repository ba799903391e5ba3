"""A stage whose actors may ask a server of their own machine, and send it a secret."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capabilities.web import Page, Web, serving
from tests.runtime.stage import Stage, Workshop

SECRET = "not-for-anybodys-eyes-0123456789"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        made.pages["/v1/hello"] = Page(b"hello")
        yield made


@pytest.fixture
def stage(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    config = tmp_path / "config" / "theater" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[secrets]\nKEY = "env:KEY_OF_THE_API"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "KEY_OF_THE_API": SECRET}
    with Stage(workshop, tmp_path, environ=environ) as made:
        yield made


def may_ask(web: Web) -> dict[str, object]:
    """The grant of an actor that may ask the server, below ``/v1/``."""
    return {
        "allow": [f"* {web.url}/v1/"],
        "private": [f"127.0.0.1:{web.port}"],
        "secrets": [f"KEY {web.url}/v1/"],
    }
