"""Guests in other languages, built by their own toolchains from the sources beside this file.

Each is built once and kept in ``.pytest_cache`` until its sources or its toolchain change. Where a toolchain is not
there, the test that asks for it is skipped and says how to get it; ``make toolchains`` gets all that can be had.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from theater.engine import WasmtimeEngine
from theater.model.ids import Digest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INSTALLED = ROOT / ".toolchains"
"""What ``make toolchains`` installs beyond what the machine has."""
CACHE = ROOT / ".pytest_cache" / "toolchains"
BUILD_TIMEOUT_S = 300

RUST_TARGET = "wasm32-wasip2"
JCO = INSTALLED / "node" / "node_modules" / ".bin" / "jco"
ZIG = INSTALLED / "python"
COMPONENTIZE_PY = Path(sys.executable).with_name("componentize-py")


_OUT_OF_REACH = re.compile(
    r".*(Could not resolve host|failed to download|Unable to update registry|network failure|dial tcp"
    r"|requires rustc|requires go >=|is not supported by the following package).*"
)
"""What a toolchain says that reaches no registry, or is too old for the guest: it is as good as not there."""


@dataclass(frozen=True)
class Guest:
    """A component to be built."""

    name: str
    tools: tuple[str, ...]
    """What it is built with: keys of ``missing``."""
    sources: tuple[str, ...]
    """Files and folders beside this file."""
    folder: str
    """Where its commands run, beside this file."""
    commands: tuple[tuple[str, ...], ...]
    """In them ``{made}`` is a folder for what is made, in which the last one leaves the component."""
    component: str = "guest.wasm"
    environ: Mapping[str, str] = field(default_factory=dict)


def _rust(name: str) -> Guest:
    return Guest(
        name=f"rust-{name}",
        tools=("rust",),
        sources=("rust",),
        folder="rust",
        commands=(
            ("cargo", "build", "--quiet", "--locked", "--release", "--target", RUST_TARGET, "--package", name),
            ("cp", f"{{shared}}/cargo/{RUST_TARGET}/release/{name}.wasm", "{made}/guest.wasm"),
        ),
        environ={"CARGO_TARGET_DIR": "{shared}/cargo"},
    )


def _javascript(name: str, *disabled: str) -> Guest:
    command = ("node", str(JCO), "componentize", f"{name}.js", "--wit", "../wit", "--world-name", name)
    return Guest(
        name=f"javascript-{name}",
        tools=("node",),
        sources=(f"javascript/{name}.js", "wit"),
        folder="javascript",
        commands=((*command, *(f"--disable={feature}" for feature in disabled), "-o", "{made}/guest.wasm"),),
    )


def _python(name: str, *modules: str) -> Guest:
    command = (str(COMPONENTIZE_PY), "--quiet", "-d", "../wit", "-w", name, "componentize", name)
    return Guest(
        name=f"python-{name}",
        tools=("componentize-py",),
        sources=(f"python/{name}.py", *(f"python/{module}.py" for module in modules), "wit"),
        folder="python",
        commands=((*command, "-o", "{made}/guest.wasm"),),
    )


WRAP = ("node", str(JCO), "new", "{made}/core.wasm", "--wasi-command", "-o", "{made}/guest.wasm")
"""A core module of WASI's first preview becomes a component of its second."""

ZIG_CC = ("{python}", "-m", "ziglang", "cc", "--target=wasm32-wasi", "-Os", "-Wall", "-Wextra", "-Werror", "-s")

