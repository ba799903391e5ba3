"""Starting actors, finding them, and what may be done to one from outside."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from msgspec import Meta
from starlette.responses import Response

from theater.errors import InvalidInput
from theater.model import wire
from theater.model.ids import ActorId, is_actor_id
from theater.model.ports import Status
from theater.model.stdin import stdin_bytes
from theater.runtime.lookup import find_record
from theater.runtime.reference import ActorRef
from theater.runtime.views import actor_detail, actor_row, actor_rows
from theater.server.actor_path import ID, reach, record_of
from theater.server.endpoint import Answer, Call, Endpoint, Parameter, document, order
from theater.server.service import Service
from theater.server.start_orders import allowed_by, allowed_to, found_in, source_of

ACTORS_DEFAULT: Final = 1000
ACTORS_MAX: Final = 10_000
"""Rows of a page, about 350 bytes each."""

START_S: Final = 600.0
"""A start may compile a component, which takes seconds, and a command's start is its whole run, deadline 10 s by
default and an hour at most: who starts a longer one hears of its end from its chain."""

STOP_S: Final = 3660.0
"""A stop waits for the step that is running, as long as the actor's ``shutdown`` and its ``deadline`` say."""

STATUS: Final = Parameter[Status | None]("status", "query", Status, "Only those of this status.")
PARENT: Final = Parameter[str | None](
    "parent", "query", Annotated[str, Meta(min_length=1, max_length=200)], "Only the children of this actor."
)
AFTER: Final = Parameter[str | None](
    "after", "query", Annotated[str, Meta(pattern="^[0-9a-f]{32}$")], "Only those behind this one: ``next`` of a page."
)
LIMIT: Final = Parameter[int](
    "limit", "query", Annotated[int, Meta(ge=1, le=ACTORS_MAX)], "How many at most.", default=ACTORS_DEFAULT
)
TREE: Final = Parameter[bool]("tree", "query", bool, "Remove what stands below it, too.", default=False)

CANNOT_NOW: Final = ("busy", "store-error", "disk-full")


async def start(call: Call) -> Response:
    """As ``theater run`` starts an actor."""
    service, wanted = call.service, call.order(wire.StartOrder)
    source = source_of(wanted)
    allowance = await allowed_by(service, wanted.allowance, lambda: wanted.manifest)
    actor = await service.runtime.spawn(
        found_in(source, allowance.manifest_folder),
        name=wanted.name,
        allowed=allowance.allowed,
        arguments=wanted.arguments,
        stdin=stdin_bytes(wanted.stdin),
        rename=wanted.rename,
        by=call.caller.name,
    )
    return await started(service, actor)


async def started(service: Service, actor: ActorRef) -> Response:
    """The answer of whoever made an actor."""
    made = await asyncio.to_thread(_started, service, actor)
    return document(made, status=201, headers={"Location": f"/v1/actors/{actor.id}"})


async def list_actors(call: Call) -> Response:
    """A page of them."""
    return document(await asyncio.to_thread(_page, call))


async def one(call: Call) -> Response:
    """Everything about one."""
    runtime = call.service.runtime
    record = record_of(call)
    return document(await asyncio.to_thread(actor_detail, runtime.store, runtime.node.registry, record, runtime.live))


async def remove(call: Call) -> Response:
    """Erase what it recorded."""
    removed = await call.service.runtime.remove(call.value(ID), tree=call.value(TREE), by=call.caller.name)
    return document(wire.Removed(removed=list(removed)))


async def stop(call: Call) -> Response:
    """End it."""
    actor = await reach(call)
    if call.order(wire.StopOrder).now:
        await actor.terminate()
    else:
        await actor.stop()
    return await _row(call.service, actor)


async def restart(call: Call) -> Response:
    """Begin it again."""
    service, wanted, record = call.service, call.order(wire.RestartOrder), record_of(call)
    allowed = await allowed_to(service, wanted.allowance, lambda: record)
    actor = await service.runtime.reach(record.id, allowed=allowed, by=call.caller.name)
    await actor.restart(from_init=wanted.from_init)
    return await _row(service, actor)


async def pause(call: Call) -> Response:
    """Begin no further step of it."""
    actor = await reach(call)
    await actor.pause()
    return await _row(call.service, actor)


async def resume(call: Call) -> Response:
    """Go on with it."""
    actor = await reach(call)
    await actor.resume()
    return await _row(call.service, actor)


async def upgrade(call: Call) -> Response:
    """Have it go on with another component."""
    actor = await reach(call)
    await actor.upgrade(f"sha256:{call.order(wire.UpgradeOrder).component}")
    return await _row(call.service, actor)


def _started(service: Service, actor: ActorRef) -> wire.Started:
    runtime = service.runtime
    detail = actor_detail(runtime.store, runtime.node.registry, actor.record, runtime.live)
    return wire.Started(actor=detail.actor, grants=detail.grants, role=actor.role)


async def _row(service: Service, actor: ActorRef) -> Response:
    runtime = service.runtime
    return document(await asyncio.to_thread(actor_row, runtime.store, actor.record, runtime.live))


