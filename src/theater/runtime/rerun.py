"""Steps that are run again: each against its record, those of one warm instance one after the other.

A rerun is judged on the engine's thread that ran it, and whoever started it looks for verdicts in order. So reading the
chain, running guests and judging go on side by side, and nobody waits for a single step.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from theater.errors import InternalError, TheaterError
from theater.model.capability import Resources
from theater.model.crash import ENGINE_BOUND, UNREPRODUCIBLE
from theater.model.event import Event
from theater.model.execution import Closed, Engine, Instance, Resting
from theater.model.limits import Limits
from theater.model.payload import CrashedPayload, Message, Payload
from theater.runtime.anatomy import Anatomy
from theater.runtime.boundary import Boundary
from theater.runtime.invocation import invocation_of
from theater.runtime.letter import Letter, nobody
from theater.runtime.report import Fault, Faulty
from theater.runtime.sightings import Watch
from theater.runtime.tape import Playing


@dataclass(slots=True)
class Recorded:
    """One step as it stands in the chain."""

    message: Event
    payload: Message
    events: list[Event]
    closing: Event
    result: Payload
    state: str | None
    compares_fuel: bool
    limits: Limits
    ignores_fuel: bool = False
    """Whether a guest that is given less may burn another amount: what it has to look at costs fuel."""

    @property
    def compares_all(self) -> bool:
        """Whether what it burnt is compared with the rest."""
        return self.compares_fuel and not self.ignores_fuel

    @property
    def early_verdict(self) -> str | None:
        """The verdict on a step whose end cannot be compared, so that it is run up to its last recorded event only."""
        if not isinstance(self.result, CrashedPayload):
            return None
        if self.result.reason in UNREPRODUCIBLE:
            return "unreproducible"
        return "not compared" if self.result.reason in ENGINE_BOUND and not self.compares_fuel else None

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        own = len(self.message.payload or b"") + len(self.closing.payload or b"") + len(self.state or "")
        return own + sum(len(event.payload or b"") for event in self.events)


@dataclass(frozen=True, slots=True)
class Ended:
    """A rerun as it ended, to be judged."""

    recorded: Recorded
    closed: Closed
    boundary: Boundary
    tape: Playing
    anatomy: Anatomy


Judge = Callable[[Ended], str]
"""The verdict on a step; raises where it came out otherwise."""

News = SimpleQueue[None]
"""Something is put here each time that a rerun has been judged."""


class Rerun:
    """One step that is run again. ``verdict`` is there once it has been judged, or else ``error``."""

    __slots__ = ("_judge", "_news", "_watch", "error", "recorded", "verdict")

    def __init__(self, recorded: Recorded, judge: Judge, news: News, watch: Watch | None = None) -> None:
        self.recorded = recorded
        self.verdict: str | None = None
        self.error: BaseException | None = None
        self._judge = judge
        self._news = news
        self._watch = watch

    def settle(self, verdict: str) -> None:
        """Judged without having been run."""
        self.verdict = verdict

    def fail(self, error: BaseException) -> None:
        """It cannot be judged."""
        self.error = error
        self._news.put(None)

    def start(
        self,
        engine: Engine,
        anatomy: Anatomy,
        *,
        resources: Resources | None = None,
        instance: Instance | None = None,
        then: Callable[[Instance | None], None] | None = None,
    ) -> None:
        """Run it. With ``then`` its instance is kept, and handed on when it has ended."""
        recorded = self.recorded
        stops_early = recorded.early_verdict is not None
        tape = Playing(
            recorded.events,
            end_seq=recorded.closing.header.seq,
            stops_early=stops_early,
            outgrew=isinstance(recorded.result, CrashedPayload) and recorded.result.reason == "bytes",
        )
        boundary = Boundary(
            anatomy.facts,
            bindings=anatomy.bindings,
            tape=tape,
            message_id=recorded.payload.id,
            now_us=recorded.message.header.time_us,
            seed=bytes.fromhex(recorded.payload.seed),
            resources=resources or Resources(),
        )

        def rested(resting: Resting) -> None:
            try:
                if not isinstance(resting, Closed):
                    raise InternalError("a replayed step waits for the world")
                self.verdict = self._judge(Ended(recorded, resting, boundary, tape, anatomy))
            except BaseException as error:  # noqa: BLE001 - on an engine thread: raised again by who looks for the verdict
                self.error = error
            self._news.put(None)
            if then is not None:
                then(resting.instance if isinstance(resting, Closed) else None)

        host = boundary if self._watch is None else self._watch(anatomy, boundary)
        letter = _letter(recorded.payload)
        keep = then is not None
        try:
            invocation = invocation_of(
                anatomy, letter, boundary, recorded.state, host=host, instance=instance, keep=keep
            )
            engine.begin(invocation, rested)
        except TheaterError as error:
            seq = recorded.message.header.seq
            self.fail(Faulty(Fault(seq=seq, why=f"the step of event {seq} cannot be run: {error.message}")))
            if then is not None:
                then(None)


class WarmLine:
    """The steps of one kept instance, run again one after the other without anybody waiting for each."""

    def __init__(self, engine: Engine, number: int) -> None:
        self.number = number
        self.next_nth = 0
        self._engine = engine
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Rerun, Anatomy]] = deque()
        self._resources = Resources()
        self._instance: Instance | None = None
        self._is_running = False
        self._is_ended = False

    def add(self, rerun: Rerun, anatomy: Anatomy) -> None:
        """Run it when those before it have been."""
        self.next_nth += 1
        with self._lock:
            self._waiting.append((rerun, anatomy))
            following = self._following()
        self._begin(following)

    def end(self) -> None:
        """Nothing more is added: the instance goes with the last step."""
        with self._lock:
            self._is_ended = True
            instance = None if self._is_running or self._waiting else self._instance
        if instance is not None:
            instance.close()

    def _following(self) -> tuple[Rerun, Anatomy] | None:
        """The next one, if none is running. The lock is held."""
        if self._is_running or not self._waiting:
            return None
        self._is_running = True
        return self._waiting.popleft()

    def _begin(self, following: tuple[Rerun, Anatomy] | None) -> None:
        if following is not None:
            rerun, anatomy = following
            rerun.start(self._engine, anatomy, resources=self._resources, instance=self._instance, then=self._rested)

    def _rested(self, instance: Instance | None) -> None:
        with self._lock:
            self._is_running = False
            self._instance = instance
            lost = list(self._waiting) if instance is None else []
            if lost:
                self._waiting.clear()
            following = self._following()
            is_over = self._is_ended and following is None
        for rerun, _ in lost:
            seq = rerun.recorded.message.header.seq
            why = f"the instance of the step of event {seq} ended with the step before"
            rerun.fail(Faulty(Fault(seq=seq, why=why)))
        if is_over and instance is not None:
            instance.close()
        self._begin(following)


def _letter(payload: Message) -> Letter:
    return Letter(
        payload.id, payload.source, payload.export, tuple(payload.arguments), expects_reply=False, done=nobody
    )
