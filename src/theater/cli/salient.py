"""An event for people: the one thing that says most about it, and its payload as a document."""

from __future__ import annotations

import msgspec

from theater.cli.guest_output import log_text
from theater.errors import InvalidJson, Unsound
from theater.model.event import Event
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

_PAYLOAD_MAX_BYTES = 2**31
_SHOWN_MAX = 2000  # characters of one value: no line is that wide


def salient(event: Event) -> str:
    """What to show of an event where there is one line for it."""
    if event.payload is None:
        return "(withheld)"
    try:
        return _of(decode_payload(event.header.kind, event.payload, seq=event.header.seq), event.header.name)
    except Unsound:  # not written by us: shown as it is
        return event.payload[:_SHOWN_MAX].decode("utf-8", "backslashreplace")


def payload_document(event: Event) -> object:
    """The payload as it is, to be put into a document; as text where it is not JSON; None where it is not there."""
    if event.payload is None:
        return None
    try:
        decode_json_bytes(event.payload, max_bytes=_PAYLOAD_MAX_BYTES)
    except InvalidJson:
        return event.payload.decode("utf-8", "backslashreplace")
    return msgspec.Raw(event.payload)


def _of(payload: Payload, name: str) -> str:
    match payload:
        case Genesis():
            return f"{payload.name}  sha256:{payload.program[:16]}"
        case Message():
            return f"from {payload.source}  {_arguments(payload.arguments)}"
        case HostCall():
            return f"-> {_json(payload.answer)}"
        case Intent():
            return _json(payload.arguments)
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
            last = (payload.message or payload.code or "").strip().rsplit("\n", 1)[-1]
            return f"{payload.reason}  {last}"
        case Lifecycle():
            return f"by {payload.by}" + (f"  {_json(payload.detail)}" if payload.detail else "")
        case _:
            return ""


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
