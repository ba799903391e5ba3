"""Forking an actor: a new one that goes on from where it once was."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from theater.model import wire
from theater.model.ids import Digest
from theater.server.actor_path import ID, record_of
from theater.server.endpoint import Answer, Call, Endpoint, order
from theater.server.routes_actors import CANNOT_BEGIN, START_S, started
from theater.server.start_orders import allowed_to


async def fork(call: Call) -> Response:
    """Go on from there, as somebody else."""
    service, wanted = call.service, call.order(wire.ForkOrder)
    allowed = await allowed_to(service, wanted.allowance, lambda: record_of(call))
    actor = await service.runtime.fork(
        call.value(ID),
        at=wanted.at,
        name=wanted.name,
        component=None if wanted.component is None else Digest(wanted.component),
        allowed=allowed,
        by=call.caller.name,
        rename=wanted.rename,
    )
    return await started(service, actor)


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/actors/{id}/fork",
        "forkActor",
        "Go on from where an actor once was",
        "operate",
        fork,
        (Answer(201, wire.Started, headers={"Location": "The fork's path."}),),
        parameters=(ID,),
        body=order(wire.ForkOrder),
        errors=(*CANNOT_BEGIN, "damaged", "unsound"),
        time_limit_s=START_S,
        description=(
            "A new root actor that goes on from the last step that was closed before event `at`, with the state alone;"
            " its first event says where it comes from. It answers when that is committed, and where `component`"
            " migrates states, when it has migrated this one: should that fail, `data.actor` of the problem is the id"
            " of the fork, which is as it was before. What it may is decided anew, as at a start."
        ),
    ),
)
