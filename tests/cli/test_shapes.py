"""Every shape that the reference gives for ``--json`` is what the command prints, with a server process."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND
from tests.guests import puppet, wat
from tests.guests.puppet import puppet_manifest, puppet_wat
from tests.server.process import RunningServer
from theater.cli.commands import ROWS, Row

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
PATIENCE_S = 60.0

_HEADING = re.compile(r"^### `theater ([a-z-]+(?: [a-z]+)*)", re.MULTILINE)
_MARK = "\n`--json`: "
_TOKEN = re.compile(r'"([a-z_]+)"|(\{|\}|\[|\]|:|,|…)|([A-Z]+)')

Shape = dict[str, object] | list[object] | None
"""An object by its keys, an array with the shape of each item, or a value that the reference leaves open."""


# -- the reference ---------------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """What is said of each command's document, by the command."""
    headings = list(_HEADING.finditer(REFERENCE))
    ends = [heading.start() for heading in headings[1:]] + [len(REFERENCE)]
    texts = {found[1]: REFERENCE[found.end() : end] for found, end in zip(headings, ends, strict=True)}
    return {name: text.partition(_MARK)[2].partition("\n\n")[0] for name, text in texts.items()}


def shapes_of(name: str) -> list[Shape]:
    """The shapes that stand in a command's section, in their order."""
    text = sections()[name]
    same = re.match(r"as for `([a-z]+)`", text)
    if same is not None:
        return shapes_of(same[1])
    spans = re.findall(r"`([^`]+)`", text)
    return [shape for shape in map(read_shape, spans) if shape is not None]


def read_shape(span: str) -> Shape:
    """What is written in a span of code; None where that is a word."""
    if span[:1] not in ("{", "["):
        return None
    return _value(_TOKEN.finditer(span))


def _value(tokens: Iterator[re.Match[str]]) -> Shape:
    token = next(tokens)
    if token[2] == "[":
        item = _value(tokens)
        while next(tokens)[2] != "]":
            pass
        return [item]
    if token[2] == "{":
        return _object(tokens)
    return None


def _object(tokens: Iterator[re.Match[str]]) -> Shape:
    found: dict[str, object] = {}
    key = ""
    for token in tokens:
        match token[2]:
            case "}":
                return found or None
            case "…":
                if not found:  # an object of which nothing is said
                    assert next(tokens)[2] == "}"
                    return None
            case ":":
                found[key] = _value(tokens)
            case ",":
                pass
            case _ if token[1]:
                key = token[1]
                found[key] = None
            case _:  # any key
                key = "*"
    raise AssertionError(f"no end after {key}")


def check(document: object, shape: object, where: str) -> None:
    """Fail unless a document has exactly the keys of the shape, wherever that says some."""
    match shape:
        case list():
            assert isinstance(document, list), where
            assert document, f"{where}: nothing in it shows its shape"
            for item in document:
                check(item, shape[0], f"{where}[]")
        case {"*": inner}:
            assert isinstance(document, dict), where
            for key, value in document.items():
                check(value, inner, f"{where}.{key}")
        case dict():
            assert isinstance(document, dict), where
            assert list(document) == list(shape), where
            for key, inner in shape.items():
                if document[key] is not None and document[key] != []:
                    check(document[key], inner, f"{where}.{key}")


def test_shapes_are_read_as_they_are_written() -> None:
    assert read_shape('{"a","b":{…},"c":[{"d","e":…}],"f":[ID,…]}') == {
        "a": None,
        "b": None,
        "c": [{"d": None, "e": None}],
        "f": [None],
    }
    assert read_shape('[{"id"}]') == [{"id": None}]
    assert read_shape("error") is None


# -- the commands ----------------------------------------------------------------------------------------------------


