"""``theater:actor/filesystem``: files inside the granted directories, read-only or read-write as granted.

Recorded: a read, as ``host`` with its arguments and its answer, the content included. A write, as ``intent`` with its
arguments and ``host`` with its answer; writes that follow one another under one granted directory share the intent of
the first, and have their arguments in their ``host`` events. A write acts at once and stands, whatever becomes of the
step.

Limits: 256 directories; 8 MiB of content a call (``call``; 64 MiB is the most that can be granted), since it is
recorded, and a step records 16 MiB unless its actor's limits say otherwise; 1 GiB in a directory that is written to
(``quota``), as a guard against an actor that writes in a circle; 4,096 bytes in a path and 10,000 entries in an answer
of ``list-directory``, as many as the events of a step; one of more than 1,000,000 is not listed. A write ends with the
step's limit ``wait``. Nothing stays open between two calls, so there is no limit on open files.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from theater.capabilities.file_root import FileFacts
from theater.capabilities.filesystem_grant import NAME, FilesystemGrant, parse
from theater.capabilities.filesystem_least import LEAST
from theater.capabilities.filesystem_place import Place, place_of
from theater.capabilities.filesystem_usage import QuotaExceededError, Usage
from theater.capabilities.guest_content import Content, bytes_within, content_of
from theater.capabilities.moment import US_PER_DAY
from theater.capabilities.registration import functions
from theater.model.act import Act, Interruption
from theater.model.actor_system import Problem
from theater.model.capability import Capability, Denied, HostClass, StepContext, Wait

__all__ = ["CAPABILITY", "LIST_MAX"]

LIST_MAX = 10_000
"""Entries of one answer, as the interface says."""

Write = Callable[[Usage, Interruption], None]

_OK = ("ok", None)
_NS_PER_S = 1_000_000_000
_TYPES = {"regular-file": "file", "directory": "directory", "symbolic-link": "symlink"}
_CASES = {
    errno.ENOENT: "not-found",
    errno.EEXIST: "already-exists",
    errno.ENOTDIR: "not-directory",
    errno.EISDIR: "is-directory",
    errno.ENOTEMPTY: "not-empty",
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.EROFS: "read-only",
}
_DENIALS = {
    errno.ELOOP: "a symbolic link is not followed",
    errno.EXDEV: "it lies on another disk",
    errno.EACCES: "it cannot be opened: it is a device, a pipe or a socket, or the system refuses it",
    errno.EPERM: "the system refuses it",
    errno.EMLINK: "the file has other names (hard links), which may lie outside: replace it as a whole",
    errno.EBUSY: "it is the granted directory itself, or in use",
}
_INVALID = {errno.ENAMETOOLONG: "a part of it is too long", errno.EINVAL: "the system does not take it"}


def problem_of(error: OSError) -> Problem:
    """The interface's error."""
    if isinstance(error, QuotaExceededError):
        return ("quota", error.quota_bytes)
    number = error.errno or 0
    if number in _CASES:
        return (_CASES[number], None)
    if number in _DENIALS:
        return ("denied", _DENIALS[number])
    if number in _INVALID:
        return ("invalid-path", _INVALID[number])
    return ("io", error.strerror or "unknown")


# -- reading ---------------------------------------------------------------------------------------------------------


def _looked(grant: FilesystemGrant, path: str, look: Callable[[Place], object]) -> object:
    place = place_of(grant, path)
    if not isinstance(place, Place):
        return Denied(("err", place))
    try:
        return look(place)
    except OSError as error:
        return ("err", problem_of(error))


def read(_ctx: StepContext, grant: FilesystemGrant, path: str, form: str) -> object:
    """A whole file."""

    def look(place: Place) -> object:
        if place.directory is None:
            return ("err", ("is-directory", None))
        data = place.root.read(place.parts, 0, grant.call_bytes + 1)
        if len(data) > grant.call_bytes:
            return ("err", ("too-large", grant.call_bytes))
        return _content(data, form)

    return _looked(grant, path, look)


