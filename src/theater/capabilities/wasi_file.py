"""What the guests of ``wasi:filesystem`` hold: open files and directories, which are paths and nothing that is open.

A descriptor is made again by a replay, and by a step that goes on in another process, without touching anything: it is
a path below a granted directory, with what it was when it was opened. Each call opens the path anew.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from theater.capabilities.file_root import FileRoot
from theater.capabilities.filesystem_grant import NAME, PATH_MAX_BYTES, Directory, FilesystemGrant
from theater.capabilities.filesystem_usage import Usage
from theater.capabilities.moment import US_PER_DAY
from theater.model.act import Act, Give, Interruption
from theater.model.capability import Noted, StepContext, Wait

CALL_MAX_BYTES = 32 * 1024
"""Read or written in one call: recorded, it is a payload that needs no file of its own. Guests call again for more."""

_CODES = {
    errno.EACCES: "access",
    errno.EPERM: "not-permitted",
    errno.EEXIST: "exist",
    errno.ENOENT: "no-entry",
    errno.ENOTDIR: "not-directory",
    errno.EISDIR: "is-directory",
    errno.ENOTEMPTY: "not-empty",
    errno.ELOOP: "loop",
    errno.EMLINK: "not-permitted",
    errno.EXDEV: "cross-device",
    errno.EROFS: "read-only",
    errno.ENOSPC: "insufficient-space",
    errno.EDQUOT: "quota",
    errno.ENAMETOOLONG: "name-too-long",
    errno.EINVAL: "invalid",
    errno.EFBIG: "file-too-large",
    errno.EBUSY: "busy",
    errno.EOVERFLOW: "overflow",
    errno.ETXTBSY: "text-file-busy",
    errno.EBADF: "bad-descriptor",
}


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A descriptor."""

    grant: FilesystemGrant
    directory: Directory
    parts: tuple[str, ...]
    type: str
    flags: frozenset[str]

    @property
    def root(self) -> FileRoot:
        """The granted directory that it lies in."""
        return FileRoot(self.directory.path)

    @property
    def is_directory(self) -> bool:
        """Whether it was one when it was opened."""
        return self.type == "directory"


@dataclass(frozen=True, slots=True)
class Entries:
    """A ``directory-entry-stream``: what is left of the directory as it was when it was read."""

    left: list[tuple[str, str]]


def code_of(error: OSError) -> str:
    """The interface's ``error-code``."""
    return _CODES.get(error.errno or 0, "io")


def looked(look: Callable[[], object]) -> object:
    """What ``look`` finds, or the code of what it fails with."""
    try:
        return look()
    except OSError as error:
        return ("err", code_of(error))


def below(file: OpenFile, path: str) -> tuple[str, ...] | str:
    """Where a path leads from a directory, or the code of what is wrong with it.

    ``..`` goes up in the text, which is the same as on the disk, since no link is followed; never above ``file``.
    """
    if not file.is_directory:
        return "not-directory"
    if "\0" in path or not path:
        return "no-entry" if not path else "invalid"
    if len(path.encode()) > PATH_MAX_BYTES:
        return "name-too-long"
    if path.startswith("/"):
        return "not-permitted"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return "not-permitted"
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return (*file.parts, *parts)


def acting(
    ctx: StepContext,
    file: OpenFile,
    do: Callable[[Usage, Interruption], object],
    *,
    give: Give | None = None,
    failed: Callable[[str], object] = lambda code: ("err", code),
) -> Wait:
    """Act on the disk. ``failed`` makes the answer of an error's code: ``io`` where nobody knows what came of it."""

    def perform(usage: Usage, interruption: Interruption) -> object:
        try:
            return do(usage, interruption)
        except OSError as error:
            return failed(code_of(error))

    def unknown() -> object:
        answer = failed("io")
        return answer.answer if isinstance(answer, Noted) else answer

    return Wait(
        until_us=ctx.now_us + US_PER_DAY,  # the step's limit ``wait`` is shorter
        answer=unknown,
        act=Act(perform, unknown, under=file.directory.path, give=give, service=NAME),
    )
