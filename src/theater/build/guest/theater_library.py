"""The standard library's modules, kept in memory: a component has no files to import from when it runs.

Many of the library's own functions import other modules when they are first called. What a program is known to need is
imported while it is built (``theater_imports``); this is for the rest.
"""

import importlib.abc
import importlib.util
import json
import os
import sys
import zlib
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

# Of no use in a sandbox without processes, threads, sockets, windows and a terminal.
LEFT_OUT = frozenset(
    [
        "__pycache__",
        "_pyrepl",
        "asyncio",
        "concurrent",
        "ctypes",
        "curses",
        "dbm",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "multiprocessing",
        "pydoc_data",
        "site-packages",
        "sqlite3",
        "test",
        "tkinter",
        "turtledemo",
        "unittest",
        "venv",
        "wsgiref",
        "doctest.py",
        "ftplib.py",
        "imaplib.py",
        "pdb.py",
        "pydoc.py",
        "smtplib.py",
        "turtle.py",
    ]
)


class Library(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds modules by name among texts that were read before."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._texts: dict[str, tuple[bytes, bool]] = {}
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            for file in files:
                if file.endswith(".py") and file not in LEFT_OUT:
                    self._keep(f"{folder}/{file}")

    def _keep(self, path: str) -> None:
        parts = path[len(self._root) + 1 : -len(".py")].split("/")
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        self._texts[name] = (zlib.compress(Path(path).read_bytes()), is_package)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for a module that is not the library's."""
        if name not in self._texts:
            return None
        return importlib.util.spec_from_loader(name, self, origin=self._path(name))

    def get_source(self, name: str) -> str:
        return importlib.util.decode_source(zlib.decompress(self._texts[name][0]))

    def get_code(self, name: str) -> CodeType:
        return compile(self.get_source(name), self._path(name), "exec", dont_inherit=True)

    def is_package(self, name: str) -> bool:
        return self._texts[name][1]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name.replace('.', '/')}{'/__init__' if self._texts[name][1] else ''}.py"


def install() -> None:
    """From now on a module that is not found elsewhere comes from here."""
    sys.meta_path.append(Library(json.__file__.removesuffix("/json/__init__.py")))
