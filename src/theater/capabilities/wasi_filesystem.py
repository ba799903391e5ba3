"""``wasi:filesystem``: the directories that ``filesystem`` grants, for programs that know nothing of Theater.

Each is open from the start, as ``/`` and its name; without a grant there is none, and no way to one. A descriptor is a
path, and each call opens it anew: a file that was removed is gone for whoever had it open, too. No link is followed
(``loop``), made or read (``unsupported``); times are set, and nothing is synchronised, since nothing is held back.

Recorded: what looks (``stat``, ``read``, opening what is there, the entries of a directory, all at once), as ``host``
with what was found; what writes, as ``intent`` and ``host``, where writes that follow one another under one granted
directory share the intent of the first. Where the host died in between, the answer is ``io``.

Limits: those of the grant. One read or write has at most 32 KiB, so that what is recorded of it stays small, and a
directory of more than 10,000 entries is not read (``overflow``), since all of them are recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from theater.capabilities.file_root import FileFacts
from theater.capabilities.filesystem import LIST_MAX
from theater.capabilities.filesystem_grant import NAME, FilesystemGrant
from theater.capabilities.filesystem_usage import Usage
from theater.capabilities.registration import drops, functions, looking_methods, methods
from theater.capabilities.wasi_file import CALL_MAX_BYTES, Entries, OpenFile, acting, below, looked
from theater.capabilities.wasi_file_stream import FileInput, FileOutput, StreamError
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.act import Interruption, Look
from theater.model.capability import Denied, HostClass, Noted, StepContext, Wait

_OK = ("ok", None)
_NS_PER_S = 1_000_000_000
_NS_PER_US = 1000
_BAD = Denied(("err", "bad-descriptor"))
_INVALID = Denied(("err", "invalid"))
_READ_ONLY = Denied(("err", "read-only"))

Timestamp = tuple[str, Mapping[str, int] | None]
"""A ``new-timestamp``."""


def get_directories(ctx: StepContext, grant: FilesystemGrant | WasiGrant) -> list[tuple[int, str]]:
    """The granted ones."""
    if isinstance(grant, WasiGrant):
        return []
    return [
        (
            ctx.resources.add(
                OpenFile(
                    grant,
                    directory,
                    (),
                    "directory",
                    frozenset({"read", "mutate-directory"} if directory.can_write else {"read"}),
                )
            ),
            f"/{directory.name}",
        )
        for directory in grant.directories
    ]


def filesystem_error_code(ctx: StepContext, _grant: WasiGrant, error: int) -> str | None:
    """Why a file's stream failed."""
    found = ctx.resources.get(error)
    return found.code if isinstance(found, StreamError) else None


# -- what a descriptor knows without looking ---------------------------------------------------------------------------


