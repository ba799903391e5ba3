"""The world that a component is built for: no more imports than the manifest asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from importlib import resources

VERSION = "0.1.0"
WORLD = "program"

HANDLERS = {
    "channel-handlers": ("channel_opened", "channel_message", "channel_closed"),
    "supervisor-handlers": ("child_exited",),
    "event-handlers": ("child_events",),
    "http-handlers": ("http_request", "websocket_opened", "websocket_message", "websocket_closed"),
    "middleware-handlers": ("http_middleware",),
    "process-handlers": ("process_output", "process_exited"),
    "upgrade": ("migrate",),
}
"""Interfaces that an actor may export, each with the methods of a Python class that mean it."""

COMMAND_WIT = "package wasi:cli@0.2.0;\n\ninterface run {\n    run: func() -> result;\n}\n"

EXIT_WIT = """package wasi:cli@0.2.12;

interface exit {
    exit: func(status: result);
    exit-with-code: func(status-code: u8);
}
"""
"""``exit-with-code`` is unstable in the texts of 0.2; by it alone a status other than 0 and 1 gets out. The version is
above that of what CPython imports, and the interface has all of that one: the linker makes one of both."""


def read_interfaces() -> dict[str, bytes]:
    """The project's own WIT files by name."""
    folder = resources.files("theater") / "wit"
    return {item.name: item.read_bytes() for item in folder.iterdir() if item.name.endswith(".wit")}


def actor_world(
    capabilities: Iterable[str], interfaces: Mapping[str, bytes], handlers: Iterable[str] = ()
) -> dict[str, bytes]:
    """WIT files, by path, for an actor with these capabilities and handlers; ``runtime`` is always there.

    A capability without an interface of its name needs no import (``wasi``), or is none: whoever reads the whole
    manifest says so.
    """
    imports = _imports({"runtime", *capabilities}, interfaces)
    exports = [f"export theater:actor/{name}@{VERSION};" for name in ("actor", *sorted(handlers))]
    return _world([*imports, *exports], interfaces)


def find_handlers(sources: Mapping[str, bytes]) -> tuple[str, ...]:
    """The interfaces whose methods are defined by a class in these Python sources, whichever class of them that is.

    The class that counts may inherit them from another module, and only running it would tell. One too many does no
    harm: the methods that an actor does not define itself do nothing, or refuse.
    """
    defined: set[str] = set()
    for name, data in sources.items():
        if name.endswith(".py"):
            defined |= _methods(data)
    return tuple(name for name, methods in HANDLERS.items() if not defined.isdisjoint(methods))


def _methods(data: bytes) -> set[str]:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # whoever compiles it says so, with its place
        return set()
    return {
        item.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef)
    }


def command_world(capabilities: Iterable[str], interfaces: Mapping[str, bytes]) -> dict[str, bytes]:
    """WIT files, by path, for a program that exports ``wasi:cli/run`` and may know nothing of Theater."""
    files = _world(
        [*_imports(set(capabilities), interfaces), "import wasi:cli/exit@0.2.12;", "export wasi:cli/run@0.2.0;"],
        interfaces,
    )
    return {**files, "deps/wasi-cli/run.wit": COMMAND_WIT.encode(), "deps/wasi-cli-exit/exit.wit": EXIT_WIT.encode()}


def _imports(capabilities: set[str], interfaces: Mapping[str, bytes]) -> list[str]:
    wanted = sorted(name for name in capabilities if f"{name}.wit" in interfaces)
    return [f"import theater:actor/{name}@{VERSION};" for name in wanted]


def _world(items: list[str], interfaces: Mapping[str, bytes]) -> dict[str, bytes]:
    text = f"package theater:built;\n\nworld {WORLD} {{\n" + "".join(f"    {item}\n" for item in items) + "}\n"
    deps = {f"deps/theater-actor/{name}": data for name, data in interfaces.items()}
    return {"world.wit": text.encode(), **deps}