class Stage:
    """A folder with guests, a server, and commands as processes; what was asked for is checked and remembered."""

    def __init__(self, folder: Path, server: RunningServer) -> None:
        self.folder = folder
        self.server = server
        self.checked: set[str] = set()

    def run(self, *arguments: str, stdin: str = "") -> str:
        """A command's stdout, with ``--json``."""
        done = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            cwd=self.folder,
            env=self.server.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, (arguments, done)
        return done.stdout

    def document(self, name: str, *arguments: str, shape: int = 0) -> dict[str, object]:
        """The one document of a command, with the first shape of the reference, or another one."""
        document = json.loads(self.run(*name.split(), *arguments))  # nothing else is on stdout
        self.check(name, document, shape)
        return document if isinstance(document, dict) else {"": document}

    def check(self, name: str, document: object, shape: int = 0) -> None:
        """Fail unless it is what the reference says of the command."""
        check(document, shapes_of(name)[shape], f"theater {name}")
        self.checked.add(name)

    def lines(self, count: int, *arguments: str) -> list[dict[str, object]]:
        """The first documents of a command that goes on until it is interrupted."""
        with subprocess.Popen(
            [*COMMAND, *arguments, "--json"],
            cwd=self.folder,
            env=self.server.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                found = [json.loads(process.stdout.readline()) for _ in range(count)]
            finally:
                process.send_signal(signal.SIGINT)
        assert process.returncode == 130
        return found


@pytest.fixture
def stage(place: Path) -> Iterator[Stage]:
    with RunningServer(place) as server:
        yield Stage(place, server)


def making(stage: Stage) -> None:
    stage.document("create", "made")
    project = stage.folder / "project"
    project.mkdir()
    (project / "actor.wat").write_text(wat.COUNTER)
    (project / "theater.toml").write_text('name = "project"\ncomponent = "build/project.wasm"\n')
    stage.document("build", "project")
    stage.document("validate", "project")
    stage.document("inspect-component", "moody.wasm")
    for shape, line in zip((1, 0, 2), stage.lines(3, "watch", "project"), strict=True):
        stage.check("watch", line, shape)


def acting(stage: Stage) -> None:
    ran = stage.document("run", "moody.wasm", "--request", '{"by":1}')
    assert ran["replies"] == [{"count": 1}]
    failed = subprocess.run(
        [*COMMAND, "run", "--id", "moody", "--request", '"refuse"', "--request", '"trap"', "--json"],
        cwd=stage.folder,
        env=stage.server.environ,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert failed.returncode == 1
    document = json.loads(failed.stdout)
    stage.check("run", document)
    assert document["refused"]
    assert document["crashed"]
    stage.document("start", "logger.wasm")
    stage.document("request", "logger", '{"times":2}')
    stage.document("send", "logger", "1")
    for name in ("list", "tree", "inspect", "pause", "resume", "stop", "restart"):
        stage.document(name, *(() if name in ("list", "tree") else ("logger",)))
    check([json.loads(stage.run("tree", "logger"))], shapes_of("tree")[0], "theater tree ID")
    stage.document("upgrade", "logger", "logger.wasm")
    stage.document("top", "--interval", "100ms")


def looking(stage: Stage) -> None:
    for name in ("events", "state", "logs", "verify", "replay", "grants suggest"):
        stage.document(name, "logger")
    stage.document("grants suggest", "logger", "--component", "counter.wasm", shape=1)
    (first,) = stage.lines(1, "subscribe", "logger", "--from", "0")
    check([first], shapes_of("events")[0], "theater subscribe")
    stage.checked.add("subscribe")
    (written,) = stage.lines(1, "logs", "-f", "logger")
    check([written], shapes_of("logs")[0], "theater logs -f")
    (stage.folder / "puppet.wat").write_text(puppet_wat(handlers=["channels"]))
    manifest = puppet_manifest("0" * 64, "puppet", capabilities={"messaging": "", "supervisor": "", "timing": ""})
    manifest = manifest.replace("sha256:" + "0" * 64, "puppet.wat")
    (stage.folder / "puppet.toml").write_text(manifest)
    stage.document("start", "puppet.toml")
    said = json.dumps(puppet.send_on_channel(puppet.ABOUT, puppet.Json("1")))
    opening = json.dumps(puppet.reply("welcome"))
    heard = stage.run("channel", "puppet", "--open", opening, stdin=f"{said}\n").splitlines()
    for index, line in zip(range(3), heard, strict=True):
        stage.check("channel", json.loads(line), index)


def keeping(stage: Stage) -> None:
    stage.document("fork", "logger", "--at", "4")
    stage.document("export", "moody", "--output", "moody.theater")
    stage.document("stop", "logger-fork")
    stage.document("rm", "logger-fork", "--yes")
    stage.document("import", "moody.theater", "--data-dir", "other")
    stage.document("gc")
    stage.document("backup", "copy")
    stage.document("config token add", "bob")
    stage.document("config token list")
    stage.document("config token rm", "bob")
    config = stage.document("config")
    settings = config["settings"]
    assert isinstance(settings, dict)
    for key in settings:
        assert f"| `{key}` |" in REFERENCE
    stage.document("completion", "bash")
    stage.document("version")
    (listed,) = stage.run("shell", stdin="list\n").splitlines()
    check(json.loads(listed), shapes_of("list")[0], "theater shell")
    stage.checked.add("shell")


def commands(rows: object = ROWS, before: str = "") -> set[str]:
    """All that there are, but those that only hold others."""
    assert isinstance(rows, type(ROWS))
    found: set[str] = set()
    for name, row in rows.items():
        assert isinstance(row, Row)
        found |= {before + name} if row.home is not None else set()
        found |= commands(row.members, f"{before}{name} ") if row.members else set()
    return found


@pytest.mark.slow
def test_every_command_prints_what_the_reference_says(stage: Stage) -> None:
    making(stage)
    acting(stage)
    looking(stage)
    keeping(stage)

    assert stage.checked == commands() - {"server"}  # which prints nothing
    assert set(sections()) == commands()
