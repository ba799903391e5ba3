"""The command, called in this process, on a node of its own whose guests are compiled already."""

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.fake_client import FakeClient
from tests.guests import wat
from tests.server.process import RunningServer
from theater.cli.main import main
from theater.engine import WasmtimeEngine
from theater.model.ids import Digest
from theater.runtime.server_files import ServerFile, hold_server_lock, write_server_file
from theater.store import DataDir

COMMAND = [sys.executable, "-c", "import sys; from theater.cli.main import main; sys.exit(main())"]
"""The command as a process."""

GUESTS = {
    "counter": wat.COUNTER,
    "moody": wat.MOODY,
    "echo": wat.ECHO,
    "remember": wat.REMEMBER,
    "logger": wat.LOGGER,
    "sleeper": wat.SLEEPER,
    "silent": wat.SILENT,
    "refuse-init": wat.REFUSE_INIT,
    "trap-init": wat.TRAP_INIT,
    "last-words": wat.LAST_WORDS,
    "command": wat.COMMAND,
    "failing-command": wat.FAILING_COMMAND,
    "hidden": wat.HIDDEN,
    "stranger": wat.STRANGER,
}


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> object:
        """The one document of ``--json``."""
        return json.loads(self.out)

    @property
    def table(self) -> dict[str, object]:
        """The document, where it is an object."""
        document = self.document
        assert isinstance(document, dict)
        return document

    @property
    def rows(self) -> list[dict[str, object]]:
        """The document, where it is an array of objects."""
        document = self.document
        assert isinstance(document, list)
        return document


Theater = Callable[..., Result]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every guest as ``NAME.wasm``, and a data directory with a cache in which all of them are compiled."""
    folder = tmp_path_factory.mktemp("stage")
    (folder / "data").mkdir(mode=0o700)
    engine = WasmtimeEngine(folder / "data" / "cache")

    def compiled(name: str) -> None:
        path = folder / f"{name}.wasm"
        path.write_bytes(engine.assemble(GUESTS[name]))
        digest = Digest(hashlib.sha256(path.read_bytes()).hexdigest())
        engine.load(path, digest, is_suspending=lambda _interface, _function: False)

    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(compiled, GUESTS))
    finally:
        engine.close()
    return folder


@pytest.fixture
def place(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the guests are in it, and the node's data in ``data``."""
    for file in stage.glob("*.wasm"):
        (tmp_path / file.name).symlink_to(file)
    shutil.copytree(stage / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THEATER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


@pytest.fixture
def theater(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Theater]:
    """Run a command line in ``place``; ``stdin`` is what is piped into it."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    yield run
    del place


@pytest.fixture
def counter(theater: Theater) -> str:
    """The id of an actor that has counted to 5: two requests, eight events."""
    done = theater("run", "counter.wasm", "--request", '{"by":2}', "--request", '{"by":3}', "--json")
    assert done.code == 0
    return str(done.table["id"])


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """The client of every command."""
    fake = FakeClient()
    monkeypatch.setattr("theater.cli.session.Session.client", lambda _self: fake)
    monkeypatch.setattr("theater.cli.session.Session.has_server", lambda _self: True)
    return fake


@pytest.fixture
def server(place: Path) -> Iterator[RunningServer]:
    """It holds the data directory of ``place``."""
    with RunningServer(place) as running:
        yield running


@pytest.fixture
def own(place: Path, client: FakeClient) -> Iterator[DataDir]:
    """The data directory, while the client's server serves it."""
    folder = DataDir(place / "data")
    folder.hold("theater server")
    try:
        with hold_server_lock(folder):
            write_server_file(folder, ServerFile(client.url, "t" * 43, 1, "0", "2026-01-01T00:00:00.000000Z"))
            yield folder
    finally:
        folder.release()
