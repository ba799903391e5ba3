"""What a program writes, cut up into pieces: as it comes, by lines, or by size, and never within a character."""

from __future__ import annotations

from theater.capabilities.guest_content import Content, content_of
from theater.capabilities.process_spec import PIECE_MAX_BYTES, OutputMode

WAITING_MAX_BYTES = 256 * 1024
"""Of one stream: beyond what a slow actor can catch up with soon, only the newest is of interest."""

_TAIL_MAX = 3
"""Bytes that can stand before the last one of a character."""
_TAIL_MASK, _TAIL = 0xC0, 0x80
_LENGTHS = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""The least first byte of a character, and how many bytes it has."""


class Output:
    """What one stream has written and nobody has taken yet. Used by one thread.

    The oldest is lost where more than ``WAITING_MAX_BYTES`` wait.
    """

    def __init__(self, mode: OutputMode, form: str) -> None:
        self._mode, self._size_bytes = mode[0], mode[1] or 0
        self._form = form
        self._is_text = form in ("automatic", "text")
        self._waiting = bytearray()
        self._is_over = False
        self._has_gap = False

    @property
    def is_done(self) -> bool:
        """Whether nothing will come any more."""
        return self._is_over and not self._waiting

    def write(self, data: bytes) -> None:
        """It has written this."""
        self._waiting += data
        if len(self._waiting) > WAITING_MAX_BYTES:
            self._lose(len(self._waiting) - WAITING_MAX_BYTES)

    def end(self) -> None:
        """It will write no more."""
        self._is_over = True

    def lose(self) -> None:
        """What was taken last has not arrived."""
        self._has_gap = True

    def take(self) -> tuple[Content, bool] | None:
        """The next piece, and whether something before it was lost; None where there is none yet."""
        piece = self._next()
        if piece is None:
            return None
        has_gap, self._has_gap = self._has_gap, False
        content = content_of(piece, self._form) or content_of(piece, "base64")
        assert content is not None, "everything has a form in base64"
        return content, has_gap

    def _next(self) -> bytes | None:
        if not self._waiting:
            return None
        match self._mode:
            case "lines":
                return self._line()
            case "chunks":
                return self._cut(self._size_bytes) if self._is_over or len(self._waiting) >= self._size_bytes else None
            case _:
                return self._cut(PIECE_MAX_BYTES)

    def _line(self) -> bytes | None:
        end = self._waiting.find(b"\n", 0, PIECE_MAX_BYTES + 2)
        if end >= 0:
            line = bytes(self._waiting[:end]).removesuffix(b"\r")
            if len(line) <= PIECE_MAX_BYTES:
                del self._waiting[: end + 1]
                return line
        if len(self._waiting) > PIECE_MAX_BYTES + 1:  # so that a line of that size is no two pieces
            return self._cut(PIECE_MAX_BYTES)
        return self._cut(PIECE_MAX_BYTES) if self._is_over else None

    def _cut(self, size_bytes: int) -> bytes | None:
        """At most so many bytes; None where all there is may be the beginning of a character."""
        end = min(size_bytes, len(self._waiting))
        if self._is_text and not (self._is_over and end == len(self._waiting)):
            end = _between_characters(self._waiting, end)
        if not end:
            return None
        piece = bytes(self._waiting[:end])
        del self._waiting[:end]
        return piece

    def _lose(self, size_bytes: int) -> None:
        """At least so many bytes, up to where a line or a character begins."""
        begin = size_bytes
        if self._mode == "lines":
            begin = self._waiting.find(b"\n", size_bytes - 1) + 1 or size_bytes
        elif self._is_text:
            while begin < min(size_bytes + _TAIL_MAX, len(self._waiting)) and _is_tail(self._waiting[begin]):
                begin += 1
        del self._waiting[:begin]
        self._has_gap = True


def _between_characters(data: bytearray, end: int) -> int:
    """``end``, or where the character begins that it would cut through."""
    for begin in range(end - 1, max(end - 1 - _TAIL_MAX, -1), -1):
        if not _is_tail(data[begin]):
            length = next((length for least, length in _LENGTHS if data[begin] >= least), 1)
            return begin if begin + length > end else end
    return end


def _is_tail(byte: int) -> bool:
    return byte & _TAIL_MASK == _TAIL
