"""Reading ``text/event-stream`` as WHATWG HTML, 9.2.6, defines it, from pieces that end anywhere.

Beyond the standard a line and an event have a greatest size, so that a server cannot fill the memory. ``retry`` is not
obeyed: how long is waited is for the client to say. What is after the last blank line is no event, and is dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from theater.errors import InternalError

EVENT_MAX_BYTES = 256 * 2**20
"""Four times the largest message that any manifest may allow: as JSON in a payload, it can double twice."""

_BOM = b"\xef\xbb\xbf"
_END_OF_LINE = re.compile(rb"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event. ``id`` is the last that was given by this event or one before it, "" where none was."""

    type: str
    data: bytes
    id: str


class EventStream:
    """One answer, read once. Feed it what comes; it gives what is complete."""

    def __init__(self, *, event_max_bytes: int = EVENT_MAX_BYTES) -> None:
        self._event_max_bytes = event_max_bytes
        self._pending: list[bytes] = []  # of a line whose end has not come; joined once, when it does
        self._pending_bytes = 0
        self._is_begun = False
        self._ends_with_cr = False
        self._type = ""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self.last_id = ""
        """As of the last blank line: where to go on."""
        self._id = ""

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The events that are complete with ``chunk``.

        Raises:
            InternalError: a line or an event is larger than any can be.
        """
        if self._ends_with_cr and chunk:
            self._ends_with_cr = False
            chunk = chunk.removeprefix(b"\n")  # the other half of the end of a line that was counted already
        found: list[StreamEvent] = []
        start = 0
        for end in _END_OF_LINE.finditer(chunk):
            self._keep(chunk[start : end.start()])
            event = self._line()
            if event is not None:
                found.append(event)
            start = end.end()
            self._ends_with_cr = start == len(chunk) and end.group() == b"\r"
        self._keep(chunk[start:])
        return found

    def _keep(self, part: bytes) -> None:
        if part:
            self._pending.append(part)
            self._pending_bytes += len(part)
            self._require_room()

    def _require_room(self) -> None:
        if self._pending_bytes + self._data_bytes > self._event_max_bytes:
            raise InternalError(f"the server sent an event of more than {self._event_max_bytes} bytes")

    def _line(self) -> StreamEvent | None:
        line = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        if not self._is_begun:
            self._is_begun = True
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatched()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
                self._data_bytes += len(value) + 1
                self._require_room()
            case b"event":
                self._type = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            case _:
                pass  # a comment, ``retry``, or what a later version knows
        return None

    def _dispatched(self) -> StreamEvent | None:
        self.last_id = self._id
        event: StreamEvent | None = None
        if self._data:
            event = StreamEvent(self._type or "message", b"\n".join(self._data), self.last_id)
        self._type = ""
        self._data.clear()
        self._data_bytes = 0
        return event
