"""Imports while a component is being built, since there are no files any more when it runs.

A module that is imported inside a function would be missing then. So the user's modules are searched for such imports,
and what they name is imported now. The text of the user's modules is kept too, for tracebacks.
"""

import ast
import contextlib
import importlib
import linecache
import sys
from pathlib import Path

# What modules of the standard library import when they are first called.
COMPANIONS = {
    "datetime": ("_strptime",),
    "time": ("_strptime",),
    "decimal": ("numbers",),
    "uuid": ("platform",),
    "logging": ("traceback",),
}

# The codecs that `str.encode` and `bytes.decode` look up by name.
CODECS = ("ascii", "latin_1", "utf_8", "utf_8_sig", "utf_16", "utf_32", "cp1252", "idna", "unicode_escape")


def prepare(folder: str) -> None:
    """Import whatever the modules of ``folder`` that are loaded may import later."""
    for codec in CODECS:
        _try_import(f"encodings.{codec}")
    seen: set[str] = set()
    while found := {name: path for name, path in _own_modules(folder).items() if name not in seen}:
        for name, path in found.items():
            seen.add(name)
            text = remembered_text(path)
            package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
            import_all(ast.parse(text), package)
    for name, companions in COMPANIONS.items():
        if name in sys.modules:
            for companion in companions:
                _try_import(companion)


def import_all(tree: ast.AST, package: str) -> None:
    """Import what the import statements anywhere in ``tree`` name; what is not there is left to fail in its turn."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _try_import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            _try_import(origin, package)
            for alias in node.names:  # each may be a module as well
                _try_import(f"{origin}{'' if origin.endswith('.') else '.'}{alias.name}", package)


def remembered_text(path: str) -> str:
    """The text of a module, and from now on the source lines of its tracebacks."""
    text = Path(path).read_text(encoding="utf-8-sig")
    # Without a time of change the entry is not compared with the file, which will not be there.
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    return text


def _own_modules(folder: str) -> dict[str, str]:
    return {
        name: module.__file__
        for name, module in list(sys.modules.items())
        if (getattr(module, "__file__", None) or "").startswith(folder + "/") and module.__file__.endswith(".py")
    }


def _try_import(name: str, package: str | None = None) -> None:
    with contextlib.suppress(Exception):  # it may be meant for another system, and never be reached
        importlib.import_module(name, package)
