"""The files of a project that go into its component."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from theater.errors import BuildFailed

FILES_MAX = 2_000
SIZE_MAX_BYTES = 32 << 20  # half of what a component may have

LEFT_OUT = frozenset({"build", "tests", "__pycache__", "node_modules"})
"""Folders that are no part of the program; hidden ones and virtual environments are none either."""


def read_sources(folder: Path) -> dict[str, bytes]:
    """The contents of a project's files, by path relative to ``folder`` with ``/``.

    Raises:
        BuildFailed: too many or too large, or a link that leads out of the folder.
    """
    root = folder.resolve()
    found: dict[str, bytes] = {}
    size = 0
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_part(Path(parent, name)))
        for name in sorted(files):
            path = Path(parent, name)
            if name.startswith(".") or name.endswith((".pyc", ".wasm", ".theater")) or not _is_file(path, root):
                continue
            size += path.stat().st_size
            if len(found) == FILES_MAX or size > SIZE_MAX_BYTES:
                raise BuildFailed(
                    f"{folder}: more than {FILES_MAX} files or {SIZE_MAX_BYTES >> 20} MiB to build from; "
                    "keep in the folder what the actor is made of (build, tests and hidden folders do not count)"
                )
            found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found


def _is_part(folder: Path) -> bool:
    is_hidden = folder.name.startswith(".")
    return not is_hidden and folder.name not in LEFT_OUT and not (folder / "pyvenv.cfg").exists()


def _is_file(path: Path, root: Path) -> bool:
    if path.is_symlink() and not path.resolve().is_relative_to(root):
        raise BuildFailed(f"{path}: a link that leads out of the project; put a copy in its place")
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise BuildFailed(f"{path} cannot be read: {error.strerror}") from error
