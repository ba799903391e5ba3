"""Replay: run the component again on its recorded inputs and compare every output byte.

Nothing here touches the world: a step runs against a ``Playing`` tape, which has no live side. A step's state comes
from the record and its new state is compared with the record, so steps do not depend on each other's re-execution:
they run several at a time, and are judged in order. Only the steps of one warm instance have to follow each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec

from theater.errors import InternalError, InvalidInput, TheaterError, Unsound
from theater.model.capability import Resources
from theater.model.crash import ENGINE_BOUND, UNREPRODUCIBLE, Crash
from theater.model.event import CLOSING_KINDS, Event
from theater.model.execution import Closed, Engine, Instance, Resting
from theater.model.ids import ActorId, Digest, is_digest
from theater.model.limits import Limits, limits_from_json
from theater.model.payload import (
    CrashedPayload,
    EngineFacts,
    Genesis,
    Lifecycle,
    Message,
    Payload,
    RefusedPayload,
    State,
    decode_payload,
    encode_payload,
)
from theater.runtime.anatomy import Anatomy
from theater.runtime.boundary import Boundary
from theater.runtime.invocation import invocation_of
from theater.runtime.letter import Letter, nobody
from theater.runtime.loading import HANDLE, INIT, RUN
from theater.runtime.outcome import Outcome, conclude
from theater.runtime.report import Fault
from theater.runtime.tape import Playing

WINDOW = 16
"""Steps under way at once: enough to keep every core busy, few enough to hold little in memory."""

Open = Callable[[Event, Genesis], Anatomy]
"""Makes of event 0 what its steps run in; checks what it claims."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step, judged. ``verdict`` is ``identical``, ``unreproducible`` or ``not compared``."""

    seq: int
    export: str
    kind: str
    verdict: str


@dataclass(slots=True)
class _Recorded:
    """One step as it stands in the chain."""

    message: Event
    payload: Message
    events: list[Event]
    closing: Event
    result: Payload
    state: str | None
    compares_fuel: bool
    limits: Limits

    @property
    def early_verdict(self) -> str | None:
        """The verdict on a step whose end cannot be compared, so that it is run up to its last recorded event only."""
        if not isinstance(self.result, CrashedPayload):
            return None
        if self.result.reason in UNREPRODUCIBLE:
            return "unreproducible"
        return "not compared" if self.result.reason in ENGINE_BOUND and not self.compares_fuel else None


@dataclass(slots=True)
class _Warm:
    """The instance in which the steps of a warm actor are run again, one after the other."""

    number: int
    next_nth: int
    resources: Resources
    instance: Instance | None


