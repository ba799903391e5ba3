r"""Files in the granted directories: the capability ``filesystem``. A path is as the interface has it: ``data/a.txt``.

Where one directory is granted, a path is relative to that; where several are, its first part is the name of one::

    people = files.read_text("people.csv")
    files.append("log.txt", "looked at the people\n")

A write acts at once and stands if the step fails; in a replay nothing is read or written. ``open`` and ``pathlib`` work
as well, on the same directories; what they read and write is recorded in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from theater_sdk.host import call
from theater_sdk.text import bytes_of, content_of
from theater_sdk.timing import python_time

FileType = Literal["file", "directory", "symlink", "other"]
"""What a path leads to. ``other``: a device, a pipe …"""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What is known about a path; of a symbolic link, about the link itself."""

    file_type: FileType
    size_bytes: int
    """Of a file; 0 of anything else."""
    modified: datetime
    """When its content was last changed, UTC."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory."""

    name: str
    file_type: FileType


def read_bytes(path: str) -> bytes:
    """A whole file. One that is larger than the grant's ``call`` fails with ``too-large``: read it in parts."""
    return bytes_of(call("filesystem", "read", {"path": path, "form": "automatic"}))


def read_text(path: str) -> str:
    """A whole file in UTF-8. One that is none fails with ``not-text``."""
    text: str = call("filesystem", "read", {"path": path, "form": "text"})[1]
    return text


def read_range(path: str, offset: int, length: int) -> bytes:
    """At most ``length`` bytes, from ``offset`` on; none behind the end."""
    args = {"path": path, "offset": offset, "length": length, "form": "automatic"}
    return bytes_of(call("filesystem", "read-range", args))


def stat(path: str) -> FileInfo:
    """What is known about a path. Where there is nothing it fails with ``not-found``."""
    found = call("filesystem", "stat", {"path": path})
    return FileInfo(found["file-type"], found["size-bytes"], python_time(found["modified"]))


def exists(path: str) -> bool:
    """Whether there is anything at this path."""
    found: bool = call("filesystem", "exists", {"path": path})
    return found


def list_directory(path: str = "") -> Iterator[Entry]:
    """What is in a directory, by the bytes of the names. It is asked for in pages as it is needed."""
    after: str | None = None
    while True:
        found = call("filesystem", "list-directory", {"path": path, "after": after, "limit": _PAGE})
        page = [Entry(each["name"], each["file-type"]) for each in found]
        yield from page
        if not page:
            return
        after = page[-1].name


def write(path: str, content: bytes | str) -> None:
    """Make a file, or replace it as a whole: readers see the old content or the new, never a mixture."""
    call("filesystem", "write", {"path": path, "content": content_of(content), "mode": "replace"})


def create(path: str, content: bytes | str) -> None:
    """Make a file. Where there is something already it fails with ``already-exists``."""
    call("filesystem", "write", {"path": path, "content": content_of(content), "mode": "create-new"})


def append(path: str, content: bytes | str) -> None:
    """Add to the end of a file, which is made where there is none."""
    call("filesystem", "write", {"path": path, "content": content_of(content), "mode": "append"})


def write_range(path: str, offset: int, content: bytes | str) -> None:
    """Overwrite part of a file that is there, and make it longer where needed; a gap is filled with zeros."""
    call("filesystem", "write-range", {"path": path, "offset": offset, "content": content_of(content)})


def set_size(path: str, size_bytes: int) -> None:
    """Cut a file to so many bytes, or fill it with zeros up to there."""
    call("filesystem", "set-size", {"path": path, "size-bytes": size_bytes})


def create_directory(path: str, *, parents: bool = False) -> None:
    """Make a directory; with ``parents`` also those on the way, and then one that is there is no error."""
    call("filesystem", "create-directory", {"path": path, "parents": parents})


def remove_file(path: str) -> None:
    """Remove a file."""
    call("filesystem", "remove-file", {"path": path})


def remove_directory(path: str, *, recursive: bool = False) -> None:
    """Remove a directory: an empty one, or with ``recursive`` everything in it too."""
    call("filesystem", "remove-directory", {"path": path, "recursive": recursive})


def rename(old_path: str, new_path: str) -> None:
    """Rename a file or a directory within one granted directory. A file at the new path is replaced."""
    call("filesystem", "rename", {"old-path": old_path, "new-path": new_path})


def copy(old_path: str, new_path: str) -> None:
    """Copy a file; its bytes do not pass through the actor. A file at the new path is replaced."""
    call("filesystem", "copy", {"old-path": old_path, "new-path": new_path})
