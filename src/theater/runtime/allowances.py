"""What a person allowed an actor that the server is to start, restart or fork, each good for one time.

``--allow`` writes a file into the data directory and names it in the order; the server reads and removes
it. So the right to go beyond the ceiling comes from the data directory's owner, and never from a token alone. The same
file says in which folder the manifest lies, where it asks for something that has paths: to name a place on the server's
disk is a right as well.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import msgspec

from theater.errors import Damaged, InvalidInput
from theater.model.wire import Hex64
from theater.runtime.private_files import check_private, read_private, write_private
from theater.store.data_dir import DataDir
from theater.store.files import make_folder

ALLOWANCE_MAX_AGE_S = 600  # a person allows and starts in one command: what is older was never used

_ALLOWANCE_NAME = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What was allowed, and where the manifest lies; None: in no folder."""

    allowed: tuple[str, ...] = ()
    manifest_folder: str | None = None


class _File(msgspec.Struct, frozen=True):
    allowed: list[str]
    manifest_sha256: Hex64
    manifest_folder: str | None = None


def write_allowance(
    folder: DataDir, allowed: Sequence[str], *, manifest: str, manifest_folder: str | None = None
) -> str:
    """Allow the next start of exactly this manifest what goes beyond the ceiling; returns the name to start it with.

    A restart or a fork is a start, too. ``manifest_folder`` is what relative paths in it are relative to, absolute and
    without links; an actor that is there already keeps its own.

    Who can write here owns the data directory, and that is the whole right: no token gives it.

    Raises:
        Damaged: the folder is somebody else's.
    """
    make_folder(folder.allowances)
    with _open_allowances(folder) as descriptor:
        _sweep(descriptor)
    name = secrets.token_hex(16)
    allowance = _File(list(allowed), _manifest_sha256(manifest), manifest_folder)
    write_private(folder.allowances / f"{name}.json", msgspec.json.encode(allowance), replace=False)
    return name


def take_allowance(folder: DataDir, name: str, *, manifest: str) -> Allowance:
    """What was allowed under that name, which is used up with this, whatever comes of it.

    Raises:
        InvalidInput: nothing was, or it was used or is too old, or it was for another manifest.
        Damaged: the file, or its folder, is not its owner's alone.
    """
    gone = InvalidInput(
        f"nothing is allowed under {name[:40]!r}: it was used, is older than {ALLOWANCE_MAX_AGE_S // 60} minutes,"
        " or is of another data directory; allow it again"
    )
    if not _ALLOWANCE_NAME.match(name):
        raise gone
    try:
        with _open_allowances(folder) as descriptor:
            age_s = _age_s(f"{name}.json", descriptor)
            try:
                content = read_private(folder.allowances / f"{name}.json", folder=descriptor)
            finally:
                os.unlink(f"{name}.json", dir_fd=descriptor)  # whoever is second finds nothing here, and has nothing
    except FileNotFoundError:
        raise gone from None
    try:
        allowance = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError as error:
        raise Damaged(f"what is allowed under {name} cannot be read ({error}): allow it again") from error
    if age_s > ALLOWANCE_MAX_AGE_S:
        raise gone
    if allowance.manifest_sha256 != _manifest_sha256(manifest):
        raise InvalidInput("what was allowed was allowed for another manifest: look at this one, and allow it again")
    if allowance.manifest_folder is not None and not posixpath.isabs(allowance.manifest_folder):
        raise Damaged(f"what is allowed under {name} names a folder without its whole path: allow it again")
    return Allowance(tuple(allowance.allowed), allowance.manifest_folder)


def _manifest_sha256(manifest: str) -> str:
    return hashlib.sha256(manifest.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _open_allowances(folder: DataDir) -> Iterator[int]:
    try:
        descriptor = os.open(folder.allowances, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:  # a link, a file, or closed to us
        raise Damaged(f"{folder.allowances} is no folder of yours ({error.strerror}): remove it") from error
    try:
        check_private(folder.allowances, os.fstat(descriptor))
        yield descriptor
    finally:
        os.close(descriptor)


def _sweep(descriptor: int) -> None:
    """Remove what nobody used in time."""
    for name in os.listdir(descriptor):
        with suppress(FileNotFoundError, IsADirectoryError):
            if _age_s(name, descriptor) > ALLOWANCE_MAX_AGE_S:
                os.unlink(name, dir_fd=descriptor)


def _age_s(name: str, folder: int) -> float:
    """Of a file; one from the future is as far away as one from the past."""
    return abs(time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime)
