"""What one step knows: fixed when it begins, so that everything computed from it can be computed again.

The clock stands still at the time of the ``message`` event and moves only to the time recorded with the answer of a
call that waited. Random bytes come from the recorded seed. Output goes to the step's tape, line by line.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from theater.model.capability import Resources
from theater.model.crash import TEXT_MAX_BYTES
from theater.model.ids import ActorId, Digest
from theater.model.limits import Limits
from theater.model.payload import Log
from theater.model.randomness import RandomStream, Stream

_UNFINISHED_LINE_MAX_BYTES = 64 * 1024  # a guest that never ends its line still gets its output into the chain


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """What holds for every step of an actor: all of it stands in event 0."""

    actor: ActorId
    name: str
    started_us: int
    environment: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    parent: ActorId | None
    component: Digest
    limits: Limits


class Context:
    """The ``StepContext`` of one step, live or replayed. Used by one thread at a time."""

    __slots__ = (
        "_facts",
        "_lines",
        "_log",
        "_seed",
        "_streams",
        "has_shutdown",
        "now_us",
        "resources",
        "stderr_tail",
        "value",
    )

    def __init__(
        self,
        facts: ActorFacts,
        *,
        now_us: int,
        seed: bytes,
        resources: Resources,
        log: Callable[[str, Log], None],
    ) -> None:
        self._facts = facts
        self._seed = seed
        self._log = log
        self._streams: dict[Stream, RandomStream] = {}
        self._lines: dict[str, bytearray] = {}
        self.now_us = now_us
        self.resources = resources
        self.stderr_tail = b""
        self.has_shutdown = False
        self.value: str | None = None

    @property
    def actor(self) -> ActorId:
        """The actor's id."""
        return self._facts.actor

    @property
    def name(self) -> str:
        """The actor's name."""
        return self._facts.name

    @property
    def parent(self) -> ActorId | None:
        """The actor that spawned this one."""
        return self._facts.parent

    @property
    def component(self) -> Digest:
        """The component that runs."""
        return self._facts.component

    @property
    def limits(self) -> Limits:
        """The actor's limits."""
        return self._facts.limits

    @property
    def started_us(self) -> int:
        """The time of the actor's first event."""
        return self._facts.started_us

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """The granted variables as of the first event."""
        return self._facts.environment

    @property
    def arguments(self) -> tuple[str, ...]:
        """The program's arguments."""
        return self._facts.arguments

    def random(self, stream: Stream, size_bytes: int) -> bytes:
        """The next bytes of one of the step's streams."""
        source = self._streams.get(stream)
        if source is None:
            source = self._streams[stream] = RandomStream(stream, self._seed)
        return source.take(size_bytes)

    def write(self, stream: str, data: bytes, *, level: str | None = None) -> None:
        """Guest output: ``log`` is an event a call; ``stdout`` and ``stderr`` become events at line ends."""
        if stream == "log":
            self._log(stream, _log_payload(data, level))
            return
        if stream == "stderr":
            self.stderr_tail = (self.stderr_tail + data)[-TEXT_MAX_BYTES:]
        line = self._lines.setdefault(stream, bytearray())
        line += data
        end = line.rfind(b"\n") + 1
        if not end and len(line) >= _UNFINISHED_LINE_MAX_BYTES:
            end = len(line)
        if end:
            finished = bytes(line[:end])
            del line[:end]
            self._log(stream, _log_payload(finished, None))

    def flush(self, stream: str) -> None:
        """Make an event of an unfinished line."""
        line = self._lines.pop(stream, None)
        if line:
            self._log(stream, _log_payload(bytes(line), None))

    def flush_all(self) -> None:
        """Make events of all unfinished lines: the step ends."""
        for stream in list(self._lines):
            self.flush(stream)

    def shutdown(self, value: str | None) -> None:
        """The actor stops with ``value`` when this step commits."""
        self.has_shutdown = True
        self.value = value


def _log_payload(data: bytes, level: str | None) -> Log:
    try:
        return Log(text=data.decode("utf-8"), level=level)
    except UnicodeDecodeError:
        return Log(base64=base64.b64encode(data).decode("ascii"), level=level)
