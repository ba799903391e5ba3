"""Files below one directory, and no way out of it: everything is opened relative to directory descriptors.

No symbolic link is ever followed, not below the directory and not on the way to it. Where the kernel has ``openat2``,
it sees to that in one call; elsewhere a path is walked part by part. Whoever swaps a part for a link meanwhile makes a
call fail, and never leads it elsewhere. What is no regular file or directory (a device, a pipe, a socket) is not
opened, and a file that has another name somewhere (a hard link) is not written in place.

Nothing stays open between two calls. Whatever cannot be done is an ``OSError`` with its number: ``ELOOP`` for a
link, ``EACCES`` for what is no file, ``EMLINK`` for one of many names.
"""

from __future__ import annotations

import ctypes
import errno
import heapq
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

Parts = Sequence[str]
"""A path below the directory, without ``.`` and ``..``; empty: the directory itself."""

SCAN_MAX = 1_000_000
"""Entries of one directory that are looked through, and files of a whole tree that are added up: some seconds."""
COPY_BYTES = 2**20
"""What is copied at a time: between two it can be interrupted."""

_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | _FLAGS
_FILE: Final = os.O_NONBLOCK | os.O_NOCTTY | _FLAGS
_OPENAT2: Final = 437  # the same on every architecture
_NO_MAGIC_LINKS, _NO_LINKS, _BENEATH = 0x02, 0x04, 0x08
_TRIES: Final = 16  # the kernel gives up with EAGAIN where something is renamed meanwhile


class OpenHow(ctypes.Structure):
    """``struct open_how``."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a path: what it is, of a link about the link itself."""

    type: str
    """``regular-file``, ``directory``, ``symbolic-link``, ``block-device``, ``character-device``, ``fifo``, ``socket``
    or ``unknown``."""
    size_bytes: int
    links: int
    accessed_ns: int
    modified_ns: int
    changed_ns: int
    identity: tuple[int, int]
    """The device and the file on it: equal for two paths to the same file."""


