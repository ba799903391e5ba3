"""A step without an actor, for tests of a capability's functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn, cast

from theater.model.actor_system import ActorSystem
from theater.model.capability import Grant, Resources
from theater.model.effects import Effect
from theater.model.ids import ActorId, Digest, derived_id
from theater.model.limits import Limits
from theater.model.randomness import SEED_BYTES, RandomStream, Stream
from theater.model.service import Service

ACTOR = ActorId("a" * 32)
COMPONENT = Digest("c" * 64)


@dataclass(frozen=True, slots=True)
class Written:
    """One piece of guest output."""

    stream: str
    data: bytes
    level: str | None = None


class _Nobody:
    """In place of the other actors where a test gave none."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"this step has nobody to ask for {name!r}: give it a system")


def _nobody() -> ActorSystem:
    return cast("ActorSystem", _Nobody())


@dataclass(slots=True)
class FakeStepContext:
    """A ``StepContext`` that keeps what it is told: set its fields, call a host function, look at its fields.

    ``effects`` has what the functions' acts did. ``call_id`` is the id of the first call that gives one; each
    ``begin_id`` moves on to that of the next.
    """

    actor: ActorId = ACTOR
    name: str = "counter"
    parent: ActorId | None = None
    component: Digest = COMPONENT
    limits: Limits = field(default_factory=Limits)
    now_us: int = 1_700_000_000_000_000
    started_us: int = 1_700_000_000_000_000
    environment: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""
    seed: bytes = bytes(SEED_BYTES)
    resources: Resources = field(default_factory=Resources)
    written: list[Written] = field(default_factory=list)
    flushed: list[str] = field(default_factory=list)
    message_id: str = "1" * 32
    system: ActorSystem = field(default_factory=_nobody)
    effects: list[Effect] = field(default_factory=list)
    note: object = None
    ids: int = 0
    grants: dict[str, Grant] = field(default_factory=dict)
    lasting: set[object] = field(default_factory=set)
    _streams: dict[Stream, RandomStream] = field(default_factory=dict)

    def random(self, stream: Stream, size_bytes: int) -> bytes:
        return self._streams.setdefault(stream, RandomStream(stream, self.seed)).take(size_bytes)

    def read_stdin(self, size_bytes: int) -> bytes | None:
        if not self.stdin:
            return None
        data, self.stdin = self.stdin[:size_bytes], self.stdin[size_bytes:]
        return data

    def write(self, stream: str, data: bytes, *, level: str | None = None) -> None:
        self.written.append(Written(stream, data, level))

    def flush(self, stream: str) -> None:
        self.flushed.append(stream)

    @property
    def call_id(self) -> str:
        return derived_id(self.actor, self.message_id, self.ids)

    def begin_id(self) -> None:
        """The next call that gives an id begins."""
        self.ids += 1

    def grant(self, capability: str) -> Grant | None:
        return self.grants.get(capability)

    def act(self, effect: Effect) -> None:
        self.effects.append(effect)

    @property
    def service(self) -> Service:
        """What its ``system`` gives for any capability."""
        return self.system.service("")
