"""What an actor can be, and what makes it that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from theater.errors import TheaterError
from theater.model.event import Kind
from theater.model.exit_reason import ExitReason
from theater.model.payload import Lifecycle, encode_payload
from theater.model.ports import LIVING, Status
from theater.runtime.anatomy import Anatomy
from theater.runtime.exports import MIGRATE, SERVE
from theater.runtime.letter import Done, Letter, nobody
from theater.runtime.loading import INIT, RUN
from theater.runtime.orders import Restart
from theater.runtime.outcome import Outcome

CHANGES_FROM: dict[str, tuple[Status, ...]] = {
    "paused": ("running",),
    "resumed": ("paused",),
}
"""From what an actor can become that. It can be stopped and restarted whatever it is."""


@dataclass(slots=True)
class Memory:
    """Where its history left off."""

    state: str | None
    state_seq: int | None
    next_instance: int


@dataclass(frozen=True, slots=True)
class Control:
    """Something to do between two steps; ``refused`` is told when it will not be done, None where nobody asked."""

    apply: Callable[[], None]
    refused: Callable[[TheaterError], None] | None = None


def lifecycle(verb: str, by: str, detail: dict[str, object] | None) -> tuple[Kind, str, bytes]:
    """An event that says what became of an actor, and who wanted it."""
    return "lifecycle", verb, encode_payload(Lifecycle(by=by, detail=detail))


def first_letter(anatomy: Anatomy, nth: int, *, by: str = "runtime", done: Done = nobody) -> Letter | None:
    """What an actor without a state begins with; a service waits for requests.

    ``nth`` makes its id one that the chain does not have yet.
    """
    if anatomy.loaded.role == "service":
        return None
    is_command = anatomy.loaded.role == "command"
    return Letter(
        id=f"{'run' if is_command else 'init'}-{nth}",
        source=by,
        export=RUN if is_command else INIT,
        arguments=() if is_command else (anatomy.params,),
        expects_reply=done is not nobody,
        done=done,
    )


def status_after(before: Status, letter: Letter, outcome: Outcome, *, shutdown: bool, is_command: bool) -> Status:
    """What it is behind a step that came to ``outcome``."""
    if letter.export == MIGRATE and (outcome.kind != "state" or before not in LIVING):
        return before
    if letter.export == SERVE and not shutdown:
        return before
    if outcome.kind == "crashed":
        return "crashed"
    if shutdown or is_command or (outcome.kind == "refused" and letter.export in (INIT, RUN)):
        return "stopped"
    return before


def exit_reason(letter: Letter, outcome: Outcome, *, shutdown: bool, value: str | None) -> ExitReason:
    """Why it ended, where it ended by this step."""
    if outcome.crash is not None:
        return ExitReason(kind="crashed", crash=outcome.crash.reason)
    if outcome.refusal is not None and letter.export in (INIT, RUN):
        return ExitReason(kind="refused-init", text=outcome.refusal)
    return ExitReason(kind="normal", value=value if shutdown else None)


def stopped_event(letter: Letter, outcome: Outcome, *, shutdown: bool, value: str | None) -> tuple[Kind, str, bytes]:
    """The event that says so, beside the closing one."""
    reason = exit_reason(letter, outcome, shutdown=shutdown, value=value)
    detail: dict[str, object] = {"reason": reason.kind}
    if shutdown:
        detail["value"] = value
    return lifecycle("stopped", "runtime", detail)


def stopped_by(by: str, reason: ExitReason, detail: dict[str, object] | None) -> tuple[Kind, str, bytes]:
    """The event of an actor that somebody stopped, or that gave up; ``detail`` says more of the former."""
    return lifecycle("stopped", by, detail if reason.kind == "shutdown" else {"reason": reason.kind})


def restarted_by(restart: Restart) -> tuple[Kind, str, bytes]:
    """The event of an actor that begins again; from where, and on whose decision, where there is one."""
    detail: dict[str, object] = {}
    if restart.cause is not None:
        detail = {"seq": restart.cause[0], "hash": restart.cause[1]}
    if restart.start != "last-state" or restart.cause is not None:
        detail["start"] = restart.start
    return lifecycle("restarted", restart.by, detail or None)