class FileRoot:
    """One directory. It has no state: any thread may use it."""

    def __init__(self, path: str, opener: Callable[[int, Parts, int], int] | None = None) -> None:
        self.path = path
        self._open_below = opener or open_below

    # -- looking

    def facts(self, parts: Parts) -> FileFacts:
        """What a path leads to. Fails with ``ENOENT`` where there is nothing."""
        with self._at(parts) as (folder, name):
            return _facts(os.stat(name, dir_fd=folder, follow_symlinks=False) if name else os.fstat(folder))

    def read(self, parts: Parts, offset: int, most_bytes: int) -> bytes:
        """At most so many bytes of a file from there on; fewer at its end alone."""
        with self._file(parts, os.O_RDONLY) as file:
            pieces, found = [], 0
            while found < most_bytes:
                piece = os.pread(file, min(most_bytes - found, COPY_BYTES), offset + found)
                if not piece:
                    break
                pieces.append(piece)
                found += len(piece)
            return b"".join(pieces)

    def entries(self, parts: Parts, *, after: str | None, most: int) -> list[tuple[str, str]]:
        """Names and types, by the bytes of the names, behind ``after``. A name that is not UTF-8 is left out.

        Fails with ``EOVERFLOW`` where there are more than ``SCAN_MAX``.
        """
        behind = b"" if after is None else after.encode()
        with self._folder(parts) as folder:
            return [(name.decode(), kind) for name, kind in heapq.nsmallest(most, _scan(folder, behind))]

    def size_bytes(self) -> int:
        """Of all files below it together. Fails with ``EOVERFLOW`` where there are more than ``SCAN_MAX``."""
        total = count = 0
        with self._folder(()) as top:
            for _, folders, files, folder in os.fwalk(".", dir_fd=top, follow_symlinks=False):
                for name in files:
                    with suppress(FileNotFoundError):
                        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                        total += found.st_size if stat.S_ISREG(found.st_mode) else 0
                count += len(folders) + len(files)
                if count > SCAN_MAX:
                    raise OSError(errno.EOVERFLOW, "there is too much in this directory to add it up")
        return total

    # -- writing

    def replace(self, parts: Parts, content: bytes) -> None:
        """Make a file, or replace it as a whole: readers see the old content or the new."""

        def fill(file: int) -> None:
            _write_all(file, content)

        self._replace_by(parts, fill)

    def copy(self, source: FileRoot, old: Parts, parts: Parts, *, is_over: Callable[[], bool]) -> None:
        """As ``replace``, with the content of a file, of another directory perhaps.

        Fails with ``ECANCELED`` once it ``is_over``: nobody waits for it.
        """
        with source._file(old, os.O_RDONLY) as origin:

            def fill(file: int) -> None:
                while piece := os.read(origin, COPY_BYTES):
                    if is_over():
                        raise OSError(errno.ECANCELED, "interrupted")
                    _write_all(file, piece)

            self._replace_by(parts, fill)

    def create(self, parts: Parts, content: bytes) -> None:
        """Make a file that is not there."""
        with self._at(parts) as (folder, name):
            file = _new_file(folder, _named(name))
            try:
                _write_all(file, content)
            except BaseException:
                os.unlink(name, dir_fd=folder)
                raise
            finally:
                os.close(file)

    def append(self, parts: Parts, content: bytes, *, make: bool) -> None:
        """Add to the end of a file, which may be made."""
        if make:
            self.make_file(parts)
        with self._file(parts, os.O_WRONLY | os.O_APPEND) as file:
            _write_all(file, content)

    def make_file(self, parts: Parts, *, is_new: bool = False) -> None:
        """Make an empty file, unless there is one and it need not be ``is_new``."""
        with self._at(parts) as (folder, name):
            try:
                os.close(_new_file(folder, _named(name)))
            except FileExistsError:
                if is_new:
                    raise

    def write(self, parts: Parts, offset: int, content: bytes) -> None:
        """Overwrite part of a file that is there, making it longer where needed."""
        with self._file(parts, os.O_WRONLY) as file:
            _write_all(file, content, offset)

    def set_size(self, parts: Parts, size_bytes: int) -> None:
        """Cut a file, or fill it with zeros up to there."""
        with self._file(parts, os.O_WRONLY) as file:
            os.ftruncate(file, size_bytes)

    def set_times(self, parts: Parts, *, accessed_ns: int | None, modified_ns: int | None) -> None:
        """When a file or directory was read and written last; None: as it is."""
        found = self.facts(parts)
        if found.type not in ("regular-file", "directory"):
            raise OSError(errno.ELOOP if found.type == "symbolic-link" else errno.EACCES, "it is neither")
        times = (
            found.accessed_ns if accessed_ns is None else accessed_ns,
            found.modified_ns if modified_ns is None else modified_ns,
        )
        with self._at(parts) as (folder, name):
            os.utime(name or ".", ns=times, dir_fd=folder, follow_symlinks=False)

    def check_writable(self, parts: Parts) -> None:
        """Fails where a file cannot be written in place."""
        with self._file(parts, os.O_WRONLY):
            pass

    def make_directory(self, parts: Parts, *, parents: bool) -> None:
        """Make a directory; with ``parents`` also those on the way, and then one that is there is no error."""
        for count in range(1 if parents else len(parts), len(parts)):
            self._make_one(parts[:count], may_exist=True)
        self._make_one(parts, may_exist=parents)

    def remove_file(self, parts: Parts) -> None:
        """Remove a file. What is neither that nor a link fails with ``EACCES``; a link with ``ELOOP``."""
        with self._at(parts) as (folder, name):
            _check_file(os.stat(_named(name), dir_fd=folder, follow_symlinks=False))
            os.unlink(name, dir_fd=folder)

    def unlink(self, parts: Parts) -> None:
        """Remove a file, or a link as such."""
        with self._at(parts) as (folder, name):
            os.unlink(_named(name), dir_fd=folder)

    def remove_directory(self, parts: Parts, *, recursive: bool) -> None:
        """Remove an empty directory, or one with all that is in it; links in it go, and not what they lead to."""
        with self._at(parts) as (folder, name):
            if not recursive:
                os.rmdir(_named(name), dir_fd=folder)
                return
            found = os.stat(_named(name), dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                number = errno.ELOOP if stat.S_ISLNK(found.st_mode) else errno.ENOTDIR
                raise OSError(number, os.strerror(number))
            shutil.rmtree(name, dir_fd=folder)

    def rename(self, old: Parts, new: Parts) -> None:
        """Rename a file or directory. A file at the new path is replaced."""
        with self._at(old) as (from_folder, from_name), self._at(new) as (to_folder, to_name):
            for folder, name in ((from_folder, from_name), (to_folder, to_name)):
                with suppress(FileNotFoundError):
                    if stat.S_ISLNK(os.stat(_named(name), dir_fd=folder, follow_symlinks=False).st_mode):
                        raise OSError(errno.ELOOP, "it is a symbolic link")
            os.rename(_named(from_name), _named(to_name), src_dir_fd=from_folder, dst_dir_fd=to_folder)

    # -- within

    def _make_one(self, parts: Parts, *, may_exist: bool) -> None:
        with self._at(parts) as (folder, name):
            try:
                os.mkdir(_named(name), dir_fd=folder)
            except FileExistsError:
                if not may_exist:
                    raise
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    raise

    def _replace_by(self, parts: Parts, fill: Callable[[int], None]) -> None:
        with self._at(parts) as (folder, name):
            old = None
            with suppress(FileNotFoundError):
                old = os.stat(_named(name), dir_fd=folder, follow_symlinks=False)
                _check_file(old)
            fresh = f".theater-{secrets.token_hex(8)}.tmp"
            file = _new_file(folder, fresh)
            try:
                try:
                    if old is not None:  # who could not read it before, cannot now
                        os.fchmod(file, stat.S_IMODE(old.st_mode) & 0o777)
                    fill(file)
                finally:
                    os.close(file)
                os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(fresh, dir_fd=folder)
                raise

    @contextmanager
    def _folder(self, parts: Parts) -> Iterator[int]:
        with self._top() as top:
            folder = self._open_below(top, parts, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
            try:
                yield folder
            finally:
                os.close(folder)

    @contextmanager
    def _at(self, parts: Parts) -> Iterator[tuple[int, str]]:
        """The directory that a path lies in, and its name there; "" for the granted directory itself."""
        with self._top() as top:
            folder = self._open_below(top, parts[:-1], _FOLDER)
            try:
                yield folder, parts[-1] if parts else ""
            finally:
                os.close(folder)

    @contextmanager
    def _file(self, parts: Parts, flags: int) -> Iterator[int]:
        """A regular file, opened. It is looked at first, since opening a device or a pipe may do something already."""
        with self._at(parts) as (folder, name):
            if not name:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            _check_file(os.stat(name, dir_fd=folder, follow_symlinks=False))
            file = os.open(name, flags | _FILE, dir_fd=folder)
            try:
                found = os.fstat(file)
                _check_file(found)
                if flags & (os.O_WRONLY | os.O_RDWR) and found.st_nlink > 1:
                    raise OSError(errno.EMLINK, "it has other names (hard links), which may lie elsewhere")
                yield file
            finally:
                os.close(file)

    @contextmanager
    def _top(self) -> Iterator[int]:
        slash = os.open("/", _FOLDER)
        try:
            top = self._open_below(slash, [part for part in self.path.split("/") if part], _FOLDER)
        finally:
            os.close(slash)
        try:
            yield top
        finally:
            os.close(top)


def open_below(folder: int, parts: Parts, flags: int) -> int:
    """Open what lies below a directory, following no link: by ``openat2``, or part by part where there is none."""
    try:
        return open_in_one(folder, parts, flags)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.E2BIG):  # an old kernel, or a sandbox that knows it not
            raise
    return open_by_parts(folder, parts, flags)


def open_in_one(folder: int, parts: Parts, flags: int) -> int:
    """By ``openat2``."""
    # without O_NOFOLLOW, which with O_PATH would open a link as such
    how = OpenHow((flags | os.O_CLOEXEC) & ~os.O_NOFOLLOW, 0, _NO_MAGIC_LINKS | _NO_LINKS | _BENEATH)
    path = os.fsencode("/".join(parts) or ".")
    number = errno.EAGAIN
    for _ in range(_TRIES):
        found: int = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if found >= 0:
            return found
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number))


