"""From which folders children may be started: the grant of ``supervisor``."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from theater.capabilities.grant_table import (
    check_keys,
    common,
    items_of,
    least,
    manifest_line,
    outside,
)
from theater.errors import InvalidManifest

NAME = "supervisor"
PATH_MAX_BYTES = 4096
"""PATH_MAX of Linux, the longest of the systems that we run on."""


@dataclass(frozen=True, slots=True)
class SupervisorGrant:
    """The folders within which a directory may be a child. Sorted, and none that another one holds.

    Without any, children still are started from digests, and every descendant is within reach.
    """

    directories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        paths = [plain_path(text) for text in self.directories]
        for text, path in zip(self.directories, paths, strict=True):
            if path is None:
                raise InvalidManifest(
                    f"[capabilities.{NAME}] directories: {text!r} is no absolute path without '..' "
                    f'of at most {PATH_MAX_BYTES} bytes; write for example "/srv/children"'
                )
        object.__setattr__(self, "directories", least((path for path in paths if path is not None), _holds))

    def allows(self, directory: str) -> bool:
        """Whether a child may be started from there. ``directory`` is a plain path."""
        return not outside([directory], self.directories, _holds)

    def table(self) -> dict[str, object]:
        return {"directories": list(self.directories)}

    def lines(self, beyond: SupervisorGrant | None) -> list[str]:
        if beyond is None and not self.directories:
            return [f"[capabilities.{NAME}]"]
        allowed = () if beyond is None else beyond.directories
        return [manifest_line("directories", [path]) for path in outside(self.directories, allowed, _holds)]

    def narrowed(self, ceiling: SupervisorGrant) -> SupervisorGrant:
        return SupervisorGrant(common(self.directories, ceiling.directories, _holds))


def parse(table: Mapping[str, object]) -> SupervisorGrant:
    """Keys: ``directories``, a list of folders; ``allow`` is another word for it, that of ``--allow``."""
    check_keys(NAME, table, ("directories", "allow"))
    return SupervisorGrant(items_of(NAME, table, "directories") or ())


def plain_path(text: str) -> str | None:
    """An absolute POSIX path in its shortest form, as far as text tells; None for what is none, or climbs.

    Where a symbolic link leads is not looked at here: whoever opens the path does.
    """
    is_path = text.startswith("/") and "\0" not in text and ".." not in text.split("/")
    if not is_path or len(text.encode("utf-8", "replace")) > PATH_MAX_BYTES:
        return None
    return "/" + posixpath.normpath(text).lstrip("/")  # POSIX lets "//" at the beginning mean something else


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
