"""The one boundary: every call that a guest makes arrives here, and here it becomes an event, or provably need not.

What happens follows from the class of the function alone, never from the capability's own code:

* derived:  computed, nothing recorded;
* output:   the function writes through its context, which records a ``log`` event;
* read:     answered from the tape or by the function, then one ``host`` event;
* buffered: as read; then the function's ``act`` adds to the step what the answer, new or recorded, speaks of;
* external: as waiting, for what an act in the world comes to. In a re-run the record answers; where it ends behind the
  intent, nobody knows what came of it, and the guest is told that. A safe act has no intent and is performed again.
  What the arguments do not say of an act, its intent says beside them. What waits for the clock alone is as below;
* waiting:  the function says what to wait for. If anything, an ``intent`` event, the guest is suspended, and when that
  is over a ``host`` event with the time at which it was answered. A wait for the clock alone is computed again in a
  re-run. A wait for others is answered from the record there, and so is the refusal of such a call, which is a ``host``
  event without intent: whether it could be made was a question to the world.

A call beyond its grant (``Denied``) is a ``host`` event with the interface's error, in any class.

The ids that a step gives out are counted here, and a record that gave out another one is no record of this step.

A resource that an event mentions is named anew in each step (``theater.model.wit_json``): a step of a warm instance is
recorded as it would be in a fresh one.

Everything that a step records is counted against its limits, in a replay exactly as it was live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from theater.capabilities.wasi_http_responses import Given
from theater.model.act import Give, Look
from theater.model.actor_system import ActorSystem
from theater.model.capability import Denied, HostClass, HostFunction, Noted, Resources, Wait
from theater.model.crash import StepCrash
from theater.model.effects import AtOnce
from theater.model.event import Kind
from theater.model.execution import SUSPEND
from theater.model.header import format_time, parse_time
from theater.model.payload import HostCall, Intent, Log, Payload, encode_payload
from theater.model.wit_json import Encode, Names
from theater.runtime.context import ActorFacts, Context
from theater.runtime.tape import Divergence, Tape

_DROP = "[resource-drop]"
LAST_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z: beyond it a time has no form in the chain."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One imported function of one actor: what runs, under which grant, and how its values look in the chain."""

    function: HostFunction
    grant: object
    capability: str
    """The name of the capability that has the function."""
    event_name: str
    encode_arguments: Callable[[tuple[object, ...], Names], list[object]]
    encode_answer: Encode
    decode_answer: Callable[[object], object]


Bindings = Mapping[tuple[str, str], Binding]


@dataclass(frozen=True, slots=True)
class SharedIntent:
    """The intent behind which an act can follow without one of its own. ``is_old``: an earlier process made it."""

    under: str
    seq: int
    is_old: bool


class PendingWait(msgspec.Struct, frozen=True):
    """What a suspended guest waits for: a time, or what comes of ``wait.effect``."""

    binding: Binding
    wait: Wait
    begun_us: int
    until_us: int
    """Earlier than the wait's own where the step's limit ends it."""
    intent_seq: int | None
    """None for a safe act. What has no intent of its own has its arguments, ``safe``, recorded with the answer."""
    is_resumed: bool = False
    """Whether an earlier run of the step made the effect already: it is not made again, but joined."""
    safe: list[object] | None = None
    is_announced: bool = False
    """Whether its intent is that of an act before it, and durable since then."""

    @property
    def over_us(self) -> range:
        """When its time can be over: never early, and short of the wait's own where the step's limit ends it."""
        return range(self.until_us, self.wait.until_us if self.until_us < self.wait.until_us else LAST_US + 1)

    @property
    def ended_us(self) -> range:
        """When it can end: a wait for others at any time, since it is they who answer."""
        if self.wait.effect is None and self.wait.act is None:
            return self.over_us
        return range(self.begun_us, LAST_US + 1)