def open_by_parts(folder: int, parts: Parts, flags: int) -> int:
    """Each part relative to the one before, none of them a link."""
    current = os.dup(folder)
    try:
        for place, part in enumerate(parts or (".",)):
            wanted = flags if place == max(len(parts), 1) - 1 else _FOLDER
            try:
                found = os.open(part, wanted | _FLAGS, dir_fd=current)
            except NotADirectoryError:
                if stat.S_ISLNK(os.stat(part, dir_fd=current, follow_symlinks=False).st_mode):
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
                raise
            os.close(current)
            current = found
    except BaseException:
        os.close(current)
        raise
    return current


def _named(name: str) -> str:
    """The granted directory itself cannot be made, renamed or removed."""
    if not name:
        raise OSError(errno.EBUSY, "it is the granted directory itself")
    return name


def _new_file(folder: int, name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o666, dir_fd=folder)


def _check_file(found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    raise OSError(errno.EACCES, "it is a device, a pipe or a socket")


def _scan(folder: int, behind: bytes) -> Iterator[tuple[bytes, str]]:
    with os.scandir(folder) as found:
        for count, entry in enumerate(found):
            if count >= SCAN_MAX:
                raise OSError(errno.EOVERFLOW, f"this directory has more than {SCAN_MAX} entries")
            name = os.fsencode(entry.name)
            with suppress(UnicodeDecodeError):
                name.decode()
                if name > behind:
                    yield name, _entry_type(entry)


def _entry_type(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "symbolic-link"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    if entry.is_file(follow_symlinks=False):
        return "regular-file"
    with suppress(OSError):
        return _type(entry.stat(follow_symlinks=False).st_mode)
    return "unknown"


def _facts(found: os.stat_result) -> FileFacts:
    return FileFacts(
        type=_type(found.st_mode),
        size_bytes=found.st_size if stat.S_ISREG(found.st_mode) else 0,
        links=found.st_nlink,
        accessed_ns=max(0, found.st_atime_ns),
        modified_ns=max(0, found.st_mtime_ns),
        changed_ns=max(0, found.st_ctime_ns),
        identity=(found.st_dev, found.st_ino),
    )


def _type(mode: int) -> str:
    for is_that, name in (
        (stat.S_ISREG, "regular-file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "symbolic-link"),
        (stat.S_ISBLK, "block-device"),
        (stat.S_ISCHR, "character-device"),
        (stat.S_ISFIFO, "fifo"),
        (stat.S_ISSOCK, "socket"),
    ):
        if is_that(mode):
            return name
    return "unknown"


def _write_all(file: int, content: bytes, offset: int | None = None) -> None:
    left = memoryview(content)
    while left:
        if offset is None:
            done = os.write(file, left[:COPY_BYTES])
        else:
            done = os.pwrite(file, left[:COPY_BYTES], offset)
            offset += done
        left = left[done:]
