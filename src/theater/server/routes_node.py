"""The node itself, and what describes the server."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from starlette.responses import Response

from theater.model import wire
from theater.model.ports import LIVING
from theater.server.endpoint import JSON, Answer, Call, Endpoint, document
from theater.server.routes_actors import CANNOT_NOW

COLLECT_S: Final = 3600.0
"""Erasing goes in slices, between which everybody else is served."""

OPENMETRICS: Final = "application/openmetrics-text"


async def node(call: Call) -> Response:
    """Facts and counts."""
    return document(await asyncio.to_thread(_node, call))


async def collect(call: Call) -> Response:
    """Remove what is of no use to anybody."""
    return document(await call.service.runtime.collect())


async def health(call: Call) -> Response:
    """It serves: else nobody would answer."""
    del call
    return document(wire.Health())


async def metrics(call: Call) -> Response:
    """For Prometheus and its kin."""
    text, media = await asyncio.to_thread(call.service.metrics)  # it reads the store
    return Response(text, headers={"Content-Type": media})


async def openapi(call: Call) -> Response:
    """The interface, described."""
    return Response(call.service.openapi, media_type=JSON)


def _node(call: Call) -> wire.NodeDocument:
    service, runtime = call.service, call.service.runtime
    store, facts, engine = runtime.store, runtime.store.facts(), runtime.node.engine.identity
    records = [runtime.live.record(record.id) or record for record in store.records()]
    return wire.NodeDocument(
        version=service.version,
        engine=f"{engine.name} {engine.version}",
        node=facts.public_key,
        durability=facts.durability,
        data_dir=os.fsencode(service.data_dir).decode("utf-8", "replace"),
        started=service.started,
        actors=len(records),
        running=sum(record.status in LIVING for record in records),
        events=store.size_events(),
        free_bytes=store.free_bytes(),
        reserve_bytes=runtime.node.reserve_bytes,
        token=call.caller.name,
        scope=call.caller.scope,
    )


ENDPOINTS: Final = (
    Endpoint("GET", "/v1/node", "getNode", "The node", "read", node, (Answer(200, wire.NodeDocument),)),
    Endpoint(
        "POST",
        "/v1/gc",
        "collect",
        "Remove what is of no use to anybody",
        "operate",
        collect,
        (Answer(200, wire.Collected),),
        errors=("not-running", "damaged", *CANNOT_NOW),
        time_limit_s=COLLECT_S,
        description="Components that no chain names, and what was left of actors that were removed.",
    ),
    Endpoint("GET", "/healthz", "getHealth", "Whether it serves", None, health, (Answer(200, wire.Health),)),
    Endpoint(
        "GET", "/metrics", "getMetrics", "Counts, for monitoring", "read", metrics, (Answer(200, media=(OPENMETRICS,)),)
    ),
    Endpoint(
        "GET",
        "/openapi.json",
        "getOpenApi",
        "This description",
        None,
        openapi,
        (Answer(200, media=(JSON,), description="An OpenAPI 3.1 document."),),
    ),
)
