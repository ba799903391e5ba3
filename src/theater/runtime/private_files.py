"""Files that are secret, or that rights come from: their owner's alone, and refused where they are not."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from theater.errors import Damaged
from theater.store.files import PRIVATE_FILE

_FILE_MAX_BYTES = 2**20  # a thousand tokens take a quarter
_OTHERS = 0o077


def read_private(path: Path, *, folder: int | None = None) -> bytes:
    """What a file has that is this user's alone. ``folder``: an open one, to find its name in.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is no file, or another user's, or others can read it.
    """
    # A pipe would be waited for, and a device could be anything: neither is opened for good.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path if folder is None else path.name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}): it has to be a file of yours alone") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Damaged(f"{path} is no file: remove it")
        check_private(path, status)
        with os.fdopen(descriptor, "rb", closefd=False) as file:  # it takes no folder
            return file.read(_FILE_MAX_BYTES)
    finally:
        os.close(descriptor)


def check_private(path: Path, status: os.stat_result) -> None:
    """Fail unless what has this status is this user's alone.

    Raises:
        Damaged: it is not; the message says what to do.
    """
    if status.st_uid != os.geteuid():
        raise Damaged(f"{path} is another user's: work as that user, or with a data directory of your own")
    if stat.S_IMODE(status.st_mode) & _OTHERS:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise Damaged(f"others can read {path}: chmod {mode} it, or remove it if anybody may have")


def write_private(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Make ``path`` hold ``data`` as a whole, for its owner alone. The name it is written under is nobody else's.

    Raises:
        FileExistsError: ``path`` is there, and was not to be replaced.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if replace:
            temporary.rename(path)
        else:
            os.link(temporary, path, follow_symlinks=False)
    finally:
        temporary.unlink(missing_ok=True)
