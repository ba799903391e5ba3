"""What one step knows: fixed when it begins, so that everything computed from it can be computed again.

The clock stands still at the time of the ``message`` event and moves only to the time recorded with the answer of a
call that waited. Random bytes come from the recorded seed. Ids follow from the message that is handled. Output goes to
the step's tape, line by line; what the step does to others is collected, for whoever commits it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from theater.model.actor_system import ActorSystem
from theater.model.capability import Grant, Resources
from theater.model.crash import TEXT_MAX_BYTES
from theater.model.effects import Effect, Shutdown
from theater.model.ids import ActorId, Digest, derived_id
from theater.model.limits import Limits
from theater.model.payload import Log
from theater.model.randomness import RandomStream, Stream
from theater.model.service import Service

_UNFINISHED_LINE_MAX_BYTES = 64 * 1024  # a guest that never ends its line still gets its output into the chain


@dataclass(frozen=True, slots=True)
class ActorFacts:
    """What holds for every step of an actor: it stands in event 0, but for ``component`` once that was upgraded."""

    actor: ActorId
    name: str
    started_us: int
    environment: tuple[tuple[str, str], ...]
    arguments: tuple[str, ...]
    parent: ActorId | None
    component: Digest
    limits: Limits
    grants: Mapping[str, Grant] = field(default_factory=dict)
    stdin: bytes = b""


class Context:
    """The ``StepContext`` of one step, live or replayed. Used by one thread at a time."""

    __slots__ = (
        "_call_id",
        "_effects",
        "_facts",
        "_ids",
        "_lines",
        "_log",
        "_message_id",
        "_seed",
        "_shutdown",
        "_stdin_at",
        "_streams",
        "_system",
        "capability",
        "lasting",
        "note",
        "now_us",
        "resources",
        "stderr_tail",
    )

    def __init__(
        self,
        facts: ActorFacts,
        *,
        message_id: str,
        now_us: int,
        seed: bytes,
        resources: Resources,
        log: Callable[[str, Log], None],
        system: ActorSystem | None = None,
    ) -> None:
        self._facts = facts
        self._message_id = message_id
        self._seed = seed
        self._log = log
        self._system = system
        self.capability = ""
        """Whose function is being called live."""
        self._effects: list[Effect] = []
        self._ids = 0
        self._call_id: str | None = None
        self._shutdown: Shutdown | None = None
        self._streams: dict[Stream, RandomStream] = {}
        self._stdin_at = 0
        self._lines: dict[str, bytearray] = {}
        self.now_us = now_us
        self.resources = resources
        self.stderr_tail = b""
        self.note: object = None
        self.lasting: set[object] = set()

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

    def read_stdin(self, size_bytes: int) -> bytes | None:
        """What comes next of it."""
        if self._stdin_at == len(self._facts.stdin):
            return None
        data = self._facts.stdin[self._stdin_at : self._stdin_at + size_bytes]
        self._stdin_at += len(data)
        return data

    def grant(self, capability: str) -> Grant | None:
        """The actor's grant of that capability."""
        return self._facts.grants.get(capability)

    @property
    def message_id(self) -> str:
        """The id of the message that the step handles."""
        return self._message_id

    @property
    def call_id(self) -> str:
        """The id that the call under way gives out."""
        assert self._ids, "this function is not registered as one that gives an id"
        if self._call_id is None:
            self._call_id = derived_id(self._facts.actor, self._message_id, self._ids - 1)
        return self._call_id

    @property
    def effects(self) -> Sequence[Effect]:
        """What the step does to others when it commits, in the order of its calls."""
        return self._effects

    @property
    def system(self) -> ActorSystem:
        """The other actors: there in a live step alone."""
        assert self._system is not None, "a step that is run again asks nobody"
        return self._system

    @property
    def service(self) -> Service:
        """What the capability whose function is being called keeps for the node: there in a live step alone."""
        return self.system.service(self.capability)

    @property
    def has_shutdown(self) -> bool:
        """Whether the actor ends when this step commits."""
        return self._shutdown is not None

    @property
    def value(self) -> str | None:
        """With what it ends then."""
        return self._shutdown.value if self._shutdown is not None else None

    def begin_id(self) -> None:
        """A call has begun that gives an id, or fails: it has taken the next one in any case."""
        self._ids += 1
        self._call_id = None

    def act(self, effect: Effect) -> None:
        """Have this done when the step commits."""
        self._effects.append(effect)
        if isinstance(effect, Shutdown):
            self._shutdown = effect  # the last one counts

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


def _log_payload(data: bytes, level: str | None) -> Log:
    try:
        return Log(text=data.decode("utf-8"), level=level)
    except UnicodeDecodeError:
        return Log(base64=base64.b64encode(data).decode("ascii"), level=level)
