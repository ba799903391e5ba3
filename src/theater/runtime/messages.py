"""What an event that begins a step may say, and one that says what became of an actor.

It is asked of every chain from elsewhere.
"""

from __future__ import annotations

import msgspec

from theater.model.event import Event
from theater.model.ids import Digest, is_digest
from theater.model.payload import EngineFacts, Genesis, Lifecycle, Message, Payload
from theater.runtime.exports import (
    FIRST,
    HANDLE,
    HANDLED,
    INIT,
    MIGRATE,
    RUN,
    SERVE,
    handler_arguments,
)


def message_problem(message: Event, payload: Message, *, state_seq: int | None, params: str) -> str | None:
    """Why a message event does not fit the chain and the export, or None where it does.

    ``state_seq`` is the event that holds the state before it, ``params`` what event 0 gives to ``init``.
    """
    is_first = payload.export in FIRST
    if payload.export != message.header.name or payload.export not in (HANDLE, *FIRST, *HANDLED):
        return f"{payload.export!r} is no export that a step is begun with"
    if payload.state != (None if is_first else state_seq):
        return f"it names event {payload.state} as the holder of the state, which is event {state_seq}"
    if is_first and state_seq is not None:
        return f"a first step, and the actor has a state already, in event {state_seq}"
    if not is_first and state_seq is None and payload.export != SERVE:
        return f"a step of {payload.export}, and the actor has no state yet"
    if (payload.component is not None) != (payload.export == MIGRATE):
        return "it names a component" if payload.component is not None else "a migration that names no component"
    if payload.component is not None and not is_digest(payload.component):
        return "it names a component by something that is no digest"
    if not is_digest(payload.seed):  # as long, and of the same letters
        return "its seed is not 64 lower-case hex digits"
    return _argument_problem(payload, params)


def engine_of(lifecycle: Lifecycle) -> EngineFacts:
    """The engine that a lifecycle event ``engine`` names. Raises ``ValueError`` where it names none."""
    try:
        return msgspec.convert(lifecycle.detail, EngineFacts)
    except msgspec.ValidationError as error:
        raise ValueError(f"the engine is not named: {error}") from error


def upgrade_of(lifecycle: Lifecycle) -> tuple[Digest, Digest]:
    """From which component to which one a lifecycle event ``upgraded`` leads. Raises ``ValueError`` if it says none."""
    match lifecycle.detail:
        case {"from": str(before), "to": str(after)} if is_digest(before) and is_digest(after):
            return Digest(before), Digest(after)
    raise ValueError("it does not say from which component to which one")


def components_named(name: str, payload: Payload) -> tuple[Digest, ...]:
    """The components that the event of that name and payload names: without them its chain cannot be run again.

    Raises ``ValueError`` where it should name some, and names something else.
    """
    match payload:
        case Genesis(program=digest) | Message(component=str() as digest):
            if not is_digest(digest):
                raise ValueError(f"it names no component: {digest[:80]!r}")
            return (Digest(digest),)
        case Lifecycle() if name == "upgraded":
            return upgrade_of(payload)
    return ()


def starts_anew(lifecycle: Lifecycle) -> bool:
    """Whether the state is gone with a lifecycle event ``restarted``. Raises ``ValueError`` if it cannot be told."""
    start = (lifecycle.detail or {}).get("start", "last-state")
    if start not in ("init", "last-state"):
        raise ValueError(f"there is no start from {str(start)[:80]!r}")
    return start == "init"


def _argument_problem(payload: Message, params: str) -> str | None:
    problem = f"its arguments are not those of {payload.export}"
    if payload.export not in HANDLED:
        return None if _are_arguments(payload, params) else problem
    try:
        handler_arguments(payload.export, payload.arguments)
    except ValueError as error:
        return f"{problem}: {error}"
    return None


def _are_arguments(payload: Message, params: str) -> bool:
    match payload.export, payload.arguments:
        case (export, [str(text)]) if export == INIT:
            return text == params
        case (export, []) if export == RUN:
            return True
        case (export, [{"id": str(id), "sender": None | str(), "expects-reply": bool(), "body": str(), **rest}]):
            return export == HANDLE and id == payload.id and not rest
        case _:
            return False
