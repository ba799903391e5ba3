"""Where a path of a guest of ``filesystem`` leads to: below one of the granted directories, or nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from theater.capabilities.file_root import FileRoot
from theater.capabilities.filesystem_grant import PATH_MAX_BYTES, Directory, FilesystemGrant
from theater.model.actor_system import Problem


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads to. ``directory`` is None above all of them, where there is only their list."""

    directory: Directory | None
    parts: tuple[str, ...]

    @property
    def root(self) -> FileRoot:
        """What it lies below."""
        assert self.directory is not None
        return FileRoot(self.directory.path)


def place_of(grant: FilesystemGrant, path: str) -> Place | Problem:
    """Where a path of the guest leads to, or what is wrong with it."""
    granted = grant.directories
    if not granted:
        return ("denied", 'no directory is granted: write for example read = ["data"]')
    problem = _path_problem(path)
    if problem is not None:
        return ("invalid-path", problem)
    parts = tuple(path.split("/")) if path else ()
    if len(granted) == 1:
        return Place(granted[0], parts)
    if not parts:
        return Place(None, ())
    for directory in granted:
        if directory.name == parts[0]:
            return Place(directory, parts[1:])
    names = ", ".join(directory.name for directory in granted)
    return ("denied", f"no directory {parts[0][:80]!r} is granted; a path begins with one of {names}")


def _path_problem(path: str) -> str | None:
    if len(path.encode()) > PATH_MAX_BYTES:
        return f"{PATH_MAX_BYTES} bytes are the most"
    for character, name in (("\\", "a backslash"), ("\0", "a zero character")):
        if character in path:
            return f"it has {name} in it"
    if path.startswith("/"):
        return "it begins with /: paths are relative to the granted directory"
    for part in path.split("/") if path else ():
        if part in ("", ".", ".."):
            return f"it has the part {part!r}, which is no name"
    return None