class Faulty(Exception):
    """Ends a replay at the first fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.why)
        self.fault = fault


class Replayer:
    """Replays one chain, whose structure has been checked before. Not shared between threads."""

    def __init__(self, engine: Engine, engine_facts: EngineFacts, open_actor: Open) -> None:
        self._engine = engine
        self._own_facts = engine_facts
        self._open_actor = open_actor
        self._anatomy: Anatomy | None = None
        self._params = ""
        self._under_way: deque[tuple[_Recorded, Future[str]]] = deque()
        self._compares_fuel = False
        self._state: tuple[int | None, str | None] = (None, None)
        self._warm: _Warm | None = None
        self._instances = 0  # numbers given out so far: the next is this one or higher
        self._message: tuple[Event, Message] | None = None
        self._recorded: list[Event] = []
        self._is_resumed = False
        self._runs_warm = False
        self._limits = Limits()

    def run(self, events: Iterator[Event]) -> Iterator[StepDone]:
        """Replay; yields each step once it has been judged.

        Raises:
            Faulty: at the first step that comes out otherwise, or claim that cannot be.
        """
        try:
            for event in events:
                yield from self._make_room(WINDOW - 1)
                try:
                    self._take(event)
                except Faulty:
                    yield from self._make_room(0)  # a step before it may be at fault as well, and is then the first
                    raise
            yield from self._make_room(0)
        finally:
            self._drop_warm()

    def _take(self, event: Event) -> None:
        content = _content(event)
        match content:
            case Genesis():
                self._begin(event, content)
            case Lifecycle():
                self._note(event, content)
            case Message():
                self._message = event, content
                self._recorded = []
                self._is_resumed = False
            case _ if event.header.kind in CLOSING_KINDS:
                self._replay(event, content)
            case _:
                self._recorded.append(event)

    def _begin(self, event: Event, genesis: Genesis) -> None:
        try:
            self._anatomy = self._open_actor(event, genesis)
        except TheaterError as error:
            raise Faulty(Fault(seq=0, why=str(error))) from error
        self._params = genesis.params
        self._compares_fuel = genesis.engine == self._own_facts
        self._runs_warm = genesis.instance == "warm"
        self._limits = limits_from_json(genesis.limits)

    def _note(self, event: Event, lifecycle: Lifecycle) -> None:
        if event.header.name == "engine":
            try:
                facts = msgspec.convert(lifecycle.detail, EngineFacts)
            except msgspec.ValidationError as error:
                raise Faulty(Fault(seq=event.header.seq, why=f"the engine is not named: {error}")) from error
            self._compares_fuel = facts == self._own_facts
        elif event.header.name == "hidden-state":
            self._runs_warm = False
        elif event.header.name == "resumed":
            self._is_resumed = True

    def _replay(self, closing: Event, result: Payload) -> None:
        assert self._message is not None
        message, payload = self._message
        events = self._recorded
        seq, state = self._state
        _check_message(message, payload, state_seq=seq, params=self._params)
        if (payload.instance is not None) != (self._runs_warm and payload.export == HANDLE):
            why = "it names an instance" if payload.instance is not None else "it names no instance"
            what = "and the actor keeps none" if payload.instance is not None else "and the actor keeps one"
            raise Faulty(Fault(seq=message.header.seq, why=f"{why}, {what}"))
        step = _Recorded(message, payload, events, closing, result, state, self._compares_fuel, self._limits)
        if isinstance(result, State) and result.state is not None:
            self._state = (closing.header.seq, result.state)
        if step.early_verdict is not None and not events:  # it recorded nothing that could be compared
            self._drop_warm()
            future: Future[str] = Future()
            future.set_result(step.early_verdict)
        elif payload.instance is None or self._is_resumed:
            # an instance dies with its process: a warm step that was resumed was run in a fresh one
            self._drop_warm()
            self._instances = max(self._instances, (payload.instance or -1) + 1)
            future = self._start(step, Resources(), None, keep=False)[0]
        else:
            future = self._replay_warm(step)
        self._under_way.append((step, future))

    def _replay_warm(self, step: _Recorded) -> Future[str]:
        number, nth = step.payload.instance, step.payload.nth or 0
        assert number is not None
        if nth == 0 and number >= self._instances:
            self._drop_warm()
            self._instances = number + 1
            self._warm = _Warm(number, 0, Resources(), None)
        warm = self._warm
        if warm is None or (number, nth) != (warm.number, warm.next_nth):
            why = f"step {nth} of instance {number} does not follow what was run in it before"
            raise Faulty(Fault(seq=step.message.header.seq, why=why))
        future, closed = self._start(step, warm.resources, warm.instance, keep=True)
        warm.instance = closed.result().instance
        warm.next_nth += 1
        if warm.instance is None:
            self._warm = None
        return future

    def _start(
        self, step: _Recorded, resources: Resources, instance: Instance | None, *, keep: bool
    ) -> tuple[Future[str], Future[Closed]]:
        anatomy = self._anatomy
        assert anatomy is not None
        verdict: Future[str] = Future()
        at_rest: Future[Closed] = Future()
        stops_early = step.early_verdict is not None
        tape = Playing(step.events, end_seq=step.closing.header.seq, stops_early=stops_early)
        boundary = Boundary(
            anatomy.facts,
            bindings=anatomy.bindings,
            tape=tape,
            now_us=step.message.header.time_us,
            seed=bytes.fromhex(step.payload.seed),
            resources=resources,
        )

        def rested(resting: Resting) -> None:
            try:
                if not isinstance(resting, Closed):
                    raise InternalError("a replayed step waits for the world")
                at_rest.set_result(resting)
                verdict.set_result(_judge(step, resting, boundary, tape, anatomy))
            except BaseException as error:  # noqa: BLE001 - on an engine thread: it is raised again where it is awaited
                if not at_rest.done():
                    at_rest.set_exception(error)
                verdict.set_exception(error)

        letter = _letter(step)
        self._engine.begin(invocation_of(anatomy, letter, boundary, step.state, instance=instance, keep=keep), rested)
        return verdict, at_rest

    def _make_room(self, most: int) -> Iterator[StepDone]:
        while len(self._under_way) > most:
            step, future = self._under_way.popleft()
            header = step.closing.header
            yield StepDone(step.message.header.seq, step.payload.export, header.kind, future.result())

    def _drop_warm(self) -> None:
        if self._warm is not None and self._warm.instance is not None:
            self._warm.instance.close()
        self._warm = None


def _content(event: Event) -> Payload:
    seq = event.header.seq
    if event.payload is None:
        raise Faulty(Fault(seq=seq, why="its payload is withheld or erased, so the steps cannot be run again"))
    try:
        return decode_payload(event.header.kind, event.payload, seq=seq)
    except Unsound as error:
        raise Faulty(Fault(seq=seq, why=str(error))) from error


def _check_message(message: Event, payload: Message, *, state_seq: int | None, params: str) -> None:
    """What a message event says about its step has to fit the chain and the export."""
    problem: str | None = None
    is_first = payload.export != HANDLE
    if payload.export != message.header.name or payload.export not in (HANDLE, INIT, RUN):
        problem = f"{payload.export!r} is no export that a step is begun with"
    elif payload.state != (None if is_first else state_seq):
        problem = f"it names event {payload.state} as the holder of the state, which is event {state_seq}"
    elif is_first and state_seq is not None:
        problem = f"a first step, and the actor has a state already, in event {state_seq}"
    elif not is_digest(payload.seed):  # as long, and of the same letters
        problem = "its seed is not 64 lower-case hex digits"
    elif not _are_arguments(payload, params):
        problem = f"its arguments are not those of {payload.export}"
    if problem is not None:
        raise Faulty(Fault(seq=message.header.seq, why=problem))


def _are_arguments(payload: Message, params: str) -> bool:
    match payload.export, payload.arguments:
        case (export, [str(text)]) if export == INIT:
            return text == params
        case (export, []) if export == RUN:
            return True
        case (export, [{"id": str(id), "sender": None | str(), "expects-reply": bool(), "body": str(), **rest}]):
            return export == HANDLE and id == payload.id and not rest
        case _:
            return False


def _letter(step: _Recorded) -> Letter:
    payload = step.payload
    sender = payload.source if payload.cause is not None else None
    return Letter(
        id=payload.id,
        source=payload.source,
        export=payload.export,
        arguments=tuple(payload.arguments),
        expects_reply=False,
        done=nobody,
        sender=ActorId(sender) if sender is not None else None,
    )


def _judge(step: _Recorded, closed: Closed, boundary: Boundary, tape: Playing, anatomy: Anatomy) -> str:
    """The verdict on a step that has been run again. Raises ``Faulty`` where it came out otherwise."""
    early_verdict = step.early_verdict
    is_command = anatomy.loaded.role == "command"
    limits = anatomy.limits
    if early_verdict is not None and tape.divergence is None and tape.is_used_up:
        return early_verdict
    if closed.crash is not None and tape.divergence is None:
        _check_means(step, closed.crash, limits)
        if closed.crash.reason in ENGINE_BOUND and not step.compares_fuel:
            return "not compared"
    outcome = conclude(closed, boundary, is_command=is_command, state=step.state, limits=limits)
    tape.finish()
    if tape.divergence is not None:
        what = tape.divergence
        why = f"the component did something other than what event {what.seq} says"
        raise Faulty(Fault(seq=what.seq, why=why, expected=what.expected, got=what.got, is_divergence=True))
    if early_verdict is not None:
        return early_verdict
    recorded, made = _comparable(step, outcome)
    if step.closing.header.kind != outcome.kind or recorded != made:
        why = f"the step came to something other than what event {step.closing.header.seq} says"
        raise Faulty(
            Fault(
                seq=step.closing.header.seq,
                why=why,
                expected=f"{step.closing.header.kind} {recorded.decode('utf-8', 'replace')}",
                got=f"{outcome.kind} {made.decode('utf-8', 'replace')}",
                is_divergence=True,
            )
        )
    return "identical"


def _check_means(step: _Recorded, crash: Crash, limits: Limits) -> None:
    """A step that the verifier itself cut short says nothing of the chain. Raises ``Faulty``, saying what it needs."""
    if crash.reason == "fuel" and limits.fuel < step.limits.fuel:
        needs = f"more than {limits.fuel} fuel (its limit is {step.limits.fuel}), allowed {limits.fuel}"
        option = "--max-fuel"
    elif crash.reason == "deadline":
        needs = f"more than {limits.deadline_s:g} s, allowed {limits.deadline_s:g} s"
        option = "--max-deadline"
    else:
        return
    seq = step.message.header.seq
    raise Faulty(Fault(seq=seq, why=f"the step of event {seq} needs {needs}; raise it with {option}"))


def _comparable(step: _Recorded, outcome: Outcome) -> tuple[bytes, bytes]:
    """The closing event's bytes as recorded and as made now, without what is never compared."""
    recorded, made = step.result, outcome.payload
    if isinstance(recorded, CrashedPayload) and isinstance(made, CrashedPayload):
        recorded = CrashedPayload(reason=recorded.reason, fuel=recorded.fuel, code=recorded.code)
        made = CrashedPayload(reason=made.reason, fuel=made.fuel, code=made.code)
        if not step.compares_fuel:
            made = msgspec.structs.replace(made, fuel=recorded.fuel)
        return encode_payload(recorded), encode_payload(made)
    if (
        not step.compares_fuel
        and isinstance(made, State | RefusedPayload)
        and isinstance(recorded, State | RefusedPayload)
    ):
        made = msgspec.structs.replace(made, fuel=recorded.fuel)
    assert step.closing.payload is not None
    return step.closing.payload, encode_payload(made)


def component_digest(genesis: Genesis) -> Digest:
    """The digest of the component that event 0 names. Raises ``InvalidInput`` where it is none."""
    if not is_digest(genesis.program):
        raise InvalidInput(f"event 0 names no component: {genesis.program[:80]!r}")
    return Digest(genesis.program)