def _page(call: Call) -> wire.ActorPage:
    """Oldest first, by when they were made; of two made in one microsecond, by id: an order that does not change."""
    runtime, limit, after = call.service.runtime, call.value(LIMIT), call.value(AFTER)
    records = [runtime.live.record(record.id) or record for record in runtime.store.records()]
    if (status := call.value(STATUS)) is not None:
        records = [record for record in records if record.status == status]
    if (text := call.value(PARENT)) is not None:
        parent = text if is_actor_id(text) else find_record(runtime.store, text).id
        records = [record for record in records if record.parent == parent]
    places = sorted(((record.created_us, record.id), record) for record in records)
    if after is not None:
        behind = (_created_us(call.service, ActorId(after)), after)
        places = [(place, record) for place, record in places if place > behind]
    rows = actor_rows(runtime.store, [record for _, record in places[:limit]], runtime.live)
    return wire.ActorPage(actors=rows, next=rows[-1].id if len(places) > limit else None)


def _created_us(service: Service, actor: ActorId) -> int:
    """When it was made: it may have been removed since the page before, and then its headers are still there."""
    for event in service.runtime.store.events(actor, start=0, stop=1):
        return event.header.time_us
    raise InvalidInput(f"after={actor}: there was never such an actor; begin again without it")


_ROW: Final = (Answer(200, wire.ActorRow),)
CANNOT_BEGIN: Final = (
    "invalid-input",
    "invalid-json",
    "invalid-manifest",
    "invalid-component",
    "compile-failed",
    "denied",
    "name-taken",
    "not-found",
    "not-running",
    "refused",
    "crashed",
    *CANNOT_NOW,
)
_REACHED: Final = ("not-found", "denied", "not-running", *CANNOT_NOW)

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/v1/actors",
        "startActor",
        "Start an actor",
        "operate",
        start,
        (Answer(201, wire.Started, headers={"Location": "The actor's path."}),),
        body=order(wire.StartOrder),
        errors=CANNOT_BEGIN,
        time_limit_s=START_S,
        description=(
            "Answers when `init`, or the whole run of a command, has been committed. Where that is refused or crashes,"
            " the actor stays to be looked at, and `data.actor` of the problem is its id. The manifest asks; what goes"
            " beyond the node's ceiling is denied, unless `allowance` names what the data directory's owner allowed."
        ),
    ),
    Endpoint(
        "GET",
        "/v1/actors",
        "listActors",
        "List actors",
        "read",
        list_actors,
        (Answer(200, wire.ActorPage),),
        parameters=(STATUS, PARENT, AFTER, LIMIT),
        errors=("invalid-input", "not-found"),
    ),
    Endpoint(
        "GET",
        "/v1/actors/{id}",
        "getActor",
        "Look at an actor",
        "read",
        one,
        (Answer(200, wire.ActorDetail),),
        parameters=(ID,),
        errors=("not-found", "damaged"),
    ),
    Endpoint(
        "DELETE",
        "/v1/actors/{id}",
        "removeActor",
        "Remove an actor that has ended",
        "operate",
        remove,
        (Answer(200, wire.Removed),),
        parameters=(ID, TREE),
        errors=("not-found", "not-stopped", "not-running", *CANNOT_NOW),
        description="Erases what it recorded. The headers of its events stay, so that others' can still be proved.",
    ),
    Endpoint(
        "POST",
        "/v1/actors/{id}/stop",
        "stopActor",
        "Stop an actor and its children",
        "operate",
        stop,
        _ROW,
        parameters=(ID,),
        body=order(wire.StopOrder, may_be_empty=True),
        errors=_REACHED,
        time_limit_s=STOP_S,
    ),
    Endpoint(
        "POST",
        "/v1/actors/{id}/restart",
        "restartActor",
        "Begin an actor again",
        "operate",
        restart,
        _ROW,
        parameters=(ID,),
        body=order(wire.RestartOrder, may_be_empty=True),
        errors=("name-taken", "invalid-input", *_REACHED),
        time_limit_s=STOP_S,
    ),
    Endpoint(
        "POST",
        "/v1/actors/{id}/pause",
        "pauseActor",
        "Begin no further step; messages wait",
        "operate",
        pause,
        _ROW,
        parameters=(ID,),
        errors=_REACHED,
        time_limit_s=STOP_S,
    ),
    Endpoint(
        "POST",
        "/v1/actors/{id}/resume",
        "resumeActor",
        "Go on after a pause",
        "operate",
        resume,
        _ROW,
        parameters=(ID,),
        errors=_REACHED,
        time_limit_s=STOP_S,
    ),
    Endpoint(
        "POST",
        "/v1/actors/{id}/upgrade",
        "upgradeActor",
        "Go on with another component",
        "operate",
        upgrade,
        _ROW,
        parameters=(ID,),
        body=order(wire.UpgradeOrder),
        errors=("invalid-input", "invalid-component", "compile-failed", "refused", "crashed", *_REACHED),
        time_limit_s=STOP_S,
    ),
)
