"""Files that are either there as a whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700

TEMPORARY = ".new"
"""The end of the name of a file that is not whole yet."""


def write_whole(path: Path, data: bytes, *, synced: bool) -> None:
    """Make ``path`` hold ``data``, for its owner alone. A file of that name is replaced.

    With ``synced`` the bytes and the name are on the disk when this returns. One writer a path: the name under which it
    is written is not unique, so that what a dead process left behind is overwritten.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if synced:
            file.flush()
            os.fsync(file.fileno())
    temporary.rename(path)
    if synced:
        sync_folder(path.parent)


def make_folder(path: Path, *, synced: bool = False) -> None:
    """Make ``path`` a folder for its owner alone, unless it is there already."""
    try:
        path.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        return
    if synced:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put the names in ``path`` on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> int:
    """Remove a file; how many bytes it had. 0 where there is none."""
    try:
        size_bytes = path.lstat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size_bytes


def remove_if_empty(folder: Path) -> bool:
    """Remove a folder in which nothing is left; whether it is gone."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
