"""One living actor: a mailbox, a state, a chain, and at most one step at a time.

A step goes: the ``message`` event fixes what the step can know; the guest runs against its boundary; the closing
event, with the new state, is committed in one transaction with everything the step recorded. Only then does the asker
hear of it. The next step may begin before that: it sees the new state, and its events come behind in the same chain,
so that it cannot become durable without what it builds on. If an append fails, nothing that came after is answered as
done.

Three kinds of thread meet here: whoever submits a letter, the engine's threads (``_rested``), and the store's and the
clock's (``on_durable``, timers). What they share is guarded by ``_lock``, which is never held while somebody else's
code runs, with one exception: ``Engine.begin``, which only queues.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from theater.errors import InternalError, MailboxFull, NotRunning, StoreError, TheaterError
from theater.model.crash import UNREPRODUCIBLE, Crash, cut
from theater.model.event import EMPTY, Event, Head, Kind
from theater.model.execution import Closed, Engine
from theater.model.payload import CrashedPayload, Message, encode_payload
from theater.model.ports import LIVING, ActorRecord, Clock, Entropy, Status
from theater.model.randomness import SEED_BYTES
from theater.runtime.anatomy import Anatomy
from theater.runtime.appender import Appender
from theater.runtime.delivery import own_copy
from theater.runtime.letter import Letter, nobody
from theater.runtime.life import CHANGES_FROM, Control, Memory, lifecycle, status_after
from theater.runtime.loading import HANDLE, INIT, RUN
from theater.runtime.mishap import report
from theater.runtime.outcome import Outcome, answer_of, conclude
from theater.runtime.step import Step
from theater.runtime.tape import Playing, Recording, Resuming
from theater.runtime.warm import Warm, WarmKeeper, survivor


@dataclass(frozen=True, slots=True)
class SampledStep:
    """A warm step to run again in a fresh instance."""

    letter: Letter
    events: tuple[Event, ...]
    state: str | None
    time_us: int
    seed: bytes
    outcome: Outcome


class Sampler(Protocol):
    """Who decides which warm steps are run a second time."""

    def wants(self, program: str) -> bool:
        """Whether the next warm step of this program is one of them."""

    def check(self, actor: Actor, step: SampledStep) -> None:
        """Run it again, off the hot path; ``Actor.found_hidden_state`` if it comes out otherwise."""


class Actor:
    """See above."""

    def __init__(
        self,
        anatomy: Anatomy,
        memory: Memory,
        record: ActorRecord,
        appender: Appender,
        *,
        engine: Engine,
        clock: Clock,
        entropy: Entropy,
        sampler: Sampler,
    ) -> None:
        self.anatomy = anatomy
        self._memory = memory
        self._record = record
        self._appender = appender
        self._engine = engine
        self._clock = clock
        self._entropy = entropy
        self._sampler = sampler
        self._lock = threading.RLock()
        self._mailbox: deque[Letter] = deque()
        self._step: Step | None = None
        self._warm = WarmKeeper(memory.next_instance)
        self._controls: deque[Control] = deque()
        self._idle = threading.Condition(self._lock)
        self._is_shut = False
        self._is_leaving = False
        self._committed = memory.state_seq, memory.state
        appender.when_failed(self._chain_failed)

    # -- asked from outside ------------------------------------------------------------------------------------------

    @property
    def record(self) -> ActorRecord:
        """The row by which it is found, as of now."""
        return self._record

    @property
    def status(self) -> Status:
        """As of now."""
        return self._record.status

    @property
    def failure(self) -> StoreError | None:
        """Why its chain can no longer be written by this actor, if so: it will never do anything again."""
        return self._appender.failure

    @property
    def is_born(self) -> bool:
        """Whether its first events are durable."""
        return self._appender.durable != EMPTY

    @property
    def head(self) -> Head:
        """The last event of its chain, durable or not."""
        return self._appender.head

    @property
    def state(self) -> tuple[int | None, str | None]:
        """The seq of the event that holds the last committed state, and the state."""
        return self._committed

    def submit(self, letter: Letter) -> None:
        """Put a letter into the mailbox.

        Raises:
            NotRunning: it is stopped or crashed, or the runtime is closing.
            MailboxFull: as many letters wait as its manifest allows.
            StoreError: its chain can no longer be written.
        """
        with self._lock:
            if self._appender.failure is not None:
                raise own_copy(self._appender.failure)
            if self._is_shut:
                raise self._not_running("closed")
            if self.status not in LIVING:
                raise self._not_running(self.status)
            if len(self._mailbox) >= self.anatomy.limits.mailbox:
                raise MailboxFull(
                    f"the mailbox of {self._record.name!r} is full ({self.anatomy.limits.mailbox} letters); try again"
                )
            self._mailbox.append(letter)
            self._advance()

    def control(self, verb: str, status: Status, *, by: str, done: Callable[[TheaterError | None], None]) -> None:
        """Pause, resume, stop or restart it, between two steps; ``done`` hears when that is durable.

        What it is already is nothing to do; ``done`` hears ``NotRunning`` where it cannot be done as it is, or the
        runtime is closing.
        """
        with self._lock:
            if self._is_shut:
                done(self._not_running("closed", "goes on when it is woken up"))
                return
            self._controls.append(Control(lambda: self._change(verb, status, by=by, done=done), done))
            self._advance()

    def enter(self) -> None:
        """Write the first events of a new actor and the row by which it is found. Whoever does has it in hand."""
        self._appender.commit(None, lifecycle("started", "runtime", None), record=self._record)

    def terminate(self, reason: str) -> None:
        """End the step that is running, if any; it closes as ``terminated``."""
        with self._lock:
            step = self._step if not self._is_shut else None
        if step is not None:
            step.kill(Crash("terminated", message=reason))

    def shut(self) -> None:
        """The runtime is closing: take no more letters and controls. What it has begun and accepted may go on.

        Controls that wait are answered, and so are the letters that would wait until a paused actor is resumed.
        """
        with self._lock:
            self._is_shut = True
            if self.status != "running":
                self._refuse_waiting("closed")
            asked = [control.refused for control in self._controls if control.refused is not None]
            self._controls = deque(control for control in self._controls if control.refused is None)
            for refused in asked:
                refused(self._not_running("closed", "did not get to this"))

    def leave(self) -> None:
        """The process is about to end: begin nothing more, and leave the step that is running open, to be resumed.

        That was no death, so it does not count as one of the two that a step may cause.
        """
        with self._lock:
            self._is_leaving = True
            self._refuse_waiting("closed")
            step = self._step
        if step is not None:
            self._appender.commit(None, attempt=0 if step.is_resumed else None)
            step.kill(Crash("terminated", message="the runtime was closed"))

    def wait_durable(self, timeout_s: float) -> bool:
        """Wait until everything that is in its chain now is durable. False where that took longer, or never will be."""
        if self._appender.is_settled:
            return self._appender.failure is None
        durable: list[bool] = []
        done = threading.Event()

        def heard(failure: StoreError | None, made: list[Event]) -> None:
            del made
            durable.append(failure is None)
            done.set()

        self._appender.commit(heard)
        return done.wait(timeout_s) and durable[0]

    def flush(self) -> None:
        """Let what is in its chain become durable now, and do not wait for it."""
        if not self._appender.is_settled:
            self._appender.commit()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no step is running. False where that took longer."""
        with self._idle:
            return self._idle.wait_for(lambda: self._step is None, timeout_s)

    def release(self) -> None:
        """Let go of the warm instance; nothing else is held while it is idle."""
        with self._lock:
            self._drop_warm()

    def found_hidden_state(self, detail: dict[str, object]) -> None:
        """A warm step came out otherwise in a fresh instance: say so in the chain, and go on fresh."""

        def change() -> None:
            self._drop_warm()
            self._record = replace(self._record, has_hidden_state=True)
            self._appender.commit(None, lifecycle("hidden-state", "runtime", detail), record=self._record)

        with self._lock:
            if not self._record.has_hidden_state:
                self._controls.append(Control(change))
                self._advance()

    # -- steps -------------------------------------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Run the first step (again): there is no state to go on from."""
        is_command = self.anatomy.loaded.role == "command"
        letter = Letter(
            id=f"{'run' if is_command else 'init'}-{self._memory.first_steps}",
            source="runtime",
            export=RUN if is_command else INIT,
            arguments=() if is_command else (self.anatomy.params,),
            expects_reply=False,
            done=nobody,
        )
        with self._lock:
            self._mailbox.appendleft(letter)
            self._advance()

    def resume_step(self, message: Event, payload: Message, letter: Letter, recorded: list[Event]) -> None:
        """Go on with a step that an earlier process left open: what is recorded plays, the rest is live.

        The attempt is marked durably first: a step that takes the process down twice is not run a third time.
        """
        recording = Recording(self._appender.add, self._appender.flush_if_due)
        end_seq = self._appender.head.seq + 1
        tape = Resuming(Playing(recorded, end_seq=end_seq), recording)
        step = Step(
            self.anatomy,
            letter,
            message,
            seed=bytes.fromhex(payload.seed),
            state=self._memory.state,
            recording=recording,
            tape=tape,
        )
        with self._lock:
            self._step = step

        def begin(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self._finish(step, failure)
            else:
                self._run(step)

        self._appender.commit(begin, lifecycle("resumed", "runtime", {"step": message.header.seq}), attempt=1)

    def close_open_step(self, crash: Crash, export: str) -> None:
        """Close a step that will not be run again, without running it."""
        payload = CrashedPayload(reason=crash.reason, fuel=0, message=crash.message)
        with self._lock:
            self._record = replace(self._record, status="crashed")
            self._appender.commit(None, ("crashed", export, encode_payload(payload)), record=self._record, attempt=0)

    def _advance(self) -> None:
        """Begin what is next, if nothing is running. The lock is held."""
        if self._is_leaving:
            return
        while self._step is None and self._controls:
            self._controls.popleft().apply()
        while self._step is None and self._mailbox and self.status == "running" and not self._appender.failure:
            letter, before = self._mailbox.popleft(), self._appender.head
            try:
                self._begin(letter)
            except Exception as error:  # noqa: BLE001 - a bug of ours is the asker's error and not its silence
                report(error)
                self._step = None
                self._drop_warm()
                if self._appender.head == before:
                    letter.done(InternalError(f"the step could not be begun: {error!r}"))
                else:  # its message is in the chain
                    self._close_as_internal(letter, error)

    def _begin(self, letter: Letter) -> None:
        if letter.export != HANDLE:
            self._memory.first_steps += 1
        warm = self._next_warm(letter)
        seed = self._entropy.take(SEED_BYTES)
        payload = Message(
            id=letter.id,
            source=letter.source,
            export=letter.export,
            arguments=list(letter.arguments),
            seed=seed.hex(),
            state=self._memory.state_seq,
            cause=letter.cause,
            instance=warm.number if warm else None,
            nth=warm.nth if warm else None,
        )
        message = self._appender.add("message", letter.export, encode_payload(payload))
        recording = Recording(self._appender.add, self._appender.flush_if_due)
        if warm is not None and self._sampler.wants(self._record.program):
            recording.keep()
        state = self._memory.state
        self._step = Step(self.anatomy, letter, message, seed=seed, state=state, recording=recording, warm=warm)
        self._run(self._step)

    def _run(self, step: Step) -> None:
        step.run(self._engine, self._clock, self._appender, self._close)

    def _leave(self, step: Step) -> None:
        """The step is left open in the chain: nothing of it has happened yet, and it will be resumed."""
        with self._lock:
            self._step = None
            if step.warm is not None:
                self._warm.give_back(step.warm, None)
            self._idle.notify_all()
        step.letter.done(NotRunning("the runtime was closed in mid-step; the step goes on when the actor is woken up"))

    def _close(self, step: Step, closed: Closed) -> None:
        if self._is_leaving and closed.crash is not None and closed.crash.reason == "terminated":
            self._leave(step)
            return
        try:
            self._conclude(step, closed)
        except Exception as error:  # noqa: BLE001 - a bug of ours must leave nobody waiting
            report(error)
            self._break_off(step, error)

    def _conclude(self, step: Step, closed: Closed) -> None:
        is_command = self.anatomy.loaded.role == "command"
        outcome = conclude(closed, step.boundary, is_command=is_command, state=step.state, limits=self.anatomy.limits)
        context = step.boundary.context
        shutdown = context.has_shutdown and outcome.kind == "state"
        last: list[tuple[Kind, str, bytes]] = [(outcome.kind, step.letter.export, encode_payload(outcome.payload))]
        with self._lock:
            if step.warm is not None:
                self._warm.give_back(step.warm, survivor(closed, outcome))
            before = self._record
            status = status_after(before.status, step.letter, outcome, shutdown=shutdown, is_command=is_command)
            if status != before.status:
                self._record = replace(before, status=status)
                if status == "stopped":
                    detail: dict[str, object] = {"reason": "refused-init" if outcome.refusal is not None else "normal"}
                    if shutdown:
                        detail["value"] = context.value
                    last.append(lifecycle("stopped", "runtime", detail))
            closing, *_ = self._appender.commit(
                lambda failure, made: self._answer(step, outcome, made[0], failure, shutdown=shutdown),
                *last,
                record=self._record if self._record is not before else None,
                attempt=0 if step.is_resumed else None,
                hurry=not step.is_begun,  # a thread of the engine's flushes the store before it waits; others do not
            )
            step.is_concluded = True
            if outcome.changed:
                self._memory.state = outcome.state
                self._memory.state_seq = closing.header.seq
            if step.recording.emitted is not None and not _ended_from_outside(outcome):
                self._sample(step, outcome)
            self._step = None
            if status not in LIVING:
                self._drop_warm()
                self._refuse_waiting()
            self._advance()
            self._idle.notify_all()

    def _break_off(self, step: Step, error: Exception) -> None:
        """We failed to conclude the step: it ends as ``internal``, unless that was behind its end."""
        with self._lock:
            if self._step is step:
                self._step = None
            if not step.is_concluded:
                self._drop_warm()
                self._close_as_internal(step.letter, error)
            self._advance()
            self._idle.notify_all()

    def _close_as_internal(self, letter: Letter, error: Exception) -> None:
        """Close the step that is open in the chain, by our own fault. The lock is held."""
        told = InternalError(f"the step ended by a bug of Theater: {error!r}", reason="internal")
        payload = CrashedPayload(reason="internal", fuel=0, message=cut(repr(error)))
        self._record = replace(self._record, status="crashed")
        try:
            self._appender.commit(
                lambda failure, _: letter.done(failure or told),
                ("crashed", letter.export, encode_payload(payload)),
                record=self._record,
                attempt=0,
            )
        except Exception as again:  # noqa: BLE001 - then nothing is recorded, but the asker hears of it
            report(again)
            letter.done(told)
        self._refuse_waiting()

    def _finish(self, step: Step, failure: StoreError) -> None:
        with self._lock:
            if self._step is step:
                self._step = None
            self._advance()
            self._idle.notify_all()
        step.letter.done(failure)

    def _answer(
        self, step: Step, outcome: Outcome, closing: Event, failure: StoreError | None, *, shutdown: bool
    ) -> None:
        receipt = Head(closing.header.seq, closing.hash)
        if outcome.changed and failure is None:
            self._committed = closing.header.seq, outcome.state
        value = step.boundary.context.value
        step.letter.done(failure or answer_of(outcome, receipt, value=value, has_shutdown=shutdown))

    # -- warm instances ----------------------------------------------------------------------------------------------

    def _next_warm(self, letter: Letter) -> Warm | None:
        if self.anatomy.mode != "warm" or self._record.has_hidden_state or letter.export != HANDLE:
            return None
        return self._warm.take()

    def _drop_warm(self) -> None:
        self._warm.drop(is_running=self._step is not None)

    def _sample(self, step: Step, outcome: Outcome) -> None:
        assert step.recording.emitted is not None
        events = tuple(step.recording.emitted)
        time_us = step.message.header.time_us
        self._sampler.check(self, SampledStep(step.letter, events, step.state, time_us, step.seed, outcome))

    # -- control -----------------------------------------------------------------------------------------------------

    def _change(self, verb: str, status: Status, *, by: str, done: Callable[[TheaterError | None], None]) -> None:
        before = self.status
        if before == status and verb != "restarted":
            self._appender.commit(lambda failure, _: done(failure))  # it may be so since a moment ago, and not durable
            return
        if before not in CHANGES_FROM[verb]:
            done(NotRunning(f"actor {self._record.name!r} is {before}, so it cannot be {verb}; restart it first"))
            return
        self._record = replace(self._record, status=status)
        self._appender.commit(lambda failure, _: done(failure), lifecycle(verb, by, None), record=self._record)
        if status not in LIVING:
            self._drop_warm()
            self._refuse_waiting()
        elif verb == "restarted" and self._memory.state is None:
            self.begin_anew()

    def _chain_failed(self, failure: StoreError) -> None:
        """Nothing can be recorded any more, so nothing that waits will happen."""
        with self._lock:
            letters, self._mailbox = self._mailbox, deque()
        for letter in letters:
            letter.done(failure)

    def _refuse_waiting(self, what: str | None = None) -> None:
        """Answer all that wait: a mailbox is nothing that lasts."""
        letters, self._mailbox = self._mailbox, deque()
        for letter in letters:
            letter.done(self._not_running(what or self.status, "did not get to this message"))

    def _not_running(self, what: str, so: str = "takes no messages") -> NotRunning:
        return NotRunning(f"actor {self._record.name!r} is {what}: it {so}")


def _ended_from_outside(outcome: Outcome) -> bool:
    return outcome.crash is not None and outcome.crash.reason in UNREPRODUCIBLE
