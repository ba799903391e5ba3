"""Standard input by lines, for whoever also waits for something else."""

from __future__ import annotations

import io
import os
import sys

from theater.errors import InvalidInput

_CHUNK_BYTES = 65_536


class InputLines:
    """What stands on standard input, a line at a time. ``descriptor`` is what to wait on; None where nothing blocks.

    To be the only reader of standard input, from before anything was read.
    """

    def __init__(self, *, line_max_bytes: int) -> None:
        self.is_over = sys.stdin is None
        self.descriptor = _descriptor()
        self._line_max_bytes = line_max_bytes
        self._begun: list[bytes] = []  # of a line whose end has not come; joined once, when it does
        self._begun_bytes = 0

    def read(self) -> list[bytes]:
        """The lines that are whole by now, after waiting for something to come; what has no line end, at the end.

        Raises:
            InvalidInput: a line is too long.
        """
        if self.is_over:
            return []
        data = sys.stdin.buffer.read() if self.descriptor is None else os.read(self.descriptor, _CHUNK_BYTES)
        self.is_over = not data or self.descriptor is None
        first, *rest = data.split(b"\n")
        self._begin(first)
        lines: list[bytes] = []
        for part in rest:
            lines.append(self._taken())
            self._begin(part)
        if self.is_over and self._begun_bytes:
            lines.append(self._taken())
        return lines

    def _begin(self, part: bytes) -> None:
        self._begun.append(part)
        self._begun_bytes += len(part)
        if self._begun_bytes > self._line_max_bytes:
            raise InvalidInput(f"standard input has a line of more than {self._line_max_bytes} bytes")

    def _taken(self) -> bytes:
        line = b"".join(self._begun)
        self._begun, self._begun_bytes = [], 0
        return line


def _descriptor() -> int | None:
    try:
        return sys.stdin.fileno() if sys.stdin is not None else None
    except (io.UnsupportedOperation, ValueError):
        return None
