"""Components, by their digest: those that manifests and upgrades name."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from msgspec import Meta
from starlette.responses import Response

from theater.engine.component_file import check_preamble
from theater.errors import InvalidComponent
from theater.model import wire
from theater.model.ids import Digest
from theater.runtime.sources import COMPONENT_MAX_BYTES
from theater.server.endpoint import BYTES, Answer, Call, Endpoint, Parameter, document, raw, stream
from theater.server.event_stream import CHUNK_BYTES
from theater.server.routes_actors import CANNOT_NOW

TRANSFER_S: Final = 3600.0
"""How long a transfer may take: 1 GiB at 300 kB/s."""

DIGEST: Final = Parameter[str](
    "digest",
    "path",
    Annotated[str, Meta(pattern="^[0-9a-f]{64}$")],
    "The SHA-256 of its bytes, in hex.",
)
IF_NONE_MATCH: Final = Parameter[str | None](
    "If-None-Match", "header", Annotated[str, Meta(max_length=1000)], "The ETag of what is there already."
)


async def get(call: Call) -> Response:
    """Its bytes. They never change, so a cache may keep them for ever."""
    digest = Digest(call.value(DIGEST))
    headers = {"ETag": f'"{digest}"', "Cache-Control": "private, max-age=31536000, immutable"}
    known = call.value(IF_NONE_MATCH) or ""
    path = await asyncio.to_thread(call.service.runtime.blobs.path, digest)
    if known.strip() == "*" or headers["ETag"] in known:
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(path.stat().st_size)
    return stream(_sent(path), BYTES, headers=headers)


async def put(call: Call) -> Response:
    """Keep these bytes."""
    blobs, digest = call.service.runtime.blobs, Digest(call.value(DIGEST))
    call.service.runtime.require_room()
    with call.service.transfers:
        data = bytearray()
        async for chunk in call.chunks:
            data += chunk
        size_bytes = len(data)

        def keep() -> bool:
            found = hashlib.sha256(data).hexdigest()
            if found != digest:
                raise InvalidComponent(f"these bytes have the digest {found}, and were to be kept as {digest}")
            check_preamble(bytes(data[:_PREAMBLE_BYTES]), "the body")
            is_new = not blobs.has(digest)
            blobs.put(bytes(data))
            return is_new

        is_new = await asyncio.to_thread(keep)
    return document(wire.Blob(digest=digest, size=size_bytes), status=201 if is_new else 200)


async def pieces(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """What is in a file, from where it stands."""
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield chunk


async def _sent(path: Path) -> AsyncGenerator[bytes, None]:
    with path.open("rb") as file:
        async for piece in pieces(file):
            yield piece


_PREAMBLE_BYTES: Final = 4096

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/blobs/{digest}",
        "getBlob",
        "A component",
        "read",
        get,
        (
            Answer(200, media=(BYTES,), headers={"ETag": "The digest, in quotes."}),
            Answer(304, description="It is what `If-None-Match` says."),
        ),
        parameters=(DIGEST, IF_NONE_MATCH),
        errors=("not-found", "damaged"),
    ),
    Endpoint(
        "PUT",
        "/v1/blobs/{digest}",
        "putBlob",
        "Keep a component",
        "operate",
        put,
        (
            Answer(201, wire.Blob, description="It was not here before."),
            Answer(200, wire.Blob, description="It was here already."),
        ),
        parameters=(DIGEST,),
        body=raw(BYTES, "The component's bytes.", max_bytes=COMPONENT_MAX_BYTES),
        errors=("invalid-component", "not-running", "damaged", *CANNOT_NOW),
        time_limit_s=TRANSFER_S,
        description="Whether it can run here is found out when it is to.",
    ),
)
