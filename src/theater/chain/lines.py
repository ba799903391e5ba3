"""The text in which a chain leaves a node: ``chain.jsonl``, one line an event.

``{"header":"…","salt":"32 lower-case hex","payload":"…"}``, header and payload as JSON strings that hold their exact
text; salt and payload are both null where the payload was withheld or erased. In a bundle a large payload lies beside
the lines: there the salt stands alone and ``payload`` is null. A line is read strictly: written again it must have the
same bytes, so that a chain has one file and no room for anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from theater.errors import Unsound
from theater.model.commitment import LARGE_PAYLOAD_BYTES, SALT_BYTES
from theater.model.event import Event
from theater.model.header import HEADER_MAX_BYTES, decode_event

PAYLOAD_MAX_BYTES = 64 * 1024 * 1024
"""What a reader takes unless told otherwise: four times what a step may record by default."""

LoadPayload = Callable[[int, int], bytes]
"""``(seq, size_bytes)`` to the payload that lies beside the lines, of exactly that size."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: str
    salt: str | None
    payload: str | None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode

# A payload is JSON itself, of which a JSON string makes at most twice as much ('"' and '\'); the rest is the header.
_LINE_OVERHEAD_BYTES = 2 * HEADER_MAX_BYTES + 256


def encode_line(event: Event, *, large_beside: bool = False) -> bytes:
    """The line of ``event`` with its newline. With ``large_beside`` a large payload is left to lie beside the lines."""
    payload = event.payload
    beside = large_beside and payload is not None and len(payload) > LARGE_PAYLOAD_BYTES
    line = _Line(
        header=event.header_bytes.decode("ascii"),
        salt=None if event.salt is None else event.salt.hex(),
        payload=None if payload is None or beside else payload.decode("utf-8"),
    )
    return _encode(line) + b"\n"


def decode_line(data: bytes, *, seq: int, load_payload: LoadPayload | None = None) -> Event:
    """The event of a line. ``seq`` is where it stands, from 0, to name it by.

    With ``load_payload`` the line is one of a bundle's: large payloads lie beside, and only there.

    Raises:
        Unsound: it is not exactly what ``encode_line`` writes.
    """
    try:
        line = _decode(data)
        encoded = _encode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Unsound(f"event {seq}: this line is not one of an exported chain: {error}", seq=seq) from error
    if encoded + b"\n" != data:
        raise Unsound(f"event {seq}: the line, written again, has other bytes", seq=seq)
    if not line.header.isascii():
        raise Unsound(f"event {seq}: the header is not ASCII", seq=seq)
    payload = None if line.payload is None else line.payload.encode("utf-8")
    event = decode_event(line.header.encode("ascii"), _salt(line, seq=seq), payload, seq=seq)
    if load_payload is None:
        if (event.salt is None) != (payload is None):
            raise Unsound(f"event {seq}: only one of salt and payload is there", seq=seq)
        return event
    if payload is not None and len(payload) > LARGE_PAYLOAD_BYTES:
        raise Unsound(f"event {seq}: a payload of {len(payload)} bytes must lie beside the chain", seq=seq)
    if event.salt is not None and payload is None:
        if event.header.size_bytes <= LARGE_PAYLOAD_BYTES:
            raise Unsound(f"event {seq}: the payload is missing", seq=seq)
        payload = load_payload(seq, event.header.size_bytes)
        return Event(event.header, event.header_bytes, event.hash, event.salt, payload)
    return event


def read_lines(
    readline: Callable[[int], bytes],
    *,
    payload_max_bytes: int = PAYLOAD_MAX_BYTES,
    load_payload: LoadPayload | None = None,
) -> Iterator[Event]:
    """The events of an exported chain, each as it is read. ``readline(n)`` is that of a binary file.

    Nothing is held but the line at hand. Whether the events are a chain is for ``ChainChecker`` to say.

    Raises:
        Unsound: a line is not one; a payload has more than ``payload_max_bytes``.
    """
    line_max = 2 * payload_max_bytes + _LINE_OVERHEAD_BYTES
    seq = 0
    while data := readline(line_max + 1):
        if len(data) > line_max:
            raise Unsound(f"event {seq}: needs a line of over {line_max} bytes, allowed {line_max}", seq=seq)
        event = decode_line(data, seq=seq, load_payload=load_payload)
        if event.payload is not None and len(event.payload) > payload_max_bytes:
            raise Unsound(
                f"event {seq}: needs a payload of {len(event.payload)} bytes, allowed {payload_max_bytes}", seq=seq
            )
        yield event
        seq += 1


def _salt(line: _Line, *, seq: int) -> bytes | None:
    if line.salt is None:
        return None
    try:
        salt = bytes.fromhex(line.salt)
    except ValueError as error:
        raise Unsound(f"event {seq}: the salt is not hex", seq=seq) from error
    if salt.hex() != line.salt or len(salt) != SALT_BYTES:
        raise Unsound(f"event {seq}: the salt is not {2 * SALT_BYTES} lower-case hex digits", seq=seq)
    return salt
