r"""The bytes of an event's header: the only thing that is hashed, and it can never be written in two ways.

A header is compact JSON with its keys in one order and every string printable ASCII without ``"`` and ``\``, so that
no two encoders can disagree about it::

    {"v":1,"actor":ID,"seq":N,"prev":HEX64,"time":T,"kind":K,"name":TEXT,"commit":HEX64,"size":N}

with a last ``"trace"`` where there is one. The decoder is strict: what it parsed, written again, must be the very bytes
that it read. Both stand here and not in ``chain`` because the store, too, must know what it holds.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import cast

from theater.errors import InvalidInput, Unsound
from theater.model.event import KINDS, SEQ_MAX, Event, Header, Kind
from theater.model.ids import ActorId, Digest

VERSION = 1
HEADER_MAX_BYTES = 65_535
NAME_MAX_BYTES = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000
_BRACKETS_MAX = 64  # of a header of another version: it is told apart and not read, so any number will do
_TIME_LENGTH = len("YYYY-MM-DDTHH:MM:SS.ffffffZ")

_TEXT = r"[ !#-\[\]-~]*"
_INTEGER = "0|[1-9][0-9]{0,15}"  # 2^53 has 16 digits
_HEADER = re.compile(
    rf'\{{"v":(?P<v>{_INTEGER}),"actor":"(?P<actor>[0-9a-f]{{32}})","seq":(?P<seq>{_INTEGER}),"prev":"(?P<prev>[0-9a-f]{{64}})"'
    rf',"time":"(?P<time>[0-9T:.Z-]{{27}})","kind":"(?P<kind>{_TEXT})","name":"(?P<name>{_TEXT})"'
    rf',"commit":"(?P<commit>[0-9a-f]{{64}})","size":(?P<size>{_INTEGER})(?:,"trace":"(?P<trace>{_TEXT})")?\}}'.encode()
)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")


def encode_header(header: Header) -> bytes:
    r"""The bytes of ``header``: to be hashed, stored and streamed as they are.

    Raises:
        InvalidInput: a value that no header can hold. Not raised for a kind or id of the wrong form: types see to it.
    """
    name, trace = header.name, header.trace
    if not _is_name(name):
        raise InvalidInput(f"no name of an event: {name[:NAME_MAX_BYTES]!r}; at most 200 plain ASCII characters")
    if not (0 <= header.seq <= SEQ_MAX and 0 <= header.size_bytes <= SEQ_MAX):
        raise InvalidInput(f"seq {header.seq} or size {header.size_bytes} is not between 0 and {SEQ_MAX}")
    if trace is None:
        tail = "}"
    elif _NOT_PLAIN.search(trace) is None:
        tail = f',"trace":"{trace}"}}'
    else:
        raise InvalidInput(f"no trace of an event: {trace[:NAME_MAX_BYTES]!r}; only plain ASCII characters")
    encoded = (
        f'{{"v":1,"actor":"{header.actor}","seq":{header.seq},"prev":"{header.prev}","time":"{format_time(header.time_us)}"'
        f',"kind":"{header.kind}","name":"{name}","commit":"{header.commit}","size":{header.size_bytes}{tail}'
    ).encode("ascii")
    if len(encoded) > HEADER_MAX_BYTES:
        raise InvalidInput(f"a header of {len(encoded)} bytes; at most {HEADER_MAX_BYTES}")
    return encoded


def decode_header(data: bytes, *, seq: int) -> Header:
    """The header that ``data`` is. ``seq`` is where it was found, to name it by.

    Raises:
        Unsound: it is not exactly what ``encode_header`` writes; an unknown version or kind is named.
    """
    if len(data) > HEADER_MAX_BYTES:
        raise Unsound(f"event {seq}: a header of {len(data)} bytes; at most {HEADER_MAX_BYTES}", seq=seq)
    found = _HEADER.fullmatch(data)
    if found is None:
        raise Unsound(f"event {seq}: {_why_no_header(data)}", seq=seq)
    v, actor, number, prev, time, kind, name, commit, size, trace = found.groups()
    if v != b"1":
        raise Unsound(f"event {seq}: header version {v.decode()} is not known here, only {VERSION}", seq=seq)
    known = _KIND_OF.get(kind)
    if known is None:
        raise Unsound(f"event {seq}: kind '{kind.decode()}' is not known here", seq=seq)
    try:
        header = Header(
            ActorId(actor.decode()),
            int(number),
            Digest(prev.decode()),
            parse_time(time.decode()),
            known,
            name.decode(),
            Digest(commit.decode()),
            int(size),
            None if trace is None else trace.decode(),
        )
        encoded = encode_header(header)
    except InvalidInput as error:
        raise Unsound(f"event {seq}: {error.message}", seq=seq) from error
    if encoded != data:
        raise Unsound(f"event {seq}: the header, written again, has other bytes", seq=seq)
    return header


def decode_event(header_bytes: bytes, salt: bytes | None, payload: bytes | None, *, seq: int) -> Event:
    """An event from its parts. Whether it is the right event, in the right place, is for a checker to say.

    Raises:
        Unsound: as ``decode_header``.
    """
    return Event(decode_header(header_bytes, seq=seq), header_bytes, event_hash(header_bytes), salt, payload)


def event_hash(header_bytes: bytes) -> Digest:
    """SHA-256(0x00 || header), which is also its leaf hash in RFC 9162, section 2.1.1."""
    return Digest(hashlib.sha256(b"\0" + header_bytes).hexdigest())


def format_time(time_us: int) -> str:
    """Microseconds since 1970 as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``.

    Raises:
        InvalidInput: not in the years 1 to 9999.
    """
    second, microsecond = divmod(time_us, _SECOND_US)
    return f"{_format_second(second)}.{microsecond:06}Z"


def parse_time(text: str) -> int:
    """The inverse of ``format_time``.

    Raises:
        InvalidInput: not exactly that form, or no such day or second.
    """
    if _TIME.fullmatch(text) is None:
        raise InvalidInput(f"no time of the form YYYY-MM-DDTHH:MM:SS.ffffffZ: {text[:_TIME_LENGTH]!r}")
    return _parse_second(text[:19]) * _SECOND_US + int(text[20:26])


@lru_cache(maxsize=256)  # names come from our own tables: there are some dozens
def _is_name(name: str) -> bool:
    return _NOT_PLAIN.search(name) is None and len(name) <= NAME_MAX_BYTES


# Events come many to the second, so the calendar is consulted once a second. A pure function of its argument.
@lru_cache(maxsize=16)
def _format_second(second: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
    except OverflowError as error:
        raise InvalidInput(f"second {second} since 1970 is not in the years 1 to 9999") from error


@lru_cache(maxsize=16)
def _parse_second(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInput(f"no such time: {text}: {error}") from error
    return (moment - _EPOCH) // timedelta(seconds=1)


_KIND_OF: dict[bytes, Kind] = {kind.encode(): cast("Kind", kind) for kind in KINDS}


def _why_no_header(data: bytes) -> str:
    """A reason better than 'no': a header of another version may have other keys."""
    if data.count(b"[") + data.count(b"{") > _BRACKETS_MAX:  # the parser recurses for each that is open
        return "the header is not in its one form"
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # a caller deep in the stack itself
        return "the header is not JSON"
    if isinstance(found, dict) and "v" in found and found["v"] != VERSION:
        return f"header version {str(found['v'])[:20]!r} is not known here, only {VERSION}"
    return "the header is not in its one form"
