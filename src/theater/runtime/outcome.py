"""From how a guest call ended to the event that closes its step: the same rules live and in a replay."""

from __future__ import annotations

from typing import Literal

import msgspec

from theater.errors import Crashed, InternalError, InvalidJson, Refused, TheaterError
from theater.model.crash import UNREPRODUCIBLE, Crash, StepCrash, cut
from theater.model.event import Head
from theater.model.execution import Closed
from theater.model.json_text import check_json
from theater.model.limits import Limits
from theater.model.payload import CrashedPayload, Payload, RefusedPayload, State
from theater.runtime.boundary import Boundary
from theater.runtime.exports import SERVE, reply_of
from theater.runtime.letter import Reply
from theater.runtime.service_request import reply_of_service

ClosingKind = Literal["state", "refused", "crashed"]

REFUSAL_MAX_BYTES = 64 * 1024  # a refusal is a sentence for the asker; a longer one is cut, as crash texts are


class Outcome(msgspec.Struct, frozen=True):
    """What a step came to. ``state`` is the state that holds after it, whether or not it changed."""

    kind: ClosingKind
    payload: Payload
    fuel: int
    state: str | None
    reply: str | None = None
    refusal: str | None = None
    crash: Crash | None = None
    changed: bool = False


def conclude(
    closed: Closed, boundary: Boundary, *, export: str, is_command: bool, state: str | None, limits: Limits
) -> Outcome:
    """What the step came to; records the output that was still unfinished (where that can be reproduced).

    A command (``wasi:cli/run``) has no state: its return or its ``exit`` is the whole outcome.
    """
    crash = closed.crash
    if crash is None or crash.reason not in UNREPRODUCIBLE:
        try:
            boundary.context.flush_all()
        except StepCrash as late:
            crash = crash or late.crash
        divergence = boundary.finish()
        if divergence is not None and (crash is None or crash.reason != "diverged"):
            what = f"event {divergence.seq}: recorded is {divergence.expected}; this run did {divergence.got}"
            crash = Crash("diverged", message=what)
    if crash is not None:
        return _crashed(_explained(crash, boundary), closed.fuel_used, state)
    if is_command:
        return _command_outcome(closed)
    if closed.exit_status is not None:
        how = "an error" if closed.exit_status else "ok"
        return _crashed(
            Crash("exit", message=f"the actor called exit with {how}; an actor returns, it does not exit"),
            closed.fuel_used,
            state,
        )
    if export == SERVE:
        return _service_outcome(closed, boundary, limits)
    assert isinstance(closed.result, tuple)
    case, value = closed.result
    if case == "err":
        assert isinstance(value, str)
        return _refused(_clipped(value), closed.fuel_used, state)
    try:
        if isinstance(value, dict):
            return _new_state(value["state"], reply_of(export, value), closed.fuel_used, state, limits)
        assert isinstance(value, str)
        return _new_state(value, None, closed.fuel_used, state, limits)
    except StepCrash as bad:
        return _crashed(bad.crash, closed.fuel_used, state)


def answer_of(outcome: Outcome, receipt: Head, *, value: str | None, has_shutdown: bool) -> Reply | TheaterError:
    """What the asker hears. ``receipt`` is the closing event, ``value`` that of a shutdown."""
    match outcome.kind:
        case "state":
            return Reply(outcome.reply, receipt, value, has_shutdown=has_shutdown)
        case "refused":
            return Refused(outcome.refusal or "", text=outcome.refusal, receipt=receipt)
        case "crashed":
            crash = outcome.crash
            assert crash is not None
            if crash.reason == "internal":
                return InternalError(crash.message, reason=crash.reason, receipt=receipt)
            text = (
                f"the step crashed: {crash.reason}{f' ({crash.code})' if crash.code not in ('', crash.reason) else ''}"
            )
            message = f"{text}: {crash.message}" if crash.message else text
            return Crashed(message, reason=crash.reason, crash=crash, receipt=receipt)


def _new_state(new: str, reply: str | None, fuel: int, old: str | None, limits: Limits) -> Outcome:
    if len(new) > limits.state_bytes or len(new.encode()) > limits.state_bytes:
        raise StepCrash("state-size", f"the new state is larger than {limits.state_bytes} bytes")
    _check(new, "state", limits.state_bytes)
    if reply is not None:
        _check(reply, "reply", limits.reply_bytes)
    changed = new != old
    payload = State(fuel=fuel, state=new if changed else None, reply=reply)
    return Outcome("state", payload, fuel, state=new, reply=reply, changed=changed)


def _check(text: str, what: str, max_bytes: int) -> None:
    try:
        check_json(text, max_bytes=max_bytes)
    except InvalidJson as error:
        raise StepCrash("not-json", f"the {what}: {error}") from error


def _refused(text: str, fuel: int, state: str | None) -> Outcome:
    return Outcome("refused", RefusedPayload(text=text, fuel=fuel), fuel, state=state, refusal=text)


def _crashed(crash: Crash, fuel: int, state: str | None) -> Outcome:
    payload = CrashedPayload(
        reason=crash.reason,
        fuel=fuel,
        code=crash.code if crash.code not in ("", crash.reason) else None,
        message=cut(crash.message) or None,
        backtrace=cut(crash.backtrace) or None,
    )
    return Outcome("crashed", payload, fuel, state=state, crash=crash)


def _command_outcome(closed: Closed) -> Outcome:
    status = closed.exit_status
    if status is None:
        assert isinstance(closed.result, tuple)
        status = 0 if closed.result[0] == "ok" else 1
    if status:
        return _refused(f"the command exited with status {status}", closed.fuel_used, None)
    return Outcome("state", State(fuel=closed.fuel_used), closed.fuel_used, state=None)


def _service_outcome(closed: Closed, boundary: Boundary, limits: Limits) -> Outcome:
    reply, why_not = reply_of_service(boundary.context.resources, boundary.given)
    if reply is None:
        return _refused(_clipped(why_not), closed.fuel_used, None)
    try:
        _check(reply, "reply", limits.reply_bytes)
    except StepCrash as bad:
        return _crashed(bad.crash, closed.fuel_used, None)
    return Outcome("state", State(fuel=closed.fuel_used, reply=reply), closed.fuel_used, state=None, reply=reply)


def _explained(crash: Crash, boundary: Boundary) -> Crash:
    """A trap with what the guest wrote on stderr: a Python guest's traceback says more than a wasm backtrace.

    A guest whose last words are ``MemoryError`` hit its memory limit: the engine only ever sees it abort.
    """
    said = boundary.context.stderr_tail.decode("utf-8", "replace").strip()
    if crash.reason != "trap" or not said:
        return crash
    out_of_memory = said.rsplit("\n", 1)[-1].strip() == "MemoryError"
    return Crash("memory" if out_of_memory else "trap", code=crash.code, message=said, backtrace=crash.backtrace)


def _clipped(text: str) -> str:
    data = text.encode("utf-8")
    return text if len(data) <= REFUSAL_MAX_BYTES else data[:REFUSAL_MAX_BYTES].decode("utf-8", "ignore")
