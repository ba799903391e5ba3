"""What an event that begins a step may say, and one that names an engine: asked of every chain from elsewhere."""

from __future__ import annotations

import msgspec

from theater.model.event import Event
from theater.model.ids import is_digest
from theater.model.payload import EngineFacts, Lifecycle, Message
from theater.runtime.loading import HANDLE, INIT, RUN


def message_problem(message: Event, payload: Message, *, state_seq: int | None, params: str) -> str | None:
    """Why a message event does not fit the chain and the export, or None where it does.

    ``state_seq`` is the event that holds the state before it, ``params`` what event 0 gives to ``init``.
    """
    is_first = payload.export != HANDLE
    if payload.export != message.header.name or payload.export not in (HANDLE, INIT, RUN):
        return f"{payload.export!r} is no export that a step is begun with"
    if payload.state != (None if is_first else state_seq):
        return f"it names event {payload.state} as the holder of the state, which is event {state_seq}"
    if is_first and state_seq is not None:
        return f"a first step, and the actor has a state already, in event {state_seq}"
    if not is_digest(payload.seed):  # as long, and of the same letters
        return "its seed is not 64 lower-case hex digits"
    if not _are_arguments(payload, params):
        return f"its arguments are not those of {payload.export}"
    return None


def engine_of(lifecycle: Lifecycle) -> EngineFacts:
    """The engine that a lifecycle event ``engine`` names. Raises ``ValueError`` where it names none."""
    try:
        return msgspec.convert(lifecycle.detail, EngineFacts)
    except msgspec.ValidationError as error:
        raise ValueError(f"the engine is not named: {error}") from error


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
