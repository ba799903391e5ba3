"""Judging a step that was run again, by whether it came, byte for byte, to what is recorded.

What is exempt from that stands here and nowhere else: the texts of crashes, always; fuel and stack exhaustion, under
another engine than the recorded one; and all that lies behind the last recorded event of a step whose end came from
outside the computation.
"""

from __future__ import annotations

import msgspec

from theater.model.crash import ENGINE_BOUND, Crash
from theater.model.limits import Limits
from theater.model.payload import CrashedPayload, RefusedPayload, State, encode_payload
from theater.runtime.outcome import Outcome, conclude
from theater.runtime.report import Fault, Faulty
from theater.runtime.rerun import Ended, Recorded


def judge(ended: Ended) -> str:
    """The verdict on a step that has been run again. Raises ``Faulty`` where it came out otherwise."""
    step, closed, tape = ended.recorded, ended.closed, ended.tape
    early_verdict = step.early_verdict
    is_command = ended.anatomy.loaded.role == "command"
    limits = ended.anatomy.limits
    if early_verdict is not None and tape.divergence is None and tape.is_used_up:
        return early_verdict
    if closed.crash is not None and tape.divergence is None:
        _check_means(step, closed.crash, limits)
    outcome = conclude(
        closed, ended.boundary, export=step.message.header.name, is_command=is_command, state=step.state, limits=limits
    )
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
    return "identical" if step.compares_all else "identical but for fuel"


def _check_means(step: Recorded, crash: Crash, limits: Limits) -> None:
    """A step that the verifier itself cut short says nothing of the chain. Raises ``Faulty``, saying what it needs."""
    seq = step.message.header.seq
    if crash.reason == "internal":  # on our side, whatever it was: it says nothing of the chain
        raise Faulty(Fault(seq=seq, why=f"the step of event {seq} could not be run here: {crash.message}"))
    if crash.reason in ENGINE_BOUND and not step.compares_fuel:
        # if that were let through, who claims another engine could claim anything
        why = f"the step of event {seq} ran out of {crash.reason} here, under another engine than the recorded one"
        raise Faulty(Fault(seq=seq, why=f"{why}, so it is not confirmed; verify it with the engine of event 0"))
    if crash.reason == "fuel" and limits.fuel < step.limits.fuel:
        needs = f"more than {limits.fuel} fuel (its limit is {step.limits.fuel}), allowed {limits.fuel}"
        option = "--max-fuel"
    elif crash.reason == "deadline":
        needs = f"more than {limits.deadline_s:g} s, allowed {limits.deadline_s:g} s"
        option = "--max-deadline"
    else:
        return
    raise Faulty(Fault(seq=seq, why=f"the step of event {seq} needs {needs}; raise it with {option}"))


def _comparable(step: Recorded, outcome: Outcome) -> tuple[bytes, bytes]:
    """The closing event's bytes as recorded and as made now, without what is never compared."""
    recorded, made = step.result, outcome.payload
    if isinstance(recorded, CrashedPayload) and isinstance(made, CrashedPayload):
        recorded = CrashedPayload(reason=recorded.reason, fuel=recorded.fuel, code=recorded.code)
        made = CrashedPayload(reason=made.reason, fuel=made.fuel, code=made.code)
        if not step.compares_all:
            made = msgspec.structs.replace(made, fuel=recorded.fuel)
        return encode_payload(recorded), encode_payload(made)
    if (
        not step.compares_all
        and isinstance(made, State | RefusedPayload)
        and isinstance(recorded, State | RefusedPayload)
    ):
        made = msgspec.structs.replace(made, fuel=recorded.fuel)
    assert step.closing.payload is not None
    return step.closing.payload, encode_payload(made)
