"""The body of an answer, unpacked as it arrives and never beyond its limit."""

from __future__ import annotations

import zlib

RATIO_MAX = 200
"""How much larger than what was sent a body may become: text shrinks to a fifth, logs to a fiftieth."""
RATIO_FROM_BYTES = 2**20
"""A small one may shrink as it likes."""

_GZIP_WBITS = 31
_ZLIB_WBITS = 15
_RAW_WBITS = -15
_ZLIB_METHOD = 8


class TooLarge(Exception):
    """The body is larger than its limit."""


class Unreadable(Exception):
    """The body is not packed as its header says, or is a bomb. The text says which."""


class Body:
    """What has arrived. ``coding`` is that of ``content-encoding``; one that is not known is left as it is."""

    def __init__(self, coding: str, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._coding = coding.strip().lower()
        self._inflater: zlib._Decompress | None = None
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._sent_bytes = 0

    @property
    def is_unpacked(self) -> bool:
        """Whether it is packed no longer."""
        return self._coding in ("gzip", "x-gzip", "deflate")

    def add(self, data: bytes) -> None:
        """The next piece. Raises ``TooLarge`` or ``Unreadable``."""
        self._sent_bytes += len(data)
        if not self.is_unpacked:
            self._keep(data)
            return
        try:
            self._inflate(data)
        except zlib.error as error:
            raise Unreadable(f"the body is not packed as {self._coding}: {error}") from error

    def whole(self) -> bytes:
        """All of it. Raises ``Unreadable`` where it ends too early."""
        if self._inflater is not None and not self._inflater.eof:
            raise Unreadable("the packed body ends too early")
        return b"".join(self._pieces)

    def _inflate(self, data: bytes) -> None:
        while data:
            if self._inflater is None or self._inflater.eof:  # gzip may have several members
                self._inflater = zlib.decompressobj(self._wbits(data))
            self._keep(self._inflater.decompress(data, self._limit_bytes + 1 - self._size_bytes))
            data = self._inflater.unconsumed_tail or self._inflater.unused_data

    def _wbits(self, data: bytes) -> int:
        if self._coding != "deflate":
            return _GZIP_WBITS
        return _ZLIB_WBITS if data[0] & 0x0F == _ZLIB_METHOD else _RAW_WBITS  # some servers leave the zlib header out

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size_bytes += len(piece)
        if self._size_bytes > self._limit_bytes:
            raise TooLarge
        if self.is_unpacked and self._size_bytes > max(RATIO_FROM_BYTES, RATIO_MAX * self._sent_bytes):
            raise Unreadable(f"the body unpacks to more than {RATIO_MAX} times of what was sent")
