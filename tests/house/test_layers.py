"""The layers hold, and each rule is shown to strike.

    errors <- model <- {chain, store, engine, capabilities, build} <- runtime <- {server, client, testing} <- cli

Imports go leftward only, and those in braces do not know each other. The sources are read, never imported, so that an
import under `TYPE_CHECKING` counts like any other.
"""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "theater"

LAYERS = (
    {"errors"},
    {"model"},
    {"chain", "store", "engine", "capabilities", "build"},
    {"runtime"},
    {"server", "client", "testing"},
    {"cli"},
)
LEVEL_OF = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# The package itself (`theater/__init__.py`) re-exports what users import: the runtime, and what the runtime may see.
FACADE = "theater"
FACADE_LEVEL = LEVEL_OF["runtime"]

# A library that shapes the code around it stays behind the part that is there to hide it.
KEPT_IN = {
    "wasmtime": {"engine"},
    "sqlite3": {"store"},
    "starlette": {"server"},
    "uvicorn": {"server", "capabilities"},
    "httptools": {"server", "capabilities"},
    "uvloop": {"server", "capabilities"},
    "websockets": {"capabilities"},
    "prometheus_client": {"server"},
    "httpx": {"client", "capabilities"},
    "typer": {"cli"},
    "rich": {"cli"},
    "prompt_toolkit": {"cli"},
    "watchfiles": {"cli"},
}

# Pure parts get time and entropy as arguments or through ports; files and the network are other people's work.
PURE = {"model", "chain"}
IMPURE_MODULES = {
    "asyncio",
    "concurrent",
    "ctypes",
    "fcntl",
    "http",
    "io",
    "logging",
    "mmap",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}
PATH_TYPES = {"Path", "PurePath", "PurePosixPath"}  # may be named in a signature; making and reading a `Path` is I/O

# Copied into an actor's folder and run inside the sandbox: data to us.
GUEST_CODE = (("build", "guest"), ("build", "templates"))


def layer_violations(package: Path) -> list[str]:
    """One line, `file:line: what is wrong`, for each import below `package` that breaks a rule."""
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        if parts[:2] in GUEST_CODE:
            continue
        part = _part_of(parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        problems = [(1, f"'{part}' is in no layer")] if part not in {*LEVEL_OF, FACADE} else []
        for line, module in _imports(tree):
            problems += [(line, text) for text in _import_problems(part, module)]
        problems += [(line, "import inside a function") for line in _imports_in_functions(tree)]
        if part in PURE:
            problems += [(line, f"'{part}' is pure and may not call {name}()") for line, name in _impure_calls(tree)]
        found += [f"{path.relative_to(package)}:{line}: {text}" for line, text in sorted(set(problems))]
    return found


def _part_of(parts: tuple[str, ...]) -> str:
    first = parts[0].removesuffix(".py")
    return FACADE if first == "__init__" else first


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every imported name, whole: `from a.b import c` gives `a.b.c`. A relative import gives a leading dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def _import_problems(part: str, module: str) -> Iterator[str]:
    if module.startswith("."):
        yield "relative import: write the whole name"
        return
    top, *rest = module.split(".")
    if top == FACADE:
        yield from _layer_problems(part, rest)
    if part not in KEPT_IN.get(top, {part}):
        yield f"'{part}' may not import {top}: it is kept in {', '.join(sorted(KEPT_IN[top]))}"
    if part in PURE and (top in IMPURE_MODULES or (top == "pathlib" and not {*rest} & PATH_TYPES)):
        yield f"'{part}' is pure and may not import {top}"


def _layer_problems(part: str, rest: list[str]) -> Iterator[str]:
    target = rest[0] if rest and rest[0] in LEVEL_OF else FACADE
    if part == target or part not in {*LEVEL_OF, FACADE}:
        return
    if target == FACADE:
        # `theater.__version__` and the like; what the package re-exports has a home of its own, to be imported from.
        if rest != ["__version__"]:
            yield f"'{part}' may not import {'.'.join([FACADE, *rest])}: import from the layer that has it"
        return
    level = FACADE_LEVEL if part == FACADE else LEVEL_OF[part] - 1
    if LEVEL_OF[target] > level:
        yield f"'{part}' may not import theater.{target}: imports go leftward only"


def _imports_in_functions(tree: ast.AST) -> Iterator[int]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (node.lineno for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom))


