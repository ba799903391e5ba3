"""The reference of the HTTP interface is complete, and its commands work as they stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.guests import wat
from tests.guests.puppet import CAPABILITIES, puppet_manifest
from tests.runtime.troupe import text_of
from tests.server.process import RunningServer
from theater.client import Client, find
from theater.engine import WasmtimeEngine
from theater.model import wire
from theater.server.endpoint import Endpoint
from theater.server.problem import ROWS
from theater.server.routes import ENDPOINTS

HTTP = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
PATIENCE_S = 60
PLACES = ("id", "digest")


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def section(name: str) -> str:
    _, found, rest = HTTP.partition(f"\n### {name}\n")
    assert found, f"http.md has no heading '### {name}'"
    return re.split(r"\n##", rest, maxsplit=1)[0]


def commands(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_endpoint_has_its_heading_and_no_heading_is_left_over() -> None:
    headings = re.findall(r"^### (.+)$", HTTP, re.MULTILINE)

    assert sorted(headings) == sorted(map(name_of, ENDPOINTS))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
def test_every_endpoint_says_its_scope_its_parameters_and_how_it_is_asked(endpoint: Endpoint) -> None:
    text = section(name_of(endpoint))

    assert text.lstrip().startswith(f"Scope `{endpoint.scope}`." if endpoint.scope else "No token is wanted.")
    for parameter in endpoint.parameters:
        assert parameter.name in PLACES or re.search(rf"`{parameter.name}[`:=]", text), parameter.name
    assert [command for command in commands(text) if "curl " in command]


def test_every_code_has_its_row_with_its_status_and_no_row_is_left_over() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", HTTP, re.MULTILINE)

    assert len(rows) == len(dict(rows))
    assert {code: int(status) for code, status in rows} == {code: status for code, (status, _) in ROWS.items()}


def test_every_field_of_a_start_has_its_row() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", section("POST /v1/actors"), re.MULTILINE)

    assert rows == list(wire.StartOrder.__struct_fields__)


def test_the_example_of_a_problem_is_one() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", HTTP, re.MULTILINE | re.DOTALL)
    document = json.loads(example)

    assert set(document) == set(wire.Problem.__struct_fields__)
    assert ROWS[document["code"]] == (document["status"], document["title"])


class Shell:
    """Runs commands as they stand there, in a folder, against a server."""

    def __init__(self, server: RunningServer, folder: Path) -> None:
        self.folder = folder
        self.environ = server.environ | {"URL": server.url, "TOKEN": server.token}

    def run(self, command: str) -> str:
        """What they print, each as it would: an answer that is a problem is a failure."""
        fails = re.sub(r"\bcurl -s", "curl --fail-with-body -s", command)
        done = subprocess.run(
            ["sh", "-euc", fails],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
def test_every_command_works_as_it_stands_there(tmp_path: Path) -> None:
    for name in ("here", "there"):
        file = tmp_path / name / "config" / "theater" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_text('[ceiling.messaging]\nto = ["any"]\n')
    with RunningServer(tmp_path / "here") as here, RunningServer(tmp_path / "there") as there:
        engine = WasmtimeEngine(tmp_path / "cache")
        (tmp_path / "counter.wasm").write_bytes(engine.assemble(wat.COUNTER))
        start_talker(here, engine.assemble(text_of(("channels",))))
        engine.close()
        first = "".join(command for command in commands(HTTP.partition("## The node")[0]) if "token)" not in command)
        shell, other = Shell(here, tmp_path), Shell(there, tmp_path)
        shell.run(first)
        for name in re.findall(r"^### (.+)$", HTTP, re.MULTILINE):
            for command in commands(section(name)):
                said = (other if name == "POST /v1/bundles" else shell).run(command)
                if name == "PUT /v1/blobs/{digest}":
                    shell.environ["DIGEST"] = json.loads(said)["digest"]
                if name == "POST /v1/actors/{id}/channels":
                    shell.environ["CHANNEL"] = json.loads(said)["channel"]
        assert (tmp_path / "copy.wasm").read_bytes() == (tmp_path / "counter.wasm").read_bytes()
        with Client.at(find(here.environ)) as client:
            assert [row.name for row in client.actors()] == ["anna", "counter-fork"]
        with Client.at(find(there.environ)) as client:
            assert [row.name for row in client.actors()] == ["counter"]


def start_talker(server: RunningServer, component: bytes) -> None:
    """An actor that takes channels."""
    with Client.at(find(server.environ)) as client:
        digest = client.put_blob(component).digest
        client.start(wire.StartOrder(manifest=puppet_manifest(digest, "anna", capabilities=CAPABILITIES)))