def get_flags(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """As it was opened."""
    file: OpenFile = ctx.resources.get(number)
    return ("ok", file.flags)


def get_type(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """What it was when it was opened."""
    file: OpenFile = ctx.resources.get(number)
    return ("ok", file.type)


def is_same_object(ctx: StepContext, _grant: WasiGrant, number: int, other: int) -> bool:
    """Whether both are the same path."""
    left: OpenFile = ctx.resources.get(number)
    right: OpenFile = ctx.resources.get(other)
    return (left.directory, left.parts) == (right.directory, right.parts)


def nothing_to_do(_ctx: StepContext, _grant: WasiGrant, _number: int, *_arguments: object) -> object:
    """``sync``, ``sync-data``, ``advise``: nothing is held back, and nothing is read ahead."""
    return _OK


def unsupported(_ctx: StepContext, _grant: WasiGrant, _number: int, *_arguments: object) -> object:
    """Links."""
    return Denied(("err", "unsupported"))


def read_via_stream(ctx: StepContext, _grant: WasiGrant, number: int, offset: int) -> object:
    """A stream from there on."""
    file: OpenFile = ctx.resources.get(number)
    problem = _unusable(file, "read")
    return problem or ("ok", ctx.resources.add(FileInput(file, offset)))


def write_via_stream(ctx: StepContext, _grant: WasiGrant, number: int, offset: int) -> object:
    """A stream from there on."""
    file: OpenFile = ctx.resources.get(number)
    problem = _unusable(file, "write")
    return problem or ("ok", ctx.resources.add(FileOutput(file, offset)))


def append_via_stream(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """A stream at the end."""
    file: OpenFile = ctx.resources.get(number)
    problem = _unusable(file, "write")
    return problem or ("ok", ctx.resources.add(FileOutput(file, None)))


def _unusable(file: OpenFile, flag: str) -> Denied | None:
    if file.is_directory:
        return Denied(("err", "is-directory"))
    return None if flag in file.flags else _BAD


# -- looking -----------------------------------------------------------------------------------------------------------


def read(ctx: StepContext, _grant: WasiGrant, number: int, length: int, offset: int) -> object:
    """Bytes, and whether the file ends there."""
    file: OpenFile = ctx.resources.get(number)

    def look() -> object:
        data = file.root.read(file.parts, offset, min(length, CALL_MAX_BYTES))
        return ("ok", (data, not data and length > 0))

    return _unusable(file, "read") or Look(lambda: looked(look))


def stat(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """What is known of it."""
    file: OpenFile = ctx.resources.get(number)
    return Look(lambda: looked(lambda: ("ok", _stat(file.root.facts(file.parts)))))


def stat_at(ctx: StepContext, _grant: WasiGrant, number: int, flags: frozenset[str], path: str) -> object:
    """What is known of a path."""
    return _looking_at(ctx, number, flags, path, _stat)


def metadata_hash(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """What tells one file from another."""
    file: OpenFile = ctx.resources.get(number)
    return Look(lambda: looked(lambda: ("ok", _hash(file.root.facts(file.parts)))))


def metadata_hash_at(ctx: StepContext, _grant: WasiGrant, number: int, flags: frozenset[str], path: str) -> object:
    """What tells one file from another."""
    return _looking_at(ctx, number, flags, path, _hash)


def _looking_at(
    ctx: StepContext, number: int, flags: frozenset[str], path: str, shape: Callable[[FileFacts], object]
) -> object:
    file: OpenFile = ctx.resources.get(number)
    parts = below(file, path)
    if isinstance(parts, str):
        return Denied(("err", parts))

    def look() -> object:
        facts = file.root.facts(parts)
        if facts.type == "symbolic-link" and "symlink-follow" in flags:
            return ("err", "loop")
        if path.endswith("/") and facts.type != "directory":
            return ("err", "not-directory")
        return ("ok", shape(facts))

    return Look(lambda: looked(look))


def _stat(facts: FileFacts) -> dict[str, object]:
    return {
        "type": facts.type,
        "link-count": facts.links,
        "size": facts.size_bytes,
        "data-access-timestamp": _datetime(facts.accessed_ns),
        "data-modification-timestamp": _datetime(facts.modified_ns),
        "status-change-timestamp": _datetime(facts.changed_ns),
    }


def _datetime(time_ns: int) -> dict[str, int]:
    seconds, nanoseconds = divmod(time_ns, _NS_PER_S)
    return {"seconds": seconds, "nanoseconds": nanoseconds}


def _hash(facts: FileFacts) -> dict[str, int]:
    digest = hashlib.sha256(repr(facts.identity).encode()).digest()
    return {"lower": int.from_bytes(digest[:8]), "upper": int.from_bytes(digest[8:16])}


def read_directory(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """Its entries, by name."""
    file: OpenFile = ctx.resources.get(number)
    if not file.is_directory:
        return Denied(("err", "not-directory"))

    def look() -> object:
        found = file.root.entries(file.parts, after=None, most=LIST_MAX + 1)
        if len(found) > LIST_MAX:
            return ("err", "overflow")
        return Noted(("ok", 0), [[name, kind] for name, kind in found])

    def give(answer: object, note: object) -> object:
        match answer:
            case ("ok", _):
                if not isinstance(note, list):
                    raise TypeError("there are no entries")
                entries = [(str(name), str(kind)) for name, kind in note]
                return ("ok", ctx.resources.add(Entries(entries[::-1])))
        return answer

    return Look(lambda: looked(look), give)


def read_directory_entry(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """The next one, None behind the last."""
    entries: Entries = ctx.resources.get(number)
    if not entries.left:
        return ("ok", None)
    name, kind = entries.left.pop()
    return ("ok", {"type": kind, "name": name})


# -- opening -----------------------------------------------------------------------------------------------------------


def open_at(
    ctx: StepContext,
    _grant: WasiGrant,
    number: int,
    path_flags: frozenset[str],
    path: str,
    open_flags: frozenset[str],
    flags: frozenset[str],
) -> object:
    """Open a file or directory; making or emptying it is a write."""
    del path_flags  # a link is never followed
    file: OpenFile = ctx.resources.get(number)
    parts = below(file, path)
    if isinstance(parts, str):
        return Denied(("err", parts))
    is_writing = bool(open_flags & {"create", "truncate"})
    if path.endswith("/"):
        open_flags |= {"directory"}
    if is_writing and "directory" in open_flags:
        return _INVALID
    if (is_writing or "write" in flags) and not file.directory.can_write:
        return _READ_ONLY

    def give(answer: object, note: object) -> object:
        match answer:
            case ("ok", _):
                if note not in ("directory", "regular-file"):
                    raise TypeError("it was neither a file nor a directory")
                opened = OpenFile(file.grant, file.directory, parts, str(note), flags)
                return ("ok", ctx.resources.add(opened))
        return answer

    if not is_writing:
        return Look(lambda: looked(lambda: _opened(file, parts, open_flags, flags)), give)

    def do(_usage: Usage, _interruption: Interruption) -> object:
        if "create" in open_flags:
            file.root.make_file(parts, is_new="exclusive" in open_flags)
        if "truncate" in open_flags:
            file.root.set_size(parts, 0)
        return _opened(file, parts, open_flags, flags)

    return acting(ctx, file, do, give=give)


def _opened(file: OpenFile, parts: tuple[str, ...], open_flags: frozenset[str], flags: frozenset[str]) -> object:
    root = file.root
    facts = root.facts(parts)
    if facts.type == "directory":
        return ("err", "is-directory") if "write" in flags else Noted(("ok", 0), facts.type)
    if "directory" in open_flags and facts.type != "symbolic-link":
        return ("err", "not-directory")
    if "write" in flags:
        root.check_writable(parts)
    if "read" in flags or "write" not in flags:
        root.read(parts, 0, 0)
    return Noted(("ok", 0), facts.type)


# -- writing -----------------------------------------------------------------------------------------------------------


def write(ctx: StepContext, _grant: WasiGrant, number: int, data: bytes, offset: int) -> object:
    """Write there; how many bytes."""
    file: OpenFile = ctx.resources.get(number)
    taken = data[: file.grant.call_bytes]

    def do(usage: Usage, _interruption: Interruption) -> object:
        usage.take_up_to(file.root, file.parts, offset + len(taken), file.grant.quota_bytes)
        file.root.write(file.parts, offset, taken)
        return ("ok", len(taken))

    return _unusable(file, "write") or acting(ctx, file, do)


def set_size(ctx: StepContext, _grant: WasiGrant, number: int, size_bytes: int) -> object:
    """Cut it, or make it longer."""
    file: OpenFile = ctx.resources.get(number)

    def do(usage: Usage, _interruption: Interruption) -> object:
        usage.take_up_to(file.root, file.parts, size_bytes, file.grant.quota_bytes)
        file.root.set_size(file.parts, size_bytes)
        return _OK

    return _unusable(file, "write") or acting(ctx, file, do)


def set_times(ctx: StepContext, _grant: WasiGrant, number: int, accessed: Timestamp, modified: Timestamp) -> object:
    """Of the file itself."""
    file: OpenFile = ctx.resources.get(number)
    return _setting_times(ctx, file, file.parts, accessed, modified)


def set_times_at(
    ctx: StepContext,
    _grant: WasiGrant,
    number: int,
    _flags: frozenset[str],
    path: str,
    accessed: Timestamp,
    modified: Timestamp,
) -> object:
    """Of a path; a link is not followed."""
    file: OpenFile = ctx.resources.get(number)
    parts = below(file, path)
    return Denied(("err", parts)) if isinstance(parts, str) else _setting_times(ctx, file, parts, accessed, modified)


def _setting_times(
    ctx: StepContext, file: OpenFile, parts: tuple[str, ...], accessed: Timestamp, modified: Timestamp
) -> object:
    if not file.directory.can_write:
        return _READ_ONLY
    times = [_time_ns(ctx, wanted) for wanted in (accessed, modified)]
    if any(time is not None and time >= 2**63 for time in times):
        return Denied(("err", "invalid"))

    def do(_usage: Usage, _interruption: Interruption) -> object:
        file.root.set_times(parts, accessed_ns=times[0], modified_ns=times[1])
        return _OK

    return acting(ctx, file, do)


def _time_ns(ctx: StepContext, wanted: Timestamp) -> int | None:
    kind, at = wanted
    if at is not None:
        return at["seconds"] * _NS_PER_S + at["nanoseconds"]
    return ctx.now_us * _NS_PER_US if kind == "now" else None


def create_directory_at(ctx: StepContext, _grant: WasiGrant, number: int, path: str) -> object:
    """Make one."""
    return _changing(ctx, number, path, lambda file, parts: file.root.make_directory(parts, parents=False))


def remove_directory_at(ctx: StepContext, _grant: WasiGrant, number: int, path: str) -> object:
    """Remove an empty one."""
    return _changing(ctx, number, path, lambda file, parts: file.root.remove_directory(parts, recursive=False))


def unlink_file_at(ctx: StepContext, _grant: WasiGrant, number: int, path: str) -> object:
    """Remove a file, or a link as such."""
    return _changing(ctx, number, path, lambda file, parts: file.root.unlink(parts))


def rename_at(ctx: StepContext, _grant: WasiGrant, number: int, old_path: str, target: int, new_path: str) -> object:
    """Within one granted directory."""
    file: OpenFile = ctx.resources.get(number)
    other: OpenFile = ctx.resources.get(target)
    new = below(other, new_path)
    if isinstance(new, str):
        return Denied(("err", new))
    if other.directory != file.directory:
        return Denied(("err", "cross-device"))
    return _changing(ctx, number, old_path, lambda file, parts: file.root.rename(parts, new))


def _changing(
    ctx: StepContext, number: int, path: str, change: Callable[[OpenFile, tuple[str, ...]], None]
) -> Denied | Wait:
    file: OpenFile = ctx.resources.get(number)
    parts = below(file, path)
    if isinstance(parts, str):
        return Denied(("err", parts))
    if not file.directory.can_write:
        return _READ_ONLY

    def do(_usage: Usage, _interruption: Interruption) -> object:
        change(file, parts)
        return _OK

    return acting(ctx, file, do)


# -- registration ------------------------------------------------------------------------------------------------------

_TYPES = "wasi:filesystem/types"
_PREOPENS = "wasi:filesystem/preopens"

CAPABILITY = wasi_capability(
    "wasi-filesystem",
    (
        *functions(_PREOPENS, HostClass.DERIVED, {"get-directories": get_directories}),
        *drops(_PREOPENS, "descriptor"),
        *methods(
            _TYPES,
            "descriptor",
            HostClass.DERIVED,
            {
                "read-via-stream": read_via_stream,
                "write-via-stream": write_via_stream,
                "append-via-stream": append_via_stream,
                "advise": nothing_to_do,
                "sync": nothing_to_do,
                "sync-data": nothing_to_do,
                "get-flags": get_flags,
                "get-type": get_type,
                "is-same-object": is_same_object,
                "link-at": unsupported,
                "symlink-at": unsupported,
                "readlink-at": unsupported,
            },
        ),
        *looking_methods(
            _TYPES,
            "descriptor",
            {
                "read": read,
                "read-directory": read_directory,
                "stat": stat,
                "stat-at": stat_at,
                "metadata-hash": metadata_hash,
                "metadata-hash-at": metadata_hash_at,
            },
        ),
        *methods(
            _TYPES,
            "descriptor",
            HostClass.EXTERNAL,
            {
                "open-at": open_at,
                "write": write,
                "set-size": set_size,
                "set-times": set_times,
                "set-times-at": set_times_at,
                "create-directory-at": create_directory_at,
                "remove-directory-at": remove_directory_at,
                "unlink-file-at": unlink_file_at,
                "rename-at": rename_at,
            },
        ),
        *methods(_TYPES, "directory-entry-stream", HostClass.DERIVED, {"read-directory-entry": read_directory_entry}),
        *functions(_TYPES, HostClass.DERIVED, {"filesystem-error-code": filesystem_error_code}),
        *drops(_TYPES, "descriptor", "directory-entry-stream", "input-stream", "output-stream", "error"),
    ),
    under=NAME,
)
