"""Zip files from strangers: read entry by entry with hard limits, never unpacked to paths.

The directory at the end of the file and the headers before each entry must say the same, and there must be nothing else
in the file: bytes that one reader sees and another does not are how archives lie.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from types import TracebackType
from typing import BinaryIO, NoReturn, Self, cast

from theater.errors import BadBundle

ENTRIES_MAX = 100_000
TOTAL_MAX_BYTES = 1 << 30
RATIO_MAX = 200
_SMALL_BYTES = 1 << 20  # the ratio of a single entry below this says nothing

_NAME_MAX_BYTES = 100
_DIRECTORY_ENTRY_MAX_BYTES = 46 + _NAME_MAX_BYTES + 64  # with room for the extra fields of common tools

_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<4sIQI")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_LARGE_16 = 0xFFFF
_LARGE_32 = 0xFFFFFFFF

_ENCRYPTED = 0x0001
_HAS_DESCRIPTOR = 0x0008
_FLAGS_KNOWN = 0x080E  # how hard deflate tried, descriptor, name in UTF-8
_DESCRIPTOR_SIZES = (12, 16, 20, 24)  # with or without signature, with 32 or 64 bits

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error)


class Archive:
    """A zip file whose whole structure was looked at. Use it in a ``with`` statement; it does not own ``file``.

    Raises:
        BadBundle: the file is not such a zip file; says what is wrong.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        directory_start, entry_count = _directory(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise BadBundle(f"not a zip file that can be read: {error}") from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            self._admit(info)
        if len(self._entries) != entry_count:
            raise BadBundle(f"it has {len(self._entries)} entries and says {entry_count}")
        self._check_sizes()
        self._check_layout(directory_start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """The names of all entries, as they stand in the directory."""
        return list(self._entries)

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """All of a small entry.

        Raises:
            BadBundle: it has more than ``max_bytes``, or is damaged.
        """
        info = self._entries[name]
        if info.file_size > max_bytes:
            raise BadBundle(f"'{name}' has {info.file_size} bytes, allowed {max_bytes}")
        with self.open(name) as entry:
            data = entry.read()
        if len(data) != info.file_size:
            raise BadBundle(f"'{name}' ends too early")
        return data

    @contextmanager
    def open(self, name: str) -> Iterator[BufferedReader]:
        """An entry as a stream, which ends at its size in any case. Damage found within comes out as ``BadBundle``."""
        try:
            with self._zip.open(self._entries[name]) as entry:
                # which reads lines a byte at a time; it is a raw stream in all but its declared type
                yield BufferedReader(cast("RawIOBase", entry))
        except _DAMAGE as error:
            raise BadBundle(f"'{name}' is damaged: {error}") from error

    def _admit(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        if not name.isascii() or not name.isprintable() or len(name) > _NAME_MAX_BYTES or name != info.filename:
            raise BadBundle(f"an entry has the name {name[:_NAME_MAX_BYTES]!r}")
        if name in self._entries:
            raise BadBundle(f"'{name}' is in it twice")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.is_dir():
            raise BadBundle(f"'{name}' is no file")
        if info.flag_bits & _ENCRYPTED:
            raise BadBundle(f"'{name}' is encrypted")
        if info.flag_bits & ~_FLAGS_KNOWN or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadBundle(f"'{name}' is packed in a way that is not read here")
        self._entries[name] = info

    def _check_sizes(self) -> None:
        total = packed = 0
        for name, info in self._entries.items():
            total += info.file_size
            packed += info.compress_size
            if info.file_size > _SMALL_BYTES and info.file_size > RATIO_MAX * info.compress_size:
                _too_dense(f"'{name}'", info.file_size, info.compress_size)
        if total > TOTAL_MAX_BYTES:
            raise BadBundle(f"its entries have {total} bytes, allowed {TOTAL_MAX_BYTES}")
        if total > _SMALL_BYTES and total > RATIO_MAX * packed:
            _too_dense("all of it", total, packed)

    def _check_layout(self, directory_start: int) -> None:
        """Entries lie one behind the other from the first byte to the directory, as that says."""
        position = 0
        pending_descriptor = False
        for info in sorted(self._entries.values(), key=lambda info: info.header_offset):
            self._check_gap(position, info.header_offset, has_descriptor=pending_descriptor)
            position = self._data_start(info) + info.compress_size
            pending_descriptor = bool(info.flag_bits & _HAS_DESCRIPTOR)
        self._check_gap(position, directory_start, has_descriptor=pending_descriptor)

    def _check_gap(self, end: int, start: int, *, has_descriptor: bool) -> None:
        gap = start - end
        if gap not in (_DESCRIPTOR_SIZES if has_descriptor else (0,)):
            raise BadBundle("there are bytes in it that belong to no entry, or to two")

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        name = info.orig_filename
        self._file.seek(info.header_offset)
        head = self._file.read(_LOCAL.size)
        if len(head) != _LOCAL.size:
            raise BadBundle(f"'{name}' lies outside of the file")
        signature, _, flags, method, *fields = _LOCAL.unpack(head)
        _, _, crc, packed, size, name_size, extra_size = cast("tuple[int, ...]", fields)
        local_name = self._file.read(name_size)
        wanted = (b"PK\3\4", info.flag_bits, info.compress_type, name.encode())
        sizes = {(info.CRC, info.compress_size, info.file_size)}
        if info.flag_bits & _HAS_DESCRIPTOR:
            sizes.add((0, 0, 0))
            sizes.add((0, _LARGE_32, _LARGE_32))
        sizes.add((info.CRC, _LARGE_32, _LARGE_32))
        if (signature, flags, method, local_name) != wanted or (crc, packed, size) not in sizes:
            raise BadBundle(f"'{name}' is not what the directory says")
        return info.header_offset + _LOCAL.size + name_size + extra_size


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Where the directory begins, and how many entries it says: nothing of it is read before that is bounded."""
    size = file.seek(0, os.SEEK_END)
    if size < _END.size:
        raise BadBundle("not a zip file")
    if size > TOTAL_MAX_BYTES:
        raise BadBundle(f"it has {size} bytes, allowed {TOTAL_MAX_BYTES}")
    position = size - _END.size
    record = _END.unpack(_at(file, position, _END.size))
    signature, disk, directory_disk, here, entries, directory_size, start, comment_size = record
    if signature != b"PK\5\6" or comment_size or disk or directory_disk or here != entries:
        raise BadBundle("not a zip file, or one with something behind its end")
    if _LARGE_16 in (here, entries) or _LARGE_32 in (directory_size, start):
        locator_at = position - _LOCATOR_64.size
        signature, disk, position, disks = _LOCATOR_64.unpack(_at(file, locator_at, _LOCATOR_64.size))
        if signature != b"PK\6\7" or disk or disks != 1 or position + _END_64.size != locator_at:
            raise BadBundle("the end of the zip file is not in order")
        record_64 = _END_64.unpack(_at(file, position, _END_64.size))
        signature, entries, directory_size, start = record_64[0], *record_64[7:]
        if signature != b"PK\6\6":
            raise BadBundle("the end of the zip file is not in order")
    if entries > ENTRIES_MAX or directory_size > ENTRIES_MAX * _DIRECTORY_ENTRY_MAX_BYTES:
        raise BadBundle(f"it has {entries} entries, allowed {ENTRIES_MAX}")
    if start + directory_size != position:
        raise BadBundle("there are bytes in it that belong to no entry, or to two")
    return int(start), int(entries)


def _at(file: BinaryIO, position: int, size: int) -> bytes:
    if position < 0:
        raise BadBundle("not a zip file")
    file.seek(position)
    data = file.read(size)
    if len(data) != size:
        raise BadBundle("not a zip file")
    return data


def _too_dense(what: str, size: int, packed: int) -> NoReturn:
    raise BadBundle(f"{what} unpacks from {packed} to {size} bytes, allowed {RATIO_MAX} times as many")
