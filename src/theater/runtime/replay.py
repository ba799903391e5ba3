"""Replay: run the component again on its recorded inputs and compare every output byte.

Nothing here touches the world: a step runs against a ``Playing`` tape, which has no live side. A step's state comes
from the record and its new state is compared with the record, so steps do not depend on each other's re-execution:
they run several at a time, and are judged in order. Only the steps of one warm instance have to follow each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from queue import SimpleQueue

from theater.errors import InvalidInput, TheaterError, Unsound
from theater.model.event import CLOSING_KINDS, LIFECYCLE_NAMES, Event
from theater.model.execution import Engine
from theater.model.ids import Digest, is_digest
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
)
from theater.runtime.anatomy import Anatomy
from theater.runtime.exports import HARMLESS, MIGRATE, RUN, SERVE, STATELESS, WARM
from theater.runtime.judging import judge
from theater.runtime.messages import engine_of, message_problem, starts_anew
from theater.runtime.report import Fault, Faulty
from theater.runtime.rerun import News, Recorded, Rerun, WarmLine
from theater.runtime.sightings import Watch
from theater.runtime.succession import Succeed, Succession

WINDOW = 64
"""Steps under way at most; then half of them are waited for, so that nobody is woken for a single one."""

WINDOW_BYTES = 64 * 2**20
"""What the steps under way may hold in memory."""

FUEL_FACTOR = 10
FUEL_EXTRA = 1_000_000
"""What another engine may need of fuel: no two have differed by a tenth of that so far."""

_ONLY = {"command": RUN, "service": SERVE}
"""With what alone those begin steps."""

Open = Callable[[Event, Genesis], Anatomy]
"""Makes of event 0 what its steps run in; checks what it claims."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step, judged: ``identical``, ``identical but for fuel``, ``unreproducible`` or ``not compared``."""

    seq: int
    export: str
    kind: str
    verdict: str