class Boundary:
    """The ``Host`` of one step. ``system`` is there in a live step alone."""

    __slots__ = (
        "_bindings",
        "_bytes",
        "_events",
        "_limits",
        "_names",
        "_shared",
        "_tape",
        "_waited_us",
        "context",
        "count_denial",
        "given",
        "pending",
        "played",
    )

    def __init__(
        self,
        facts: ActorFacts,
        *,
        bindings: Bindings,
        tape: Tape,
        message_id: str,
        now_us: int,
        seed: bytes,
        resources: Resources,
        system: ActorSystem | None = None,
    ) -> None:
        self._bindings = bindings
        self.count_denial: Callable[[str], None] | None = None
        """Called with the interface of each call that goes beyond its grant, live alone."""
        self._tape = tape
        self._limits = facts.limits
        self._events = 0
        self._bytes = 0
        self._waited_us = 0
        self._names: Names = {}
        self._shared: SharedIntent | None = None
        self.given = Given()
        """What a service gives as its answer; see ``service_request``."""
        self.pending: PendingWait | None = None
        self.played: list[tuple[AtOnce, bool]] = []
        """What was waited for in an earlier run of the step, and whether anything came of it in time."""
        self.context = Context(
            facts,
            message_id=message_id,
            now_us=now_us,
            seed=seed,
            resources=resources,
            log=self._log,
            system=system,
        )

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        """Answer one call of the guest, or suspend it."""
        binding = self._bindings.get((interface, function))
        if binding is None:
            assert function.startswith(_DROP), f"{interface}#{function} was linked but is not bound"
            number = args[0]
            assert isinstance(number, int)
            self.context.resources.drop(number)
            return None
        if binding.function.gives_id:
            self.context.begin_id()
        match binding.function.host_class:
            case HostClass.DERIVED | HostClass.OUTPUT:
                answer = binding.function.run(self.context, binding.grant, *args)
                return self._denied(binding, args, answer) if isinstance(answer, Denied) else answer
            case HostClass.READ if binding.function.looks:
                return self._wait(binding, args)
            case HostClass.READ | HostClass.BUFFERED:
                return self._answer_at_once(binding, args)
            case HostClass.WAITING | HostClass.EXTERNAL:
                return self._wait(binding, args) if binding.function.check is None else self._wait_for(binding, args)

    def tick(self) -> None:
        """The guest has been running for a while."""
        self._tape.tick()

    def finish(self) -> Divergence | None:
        """The step ended by itself; see ``Tape.finish``."""
        return self._tape.finish()

    def wake(self, now_us: int, answer: object = None) -> object:
        """The pending wait is over: the step's clock moves to ``now_us``, the answer is recorded and returned.

        ``answer`` is what came of the wait's effect, in the shape of the function's result; None where the time is
        over. Raises ``StepCrash`` where recording it goes beyond a limit.
        """
        pending = self.pending
        assert pending is not None
        self.pending = None
        ended_us = pending.over_us if answer is None else pending.ended_us
        return self._end_wait(pending, max(ended_us.start, min(now_us, ended_us[-1])), answer)

    # -- calls that are answered at once -----------------------------------------------------------------------------

    def _answer_at_once(self, binding: Binding, args: tuple[object, ...]) -> object:
        recorded = self._tape.answer(binding.event_name)
        if recorded is not None:
            return self._answer_again(binding, args, recorded)
        if not self._tape.is_live:
            self._miss("host", binding)
        self.context.capability = binding.capability
        outcome = binding.function.run(self.context, binding.grant, *args)
        answer, note = (outcome.answer, outcome.note) if isinstance(outcome, Denied | Noted) else (outcome, None)
        if self.count_denial is not None and _is_denied(answer):
            self.count_denial(binding.function.interface)
        assert self._with_own_id(binding, answer) == answer, f"{binding.event_name} gave another id out than its own"
        self._record(binding, args, binding.encode_answer(answer, self._names), note)
        self._act(binding, args, answer, note)
        return answer

    def _answer_again(self, binding: Binding, args: tuple[object, ...], recorded: HostCall) -> object:
        answer = _decoded(binding, recorded.answer)
        encoded = recorded.answer
        own = self._with_own_id(binding, answer)
        if own != answer:  # what this run gives out instead shows the difference
            encoded = binding.encode_answer(own, self._names)
        self._record(binding, args, encoded, recorded.read)
        try:
            self._act(binding, args, answer, recorded.read)
        except ValueError as error:
            raise StepCrash("diverged", f"{binding.event_name}: the recorded call cannot be one: {error}") from error
        return answer

    def _act(self, binding: Binding, args: tuple[object, ...], answer: object, note: object) -> None:
        act = binding.function.act
        if act is not None:
            self.context.note = note
            act(self.context, answer, *args)
            self.context.note = None

    def _with_own_id(self, binding: Binding, answer: object) -> object:
        """The answer with the id that this call gives out, where it is one that gives an id out.

        The text that a wait for others answers with is what they said, and no id.
        """
        if not binding.function.gives_id:
            return answer
        match answer:
            case ("ok", str()) if binding.function.check is None:
                return "ok", self.context.call_id
            case ("ok", {"id": str(), **rest}):
                return "ok", {**rest, "id": self.context.call_id}
        return answer

    def _denied(self, binding: Binding, args: tuple[object, ...], denied: Denied) -> object:
        is_new = self._tape.is_live and (binding.function.check is None or _is_denied(denied.answer))
        if is_new and self.count_denial is not None:
            self.count_denial(binding.function.interface)
        self._record(binding, args, binding.encode_answer(denied.answer, self._names), denied.note)
        return denied.answer

    def _record(self, binding: Binding, args: tuple[object, ...], encoded: object, note: object = None) -> None:
        arguments = binding.encode_arguments(args, self._names)
        self._emit("host", binding.event_name, HostCall(answer=encoded, arguments=arguments, read=note))

    # -- calls that wait ---------------------------------------------------------------------------------------------

    def _wait(self, binding: Binding, args: tuple[object, ...]) -> object:
        """For a time, or for what an act comes to."""
        outcome = binding.function.run(self.context, binding.grant, *args)
        if isinstance(outcome, Denied):
            return self._denied(binding, args, outcome)
        if isinstance(outcome, Look):
            return self._look(binding, args, outcome)
        return self._begin_wait(binding, args, outcome) if isinstance(outcome, Wait) else outcome

    def _look(self, binding: Binding, args: tuple[object, ...], look: Look) -> object:
        recorded = self._tape.answer(binding.event_name)
        if recorded is not None:
            answer, note = _decoded(binding, recorded.answer), recorded.read
        elif self._tape.is_live:
            answer, note = _parts(look.look())
        else:
            self._miss("host", binding)
        given = _given(binding, look.give, answer, note)
        self._record(binding, args, binding.encode_answer(given, self._names), note)
        return given

    def _wait_for(self, binding: Binding, args: tuple[object, ...]) -> object:
        """For others. What comes next on the tape says whether they could be asked."""
        function = binding.function
        assert function.check is not None
        match self._tape.next_kind:
            case "host":
                recorded = self._tape.answer(binding.event_name)
                assert recorded is not None
                if not _is_ok(recorded.answer):  # nobody can have said yes who was not asked
                    return self._answer_again(binding, args, recorded)
            case None if self._tape.is_live:
                self.context.capability = binding.capability
                denied = function.check(self.context, binding.grant, *args)
                if denied is not None:
                    return self._denied(binding, args, denied)
        wait = function.run(self.context, binding.grant, *args)
        assert isinstance(wait, Wait), f"{binding.event_name} waits, or its check says why not"
        return self._begin_wait(binding, args, wait)

    def _begin_wait(self, binding: Binding, args: tuple[object, ...], wait: Wait) -> object:
        begun_us = self.context.now_us
        left_us = int(self._limits.wait_s * 1_000_000) - self._waited_us
        until_us = min(wait.until_us, begun_us + left_us)
        is_resumed = self._tape.next_kind is not None
        arguments = binding.encode_arguments(args, self._names)
        is_safe = wait.act is not None and wait.act.is_safe
        under = wait.act.under if wait.act is not None else None
        shared = self._shared if under is not None else None
        if shared is not None and shared.under == under:
            seq: int | None = shared.seq
            is_resumed = shared.is_old and not is_resumed  # the record ends here, and somebody was at it by then
        else:
            shared = None
            seq = None if is_safe else self._intend(binding, arguments, wait, is_resumed=is_resumed)
            self._shared = None if under is None or seq is None else SharedIntent(under, seq, is_old=is_resumed)
        pending = PendingWait(
            binding,
            wait,
            begun_us,
            until_us,
            seq,
            is_resumed=is_resumed,
            safe=arguments if is_safe or shared is not None else None,
            is_announced=shared is not None,
        )
        recorded = self._tape.answer(binding.event_name, ended_us=pending.ended_us)
        if recorded is not None:
            return self._end_again(pending, recorded)
        if self._tape.is_live:
            self.pending = pending
            return SUSPEND
        if wait.effect is not None or wait.act is not None:
            self._miss("host", binding)
        return self._end_wait(pending, until_us, None)  # either a limit strikes now, or this is a divergence

    def _intend(self, binding: Binding, arguments: list[object], wait: Wait, *, is_resumed: bool) -> int:
        intent = encode_payload(Intent(arguments=arguments, about=wait.act.about if wait.act is not None else None))
        self._count(intent)
        if wait.effect is not None and not is_resumed and not self._tape.is_live:
            self._tape.miss("intent", binding.event_name)  # it waited, or was refused by an answer that did not fit
        return self._tape.emit("intent", binding.event_name, intent)

    def _end_again(self, pending: PendingWait, recorded: HostCall) -> object:
        wait = pending.wait
        if wait.effect is None and wait.act is None:
            return self._end_wait(pending, parse_time(recorded.now or ""), None)
        answer = Noted(_decoded(pending.binding, recorded.answer), recorded.read)
        self.context.now_us = parse_time(recorded.now or "")  # what it gets in the end depends on that
        if wait.effect is not None:
            self.played.append((wait.effect, answer.answer != wait.answer()))
        return self._end_wait(pending, self.context.now_us, answer)

    def _end_wait(self, pending: PendingWait, now_us: int, answer: object) -> object:
        """``answer`` is what came of the effect, None where there is none or nothing came of it in time."""
        self.context.now_us = now_us
        self._waited_us += min(now_us, pending.until_us) - pending.begun_us
        answer, note = _parts(pending.wait.answer() if answer is None else answer)
        act = pending.wait.act
        if act is not None:
            if not (isinstance(answer, tuple) and answer[0] == "ok"):  # the next one says again what it is about
                self._shared = None
            answer = _given(pending.binding, act.give, answer, note)
        own = self._with_own_id(pending.binding, answer)
        assert own == answer or not self._tape.is_live, "a wait was answered with an id that is not its own"
        encoded = pending.binding.encode_answer(own, self._names)
        payload = HostCall(
            answer=encoded,
            arguments=pending.safe,
            now=format_time(now_us),
            intent=pending.intent_seq,
            read=note,
            about=act.about if act is not None and pending.safe is not None else None,
        )
        self._emit("host", pending.binding.event_name, payload)
        return answer

    # -- what is recorded --------------------------------------------------------------------------------------------

    def _miss(self, kind: Kind, binding: Binding) -> NoReturn:
        """The record ends where an answer should be that only the world knew: it may not have fitted any more."""
        self._count(b"")
        self._tape.miss(kind, binding.event_name)

    def _log(self, stream: str, payload: Log) -> None:
        self._emit("log", stream, payload)

    def _emit(self, kind: Kind, name: str, payload: Payload) -> int:
        data = encode_payload(payload)
        self._count(data)
        return self._tape.emit(kind, name, data)

    def _count(self, data: bytes) -> None:
        self._events += 1
        self._bytes += len(data)
        if self._events > self._limits.events_per_step:
            raise StepCrash("events", f"the step records more than {self._limits.events_per_step} events")
        if self._bytes > self._limits.bytes_per_step:
            raise StepCrash("bytes", f"the step records more than {self._limits.bytes_per_step} bytes")


def _decoded(binding: Binding, encoded: object) -> object:
    try:
        return binding.decode_answer(encoded)
    except ValueError as error:
        raise StepCrash("diverged", f"{binding.event_name}: the recorded answer cannot be one: {error}") from error


def _parts(outcome: object) -> tuple[object, object]:
    """An answer and what was noted with it."""
    return (outcome.answer, outcome.note) if isinstance(outcome, Noted) else (outcome, None)


def _given(binding: Binding, give: Give | None, answer: object, note: object) -> object:
    """What the guest gets of an answer, which may be a recorded one, of anybody's chain."""
    if give is None:
        return answer
    try:
        return give(answer, note)
    except (ValueError, TypeError, LookupError) as error:
        raise StepCrash("diverged", f"{binding.event_name}: the recorded note cannot be one: {error}") from error


def _is_denied(answer: object) -> bool:
    """Whether it is the error of an interface for what is beyond the grant."""
    match answer:
        case ("err", "denied" | ("denied", _)):
            return True
    return False


def _is_ok(encoded: object) -> bool:
    return isinstance(encoded, dict) and "ok" in encoded
