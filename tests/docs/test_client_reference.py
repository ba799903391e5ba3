"""The reference of the client is complete, and its examples work as they stand there."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guests import wat
from tests.server.process import RunningServer
from theater import errors
from theater.client import Client, find
from theater.engine import WasmtimeEngine
from theater.model import wire

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "client.md").read_text(encoding="utf-8")
METHODS = {name for name in dir(Client) if not name.startswith("_")} - {"at", "url"}
ROWS = dict(
    re.findall(r"^\| `(\w+)\(([^`]*)\)` \|", TEXT.partition("\n## Methods\n")[2].partition("\n## ")[0], re.MULTILINE)
)
PATIENCE_S = 60


def test_every_method_has_its_row_and_no_row_is_left_over() -> None:
    assert set(ROWS) == METHODS


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_row_has_the_arguments_as_they_are(name: str) -> None:
    parameters = list(inspect.signature(getattr(Client, name)).parameters.values())[1:]
    written = [part.strip().partition("=") for part in ROWS[name].split(",") if part.strip()]

    assert [part[0] for part in written] == [parameter.name for parameter in parameters]
    defaults = [part[2] for part in written]
    found = ["" if item.default is item.empty else repr(item.default) for item in parameters]
    assert all(one in (other, "...") for one, other in zip(defaults, found, strict=True))


def test_finding_is_written_as_it_is() -> None:
    (written,) = re.findall(r"`find\((.*)\)` \|", TEXT)

    assert written == "environ, data_dir=None, server=None"
    assert [item.name for item in inspect.signature(find).parameters.values()] == ["environ", "data_dir", "server"]


def test_what_is_named_is_there() -> None:
    table = TEXT.partition("\n## Errors\n")[2]
    for name in re.findall(r"`([A-Z]\w+)`", table):
        assert hasattr(errors, name), name
    for name in re.findall(r"^\| `\w+\(.*?\)` \| (?:iterator of )?`([A-Z]\w+)`", TEXT, re.MULTILINE):
        assert hasattr(wire, name), name


@pytest.mark.slow
def test_the_examples_work_as_they_stand_there(tmp_path: Path) -> None:
    engine = WasmtimeEngine(tmp_path / "cache")
    (tmp_path / "counter.wasm").write_bytes(engine.assemble(wat.COUNTER))
    engine.close()
    examples = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    said: list[str] = []
    with RunningServer(tmp_path) as server:
        for example in examples:
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", example],
                cwd=tmp_path,
                env=server.environ,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)

    waiting, awaited = said
    assert waiting.startswith('{"count":2} as event 5\n3 ')
    assert "'{\"count\":12}'" in awaited
    assert awaited.endswith("0 genesis\n1 lifecycle\n2 message\n")