def _impure_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id="input" | "open" | "print" | "Path" as name):
                    yield node.lineno, name
                case ast.Attribute(value=ast.Name(id="Path"), attr=name):
                    yield node.lineno, name
                case ast.Attribute(attr="read_bytes" | "read_text" | "write_bytes" | "write_text" as name):
                    yield node.lineno, name
                case ast.Attribute(attr="is_dir" | "is_file" | "iterdir" | "mkdir" | "rglob" | "unlink" as name):
                    yield node.lineno, name
                # datetime.now(), date.today(), datetime.datetime.utcnow()
                case ast.Attribute(
                    value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date"),
                    attr="now" | "today" | "utcnow" as name,
                ):
                    yield node.lineno, name


# Where the code is planted, the code, and what the report says.
FORBIDDEN = [
    # Rightward.
    ("errors.py", "import theater.model", "'errors' may not import theater.model"),
    ("model/planted.py", "import theater.chain.event", "'model' may not import theater.chain"),
    ("model/planted.py", "from theater.store import sqlite", "'model' may not import theater.store"),
    ("model/planted.py", "from theater import engine", "'model' may not import theater.engine"),
    ("engine/planted.py", "from theater.runtime.node import Node", "'engine' may not import theater.runtime"),
    ("runtime/planted.py", "from theater.server import app", "'runtime' may not import theater.server"),
    ("runtime/planted.py", "from theater.testing import clock", "'runtime' may not import theater.testing"),
    ("testing/planted.py", "import theater.cli.main", "'testing' may not import theater.cli"),
    ("__init__.py", "from theater.server import app", "'theater' may not import theater.server"),
    ("model/planted.py", "from theater import Runtime", "'model' may not import theater.Runtime"),
    # Sideways.
    ("chain/planted.py", "from theater.store import memory", "'chain' may not import theater.store"),
    ("store/planted.py", "from theater.chain import event", "'store' may not import theater.chain"),
    ("engine/planted.py", "from theater.capabilities import timing", "'engine' may not import theater.capabilities"),
    ("capabilities/planted.py", "from theater.engine import step", "'capabilities' may not import theater.engine"),
    ("build/planted.py", "from theater.engine import wat", "'build' may not import theater.engine"),
    ("server/planted.py", "from theater.client import Client", "'server' may not import theater.client"),
    ("client/planted.py", "from theater.server import app", "'client' may not import theater.server"),
    # Dodges.
    ("runtime/planted.py", "def late():\n    from theater.model import ids", "import inside a function"),
    ("runtime/planted.py", "class A:\n    async def late(self):\n        import json", "import inside a function"),
    ("model/planted.py", "if TYPE_CHECKING:\n    import theater.runtime", "'model' may not import theater.runtime"),
    ("model/planted.py", "from ..store import sqlite", "relative import"),
    ("helping/planted.py", "x = 1", "'helping' is in no layer"),
    # Libraries.
    ("runtime/planted.py", "import wasmtime", "'runtime' may not import wasmtime"),
    ("build/planted.py", "from wasmtime.component import Component", "'build' may not import wasmtime"),
    ("runtime/planted.py", "import sqlite3", "'runtime' may not import sqlite3"),
    ("chain/planted.py", "import sqlite3", "'chain' may not import sqlite3"),
    ("client/planted.py", "from starlette.applications import Starlette", "'client' may not import starlette"),
    ("cli/planted.py", "import uvicorn", "'cli' may not import uvicorn"),
    ("engine/planted.py", "import uvloop", "'engine' may not import uvloop: it is kept in capabilities, server"),
    ("runtime/planted.py", "from httptools import parse_url", "'runtime' may not import httptools"),
    ("server/planted.py", "from websockets import frames", "'server' may not import websockets"),
    ("capabilities/planted.py", "import starlette", "'capabilities' may not import starlette"),
    ("server/planted.py", "import httpx", "'server' may not import httpx"),
    ("server/planted.py", "import typer", "'server' may not import typer"),
    ("runtime/planted.py", "from rich.console import Console", "'runtime' may not import rich"),
    # Purity.
    *[
        (f"{part}/planted.py", f"import {module}", f"'{part}' is pure and may not import {module}")
        for part in sorted(PURE)
        for module in sorted(IMPURE_MODULES)
    ],
    ("model/planted.py", "from os.path import exists", "'model' is pure and may not import os"),
    ("model/planted.py", "from pathlib import Path\nx = Path('a')", "'model' is pure and may not call Path()"),
    ("model/planted.py", "x = Path.cwd()", "'model' is pure and may not call cwd()"),
    ("chain/planted.py", "def f(path): return path.read_bytes()", "'chain' is pure and may not call read_bytes()"),
    ("chain/planted.py", "def f(path): return path.mkdir()", "'chain' is pure and may not call mkdir()"),
    ("chain/planted.py", "import pathlib", "'chain' is pure and may not import pathlib"),
    ("chain/planted.py", "print(1)", "'chain' is pure and may not call print()"),
    ("model/planted.py", "with open('x') as f: pass", "'model' is pure and may not call open()"),
    ("model/planted.py", "datetime.now(UTC)", "'model' is pure and may not call now()"),
    ("chain/planted.py", "datetime.date.today()", "'chain' is pure and may not call today()"),
]

