"""One live step: a guest's call that runs, waits, is woken, and closes.

The step knows the engine and the clock; of the actor it knows a ``Closer`` that takes what it came to. Two threads may
meet here, the engine's and the clock's, and so a wait's answer is recorded under a lock: a step that is ended meanwhile
must not record it behind its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from theater.errors import StoreError, TheaterError
from theater.model.act import Act
from theater.model.capability import Resources
from theater.model.crash import Crash, StepCrash
from theater.model.effects import AtOnce
from theater.model.event import Event
from theater.model.execution import Closed, Engine, Execution, Resting
from theater.model.payload import Cause
from theater.model.ports import Clock
from theater.runtime.anatomy import Anatomy
from theater.runtime.answers import decode_answer
from theater.runtime.appender import Appender
from theater.runtime.asking import Asking, abandon, ask, target_of
from theater.runtime.boundary import Boundary, PendingWait
from theater.runtime.consequences import Consequences
from theater.runtime.grounds import Grounds
from theater.runtime.invocation import invocation_of
from theater.runtime.letter import Letter
from theater.runtime.mishap import report
from theater.runtime.neighbours import Neighbours
from theater.runtime.services import Interrupt
from theater.runtime.surroundings import Surroundings
from theater.runtime.tape import Recording, Tape
from theater.runtime.warm import Warm


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a step knows when it begins, and nothing else: its message, as a letter and as an event, and the state."""

    letter: Letter
    message: Event
    seed: bytes
    state: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step waited for. ``is_played``: an earlier process did, and it was recorded how it ended."""

    effect: AtOnce
    is_answered: bool = False
    is_played: bool = False


class Step:
    """See above. ``tape`` is there where it goes on with what an earlier process left open."""

    def __init__(
        self,
        surroundings: Surroundings,
        anatomy: Anatomy,
        beginning: Beginning,
        *,
        neighbours: Neighbours,
        recording: Recording,
        grounds: Grounds,
        tape: Tape | None = None,
        warm: Warm | None = None,
    ) -> None:
        self.beginning = beginning
        self.grounds = grounds
        self.recording = recording
        self.warm = warm
        self.is_marked = tape is not None
        """Whether it was begun under a durable mark, which goes with its end."""
        self.is_resumed = tape is not None
        self.on_rest: Callable[[], None] | None = None
        """Called once, when it is closed or waits for the first time."""
        self.is_concluded = False  # its closing event is in the chain
        self.neighbours = neighbours
        self._asked: list[Asked] = []
        """What it waited for in this process."""
        self.boundary = Boundary(
            anatomy.facts,
            bindings=anatomy.bindings,
            tape=tape or recording,
            message_id=beginning.letter.id,
            now_us=beginning.message.header.time_us,
            seed=beginning.seed,
            resources=warm.resources if warm is not None else Resources(),
            system=neighbours,
        )
        self.boundary.count_denial = surroundings.denials.count
        neighbours.context = self.boundary.context
        self._surroundings = surroundings
        self._anatomy = anatomy
        self._lock = threading.Lock()
        self._execution: Execution | None = None
        self._unwanted: Crash | None = None
        self._is_closed = False
        self._cancel_alarm: Callable[[], None] | None = None
        self._interrupt: Interrupt | None = None
        """Of the act that is under way."""
        self._lasting: list[Interrupt] = []
        """Of acts that may have left something going."""

    @property
    def letter(self) -> Letter:
        """Its message."""
        return self.grounds.letter

    @property
    def anatomy(self) -> Anatomy:
        """In what it is run: a migration in that to which it leads."""
        return self._anatomy

    @property
    def is_begun(self) -> bool:
        """Whether the engine has it; if not, it was closed on the thread that wanted to begin it."""
        return self._execution is not None

    def run(self, engine: Engine, clock: Clock, appender: Appender, on_closed: Callable[[Step, Closed], None]) -> None:
        """Begin it. ``on_closed`` hears how it ended, once: on a thread of the engine's, or on this one.

        On this one it is where it could not be begun.
        """

        def rested(resting: Resting) -> None:
            if isinstance(resting, Closed):
                with self._lock:
                    self._is_closed = True
                on_closed(self, resting)
            else:
                self._guarded(lambda: self._wait(clock, appender))
            self.rest()

        warm = self.warm
        try:
            invocation = invocation_of(
                self._anatomy,
                self.letter,
                self.boundary,
                self.beginning.state,
                instance=warm.instance if warm is not None else None,
                keep=warm is not None,
            )
            with self._lock:  # so that whoever wakes or kills it finds the execution, however fast the guest is
                self._execution = engine.begin(invocation, rested)
                unwanted = self._unwanted
        except TheaterError as error:
            on_closed(self, Closed(None, 0, crash=Crash("internal", code=error.code, message=error.message)))
            return
        except Exception as error:  # noqa: BLE001 - a bug of ours ends the step and not the thread
            report(error)
            on_closed(self, Closed(None, 0, crash=Crash("internal", message=repr(error))))
            return
        if unwanted is not None:
            self.kill(unwanted)

    def kill(self, crash: Crash) -> None:
        """End it with that crash, running, waiting, or before it has been begun."""
        with self._lock:
            execution = self._execution
            if execution is None:
                self._unwanted = crash
        if execution is not None:
            execution.kill(crash.reason, crash.message)

    def rest(self) -> None:
        """It has come to rest, or is not run at all: who waits for the first time that it does, goes on."""
        on_rest, self.on_rest = self.on_rest, None
        if on_rest is not None:
            self._surroundings.exclusion.afterwards(on_rest)

    @property
    def is_waiting(self) -> bool:
        """Whether the guest is suspended."""
        return self.boundary.pending is not None

    def asked(self) -> list[Asked]:
        """What it waited for, in an earlier process, too."""
        played = [Asked(effect, is_answered, is_played=True) for effect, is_answered in self.boundary.played]
        return [*played, *self._asked] if played else self._asked

    def end_waits(self, *, is_left: bool = False) -> None:
        """It is over: it waits for nobody any more, but where it is left open, to be resumed by another process."""
        with self._lock:
            cancel, self._cancel_alarm = self._cancel_alarm, None
            interrupt, self._interrupt = self._interrupt, None
            lasting, self._lasting = self._lasting, []
        if cancel is not None:
            cancel()  # else the clock would keep the step, and all that it holds, until the time is over
        if interrupt is not None:
            interrupt.want()
        for each in lasting:
            each.end()
        for asked in self.asked():
            self._surroundings.waits.end(asked.effect.id)
            if not asked.is_answered and not is_left:
                abandon(self._surroundings, self._anatomy.facts.actor, asked.effect)

    def _set_alarm(self, pending: PendingWait, cancel: Callable[[], None]) -> None:
        with self._lock:
            is_wanted = not self._is_closed and self.boundary.pending is pending
            if is_wanted:
                self._cancel_alarm = cancel
        if not is_wanted:
            cancel()

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a bug of ours ends the step; nobody else would ever wake it
            report(error)
            self.kill(Crash("internal", message=repr(error)))

    def _wait(self, clock: Clock, appender: Appender) -> None:
        pending = self.boundary.pending
        assert pending is not None
        if pending.wait.effect is not None:
            self._ask(pending, pending.wait.effect, clock, appender)
            return
        if pending.wait.act is not None:
            self._act(pending, pending.wait.act, clock, appender)
            return

        def arm(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self.kill(Crash("internal", message=str(failure)))
            else:
                self._guarded(lambda: self._set_alarm(pending, clock.call_at(pending.until_us, due)))

        def due() -> None:
            self._guarded(lambda: self._wake(pending, appender, pending.until_us))

        # what a guest is about to wait for is in the chain before it waits
        appender.commit(arm, bring=self.keep, attempt=self._mark_of_wait)

    def keep(self, made: list[Event], brought: Consequences) -> None:
        """The step goes into the chain before it is closed."""
        del made
        self.grounds.keep(brought)

    def _ask(self, pending: PendingWait, effect: AtOnce, clock: Clock, appender: Appender) -> None:
        """Send what the guest waits for, and wait for what comes of it, or for the time to be over."""
        actor = self._anatomy.facts.actor
        waits = self._surroundings.waits

        def answered(answer: object) -> None:
            cancel()
            self._guarded(lambda: self._wake(pending, appender, 0, answer=answer))

        def due() -> None:
            if waits.end(effect.id):
                abandon(self._surroundings, actor, effect)
                self._guarded(lambda: self._wake(pending, appender, pending.until_us))

        def heard(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self.kill(Crash("internal", message=str(failure)))

        def bring(made: list[Event], brought: Consequences) -> None:
            self.keep(made, brought)
            intent = self.recording.latest
            assert intent is not None
            cause = Cause(actor=actor, seq=intent.header.seq, hash=intent.hash)
            ask(Asking(self._surroundings, actor, self.neighbours, cause, brought), effect)

        self._asked.append(Asked(effect))
        cancel = clock.call_at(pending.until_us, due)
        self._set_alarm(pending, cancel)
        waits.begin(effect.id, actor, target_of(effect), answered)
        if not pending.is_resumed:
            appender.commit(heard, bring=bring, attempt=self._mark_of_wait)
            return
        if self.is_marked:
            appender.commit(attempt=0)
        entry = self._surroundings.node.store.entry(actor, "answer", effect.id)
        if entry is not None:
            waits.answer(effect.id, decode_answer(entry.value))

    def _act(self, pending: PendingWait, act: Act, clock: Clock, appender: Appender) -> None:
        """Have it done in the world once the intent is durable, and wait for what it comes to, or for its time."""
        if pending.is_resumed:  # an earlier process was at it, or may have been, and nobody knows how far it came
            self._guarded(lambda: self._wake(pending, appender, 0, answer=act.unknown()))
            return
        if act.begins is not None:
            act.begins()

        def answered(answer: object) -> None:
            cancel()
            self._guarded(lambda: self._wake(pending, appender, 0, answer=answer))

        def due() -> None:
            with self._lock:  # another act may be under way where this one was answered in this very moment
                interrupt = self._interrupt if self.boundary.pending is pending else None
            self._guarded(lambda: self._wake(pending, appender, pending.until_us))
            if interrupt is not None:  # not before: what an interrupted act comes to is nobody's answer
                interrupt.want()

        def begin(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self.kill(Crash("internal", message=str(failure)))
            else:
                self._guarded(lambda: self._perform(pending, act, answered))

        cancel = clock.call_at(pending.until_us, due)
        self._set_alarm(pending, cancel)
        if pending.is_announced and not self.is_marked:
            begin(None, [])
        else:
            appender.commit(begin, bring=self.keep, attempt=self._mark_of_wait)

    def _perform(self, pending: PendingWait, act: Act, answered: Callable[[object], None]) -> None:
        services = self._surroundings.node.services
        assert services is not None, "a node that runs steps has services"
        with self._lock:
            if self._is_closed or self.boundary.pending is not pending:  # its time is over already, or it was killed
                return
            self._interrupt = services.perform(act.service or pending.binding.capability, act, answered)
            if act.lasts:
                self._lasting.append(self._interrupt)

    def _wake(self, pending: PendingWait, appender: Appender, until_us: int, *, answer: object = None) -> None:
        crash: Crash | None = None
        with self._lock:
            execution = self._execution
            if self._is_closed or execution is None or self.boundary.pending is not pending:
                return
            if answer is not None and pending.wait.effect is not None:
                self._asked[-1] = Asked(self._asked[-1].effect, is_answered=True)
                self.grounds.was_given(self._asked[-1].effect.id)
            self._interrupt = None
            try:
                given = self.boundary.wake(appender.reach(until_us), answer)
            except StepCrash as error:
                given, crash = None, error.crash
        if crash is not None:
            self.kill(crash)
        elif self.is_marked:
            appender.commit(lambda failure, _: self._go_on(execution, given, failure), attempt=1)
        else:
            execution.resume(given)

    @property
    def _mark_of_wait(self) -> int | None:
        """While it waits it takes no process down: the mark under which it runs is lifted, and set when it goes on."""
        return 0 if self.is_marked else None

    def _go_on(self, execution: Execution, given: object, failure: StoreError | None) -> None:
        if failure is not None:
            self.kill(Crash("internal", message=str(failure)))
        else:
            execution.resume(given)
