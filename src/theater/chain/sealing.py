"""Sealing: what happened gets its place in a chain, its commitment and its hash."""

from __future__ import annotations

from theater.model.commitment import SALT_BYTES, payload_commit
from theater.model.event import Event, Head, Header, Kind
from theater.model.header import encode_header, event_hash
from theater.model.ids import ActorId


def seal(
    head: Head,
    *,
    actor: ActorId,
    kind: Kind,
    name: str,
    payload: bytes,
    salt: bytes,
    time_us: int,
    trace: str | None = None,
) -> Event:
    """The event that follows ``head``.

    ``salt`` is 16 fresh random bytes; ``time_us`` is not before the time of the event before, which the caller sees to.

    Raises:
        InvalidInput: a value that no header can hold.
    """
    assert len(salt) == SALT_BYTES
    commit = payload_commit(salt, payload)
    header = Header(actor, head.seq + 1, head.hash, time_us, kind, name, commit, len(payload), trace)
    header_bytes = encode_header(header)
    return Event(header, header_bytes, event_hash(header_bytes), salt, payload)
