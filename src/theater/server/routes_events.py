"""What happened: events as pages and as streams, of one actor and of all; and the state as of any event."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from msgspec import Meta
from starlette.responses import Response

from theater.model import wire
from theater.model.event import SEQ_MAX, Kind
from theater.model.ids import ActorId
from theater.runtime.following import end_place
from theater.runtime.views import state_document
from theater.server.actor_path import ID, record_of
from theater.server.endpoint import EVENT_STREAM, Answer, Call, Endpoint, Parameter, document, stream
from theater.server.event_pages import event_page
from theater.server.event_stream import UNBUFFERED, event_stream

EVENTS_DEFAULT: Final = 100
EVENTS_MAX: Final = 1000

_Place = Annotated[int, Meta(ge=0, le=SEQ_MAX)]

FROM: Final = Parameter[int | None](
    "from", "query", _Place, "The first place: 0 by default, and for a stream what comes from now on."
)
KIND: Final = Parameter[Kind | None]("kind", "query", Kind, "Only events of this kind.")
LIMIT: Final = Parameter[int | None](
    "limit", "query", Annotated[int, Meta(ge=1, le=EVENTS_MAX)], "How many at most, 100 by default; not of a stream."
)
LAST_EVENT_ID: Final = Parameter[int | None](
    "Last-Event-ID", "header", _Place, "Of a stream: go on behind this place; goes before `from`."
)
AT: Final = Parameter[int | None]("at", "query", _Place, "As of this event; without it, the last committed state.")


async def events(call: Call) -> Response:
    """Of one actor."""
    return await _events(call, record_of(call).id, call.value(KIND))


async def node_events(call: Call) -> Response:
    """Of all actors."""
    return await _events(call, None, None)


async def state(call: Call) -> Response:
    """As of an event."""
    store, record = call.service.runtime.store, record_of(call)
    return document(await asyncio.to_thread(state_document, store, record, call.value(AT)))


async def _events(call: Call, actor: ActorId | None, kind: Kind | None) -> Response:
    store, start, last = call.service.runtime.store, call.value(FROM), call.value(LAST_EVENT_ID)
    if not call.accepts(EVENT_STREAM):
        limit = call.value(LIMIT) or EVENTS_DEFAULT
        with call.service.pages:
            page = await asyncio.to_thread(event_page, store, actor, start=start or 0, limit=limit, kind=kind)
            return document(page)
    call.service.streams.require_free()
    if last is not None:
        start = last + 1
    elif start is None:  # settled before the answer begins: who has its head misses nothing that he causes then
        start = await asyncio.to_thread(end_place, store, actor)
    return stream(event_stream(call.service, actor, start=start, kind=kind), EVENT_STREAM, headers=UNBUFFERED)


_ANSWERS: Final = (
    Answer(
        200,
        wire.EventPage,
        (EVENT_STREAM,),
        "A page; or, for a client that accepts `text/event-stream`, live events for as long as it listens.",
    ),
)

_LIVE: Final = (
    "A stream sends each event as `event: event` with its place as `id` and one `EventRow` as `data`, and a comment"
    " when nothing has come for 15 s. It ends with `event: end` when the server stops, or the actor is removed; who"
    " comes again with `Last-Event-ID` misses none and gets none twice. "
)

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/actors/{id}/events",
        "listEvents",
        "Events of an actor, past or live",
        "read",
        events,
        _ANSWERS,
        parameters=(ID, FROM, KIND, LIMIT, LAST_EVENT_ID),
        errors=("not-found", "busy", "damaged"),
        description=f"{_LIVE}A place is the event's `seq`.",
    ),
    Endpoint(
        "GET",
        "/v1/events",
        "listNodeEvents",
        "Events of all actors, past or live",
        "read",
        node_events,
        _ANSWERS,
        parameters=(FROM, LIMIT, LAST_EVENT_ID),
        errors=("busy", "damaged"),
        description=f"{_LIVE}A place is the event's `index` on this node.",
    ),
    Endpoint(
        "GET",
        "/v1/actors/{id}/state",
        "getState",
        "The state of an actor as of any event",
        "read",
        state,
        (Answer(200, wire.StateDocument),),
        parameters=(ID, AT),
        errors=("not-found", "damaged"),
    ),
)