def read_range(_ctx: StepContext, grant: FilesystemGrant, path: str, offset: int, length: int, form: str) -> object:
    """Part of a file."""

    def look(place: Place) -> object:
        if place.directory is None:
            return ("err", ("is-directory", None))
        size_bytes = place.root.facts(place.parts).size_bytes
        wanted = min(length, max(0, size_bytes - offset))
        if wanted > grant.call_bytes:
            return ("err", ("too-large", grant.call_bytes))
        return _content(place.root.read(place.parts, min(offset, size_bytes), wanted), form)

    return _looked(grant, path, look)


def _content(data: bytes, form: str) -> object:
    content = content_of(data, form)
    return ("err", ("not-text", None)) if content is None else ("ok", content)


def stat(ctx: StepContext, grant: FilesystemGrant, path: str) -> object:
    """What is known about a path."""

    def look(place: Place) -> object:
        if place.directory is None:
            facts = FileFacts("directory", 0, 1, 0, ctx.started_us * 1000, 0, (0, 0))
        else:
            facts = place.root.facts(place.parts)
        seconds, nanoseconds = divmod(facts.modified_ns, _NS_PER_S)
        return (
            "ok",
            {
                "file-type": _TYPES.get(facts.type, "other"),
                "size-bytes": facts.size_bytes,
                "modified": {"seconds": seconds, "nanoseconds": nanoseconds // 1000 * 1000},
            },
        )

    return _looked(grant, path, look)


def exists(_ctx: StepContext, grant: FilesystemGrant, path: str) -> object:
    """Whether there is anything."""

    def look(place: Place) -> object:
        try:
            if place.directory is not None:
                place.root.facts(place.parts)
        except (FileNotFoundError, NotADirectoryError):
            return ("ok", False)
        return ("ok", True)

    return _looked(grant, path, look)


def list_directory(_ctx: StepContext, grant: FilesystemGrant, path: str, after: str | None, limit: int) -> object:
    """Entries of a directory."""

    def look(place: Place) -> object:
        most = min(limit, LIST_MAX)
        if place.directory is None:
            names = sorted((directory.name for directory in grant.directories), key=str.encode)
            behind = [name for name in names if after is None or name.encode() > after.encode()]
            found = [(name, "directory") for name in behind[:most]]
        else:
            found = place.root.entries(place.parts, after=after, most=most)
        return ("ok", [{"name": name, "file-type": _TYPES.get(kind, "other")} for name, kind in found])

    return _looked(grant, path, look)


# -- writing ---------------------------------------------------------------------------------------------------------


def _written(ctx: StepContext, grant: FilesystemGrant, path: str, make: Callable[[Place], Write | Problem]) -> object:
    """What leads to the write that ``make`` makes, if the path can be written to."""
    place = place_of(grant, path)
    if not isinstance(place, Place):
        return Denied(("err", place))
    if place.directory is None:
        return Denied(("err", ("denied", "above the granted directories nothing can be written")))
    if not place.directory.can_write:
        return Denied(("err", ("read-only", None)))
    write = make(place)
    if not callable(write):
        return Denied(("err", write))
    return Wait(
        until_us=ctx.now_us + US_PER_DAY,  # the step's limit ``wait`` is shorter
        answer=_unknown,
        act=Act(lambda usage, interruption: _done(write, usage, interruption), _unknown, under=place.directory.path),
    )


def _done(write: Write, usage: Usage, interruption: Interruption) -> object:
    try:
        write(usage, interruption)
    except OSError as error:
        return ("err", problem_of(error))
    return _OK


def _unknown() -> object:
    return ("err", ("outcome-unknown", None))


def _size_of(place: Place) -> int:
    try:
        return place.root.facts(place.parts).size_bytes
    except FileNotFoundError:
        return 0


def write(ctx: StepContext, grant: FilesystemGrant, path: str, content: Content, mode: str) -> object:
    """Write a file."""

    def make(place: Place) -> Write | Problem:
        data = bytes_within(content, grant.call_bytes)
        if not isinstance(data, bytes):
            return data

        def do(usage: Usage, _interruption: Interruption) -> None:
            growth = len(data) if mode != "replace" else len(data) - _size_of(place)
            usage.take(place.root, growth, grant.quota_bytes)
            match mode:
                case "replace":
                    place.root.replace(place.parts, data)
                case "create-new":
                    place.root.create(place.parts, data)
                case _:
                    place.root.append(place.parts, data, make=True)

        return do

    return _written(ctx, grant, path, make)


def write_range(ctx: StepContext, grant: FilesystemGrant, path: str, offset: int, content: Content) -> object:
    """Overwrite part of a file."""

    def make(place: Place) -> Write | Problem:
        data = bytes_within(content, grant.call_bytes)
        if not isinstance(data, bytes):
            return data

        def do(usage: Usage, _interruption: Interruption) -> None:
            usage.take_up_to(place.root, place.parts, offset + len(data), grant.quota_bytes)
            place.root.write(place.parts, offset, data)

        return do

    return _written(ctx, grant, path, make)


def set_size(ctx: StepContext, grant: FilesystemGrant, path: str, size_bytes: int) -> object:
    """Cut a file, or make it longer."""

    def make(place: Place) -> Write:
        def do(usage: Usage, _interruption: Interruption) -> None:
            usage.take_up_to(place.root, place.parts, size_bytes, grant.quota_bytes)
            place.root.set_size(place.parts, size_bytes)

        return do

    return _written(ctx, grant, path, make)


def create_directory(ctx: StepContext, grant: FilesystemGrant, path: str, parents: bool) -> object:  # noqa: FBT001 - as in WIT
    """Make a directory."""
    return _simply(ctx, grant, path, lambda place: place.root.make_directory(place.parts, parents=parents))


def remove_file(ctx: StepContext, grant: FilesystemGrant, path: str) -> object:
    """Remove a file."""
    return _simply(ctx, grant, path, lambda place: place.root.remove_file(place.parts))


def remove_directory(ctx: StepContext, grant: FilesystemGrant, path: str, recursive: bool) -> object:  # noqa: FBT001 - as in WIT
    """Remove a directory."""
    return _simply(ctx, grant, path, lambda place: place.root.remove_directory(place.parts, recursive=recursive))


def _simply(ctx: StepContext, grant: FilesystemGrant, path: str, do: Callable[[Place], None]) -> object:
    return _written(ctx, grant, path, lambda place: lambda _usage, _interruption: do(place))


def rename(ctx: StepContext, grant: FilesystemGrant, old_path: str, new_path: str) -> object:
    """Rename within one granted directory."""

    def make(place: Place) -> Write | Problem:
        target = place_of(grant, new_path)
        if not isinstance(target, Place):
            return target
        if target.directory != place.directory:
            return ("denied", "the two paths lie in different granted directories: copy the file")
        return lambda _usage, _interruption: place.root.rename(place.parts, target.parts)

    return _written(ctx, grant, old_path, make)


def copy(ctx: StepContext, grant: FilesystemGrant, old_path: str, new_path: str) -> object:
    """Copy a file."""

    def make(place: Place) -> Write | Problem:
        source = place_of(grant, old_path)
        if not isinstance(source, Place):
            return source
        if source.directory is None:
            return ("is-directory", None)

        def do(usage: Usage, interruption: Interruption) -> None:
            size_bytes = source.root.facts(source.parts).size_bytes
            usage.take(place.root, size_bytes - _size_of(place), grant.quota_bytes)
            place.root.copy(source.root, source.parts, place.parts, is_over=lambda: interruption.is_wanted)

        return do

    return _written(ctx, grant, new_path, make)


_INTERFACE = "theater:actor/filesystem"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *functions(
            _INTERFACE,
            HostClass.READ,
            {
                "read": read,
                "read-range": read_range,
                "stat": stat,
                "exists": exists,
                "list-directory": list_directory,
            },
        ),
        *functions(
            _INTERFACE,
            HostClass.EXTERNAL,
            {
                "write": write,
                "write-range": write_range,
                "set-size": set_size,
                "create-directory": create_directory,
                "remove-file": remove_file,
                "remove-directory": remove_directory,
                "rename": rename,
                "copy": copy,
            },
        ),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=FilesystemGrant(read=(".",)),
    open_service=lambda _place: Usage(),
    least=LEAST,
)
