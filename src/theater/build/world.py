"""The world that a component is built for: no more imports than the manifest asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources

VERSION = "0.1.0"
WORLD = "program"

NOT_IMPORTED = frozenset({"timing"})
"""Interfaces of which hosts may answer a part only, as this version does. A toolchain that imports an interface imports
the whole of it, used or not; Python's own ``time`` and ``datetime`` go through WASI and need none of this."""

COMMAND_WIT = "package wasi:cli@0.2.0;\n\ninterface run {\n    run: func() -> result;\n}\n"


def read_interfaces() -> dict[str, bytes]:
    """The project's own WIT files by name."""
    folder = resources.files("theater") / "wit"
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.name.endswith(".wit")}


def actor_world(capabilities: Iterable[str], interfaces: Mapping[str, bytes]) -> dict[str, bytes]:
    """WIT files, by path, for an actor with these capabilities; ``runtime`` is always there.

    A capability without an interface of its name needs no import (``wasi``), or is none: whoever reads the whole
    manifest says so.
    """
    imports = _imports({"runtime", *capabilities}, interfaces)
    return _world([*imports, f"export theater:actor/actor@{VERSION};"], interfaces)


def command_world(capabilities: Iterable[str], interfaces: Mapping[str, bytes]) -> dict[str, bytes]:
    """WIT files, by path, for a program that exports ``wasi:cli/run`` and may know nothing of Theater."""
    files = _world([*_imports(set(capabilities), interfaces), "export wasi:cli/run@0.2.0;"], interfaces)
    return {**files, "deps/wasi-cli/run.wit": COMMAND_WIT.encode()}


def _imports(capabilities: set[str], interfaces: Mapping[str, bytes]) -> list[str]:
    wanted = sorted(name for name in capabilities - NOT_IMPORTED if f"{name}.wit" in interfaces)
    return [f"import theater:actor/{name}@{VERSION};" for name in wanted]


def _world(items: list[str], interfaces: Mapping[str, bytes]) -> dict[str, bytes]:
    text = f"package theater:built;\n\nworld {WORLD} {{\n" + "".join(f"    {item}\n" for item in items) + "}\n"
    deps = {f"deps/theater-actor/{name}": data for name, data in interfaces.items()}
    return {"world.wit": text.encode(), **deps}
