"""The actor that a path names."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from theater.model.ports import ActorRecord
from theater.runtime.lookup import find_record
from theater.runtime.reference import ActorRef
from theater.server.endpoint import Call, Parameter

ID: Final = Parameter[str](
    "id",
    "path",
    Annotated[str, Meta(min_length=1, max_length=200, examples=["counter"])],
    "The actor: its exact name, its exact id, or the first 4 and more digits of its id.",
)


def record_of(call: Call) -> ActorRecord:
    """Its row, for looking at it. Raises ``NotFound``."""
    return find_record(call.service.runtime.store, call.value(ID))


async def reach(call: Call) -> ActorRef:
    """The actor itself, as whoever asks has it in hand. Raises as ``Runtime.reach``."""
    return await call.service.runtime.reach(call.value(ID), by=call.caller.name)
