"""A step without an actor, for tests of a capability's functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from theater.model.capability import Resources
from theater.model.ids import ActorId, Digest
from theater.model.limits import Limits
from theater.model.randomness import SEED_BYTES, RandomStream, Stream

ACTOR = ActorId("a" * 32)
COMPONENT = Digest("c" * 64)


@dataclass(frozen=True, slots=True)
class Written:
    """One piece of guest output."""

    stream: str
    data: bytes
    level: str | None = None


@dataclass(slots=True)
class FakeStepContext:
    """A ``StepContext`` that keeps what it is told: set its fields, call a host function, look at its fields."""

    actor: ActorId = ACTOR
    name: str = "counter"
    parent: ActorId | None = None
    component: Digest = COMPONENT
    limits: Limits = field(default_factory=Limits)
    now_us: int = 1_700_000_000_000_000
    started_us: int = 1_700_000_000_000_000
    environment: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    seed: bytes = bytes(SEED_BYTES)
    resources: Resources = field(default_factory=Resources)
    written: list[Written] = field(default_factory=list)
    flushed: list[str] = field(default_factory=list)
    shutdowns: list[str | None] = field(default_factory=list)
    _streams: dict[Stream, RandomStream] = field(default_factory=dict)

    def random(self, stream: Stream, size_bytes: int) -> bytes:
        return self._streams.setdefault(stream, RandomStream(stream, self.seed)).take(size_bytes)

    def write(self, stream: str, data: bytes, *, level: str | None = None) -> None:
        self.written.append(Written(stream, data, level))

    def flush(self, stream: str) -> None:
        self.flushed.append(stream)

    def shutdown(self, value: str | None) -> None:
        self.shutdowns.append(value)
