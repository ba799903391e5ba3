"""Events as a server sends them, made into events again."""

from __future__ import annotations

from typing import cast

from theater.errors import Unsound
from theater.model.event import Event, Header, Kind
from theater.model.header import encode_header, event_hash, parse_time
from theater.model.ids import ActorId, Digest
from theater.model.wire import EventRow


def event_of(row: EventRow) -> Event:
    """The event with its bytes.

    Raises:
        Unsound: it does not have the hash that it says.
    """
    header = Header(
        actor=ActorId(row.actor),
        seq=row.seq,
        prev=Digest(row.prev),
        time_us=parse_time(row.time),
        kind=cast("Kind", row.kind),
        name=row.name,
        commit=Digest(row.commit),
        size_bytes=row.size,
        trace=row.trace,
    )
    data = encode_header(header)
    if event_hash(data) != row.hash:
        raise Unsound(f"event {row.seq}: the server says that its hash is {row.hash}, and it is not", seq=row.seq)
    payload = None if row.payload is None else bytes(row.payload)
    return Event(header, data, Digest(row.hash), None if row.salt is None else bytes.fromhex(row.salt), payload)
