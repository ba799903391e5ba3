"""Whole actors out and in, each as a bundle: a chain with all that it takes to run it again."""

from __future__ import annotations

import asyncio
import tempfile
import weakref
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO, Final, cast

from starlette.responses import Response

from theater.errors import BadBundle, HeadConflict, InvalidInput, Unsound
from theater.model import wire
from theater.model.ports import ActorRecord
from theater.runtime.archive import TOTAL_MAX_BYTES
from theater.runtime.bundle import write_bundle_of
from theater.runtime.runtime import Runtime
from theater.server.actor_path import ID, record_of
from theater.server.endpoint import ZIP, Answer, Call, Endpoint, document, raw, stream
from theater.server.routes_actors import CANNOT_NOW
from theater.server.routes_blobs import TRANSFER_S, pieces
from theater.server.seats import Seats

_SPOOL_BYTES: Final = 8 * 2**20  # of a bundle, before it goes to a temporary file


async def export(call: Call) -> Response:
    """Made whole before the answer begins, so that what cannot be made is answered as an error."""
    service, record = call.service, record_of(call)
    service.outgoing.require_free()
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(_SPOOL_BYTES))  # noqa: SIM115 - closed when it is sent
    try:
        with service.transfers:
            size_bytes = await asyncio.to_thread(_write, service.runtime, record, file)
    except BaseException:
        file.close()
        raise
    headers = {
        "Content-Length": str(size_bytes),
        "Content-Disposition": f'attachment; filename="{record.name}-{record.id[:12]}.theater"',
    }
    sent = _sent(service.outgoing, file)
    weakref.finalize(sent, file.close)  # it may never be begun
    return stream(sent, ZIP, headers=headers)


async def take_in(call: Call) -> Response:
    """The body goes to a temporary file, and is read there as any file that somebody brings."""
    runtime = call.service.runtime
    with call.service.transfers, tempfile.NamedTemporaryFile(suffix=".theater") as file:
        async for chunk in call.chunks:
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
        try:
            record = await runtime.take_in(Path(file.name))
        except Unsound as error:  # what somebody brought is, and not what is here
            raise BadBundle(error.message, **error.data) from error
        except HeadConflict as error:
            if error.data.get("removed"):  # for ever, so it is nothing to try again
                raise InvalidInput(error.message) from error
            raise
    head = runtime.store.head(record.id)
    taken_in = wire.Imported(id=record.id, name=record.name, events=head.seq + 1, head=head.hash)
    return document(taken_in, status=201, headers={"Location": f"/v1/actors/{record.id}"})


def _write(runtime: Runtime, record: ActorRecord, file: BinaryIO) -> int:
    """Returns its size; the file stands at its beginning. Blocks."""
    write_bundle_of(file, runtime.store, runtime.blobs, record.id, runtime.store.head(record.id))
    size_bytes = file.tell()
    file.seek(0)
    return size_bytes


async def _sent(outgoing: Seats, file: BinaryIO) -> AsyncGenerator[bytes, None]:
    with outgoing:
        async for piece in pieces(file):
            yield piece


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/v1/actors/{id}/bundle",
        "exportActor",
        "An actor with its whole history, as a file",
        "read",
        export,
        (Answer(200, media=(ZIP,), headers={"Content-Disposition": "A name for the file."}),),
        parameters=(ID,),
        errors=("not-found", "bad-bundle", "unsound", "damaged", "busy"),
        time_limit_s=TRANSFER_S,
        description="What `theater verify` checks anywhere, and `POST /v1/bundles` takes in.",
    ),
    Endpoint(
        "POST",
        "/v1/bundles",
        "importActor",
        "Take an actor in",
        "operate",
        take_in,
        (Answer(201, wire.Imported, headers={"Location": "The actor's path."}),),
        body=raw(ZIP, "A bundle.", max_bytes=TOTAL_MAX_BYTES),
        errors=("invalid-input", "invalid-json", "bad-bundle", "not-running", "damaged", *CANNOT_NOW),
        time_limit_s=TRANSFER_S,
        description="It arrives stopped. What its history says was not run again: `theater verify` does that.",
    ),
)
