"""An event for people: the line that says most about it, and its payload as a document."""

from __future__ import annotations

from typing import cast

import msgspec

from theater.cli.guest_output import log_text
from theater.cli.layout import last_line
from theater.errors import InvalidJson, Unsound
from theater.model.event import Kind
from theater.model.json_text import decode_json_bytes
from theater.model.payload import (
    CrashedPayload,
    Genesis,
    HostCall,
    Intent,
    Lifecycle,
    Log,
    Message,
    Payload,
    RefusedPayload,
    State,
    decode_payload,
)
from theater.model.wire import EventRow

_PAYLOAD_MAX_BYTES = 2**31
_SHOWN_MAX = 2000  # characters of one value: no line is that wide

WIDE_COLUMNS = 110
"""From here on a line has room for an event's whole time and name, and what it says."""

_OWN_EXPORTS = "theater:actor/actor"


def event_line(row: EventRow) -> str:
    """Its seq, time, kind and name."""
    return f"{row.seq:>5}  {row.time}  {row.kind:<9}  {row.name}"


def event_summary(row: EventRow, columns: int) -> str:
    """An event on one line that is going to be cut to ``columns``.

    A narrow one has the time without its year and its fraction, and the name without package and version: else what the
    event says would have no room.
    """
    if columns >= WIDE_COLUMNS:
        return f"{event_line(row)}  {salient(row)}"
    time = row.time[5:19].replace("T", " ")
    return f"{row.seq:>5}  {time}  {row.kind:<9}  {_short_name(row.name)}  {salient(row)}"


def salient(row: EventRow) -> str:
    """What to show of an event where there is one line for it."""
    if row.payload is None:
        return "(withheld)"
    try:
        return _of(payload_in(row), row.name)
    except Unsound:  # not written by us: shown as it is
        return bytes(row.payload)[:_SHOWN_MAX].decode("utf-8", "backslashreplace")


def payload_in(row: EventRow) -> Payload:
    """The payload of an event that has one. Raises ``Unsound`` where it is not what that kind's payloads are."""
    assert row.payload is not None
    return decode_payload(cast("Kind", row.kind), bytes(row.payload), seq=row.seq)


def event_document(row: EventRow) -> dict[str, object]:
    """The event as ``--json`` shows it."""
    return {
        "seq": row.seq,
        "kind": row.kind,
        "name": row.name,
        "time": row.time,
        "hash": row.hash,
        "prev": row.prev,
        "payload": payload_document(row),
    }


def payload_document(row: EventRow) -> object:
    """The payload as it is, to be put into a document; as text where it is not JSON; None where it is not there."""
    if row.payload is None:
        return None
    payload = bytes(row.payload)
    try:
        decode_json_bytes(payload, max_bytes=_PAYLOAD_MAX_BYTES)
    except InvalidJson:
        return payload.decode("utf-8", "backslashreplace")
    return row.payload


def _short_name(name: str) -> str:
    """``wasi:clocks/wall-clock@0.2.9#now`` -> ``wall-clock#now``; of an actor's own exports the function."""
    interface, mark, function = name.partition("#")
    if interface == _OWN_EXPORTS:
        return function
    return interface.rpartition("/")[2].partition("@")[0] + mark + function


def _of(payload: Payload, name: str) -> str:
    match payload:
        case Genesis():
            return f"{payload.name}  sha256:{payload.program[:16]}"
        case Message():
            return f"from {payload.source}  {_arguments(payload.arguments)}"
        case HostCall():
            return f"{_requests(payload.about)}-> {_answers(payload) or _json(payload.answer)}"
        case Intent():
            return _requests(payload.about) or _json(payload.arguments)
        case Log():
            level = f"{payload.level}: " if payload.level else ""
            return level + log_text(name, payload).rstrip("\n")
        case State():
            changed = f"state {payload.state}" if payload.state is not None else "state unchanged"
            reply = f"reply {payload.reply}  " if payload.reply is not None else ""
            return reply + changed
        case RefusedPayload():
            return payload.text
        case CrashedPayload():
            return f"{payload.reason}  {last_line(payload.message or payload.code or '')}"
        case Lifecycle():
            return f"by {payload.by}" + (f"  {_json(payload.detail)}" if payload.detail else "")
        case _:
            return ""


def _requests(about: object) -> str:
    """What a poll of ``wasi:io`` sends, where it sends anything."""
    match about:
        case {"requests": [*requests]}:
            return "".join(f"{_request(each)}  " for each in requests)[:_SHOWN_MAX]
    return ""


def _request(asked: object) -> str:
    match asked:
        case {"method": str(method), "url": str(url)}:
            return f"{method} {url}"
    return _json(asked)


def _answers(call: HostCall) -> str:
    """What came of requests of ``wasi:http``, or of one that was refused."""
    match call.read:
        case {"method": str(), "url": str()} as asked:
            return f"{_json(call.answer)}  {_request(asked)}"
        case [*answers] if answers and all(each is None or isinstance(each, dict) for each in answers):
            return "  ".join(_answer(each) for each in answers)[:_SHOWN_MAX]
    return ""


def _answer(came: object) -> str:
    match came:
        case {"ok": {"status": int(status)}}:
            return str(status)
        case {"err": error}:
            return _json(error)
    return "none yet"


def _arguments(arguments: list[object]) -> str:
    match arguments:
        case [{"body": str() as body}]:
            return body
        case [str() as text]:
            return text
        case _:
            return _json(arguments)


def _json(value: object) -> str:
    return msgspec.json.encode(value)[:_SHOWN_MAX].decode("utf-8", "ignore")