GUESTS = (
    _rust("command"),
    Guest(
        name="c-command",
        tools=("zig", "node"),
        sources=("c",),
        folder="c",
        commands=(
            (*ZIG_CC, "command.c", "-o", "{made}/core.wasm"),
            WRAP,
        ),
        environ={"PYTHONPATH": str(ZIG)},
    ),
    Guest(
        name="go-command",
        tools=("go", "node"),
        sources=("go",),
        folder="go",
        commands=(("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "{made}/core.wasm", "."), WRAP),
        environ={"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local", "GOFLAGS": ""},
    ),
    _javascript("command", "fetch-event"),
    _python("command", "client"),
    _rust("client"),
    _rust("service"),
    _javascript("service"),
    _python("service", "client"),
)


@functools.cache
def missing(tool: str) -> str | None:
    """Why guests cannot be built with it, None where they can."""
    match tool:
        case "rust":
            if shutil.which("rustc") is None or shutil.which("cargo") is None:
                return "Rust is not there: get it by rustup"
            sysroot = Path(_said("rustc", "--print", "sysroot"))
            if not (sysroot / "lib" / "rustlib" / RUST_TARGET).is_dir():
                return f"Rust has no {RUST_TARGET}: rustup target add {RUST_TARGET}"
        case "go":
            if shutil.which("go") is None:
                return "Go 1.24 is not there"
        case "node":
            if shutil.which("node") is None:
                return "Node is not there"
            if not JCO.exists():
                return "jco is not there: make toolchains"
        case "zig":
            if not (ZIG / "ziglang").is_dir():
                return "zig is not there: make toolchains"
        case "componentize-py":
            if not COMPONENTIZE_PY.exists():
                return "componentize-py is not there: pip install theater[python]"
        case _:
            raise AssertionError(tool)
    return None


@dataclass(frozen=True)
class Built:
    """A component, and a folder with its compiled code for a data directory."""

    component: Path
    compiled: Path

    def data_dir(self, folder: Path) -> Path:
        """A data directory, made in ``folder``, whose node need not compile it again."""
        made = folder / "node"
        made.mkdir(mode=0o700)
        shutil.copytree(self.compiled, made / "cache")
        return made


def build(name: str) -> Built:
    """The guest of that name. Skips the test where its toolchain is missing."""
    [guest] = [guest for guest in GUESTS if guest.name == name]
    for tool in guest.tools:
        why = missing(tool)
        if why is not None:
            pytest.skip(why)
    folder = CACHE / guest.name / _key(guest)
    built = Built(folder / guest.component, folder / "compiled")
    with _alone(CACHE / guest.name):
        if not built.component.exists():
            for old in CACHE.glob(f"{guest.name}/*/"):
                shutil.rmtree(old)
            made = CACHE / guest.name / "made"
            made.mkdir()
            _make(guest, made)
            _compile(made / guest.component, made / "compiled")
            made.rename(folder)
    return built


def _make(guest: Guest, made: Path) -> None:
    places = {"made": str(made), "shared": str(CACHE), "python": sys.executable}
    environ = {name: value.format(**places) for name, value in guest.environ.items()}
    for command in guest.commands:
        done = subprocess.run(
            [part.format(**places) for part in command],
            cwd=HERE / guest.folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        out_of_reach = _OUT_OF_REACH.search(said) if done.returncode else None
        if out_of_reach is not None:
            pytest.skip(f"{guest.name} cannot be built here: {out_of_reach[0].strip()}")
        assert done.returncode == 0, f"{' '.join(command)}:\n{said}"


def _compile(component: Path, cache: Path) -> None:
    engine = WasmtimeEngine(cache)
    try:
        digest = Digest(hashlib.sha256(component.read_bytes()).hexdigest())
        engine.load(component, digest, is_suspending=lambda _interface, _function: False)
    finally:
        engine.close()


def _key(guest: Guest) -> str:
    """Differs where the sources, the commands or the tools do."""
    found = hashlib.sha256(repr((guest.commands, [_version(tool) for tool in guest.tools])).encode())
    for source in guest.sources:
        top = HERE / source
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


@functools.cache
def _version(tool: str) -> str:
    match tool:
        case "rust":
            return _said("rustc", "--version")
        case "go":
            return _said("go", "version")
        case "node":
            return (INSTALLED / "node" / "package-lock.json").read_text()
        case "zig":
            return str([path.name for path in ZIG.glob("ziglang-*")])
        case _:
            return _said(str(COMPONENTIZE_PY), "--version")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time builds a guest."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