class Replayer:
    """Replays one chain, whose structure has been checked before. Not shared between threads."""

    def __init__(
        self,
        engine: Engine,
        engine_facts: EngineFacts,
        open_actor: Open,
        succeed: Succeed,
        *,
        fuel_max: int,
        watch: Watch | None = None,
        ignores_fuel: bool = False,
    ) -> None:
        self._engine = engine
        self._own_facts = engine_facts
        self._open_actor = open_actor
        self._succeed = succeed
        self._fuel_max = fuel_max
        self._watch = watch
        self._ignores_fuel = ignores_fuel
        self._succession: Succession | None = None
        self._params = ""
        self._under_way: deque[Rerun] = deque()
        self._bytes = 0
        self._news: News = SimpleQueue()
        self._compares_fuel = False
        self._state: tuple[int | None, str | None] = (None, None)
        self._warm: WarmLine | None = None
        self._instances = 0  # numbers given out so far: the next is this one or higher
        self._message: tuple[Event, Message] | None = None
        self._recorded: list[Event] = []
        self._is_resumed = False
        self._is_over = False  # stopped or crashed, and not restarted
        self._runs_warm = False
        self._limits = Limits()

    def feed(self, event: Event) -> Iterator[StepDone]:
        """Take the next event; yields the steps that have been judged meanwhile, in their order.

        Raises:
            Faulty: at the first step that comes out otherwise, or claim that cannot be. It takes no more then.
        """
        if len(self._under_way) >= WINDOW:
            yield from self._make_room(WINDOW // 2)
        elif self._bytes > WINDOW_BYTES:
            yield from self._make_room(0)
        try:
            self._take(event)
        except Faulty:
            yield from self._make_room(0)  # a step before it may be at fault as well, and is then the first
            raise

    def finish(self) -> Iterator[StepDone]:
        """There are no more events: yields the rest. Raises as ``feed``."""
        yield from self._make_room(0)

    def close(self) -> None:
        """Let go of the kept instance, once what runs in it is over."""
        self._drop_warm()

    def _take(self, event: Event) -> None:
        content = _content(event)
        match content:
            case Genesis():
                self._begin(event, content)
            case Lifecycle():
                self._note(event, content)
            case Message():
                if self._is_over and content.export != MIGRATE:
                    why = "a step begins, and the actor was stopped or crashed and has not been restarted"
                    raise Faulty(Fault(seq=event.header.seq, why=why))
                self._message = event, content
                self._recorded = []
                self._is_resumed = False
            case _ if event.header.kind in CLOSING_KINDS:
                self._replay(event, content)
            case _:
                self._recorded.append(event)

    def _begin(self, event: Event, genesis: Genesis) -> None:
        if event.header.time_us < 0:
            raise Faulty(Fault(seq=0, why="it begins before 1970, where no clock of a guest can be"))
        try:
            self._succession = Succession(self._open_actor(event, genesis), self._succeed)
        except TheaterError as error:
            raise Faulty(Fault(seq=0, why=str(error))) from error
        self._params = genesis.params
        if genesis.state is not None:
            self._state = (event.header.seq, genesis.state)
        self._compares_fuel = genesis.engine == self._own_facts
        self._runs_warm = genesis.instance == "warm"
        self._limits = limits_from_json(genesis.limits)

    def _note(self, event: Event, lifecycle: Lifecycle) -> None:
        name = event.header.name
        if name not in LIFECYCLE_NAMES:
            raise Faulty(Fault(seq=event.header.seq, why=f"there is no lifecycle event {name!r}"))
        if self._message is not None and name in ("restarted", "upgraded"):
            raise Faulty(Fault(seq=event.header.seq, why=f"the actor is {name} in the middle of a step"))
        try:
            match name:
                case "stopped":
                    self._is_over = True
                case "restarted":
                    self._is_over = False
                    if starts_anew(lifecycle):
                        self._state = (None, None)
                case "engine":
                    self._compares_fuel = engine_of(lifecycle) == self._own_facts
                case "upgraded":
                    assert self._succession is not None
                    self._succession.upgrade(event, lifecycle, has_state=self._state[0] is not None)
                    self._drop_warm()
                case "hidden-state":
                    self._runs_warm = False
                case "resumed":
                    self._is_resumed = True
        except ValueError as error:
            raise Faulty(Fault(seq=event.header.seq, why=str(error))) from error

    def _replay(self, closing: Event, result: Payload) -> None:
        assert self._message is not None
        assert self._succession is not None
        message, payload = self._message
        self._message = None
        events = self._recorded
        seq, state = self._state
        problem = message_problem(message, payload, state_seq=seq, params=self._params) or self._role_problem(payload)
        if problem is not None:
            raise Faulty(Fault(seq=message.header.seq, why=problem))
        anatomy = self._succession.anatomy_for(message, payload)
        if (payload.instance is not None) != (self._runs_warm and payload.export in WARM):
            why = "it names an instance" if payload.instance is not None else "it names no instance"
            what = "and the actor keeps none" if payload.instance is not None else "and the actor keeps one"
            raise Faulty(Fault(seq=message.header.seq, why=f"{why}, {what}"))
        if payload.export not in HARMLESS:  # who terminates a step stops the actor then
            self._is_over = isinstance(result, CrashedPayload) and result.reason != "terminated"
        self._succession.close(payload, result)
        recorded = Recorded(
            message, payload, events, closing, result, state, self._compares_fuel, self._limits, self._ignores_fuel
        )
        if isinstance(result, State) and result.state is not None:
            self._state = (closing.header.seq, result.state)
        rerun = Rerun(recorded, judge, self._news, self._watch)
        self._under_way.append(rerun)
        self._bytes += recorded.size_bytes
        if recorded.early_verdict is not None and not events:  # it recorded nothing that could be compared
            self._drop_warm()
            rerun.settle(recorded.early_verdict)
        elif payload.instance is None or self._is_resumed:
            # an instance dies with its process: a warm step that was resumed was run in a fresh one
            self._drop_warm()
            self._instances = max(self._instances, (-1 if payload.instance is None else payload.instance) + 1)
            rerun.start(self._engine, self._means(recorded, anatomy))
        else:
            self._replay_warm(rerun, anatomy)

    def _role_problem(self, payload: Message) -> str | None:
        assert self._succession is not None
        role = self._succession.anatomy.loaded.role
        if payload.export == _ONLY.get(role, payload.export) and (payload.export in STATELESS) == (role in _ONLY):
            return None
        return f"it begins a step with {payload.export}, and the component is {'an' if role == 'actor' else 'a'} {role}"

    def _means(self, recorded: Recorded, anatomy: Anatomy) -> Anatomy:
        """What a step is run with. Another engine may need more fuel than the recorded one, so it gets more there."""
        result = recorded.result
        if recorded.compares_fuel or not isinstance(result, State | RefusedPayload | CrashedPayload):
            return anatomy
        fuel = max(anatomy.limits.fuel, result.fuel * FUEL_FACTOR + FUEL_EXTRA)
        limits = replace(anatomy.limits, fuel=min(fuel, self._fuel_max))
        return replace(anatomy, facts=replace(anatomy.facts, limits=limits))

    def _replay_warm(self, rerun: Rerun, anatomy: Anatomy) -> None:
        payload = rerun.recorded.payload
        number, nth = payload.instance, payload.nth or 0
        assert number is not None
        if nth == 0 and number >= self._instances:
            self._drop_warm()
            self._instances = number + 1
            self._warm = WarmLine(self._engine, number)
        warm = self._warm
        if warm is None or (number, nth) != (warm.number, warm.next_nth):
            why = f"step {nth} of instance {number} does not follow what was run in it before"
            rerun.fail(Faulty(Fault(seq=rerun.recorded.message.header.seq, why=why)))
            return
        warm.add(rerun, self._means(rerun.recorded, anatomy))
        if isinstance(rerun.recorded.result, CrashedPayload):
            self._drop_warm()

    def _make_room(self, most: int) -> Iterator[StepDone]:
        while len(self._under_way) > most:
            rerun = self._under_way[0]
            while rerun.verdict is None and rerun.error is None:
                self._news.get()
            self._under_way.popleft()
            recorded = rerun.recorded
            self._bytes -= recorded.size_bytes
            if rerun.error is not None:
                raise rerun.error
            assert rerun.verdict is not None
            kind = recorded.closing.header.kind
            yield StepDone(recorded.message.header.seq, recorded.payload.export, kind, rerun.verdict)

    def _drop_warm(self) -> None:
        if self._warm is not None:
            self._warm.end()
        self._warm = None


def _content(event: Event) -> Payload:
    seq = event.header.seq
    if event.payload is None:
        raise Faulty(Fault(seq=seq, why="its payload is withheld or erased, so the steps cannot be run again"))
    try:
        return decode_payload(event.header.kind, event.payload, seq=seq)
    except Unsound as error:
        raise Faulty(Fault(seq=seq, why=str(error))) from error


def component_digest(genesis: Genesis) -> Digest:
    """The digest of the component that event 0 names. Raises ``InvalidInput`` where it is none."""
    if not is_digest(genesis.program):
        raise InvalidInput(f"event 0 names no component: {genesis.program[:80]!r}")
    return Digest(genesis.program)
