"""The least grant of ``filesystem`` that the calls of a history need.

A guest's paths begin in a granted directory, and with one alone they do not even name it. So a directory is kept as it
was granted or not at all, and the others are kept as well where the guest's paths would lead elsewhere without them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from theater.capabilities.filesystem_grant import NAME, Directory, FilesystemGrant
from theater.capabilities.filesystem_place import Place, place_of
from theater.capabilities.guest_content import size_at_most
from theater.capabilities.wasi_file import CALL_MAX_BYTES, OpenFile
from theater.model.narrowing import AS_GRANTED, Least, Need, SeenCall, size_within

INTERFACE = f"theater:actor/{NAME}"
WASI = "wasi:filesystem/types"
PROCESS = "theater:actor/process"

_READS = frozenset({"read", "read-range", "stat", "exists", "list-directory"})
_WASI_WRITES = frozenset(
    f"[method]descriptor.{name}"
    for name in (
        "write",
        "set-size",
        "set-times",
        "set-times-at",
        "create-directory-at",
        "remove-directory-at",
        "unlink-file-at",
        "rename-at",
    )
)


def needs(call: SeenCall) -> Iterator[Need]:
    """``path`` with a path and what is done there, ``directory`` likewise for a guest of WASI; ``call`` with a size."""
    if call.interface == WASI:
        yield from _of_wasi(call)
    elif call.interface == PROCESS:
        match call.arguments:
            case ({"directory": str(path)}, *_):  # a program writes there where it can
                yield "path", path, "write"
    elif call.interface == INTERFACE:
        yield from _paths(call)
        yield from _sizes(call)


def grant(granted: FilesystemGrant, found: Collection[Need]) -> FilesystemGrant:
    """The directories that were used, for reading alone where nothing was written."""
    used = _used(granted, found)
    written = [path for path, writes in used if writes]
    read = [path for path, writes in used if not writes]
    every = [(directory.path, directory.path in written) for directory in granted.directories]
    sizes = size_within(found, "call", granted.call_bytes), granted.quota_bytes
    for directories in (
        (read, written),
        ([path for path, writes in every if not writes], [path for path, writes in every if writes]),
    ):
        narrow = FilesystemGrant(tuple(directories[0]), tuple(directories[1]), *sizes)
        if _leads_alike(granted, narrow, found):
            return narrow
    return FilesystemGrant(granted.read, granted.write, *sizes)


LEAST = Least(needs, grant, also=(PROCESS,))


def _paths(call: SeenCall) -> Iterator[Need]:
    writes = call.function not in _READS
    path = str(call.arguments[0])
    match call.function:
        case "rename":
            yield "path", path, "write"
            yield "path", str(call.arguments[1]), "write"
        case "copy":
            yield "path", path, "read"
            yield "path", str(call.arguments[1]), "write"
        case _:
            yield "path", path, "write" if writes else "read"


def _sizes(call: SeenCall) -> Iterator[Need]:
    for value in call.arguments[1:]:
        match value:
            case ("text" | "base64" | "bytes" as form, str() | bytes() as content):
                yield "call", size_at_most((form, content))
    match call.answer:
        case ("ok", (str(given), str() | bytes() as content)):
            yield "call", size_at_most((given, content))
        case ("err", ("too-large", _)):
            yield "call", AS_GRANTED


def _of_wasi(call: SeenCall) -> Iterator[Need]:
    file = call.arguments[0] if call.arguments else None
    if not isinstance(file, OpenFile):
        return
    writes = call.function in _WASI_WRITES or any(
        isinstance(value, frozenset) and value & {"create", "truncate", "write"} for value in call.arguments
    )
    yield "directory", file.directory.path, "write" if writes else "read"
    yield "call", CALL_MAX_BYTES  # what one call has at most: a smaller grant would cut it


def _used(granted: FilesystemGrant, found: Collection[Need]) -> list[tuple[str, bool]]:
    """The directories that are needed, and whether for writing; all of them where their list was looked at."""
    used: dict[str, bool] = {}
    for kind, text, *rest in found:
        if kind == "directory":
            directories: Iterable[Directory] = [each for each in granted.directories if each.path == text]
        elif kind == "path":
            place = place_of(granted, str(text))
            if not isinstance(place, Place):
                continue
            directories = granted.directories if place.directory is None else [place.directory]
        else:
            continue
        for directory in directories:
            writes = rest == ["write"] and directory.can_write
            used[directory.path] = used.get(directory.path, False) or writes
    return list(used.items())


def _leads_alike(granted: FilesystemGrant, narrow: FilesystemGrant, found: Iterable[Need]) -> bool:
    """Whether everything that was used is where it was, by the name that it had, and may still be written to."""
    by_path = {directory.path: directory for directory in narrow.directories}
    for kind, text, *rest in found:
        if kind == "directory":
            before = next((each for each in granted.directories if each.path == text), None)
            if before is not None and not _is_alike(before, by_path.get(str(text)), rest):
                return False
        elif kind == "path":
            old, new = place_of(granted, str(text)), place_of(narrow, str(text))
            if not isinstance(old, Place):
                continue  # it was refused
            if not isinstance(new, Place) or new.parts != old.parts:
                return False
            if old.directory is None:
                if [each.name for each in granted.directories] != [each.name for each in narrow.directories]:
                    return False
            elif not _is_alike(old.directory, new.directory, rest, by_name=False):
                return False
    return True


def _is_alike(before: Directory, after: Directory | None, rest: list[str | int], *, by_name: bool = True) -> bool:
    if after is None or after.path != before.path or (by_name and after.name != before.name):
        return False
    return after.can_write or not (rest == ["write"] and before.can_write)
