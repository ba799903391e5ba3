"""Sampling warm steps, to see that nothing but the state survives.

The first 10 warm steps of every component, then 1 in 1,000, are run again in a fresh instance with every call
answered from what was recorded, and state, reply, calls and their effects compared. Fuel is not: a warm instance has
its start-up behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from theater.model.capability import Resources
from theater.model.effects import Effect
from theater.model.execution import Closed, Engine, Resting
from theater.runtime.boundary import Boundary
from theater.runtime.invocation import invocation_of
from theater.runtime.mishap import report
from theater.runtime.outcome import Outcome, conclude
from theater.runtime.performer import SampledStep, Stage
from theater.runtime.tape import Playing

FIRST_STEPS = 10
THEN_ONE_IN = 1000
UNDER_WAY_MAX = 4  # more would compete with the work that they check; a step that finds no place goes unsampled


class FreshSampler:
    """See above. Any thread may use it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._steps: dict[str, int] = {}
        self._under_way = 0
        self._quiet = threading.Condition(self._lock)

    def wants(self, program: str) -> bool:
        """Whether the next warm step of ``program`` is one to check."""
        with self._lock:
            count = self._steps[program] = self._steps.get(program, 0) + 1
            return (count <= FIRST_STEPS or count % THEN_ONE_IN == 0) and self._under_way < UNDER_WAY_MAX

    def check(self, actor: Stage, step: SampledStep) -> None:
        """Run it again, on the engine's threads. What goes wrong with that is reported, and ends nothing else."""
        with self._lock:
            self._under_way += 1
        try:
            self._begin(actor, step)
        except Exception as error:  # noqa: BLE001 - the step itself is over, and well recorded
            report(error)
            self._ended()

    def _begin(self, actor: Stage, step: SampledStep) -> None:
        crash = step.outcome.crash
        tape = Playing(
            step.events,
            end_seq=step.events[-1].header.seq + 1 if step.events else 0,
            outgrew=crash is not None and crash.reason == "bytes",
        )
        boundary = Boundary(
            actor.anatomy.facts,
            bindings=actor.anatomy.bindings,
            tape=tape,
            message_id=step.letter.id,
            now_us=step.time_us,
            seed=step.seed,
            resources=Resources(),
        )

        def rested(resting: Resting) -> None:
            try:
                assert isinstance(resting, Closed)  # a playing tape knows every answer
                difference = _difference(resting, boundary, tape, actor, step)
                if difference is not None:
                    actor.found_hidden_state(difference)
            except Exception as error:  # noqa: BLE001 - as above
                report(error)
            finally:
                self._ended()

        self._engine.begin(invocation_of(actor.anatomy, step.letter, boundary, step.state), rested)

    def _ended(self) -> None:
        with self._quiet:
            self._under_way -= 1
            self._quiet.notify_all()

    def wait_quiet(self, timeout_s: float) -> bool:
        """Wait until nothing is being checked. False where that took longer."""
        with self._quiet:
            return self._quiet.wait_for(lambda: self._under_way == 0, timeout_s)


def _difference(
    closed: Closed, boundary: Boundary, tape: Playing, actor: Stage, step: SampledStep
) -> dict[str, object] | None:
    outcome = conclude(
        closed, boundary, export=step.letter.export, is_command=False, state=step.state, limits=actor.anatomy.limits
    )
    tape.finish()
    if tape.divergence is not None:
        return {"step": step.letter.id, "expected": tape.divergence.expected, "got": tape.divergence.got}
    if _essence(outcome) != _essence(step.outcome):
        return {"step": step.letter.id, "expected": _shown(step.outcome), "got": _shown(outcome)}
    if tuple(boundary.context.effects) != step.effects:
        return {"step": step.letter.id, "expected": _named(step.effects), "got": _named(boundary.context.effects)}
    return None


def _essence(outcome: Outcome) -> tuple[str | None, ...]:
    reason = outcome.crash.reason if outcome.crash is not None else None
    return outcome.kind, outcome.state, outcome.reply, outcome.refusal, reason


def _shown(outcome: Outcome) -> str:
    return " ".join(str(part)[:200] for part in _essence(outcome) if part is not None)


def _named(effects: Sequence[Effect]) -> str:
    return " ".join(str(effect)[:200] for effect in effects)
