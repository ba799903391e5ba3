"""Which directories an actor sees, and in which it writes: the grant of ``filesystem``."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from theater.capabilities.grant_table import (
    check_keys,
    common,
    few_texts_of,
    least,
    manifest_line,
    number_of,
    outside,
)
from theater.errors import InvalidManifest
from theater.model.quantity import parse_size, show_size

NAME = "filesystem"
PATH_MAX_BYTES = 4096
"""PATH_MAX of Linux, the longest of the systems that we run on."""
CALL_DEFAULT_BYTES = 8 * 2**20
"""One call, which a step records: as base64 it fits into the limit ``bytes-per-step`` of 16 MiB."""
CALL_MAX_BYTES = 64 * 2**20
"""It is held in memory several times over: as bytes, as base64, as a value of the guest."""
QUOTA_DEFAULT_BYTES = 2**30
"""An actor that writes in a circle fills no disk by it before somebody looks."""
QUOTA_MAX_BYTES = 2**50
"""A PiB, beyond the disks that we run on."""

_READ, _WRITE = "read", "write"


@dataclass(frozen=True, slots=True)
class Directory:
    """One granted directory. ``name`` is what the guest calls it; ``path`` is absolute."""

    name: str
    path: str
    can_write: bool


@dataclass(frozen=True, slots=True)
class FilesystemGrant:
    """Directories to read, directories to read and write, bytes of one call, bytes that a directory may come to hold.

    The paths are sorted, and none lies within another one that allows as much.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    call_bytes: int = CALL_DEFAULT_BYTES
    quota_bytes: int = QUOTA_DEFAULT_BYTES

    def __post_init__(self) -> None:
        for key, value, most in (
            ("call", self.call_bytes, CALL_MAX_BYTES),
            ("quota", self.quota_bytes, QUOTA_MAX_BYTES),
        ):
            if not 0 <= value <= most:
                raise InvalidManifest(f"[capabilities.{NAME}] {key}: {show_size(most)} is the most")
        items = [*_items(_READ, self.read), *_items(_WRITE, self.write)]
        kept = least(items, _covers)
        for key in (_READ, _WRITE):
            object.__setattr__(self, key, _paths(kept, key))

    @property
    def is_relative(self) -> bool:
        return not all(path.startswith("/") for path in (*self.read, *self.write))

    def located(self, folder: str | None) -> Self:
        return type(self)(_located(self.read, folder), _located(self.write, folder), self.call_bytes, self.quota_bytes)

    @property
    def directories(self) -> tuple[Directory, ...]:
        """All of them, by path. A name is the last part of a path; where two are alike, the second gets a number."""
        found: list[Directory] = []
        taken: set[str] = set()
        for path in sorted({*self.read, *self.write}):
            base = posixpath.basename(path) or "root"
            name, number = base, 1
            while name in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name)
            found.append(Directory(name, path, can_write=path in self.write))
        return tuple(found)

    def table(self) -> dict[str, object]:
        return {
            "read": list(self.read),
            "write": list(self.write),
            "call": show_size(self.call_bytes),
            "quota": show_size(self.quota_bytes),
        }

    def lines(self, beyond: FilesystemGrant | None) -> list[str]:
        allowed = () if beyond is None else beyond.items
        parts = (item.partition(":") for item in outside(self.items, allowed, _covers))
        more = [manifest_line(mode, [path]) for mode, _, path in parts]
        table = self.table()
        if beyond is None or self.call_bytes > beyond.call_bytes:
            more.append(manifest_line("call", table["call"]))
        if beyond is None or self.quota_bytes > beyond.quota_bytes:
            more.append(manifest_line("quota", table["quota"]))
        return more

    def narrowed(self, ceiling: FilesystemGrant) -> FilesystemGrant:
        both = common(_readable(self.items), _readable(ceiling.items), _covers)
        return FilesystemGrant(
            _paths(both, _READ),
            _paths(both, _WRITE),
            min(self.call_bytes, ceiling.call_bytes),
            min(self.quota_bytes, ceiling.quota_bytes),
        )

    @property
    def items(self) -> tuple[str, ...]:
        """All of them, as ``--allow`` writes them: ``read:PATH``, ``write:PATH``."""
        return (*(f"{_READ}:{path}" for path in self.read), *(f"{_WRITE}:{path}" for path in self.write))


def parse(table: Mapping[str, object]) -> FilesystemGrant:
    """Keys: ``read`` and ``write``, lists of directories; ``call`` and ``quota``, sizes.

    ``allow``, the word of ``--allow``, is a list of ``read:PATH`` and ``write:PATH``.
    """
    check_keys(NAME, table, ("read", "write", "call", "quota", "allow"))
    lists = {key: few_texts_of(NAME, table, key) for key in (_READ, _WRITE, "allow")}
    for item in lists["allow"]:
        mode, colon, path = item.partition(":")
        if mode not in (_READ, _WRITE) or not colon:
            raise InvalidManifest(f'[capabilities.{NAME}] allow: {item!r}: write "read:PATH" or "write:PATH"')
        lists[mode] = (*lists[mode], path)
    return FilesystemGrant(
        lists[_READ],
        lists[_WRITE],
        number_of(NAME, table, "call", parse=parse_size, default=CALL_DEFAULT_BYTES),
        number_of(NAME, table, "quota", parse=parse_size, default=QUOTA_DEFAULT_BYTES),
    )


def _items(key: str, paths: Iterable[str]) -> list[str]:
    return [f"{key}:{_plain(key, path)}" for path in paths]


def _paths(items: Iterable[str], key: str) -> tuple[str, ...]:
    return tuple(item.removeprefix(f"{key}:") for item in items if item.startswith(f"{key}:"))


def _plain(key: str, text: str) -> str:
    """The path in its shortest form, as far as text tells: where links lead is not looked at, none is followed."""
    if not text or "\0" in text or ".." in text.split("/") or len(text.encode("utf-8", "replace")) > PATH_MAX_BYTES:
        raise InvalidManifest(
            f"[capabilities.{NAME}] {key}: {text[:80]!r} is no path without '..' of at most {PATH_MAX_BYTES} bytes; "
            'write for example "data", which is beside the manifest, or "/srv/data"'
        )
    path = posixpath.normpath(text)
    return "/" + path.lstrip("/") if path.startswith("/") else path  # POSIX lets "//" at the beginning mean more


def _located(paths: Iterable[str], folder: str | None) -> tuple[str, ...]:
    if folder is None:
        return tuple(path for path in paths if path.startswith("/"))
    return tuple(posixpath.join(folder, path) for path in paths)


def _readable(items: Iterable[str]) -> tuple[str, ...]:
    """With what may be written as what may be read, too: what two have in common can be that alone."""
    items = tuple(items)
    return (*items, *(item.replace(_WRITE, _READ, 1) for item in items if item.startswith(f"{_WRITE}:")))


def _covers(wide: str, narrow: str) -> bool:
    wide_mode, _, folder = wide.partition(":")
    mode, _, path = narrow.partition(":")
    if wide_mode == _READ and mode == _WRITE:
        return False
    return path == folder or path.startswith(folder.rstrip("/") + "/") or (folder == "." and path[:1] != "/")
