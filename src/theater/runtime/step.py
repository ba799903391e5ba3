"""One live step: a guest's call that runs, waits, is woken, and closes.

The step knows the engine and the clock; of the actor it knows a ``Closer`` that takes what it came to. Two threads may
meet here, the engine's and the clock's, and so a wait's answer is recorded under a lock: a step that is ended meanwhile
must not record it behind its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from theater.errors import StoreError, TheaterError
from theater.model.capability import Resources
from theater.model.crash import Crash, StepCrash
from theater.model.event import Event
from theater.model.execution import Closed, Engine, Execution, Resting
from theater.model.ports import Clock
from theater.runtime.anatomy import Anatomy
from theater.runtime.appender import Appender
from theater.runtime.boundary import Boundary
from theater.runtime.invocation import invocation_of
from theater.runtime.letter import Letter
from theater.runtime.mishap import report
from theater.runtime.tape import Recording, Tape
from theater.runtime.warm import Warm


class Step:
    """See above. ``seed`` and ``message`` are what it knew when it began; ``state`` is the one that it began with."""

    def __init__(
        self,
        anatomy: Anatomy,
        letter: Letter,
        message: Event,
        *,
        seed: bytes,
        state: str | None,
        recording: Recording,
        tape: Tape | None = None,
        warm: Warm | None = None,
    ) -> None:
        self.letter = letter
        self.message = message
        self.seed = seed
        self.state = state
        self.recording = recording
        self.warm = warm
        self.is_resumed = tape is not None
        self.is_concluded = False  # its closing event is in the chain
        self.boundary = Boundary(
            anatomy.facts,
            bindings=anatomy.bindings,
            tape=tape or recording,
            now_us=message.header.time_us,
            seed=seed,
            resources=warm.resources if warm is not None else Resources(),
        )
        self._anatomy = anatomy
        self._lock = threading.Lock()
        self._execution: Execution | None = None
        self._unwanted: Crash | None = None
        self._is_closed = False

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

        warm = self.warm
        try:
            invocation = invocation_of(
                self._anatomy,
                self.letter,
                self.boundary,
                self.state,
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

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a bug of ours ends the step; nobody else would ever wake it
            report(error)
            self.kill(Crash("internal", message=repr(error)))

    def _wait(self, clock: Clock, appender: Appender) -> None:
        pending = self.boundary.pending
        assert pending is not None

        def arm(failure: StoreError | None, made: list[Event]) -> None:
            del made
            if failure is not None:
                self.kill(Crash("internal", message=str(failure)))
            else:
                self._guarded(lambda: clock.call_at(pending.until_us, due))

        def due() -> None:
            self._guarded(lambda: self._wake(appender, pending.until_us))

        appender.commit(arm)  # what a guest is about to wait for is in the chain before it waits

    def _wake(self, appender: Appender, until_us: int) -> None:
        answer: object = None
        crash: Crash | None = None
        with self._lock:
            execution = self._execution
            if self._is_closed or execution is None:
                return
            try:
                answer = self.boundary.wake(appender.reach(until_us))
            except StepCrash as error:
                crash = error.crash
        if crash is not None:
            self.kill(crash)
        else:
            execution.resume(answer)