ALLOWED = [
    ("errors.py", "import enum"),
    (
        "model/planted.py",
        "from theater.errors import TheaterError\nfrom pathlib import Path\ndef f(p: Path) -> Path: ...",
    ),
    ("model/planted.py", "from datetime import datetime\nx = datetime.fromisoformat('2000-01-01')"),
    ("chain/planted.py", "import hashlib\nfrom theater.model import ids"),
    ("engine/planted.py", "import wasmtime\nimport os\nfrom theater.engine import guard"),
    ("store/planted.py", "import sqlite3"),
    ("capabilities/planted.py", "import httpx\nimport httptools\nimport uvicorn\nimport uvloop\nimport websockets"),
    ("server/planted.py", "from theater.capabilities.http_listener import protocol\nimport uvicorn"),
    ("runtime/planted.py", "from theater import __version__\nfrom theater.build import project\nimport theater.store"),
    ("cli/planted.py", "import rich\nimport typer\nfrom theater.server import app\nfrom theater.errors import X"),
    ("__init__.py", "from theater.errors import TheaterError\nfrom theater.runtime import Runtime"),
    ("build/guest/sdk.py", "import wit_world\ndef late():\n    import time"),
    ("build/templates/python/actor.py", "from . import anything"),
]


def test_the_sources_keep_the_layers() -> None:
    assert layer_violations(SOURCE) == []


@pytest.mark.parametrize(("where", "code", "report"), FORBIDDEN)
def test_a_forbidden_import_is_reported(tmp_path: Path, where: str, code: str, report: str) -> None:
    _plant(tmp_path / where, code)

    violations = layer_violations(tmp_path)

    assert len(violations) == 1
    assert violations[0].startswith(f"{where}:")
    assert report in violations[0]


@pytest.mark.parametrize(("where", "code"), ALLOWED)
def test_an_allowed_import_is_not_reported(tmp_path: Path, where: str, code: str) -> None:
    _plant(tmp_path / where, code)

    assert layer_violations(tmp_path) == []


def test_one_forbidden_import_among_the_real_sources_is_reported(tmp_path: Path) -> None:
    copy = tmp_path / "theater"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.wasm"))
    before = layer_violations(copy)
    _plant(copy / "model" / "planted.py", "import time")

    assert set(layer_violations(copy)) - set(before) == {"model/planted.py:1: 'model' is pure and may not import time"}


def _plant(path: Path, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
