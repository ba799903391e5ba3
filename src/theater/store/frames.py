"""The bytes of a segment: the events that one append brought, one behind the other.

A frame is a tag, the lengths of header and payload (little-endian), the header, and unless the payload was withheld the
salt; then the payload, if it does not lie in a file of its own. Nothing is encoded again: header and payload are the
bytes that were hashed. Where they were erased there are as many zeros, whose number stands for the length of the
payload.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from theater.errors import Damaged, Unsound
from theater.model.commitment import LARGE_PAYLOAD_BYTES, SALT_BYTES, why_not_committed
from theater.model.event import Event
from theater.model.header import decode_event
from theater.model.ids import ActorId, Digest

_PREFIX = struct.Struct("<BII")
_pack = _PREFIX.pack

_WITHHELD = 0
_INLINE = 1
_FILE = 2
_BLANK = 3

LoadLarge = Callable[[ActorId, int, int], bytes | None]
"""``(actor, seq, size_bytes)`` to a payload that lies in a file; None where it was erased."""


def encode_frames(events: Sequence[Event], large: list[Event]) -> bytes:
    """The frames of ``events``. Those whose payload has to lie in a file are put behind ``large``."""
    parts: list[bytes] = []
    for event in events:
        header, salt, payload = event.header_bytes, event.salt, event.payload
        if salt is None or payload is None:
            parts += (_pack(_WITHHELD, len(header), 0), header)
        elif len(payload) > LARGE_PAYLOAD_BYTES:
            parts += (_pack(_FILE, len(header), len(payload)), header, salt)
            large.append(event)
        else:
            parts += (_pack(_INLINE, len(header), len(payload)), header, salt, payload)
    return b"".join(parts)


def decode_frames(
    frames: bytes, *, actor: ActorId, first_seq: int, count: int, last_hash: Digest, load_large: LoadLarge
) -> list[Event]:
    """The events of a segment, each checked against the next, the last one against ``last_hash``.

    Raises:
        Damaged: these are not the bytes that were written; names the first event of which that is known.
    """
    events: list[Event] = []
    position = 0
    for seq in range(first_seq, first_seq + count):
        try:
            event, position = _decode_frame(frames, position, actor, seq, load_large)
        except (struct.error, Unsound) as error:
            raise _damaged(actor, seq, str(error)) from error
        if event.header.actor != actor or event.header.seq != seq:
            raise _damaged(actor, seq, f"event {event.header.seq} of {event.header.actor} stands in its place")
        if events and events[-1].hash != event.header.prev:
            raise _damaged(actor, seq - 1, "it is not the one that the next event names")
        problem = why_not_committed(event)
        if problem is not None:
            raise _damaged(actor, seq, problem)
        events.append(event)
    if position != len(frames) or not events or events[-1].hash != last_hash:
        raise _damaged(actor, first_seq + count - 1, "its hash is not the one noted when it was written")
    return events


def blanked(frames: bytes, count: int) -> tuple[bytes, int]:
    """The same frames, of the same length, with zeros for every payload and salt; and how many bytes became zeros.

    Headers, and what is withheld already, stay byte for byte.

    Raises:
        Unsound: these are not ``count`` frames.
    """
    parts: list[bytes] = []
    size_bytes = found = 0
    for tag, header, size in _walk(frames):
        room = _room(tag, size)
        parts += (_pack(_WITHHELD if tag == _WITHHELD else _BLANK, len(header), room), header, bytes(room))
        size_bytes += 0 if tag == _BLANK else room
        found += 1
    if found != count:
        raise Unsound(f"{found} frames instead of {count}")
    return b"".join(parts), size_bytes


def large_in(frames: bytes, first_seq: int) -> Iterator[tuple[int, int]]:
    """``(seq, size_bytes)`` of the payloads that lie in files.

    Raises:
        Unsound: these are no frames.
    """
    for seq, (tag, _, size) in enumerate(_walk(frames), start=first_seq):
        if tag == _FILE:
            yield seq, size


def _walk(frames: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Tag, header and size of the payload of each."""
    position = 0
    while position + _PREFIX.size <= len(frames):
        tag, header_size, payload_size = _PREFIX.unpack_from(frames, position)
        start = position + _PREFIX.size
        position = start + header_size
        yield tag, frames[start:position], payload_size
        position += _room(tag, payload_size)
    if position != len(frames):
        raise Unsound("frames do not end where they should")


def _room(tag: int, size: int) -> int:
    """What follows a header."""
    if tag == _INLINE:
        return SALT_BYTES + size
    if tag == _FILE:
        return SALT_BYTES
    return size if tag == _BLANK else 0


def _decode_frame(frames: bytes, position: int, actor: ActorId, seq: int, load_large: LoadLarge) -> tuple[Event, int]:
    tag, header_size, payload_size = _PREFIX.unpack_from(frames, position)
    position += _PREFIX.size
    header = frames[position : position + header_size]
    position += header_size
    if tag in (_WITHHELD, _BLANK):
        return decode_event(header, None, None, seq=seq), position + _room(tag, payload_size)
    salt = frames[position : position + SALT_BYTES]
    position += SALT_BYTES
    if tag == _FILE:
        large = load_large(actor, seq, payload_size)
        return decode_event(header, None if large is None else salt, large, seq=seq), position
    payload = frames[position : position + payload_size]
    return decode_event(header, salt, payload, seq=seq), position + payload_size


def _damaged(actor: ActorId, seq: int, why: str) -> Damaged:
    return Damaged(f"event {seq} of actor {actor} is damaged on the disk: {why}", actor=actor, seq=seq)
