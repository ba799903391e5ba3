"""Running the steps of one actor: beginning, recording, concluding, and leaving one open.

What a step came to becomes the closing event, and the transaction that it is written in: the message leaves the
mailbox, the asker is answered, others get what the step sent them. What is to become of the actor is decided here
where it follows from the step alone; the actor itself hears of its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from theater.errors import Crashed, InternalError, NotRunning, StoreError, TheaterError
from theater.model.crash import UNREPRODUCIBLE, Crash, cut
from theater.model.effects import Effect
from theater.model.event import Event, Head, Kind
from theater.model.execution import Closed, Instance
from theater.model.exit_reason import ExitReason
from theater.model.payload import CrashedPayload, Message, encode_payload
from theater.model.ports import LIVING
from theater.model.randomness import SEED_BYTES
from theater.runtime.anatomy import Anatomy
from theater.runtime.being import Being
from theater.runtime.channel_settlement import give_up
from theater.runtime.consequences import Consequences
from theater.runtime.deferring import forget_expired, look_through
from theater.runtime.exports import HARMLESS, MIGRATE, WARM
from theater.runtime.grounds import Grounds
from theater.runtime.letter import Letter, Reply
from theater.runtime.life import exit_reason, lifecycle, status_after, stopped_event
from theater.runtime.mishap import report
from theater.runtime.neighbours import Neighbours
from theater.runtime.outcome import Outcome, answer_of, conclude
from theater.runtime.settlement import Settling, Told, reply, settle, tell
from theater.runtime.step import Beginning, Step
from theater.runtime.subscription_settlement import note_handled
from theater.runtime.supervising import Supervising
from theater.runtime.tape import Playing, Recording, Resuming
from theater.runtime.upgrading import give_back, take_over
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
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """An actor's first step after an unclean stop. ``attempts``: how often it was begun under a mark and not closed."""

    attempts: int
    rested: Callable[[], None]
    """To be called once it has come to rest."""


class Sampler(Protocol):
    """Who decides which warm steps are run a second time."""

    def wants(self, program: str) -> bool:
        """Whether the next warm step of this program is one of them."""

    def check(self, actor: Stage, step: SampledStep) -> None:
        """Run it again, off the hot path; ``found_hidden_state`` if it comes out otherwise."""


class Stage(Protocol):
    """The actor, as far as its steps know it. Called under its lock."""

    @property
    def anatomy(self) -> Anatomy:
        """What of it does not change."""

    @property
    def supervising(self) -> Supervising:
        """What it does for its children."""

    @property
    def is_stopping(self) -> bool:
        """Whether it is to end when nothing is running any more."""

    def advance(self) -> None:
        """Nothing is running any more: begin what is next."""

    def found_hidden_state(self, detail: dict[str, object]) -> None:
        """A warm step came out otherwise in a fresh instance. Any thread may say so."""

    def end(self, closing: Event, reason: ExitReason, brought: Consequences, told: Told) -> None:
        """It ends with this event: answer who waits, tell its parent. In the commit of that event."""


