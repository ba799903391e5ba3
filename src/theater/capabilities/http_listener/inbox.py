"""What came over a WebSocket and was not handed over: whole messages, and the parts of the one that is coming."""

from __future__ import annotations

from collections import deque

from websockets.frames import Frame, Opcode

_TEXT_OR_BINARY = (Opcode.TEXT, Opcode.BINARY)


class Inbox:
    """See above. The protocol has seen that frames come in their order, and that no message is too large."""

    __slots__ = ("_is_text", "_messages", "_parts", "_size_bytes")

    def __init__(self) -> None:
        self._messages: deque[tuple[str | bytes, int]] = deque()
        self._parts: list[bytes] = []
        self._is_text = False
        self._size_bytes = 0

    def __len__(self) -> int:
        """How many whole messages wait."""
        return len(self._messages)

    @property
    def size_bytes(self) -> int:
        """Of all that is in it."""
        return self._size_bytes

    def take(self, frame: Frame) -> None:
        """A frame has come; control frames are not looked at.

        Raises:
            UnicodeDecodeError: a text is not UTF-8 (RFC 6455 section 8.1).
        """
        if frame.opcode in _TEXT_OR_BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        if frame.data:  # empty ones would be a way to fill memory with nothing
            self._parts.append(bytes(frame.data))
            self._size_bytes += len(frame.data)
        if frame.fin:
            data, self._parts = b"".join(self._parts), []
            self._messages.append((data.decode() if self._is_text else data, len(data)))

    def next(self) -> str | bytes:
        """The first message. There has to be one."""
        message, size_bytes = self._messages.popleft()
        self._size_bytes -= size_bytes
        return message

    def clear(self) -> None:
        """Nobody listens any more."""
        self._messages.clear()
        self._parts.clear()
        self._size_bytes = 0
