"""What an actor can be, and what makes it that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from theater.errors import TheaterError
from theater.model.event import Kind
from theater.model.payload import Lifecycle, encode_payload
from theater.model.ports import Status
from theater.runtime.letter import Letter
from theater.runtime.loading import HANDLE
from theater.runtime.outcome import Outcome

CHANGES_FROM: dict[str, tuple[Status, ...]] = {
    "paused": ("running",),
    "resumed": ("paused",),
    "stopped": ("running", "paused", "crashed"),
    "restarted": ("running", "paused", "stopped", "crashed"),
}
"""What a person may do to an actor, by what it is."""


@dataclass(slots=True)
class Memory:
    """Where its history left off."""

    state: str | None
    state_seq: int | None
    next_instance: int
    first_steps: int
    """How often a first step was begun while there is no state."""


@dataclass(frozen=True, slots=True)
class Control:
    """Something to do between two steps; ``refused`` is told when it will not be done, None where nobody asked."""

    apply: Callable[[], None]
    refused: Callable[[TheaterError], None] | None = None


def lifecycle(verb: str, by: str, detail: dict[str, object] | None) -> tuple[Kind, str, bytes]:
    """An event that says what became of an actor, and who wanted it."""
    return "lifecycle", verb, encode_payload(Lifecycle(by=by, detail=detail))


def status_after(before: Status, letter: Letter, outcome: Outcome, *, shutdown: bool, is_command: bool) -> Status:
    """What it is behind a step that came to ``outcome``."""
    if outcome.kind == "crashed":
        return "crashed"
    if shutdown or is_command or (outcome.kind == "refused" and letter.export != HANDLE):
        return "stopped"
    return before