class Performer:
    """See above. Guarded by the actor's lock."""

    __slots__ = ("_afterwards", "_being", "_is_leaving", "_stage", "_suspicion", "_warm", "step")

    def __init__(self, being: Being, stage: Stage) -> None:
        self._being = being
        self._stage = stage
        self.step: Step | None = None
        """The one that is running."""
        is_warm = being.anatomy.mode == "warm"
        self._warm: WarmKeeper | None = WarmKeeper(being.memory.next_instance) if is_warm else None
        self._afterwards: list[Callable[[], None]] | None = None
        self._is_leaving = False
        self._suspicion: Suspicion | None = None

    def leave(self) -> None:
        """The process is about to end: what is running is left open, to be resumed."""
        self._is_leaving = True
        step = self.step
        if step is not None:
            self._being.appender.commit(None, attempt=0 if step.is_marked else None, bring=step.keep)
            step.kill(Crash("terminated", message="the runtime was closed"))

    def when_rested(self, action: Callable[[], None]) -> None:
        """Call ``action`` when what is running is over. The lock is held."""
        self._afterwards = [*(self._afterwards or ()), action]

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is running, and nothing begins right after. False where that took longer."""
        until = time.monotonic() + timeout_s
        while True:
            rested = threading.Event()
            with self._being.lock:
                if self.step is None:
                    return True
                self.when_rested(rested.set)
            if not rested.wait(max(0.0, until - time.monotonic())):
                return False

    def resume(self, message: Event, payload: Message, letter: Letter, recorded: list[Event], anatomy: Anatomy) -> None:
        """Go on with a step that an earlier process left open: what is recorded plays, the rest is live.

        The attempt is marked durably first: a step that takes the process down twice is not run a third time.
        ``anatomy`` is that of the step, which a migration takes with another component than the actor's.
        """
        recording = self._recording()
        grounds = Grounds(self._being.id, letter)
        end_seq = self._being.appender.head.seq + 1
        step = Step(
            self._being.surroundings,
            anatomy,
            Beginning(letter, message, bytes.fromhex(payload.seed), self._being.memory.state),
            neighbours=Neighbours(self._being, letter),
            recording=recording,
            grounds=grounds,
            tape=Resuming(Playing(recorded, end_seq=end_seq), recording),
        )
        suspicion, self._suspicion = self._suspicion, None
        if suspicion is not None:
            step.on_rest = suspicion.rested
        with self._being.lock:
            self.step = step

        def begin(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self._finish(step, failure)
            else:
                self._run(step)

        self._being.appender.rest_on(grounds)
        self._being.appender.commit(begin, lifecycle("resumed", "runtime", {"step": message.header.seq}), attempt=1)

    def close_unrun(
        self, letter: Letter, payload: CrashedPayload, error: TheaterError | None = None, *, is_ending: bool = True
    ) -> None:
        """Close the open step as crashed, though nothing of it was run here, or nobody knows what. The lock is held.

        ``is_ending``: whether that is the end of an actor that ran, of which others hear.
        """
        is_own = letter.export not in HARMLESS
        if is_own:
            self._being.become(replace(self._being.record, status="crashed"))
        told: Told = []

        def bring(made: list[Event], brought: Consequences) -> None:
            self._being.appender.rest_on(None)
            if letter.is_durable:
                brought.drop(self._being.record.id, "mailbox", letter.id)
            note_handled(self._being.surroundings.subscriptions, brought, self._being.id, letter)
            crashed = error or Crashed(f"the step crashed: {payload.reason}", reason=payload.reason)
            crashed.data["receipt"] = Head(made[0].header.seq, made[0].hash)
            if letter.expects_reply or letter.sender is None:
                surroundings, by = self._being.surroundings, self._being.record.id
                reply(surroundings, brought, told, by=by, asked=letter, answer=crashed)
            if is_own and is_ending:
                self._stage.end(made[0], ExitReason(kind="crashed", crash=payload.reason), brought, told)

        self._being.appender.commit(
            lambda failure, _: tell(told, failure, letter),
            ("crashed", letter.export, encode_payload(payload)),
            record=self._being.record,
            attempt=0,
            bring=bring,
        )

    def clear_answers(self) -> None:
        """Drop the answers that nobody waits for, if no step is running that may. The lock is held."""
        holdings = self._being.holdings
        if self.step is not None or not holdings.answers or self._being.appender.failure is not None:
            return
        stale, holdings.answers = holdings.answers, None

        def bring(made: list[Event], brought: Consequences) -> None:
            del made
            for wait_id in stale:
                brought.drop(self._being.id, "answer", wait_id, required=False)
                self._being.surroundings.waits.forget(wait_id)

        self._being.appender.commit(bring=bring)

    def forget_expired(self) -> None:
        """Let go of requests for whose answer nobody waits. Where a step runs, its end does so. The lock is held."""
        if self.step is None:
            forget_expired(self._being)

    def _recording(self) -> Recording:
        return Recording(self._being.appender.add, self._tick)

    def _tick(self) -> None:
        """A step has been running for a while, or has recorded much: let it be seen, and survive."""
        step = self.step
        if step is not None and self._being.appender.is_due:
            self._being.appender.commit(bring=step.keep)

    def begin(self, letter: Letter, anatomy: Anatomy | None = None) -> None:
        """Take a step on this message. ``anatomy`` is that of a migration. The lock is held."""
        warm = self._next_warm(letter)
        seed = self._being.surroundings.node.entropy.take(SEED_BYTES)
        payload = Message(
            id=letter.id,
            source=letter.source,
            export=letter.export,
            arguments=list(letter.arguments),
            seed=seed.hex(),
            state=self._being.memory.state_seq,
            cause=letter.cause,
            instance=warm.number if warm else None,
            nth=warm.nth if warm else None,
            component=anatomy.facts.component if anatomy is not None else None,
        )
        grounds = Grounds(self._being.id, letter)
        message = self._being.appender.add("message", letter.export, encode_payload(payload), grounds=grounds)
        recording = self._recording()
        if warm is not None and self._being.surroundings.sampler.wants(self._being.record.program):
            recording.keep()
        self.step = Step(
            self._being.surroundings,
            anatomy or self._being.anatomy,
            Beginning(letter, message, seed, self._being.memory.state),
            neighbours=Neighbours(self._being, letter),
            recording=recording,
            grounds=grounds,
            warm=warm,
        )
        suspicion, self._suspicion = self._suspicion, None
        if suspicion is None:
            self._run(self.step)
        else:
            self._run_suspect(self.step, suspicion)

    def suspect(self, suspicion: Suspicion) -> None:
        """The next step may be what took an earlier process down: let it leave a mark before it is run."""
        self._suspicion = suspicion

    def is_unfounded(self) -> bool:
        """Whether no step was begun since it was suspected; then it is suspected no longer."""
        suspicion, self._suspicion = self._suspicion, None
        return suspicion is not None

    def _run_suspect(self, step: Step, suspicion: Suspicion) -> None:
        if suspicion.attempts > 0:
            self._ended(step)
            crash = CrashedPayload(reason="host-died", fuel=0, message="the process died twice while it ran this step")
            self.close_unrun(step.letter, crash)
            self._being.surroundings.exclusion.afterwards(suspicion.rested)
            return
        step.is_marked = True
        step.on_rest = suspicion.rested

        def begin(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self._finish(step, failure)
            else:
                self._run(step)

        self._being.appender.commit(begin, attempt=1, bring=step.keep)

    def _run(self, step: Step) -> None:
        node = self._being.surroundings.node
        step.run(node.engine, node.clock, self._being.appender, self._close)

    def _leave(self, step: Step) -> None:
        """The step is left open in the chain: nothing of it has happened yet, and it will be resumed."""
        with self._being.lock:
            step.neighbours.give_back()
            if step.warm is not None:
                self._give_back(step.warm, None)
            self._ended(step)
        step.letter.done(NotRunning("the runtime was closed in mid-step; the step goes on when the actor is woken up"))

    def _close(self, step: Step, closed: Closed) -> None:
        is_left = self._is_leaving and closed.crash is not None and closed.crash.reason == "terminated"
        step.end_waits(is_left=is_left)
        if is_left:
            self._leave(step)
            return
        try:
            self._conclude(step, closed)
        except Exception as error:  # noqa: BLE001 - a bug of ours must leave nobody waiting
            report(error)
            self._break_off(step, error)

    def _conclude(self, step: Step, closed: Closed) -> None:
        is_command = self._being.anatomy.loaded.role == "command"
        outcome = conclude(
            closed,
            step.boundary,
            export=step.letter.export,
            is_command=is_command,
            state=step.beginning.state,
            limits=self._being.anatomy.limits,
        )
        shutdown = step.boundary.context.has_shutdown and outcome.kind == "state"
        last: list[tuple[Kind, str, bytes]] = [(outcome.kind, step.letter.export, encode_payload(outcome.payload))]
        told: Told = []
        with self._being.lock:
            if step.warm is not None:
                self._give_back(step.warm, survivor(closed, outcome))
            anatomy, before = self._being.anatomy, self._being.record
            status = status_after(before.status, step.letter, outcome, shutdown=shutdown, is_command=is_command)
            if self._stage.is_stopping and outcome.crash is not None and outcome.crash.reason == "terminated":
                status = before.status  # it was ended to stop the actor, which is about to be done
            is_upgraded = step.letter.export == MIGRATE and outcome.kind == "state"
            if is_upgraded:
                last.append(take_over(self._being, step.anatomy, step.letter.source))
            if status != before.status:
                self._being.become(replace(self._being.record, status=status))
                if status == "stopped":
                    last.append(
                        stopped_event(step.letter, outcome, shutdown=shutdown, value=step.boundary.context.value)
                    )

            def bring(made: list[Event], brought: Consequences) -> None:
                self._settle(step, outcome, made[0], brought, told)
                if status not in LIVING and before.status in LIVING:
                    reason = exit_reason(step.letter, outcome, shutdown=shutdown, value=step.boundary.context.value)
                    self._stage.end(made[-1], reason, brought, told)

            def heard(failure: StoreError | None, made: list[Event]) -> None:
                if is_upgraded and failure is not None:
                    give_back(self._being, anatomy, before)
                self._answer(step, outcome, made[0], failure, told)

            closing, *_ = self._being.appender.commit(
                heard,
                *last,
                record=self._being.record if self._being.record is not before else None,
                attempt=0 if step.is_marked else None,
                bring=bring,
                hurry=not step.is_begun,  # a thread of the engine's flushes the store before it waits; others do not
            )
            step.is_concluded = True
            if outcome.changed:
                self._being.memory.state = outcome.state
                self._being.memory.state_seq = closing.header.seq
            if step.recording.emitted is not None and not _ended_from_outside(outcome):
                self._sample(step, outcome)
            if status not in LIVING:
                self.drop_warm()
            self._ended(step)
            self._stage.advance()

    def _settle(self, step: Step, outcome: Outcome, closing: Event, brought: Consequences, told: Told) -> None:
        """What the step does to its mailbox, to its asker, and to others. The appender's lock is held, too."""
        actor, letter = self._being.record.id, step.letter
        self._being.appender.rest_on(None)
        if letter.is_durable:
            brought.drop(actor, "mailbox", letter.id)
        note_handled(self._being.surroundings.subscriptions, brought, actor, letter)
        stale, self._being.holdings.answers = self._being.holdings.answers, None
        for request_id in stale or ():
            brought.drop(actor, "answer", request_id, required=False)
            self._being.surroundings.waits.forget(request_id)
        for asked in step.asked():
            brought.drop(actor, "answer", asked.effect.id, required=asked.is_answered and not asked.is_played)
            if not asked.is_answered:
                give_up(self._being.surroundings, brought, told, by=actor, channel=asked.effect.id)
        settling = Settling(
            self._being, self._stage.supervising, letter, step.neighbours, closing=closing, brought=brought, told=told
        )
        context = step.boundary.context
        shutdown = context.has_shutdown and outcome.kind == "state"
        answer = answer_of(outcome, settling.receipt, value=context.value, has_shutdown=shutdown)
        if isinstance(answer, Reply):
            settle(settling, context.effects, answer)
        elif letter.expects_reply or letter.sender is None:
            settling.answer(letter, answer)
        step.neighbours.give_back()
        if self._being.holdings.deferred is not None:
            look_through(self._being, brought)

    def _answer(self, step: Step, outcome: Outcome, closing: Event, failure: StoreError | None, told: Told) -> None:
        if outcome.changed and failure is None:
            self._being.committed = closing.header.seq, outcome.state
        tell(told, failure, step.letter)

    def _ended(self, step: Step) -> None:
        """It is over. The lock is held."""
        step.neighbours.give_back()  # again: where the chain has failed, nothing was settled
        if self.step is step:
            self.step = None
        afterwards, self._afterwards = self._afterwards, None
        for action in afterwards or ():
            action()

    def _break_off(self, step: Step, error: Exception) -> None:
        """We failed to conclude the step: it ends as ``internal``, unless that was behind its end."""
        with self._being.lock:
            self._ended(step)
            if not step.is_concluded:
                step.neighbours.give_back()
                self.drop_warm()
                self.close_as_internal(step.letter, error)
            self._stage.advance()

    def close_as_internal(self, letter: Letter, error: Exception) -> None:
        """Close the step that is open in the chain, by our own fault. The lock is held."""
        told = InternalError(f"the step ended by a bug of Theater: {error!r}", reason="internal")
        try:
            self.close_unrun(letter, CrashedPayload(reason="internal", fuel=0, message=cut(repr(error))), told)
        except Exception as again:  # noqa: BLE001 - then nothing is recorded, but the asker hears of it
            report(again)
            letter.done(told)

    def _finish(self, step: Step, failure: StoreError) -> None:
        step.rest()
        with self._being.lock:
            self._ended(step)
            self._stage.advance()
        step.letter.done(failure)

    # -- warm instances ----------------------------------------------------------------------------------------------

    def _next_warm(self, letter: Letter) -> Warm | None:
        if self._warm is None or self._being.record.has_hidden_state or letter.export not in WARM:
            return None
        return self._warm.take()

    def _give_back(self, warm: Warm, instance: Instance | None) -> None:
        assert self._warm is not None
        self._warm.give_back(warm, instance)

    def drop_warm(self) -> None:
        """Let go of the warm instance."""
        if self._warm is not None:
            self._warm.drop(is_running=self.step is not None)

    def _sample(self, step: Step, outcome: Outcome) -> None:
        assert step.recording.emitted is not None
        events = tuple(step.recording.emitted)
        beginning = step.beginning
        time_us = beginning.message.header.time_us
        effects = tuple(step.boundary.context.effects)
        sampled = SampledStep(step.letter, events, beginning.state, time_us, beginning.seed, outcome, effects)
        self._being.surroundings.sampler.check(self._stage, sampled)


def _ended_from_outside(outcome: Outcome) -> bool:
    return outcome.crash is not None and outcome.crash.reason in UNREPRODUCIBLE
