"""The one boundary: every call that a guest makes arrives here, and here it becomes an event, or provably need not.

What happens follows from the class of the function alone, never from the capability's own code:

* derived:  computed, nothing recorded;
* output:   the function writes through its context, which records a ``log`` event;
* read, buffered: answered from the tape or by the function, then one ``host`` event;
* waiting:  the function says what to wait for. If anything, an ``intent`` event, the guest is suspended, and when the
  time has come a ``host`` event with the time at which it was answered.

A call beyond its grant (``Denied``) is a ``host`` event with the interface's error, in any class.

A resource that an event mentions is named anew in each step (``theater.model.wit_json``): a step of a warm instance is
recorded as it would be in a fresh one.

Everything that a step records is counted against its limits, in a replay exactly as it was live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from theater.model.capability import Denied, HostClass, HostFunction, Resources, Wait
from theater.model.crash import StepCrash
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
    event_name: str
    encode_arguments: Callable[[tuple[object, ...], Names], list[object]]
    encode_answer: Encode
    decode_answer: Callable[[object], object]


Bindings = Mapping[tuple[str, str], Binding]


class PendingWait(msgspec.Struct, frozen=True):
    """What a suspended guest waits for."""

    binding: Binding
    wait: Wait
    until_us: int
    """Earlier than the wait's own where the step's limit ends it."""
    intent_seq: int

    @property
    def ended_us(self) -> range:
        """When it can end: never early, and short of the wait's own time where the step's limit ends it."""
        return range(self.until_us, self.wait.until_us if self.until_us < self.wait.until_us else LAST_US + 1)


class Boundary:
    """The ``Host`` of one step."""

    __slots__ = ("_bindings", "_bytes", "_events", "_limits", "_names", "_tape", "_waited_us", "context", "pending")

    def __init__(
        self,
        facts: ActorFacts,
        *,
        bindings: Bindings,
        tape: Tape,
        now_us: int,
        seed: bytes,
        resources: Resources,
    ) -> None:
        self._bindings = bindings
        self._tape = tape
        self._limits = facts.limits
        self._events = 0
        self._bytes = 0
        self._waited_us = 0
        self._names: Names = {}
        self.pending: PendingWait | None = None
        self.context = Context(facts, now_us=now_us, seed=seed, resources=resources, log=self._log)

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        """Answer one call of the guest, or suspend it."""
        binding = self._bindings.get((interface, function))
        if binding is None:
            assert function.startswith(_DROP), f"{interface}#{function} was linked but is not bound"
            number = args[0]
            assert isinstance(number, int)
            self.context.resources.drop(number)
            return None
        match binding.function.host_class:
            case HostClass.DERIVED | HostClass.OUTPUT:
                answer = binding.function.run(self.context, binding.grant, *args)
                return self._denied(binding, args, answer) if isinstance(answer, Denied) else answer
            case HostClass.READ | HostClass.BUFFERED:
                return self._answer_at_once(binding, args)
            case HostClass.WAITING:
                return self._wait(binding, args)
            case HostClass.EXTERNAL:
                raise AssertionError(f"{binding.event_name}: external functions are refused when a program is loaded")

    def tick(self) -> None:
        """The guest has been running for a while."""
        self._tape.tick()

    def finish(self) -> Divergence | None:
        """The step ended by itself; see ``Tape.finish``."""
        return self._tape.finish()

    def wake(self, now_us: int) -> object:
        """The pending wait is over: the step's clock moves to ``now_us``, the answer is recorded and returned.

        Raises ``StepCrash`` where recording it goes beyond a limit.
        """
        pending = self.pending
        assert pending is not None
        self.pending = None
        ended_us = pending.ended_us
        return self._answer_wait(pending, max(ended_us.start, min(now_us, ended_us[-1])))

    def _denied(self, binding: Binding, args: tuple[object, ...], denied: Denied) -> object:
        self._record(binding, args, binding.encode_answer(denied.answer, self._names))
        return denied.answer

    def _answer_at_once(self, binding: Binding, args: tuple[object, ...]) -> object:
        recorded = self._tape.answer(binding.event_name)
        if recorded is None and binding.function.host_class is HostClass.READ and not self._tape.is_live:
            self._tape.emit("host", binding.event_name, b"")  # a read that is not in the record: a divergence
        answer: object = None
        if recorded is None or binding.function.host_class is HostClass.BUFFERED:
            answer = binding.function.run(self.context, binding.grant, *args)
            if isinstance(answer, Denied):
                return self._denied(binding, args, answer)
        if recorded is None:
            self._record(binding, args, binding.encode_answer(answer, self._names))
            return answer
        self._record(binding, args, recorded.answer)
        return _decoded(binding, recorded.answer)

    def _record(self, binding: Binding, args: tuple[object, ...], encoded: object) -> None:
        arguments = binding.encode_arguments(args, self._names)
        self._emit("host", binding.event_name, HostCall(answer=encoded, arguments=arguments))

    def _wait(self, binding: Binding, args: tuple[object, ...]) -> object:
        outcome = binding.function.run(self.context, binding.grant, *args)
        if isinstance(outcome, Denied):
            return self._denied(binding, args, outcome)
        if not isinstance(outcome, Wait):
            return outcome
        left_us = int(self._limits.wait_s * 1_000_000) - self._waited_us
        until_us = min(outcome.until_us, self.context.now_us + left_us)
        self._waited_us += until_us - self.context.now_us
        arguments = binding.encode_arguments(args, self._names)
        seq = self._emit("intent", binding.event_name, Intent(arguments=arguments))
        pending = PendingWait(binding, outcome, until_us, seq)
        recorded = self._tape.answer(binding.event_name, ended_us=pending.ended_us)
        if recorded is None and self._tape.is_live:
            self.pending = pending
            return SUSPEND
        if recorded is None:  # nothing more is recorded: either a limit strikes now, or this is a divergence
            return self._answer_wait(pending, pending.until_us)
        return self._answer_wait(pending, parse_time(recorded.now or ""))

    def _answer_wait(self, pending: PendingWait, now_us: int) -> object:
        self.context.now_us = now_us
        answer = pending.wait.answer()
        encoded = pending.binding.encode_answer(answer, self._names)
        payload = HostCall(answer=encoded, now=format_time(now_us), intent=pending.intent_seq)
        self._emit("host", pending.binding.event_name, payload)
        return answer

    def _log(self, stream: str, payload: Log) -> None:
        self._emit("log", stream, payload)

    def _emit(self, kind: Kind, name: str, payload: Payload) -> int:
        data = encode_payload(payload)
        self._events += 1
        self._bytes += len(data)
        if self._events > self._limits.events_per_step:
            raise StepCrash("events", f"the step records more than {self._limits.events_per_step} events")
        if self._bytes > self._limits.bytes_per_step:
            raise StepCrash("bytes", f"the step records more than {self._limits.bytes_per_step} bytes")
        return self._tape.emit(kind, name, data)


def _decoded(binding: Binding, encoded: object) -> object:
    try:
        return binding.decode_answer(encoded)
    except ValueError as error:
        raise StepCrash("diverged", f"{binding.event_name}: the recorded answer cannot be one: {error}") from error
