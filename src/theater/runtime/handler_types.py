"""The types that handlers take and give, structurally, as the frozen WIT has them."""

from __future__ import annotations

from theater.model.http_types import CONTENT, HTTP_RESPONSE, PAIRS, VERDICT
from theater.model.wit import Enum, List, Option, Primitive, Record, Variant

TEXT = Primitive("string")
BOOL = Primitive("bool")
U16 = Primitive("u16")
_U64 = Primitive("u64")
_S32 = Primitive("s32")

MESSAGE = Record((("id", TEXT), ("sender", Option(TEXT)), ("expects-reply", BOOL), ("body", TEXT)))
OUTCOME = Record((("state", TEXT), ("reply", Option(TEXT))))

_DATETIME = Record((("seconds", _U64), ("nanoseconds", Primitive("u32"))))
_CRASH_REASON = Variant(
    (
        ("trap", None),
        ("stack", None),
        ("fuel", None),
        ("memory", None),
        ("handles", None),
        ("host-data", None),
        ("events", None),
        ("bytes", None),
        ("state-size", None),
        ("not-json", None),
        ("exit", None),
        ("deadline", None),
        ("terminated", None),
        ("host-died", None),
        ("diverged", None),
        ("internal", None),
        ("other", TEXT),
    )
)
_EXIT_REASON = Variant(
    (
        ("normal", Option(TEXT)),
        ("shutdown", TEXT),
        ("refused-init", TEXT),
        ("crashed", _CRASH_REASON),
        ("intensity", None),
        ("other", TEXT),
    )
)
_DECISION = Variant((("restarted", List(TEXT)), ("left", None), ("other", TEXT)))
CHILD_EXIT = Record(
    (
        ("child", TEXT),
        ("name", TEXT),
        ("reason", _EXIT_REASON),
        ("seq", _U64),
        ("hash", TEXT),
        ("decision", _DECISION),
    )
)
_CHAIN_EVENT = Record(
    (
        ("seq", _U64),
        ("kind", TEXT),
        ("name", TEXT),
        ("time", _DATETIME),
        ("hash", TEXT),
        ("prev", TEXT),
        ("payload", Option(TEXT)),
    )
)
EVENT_BATCH = Record((("child", TEXT), ("events", List(_CHAIN_EVENT)), ("gap", BOOL)))
CHANNEL_OPENING = Record((("id", TEXT), ("peer", Option(TEXT)), ("opening", TEXT)))

PROCESS_OUTPUT = Record(
    (("id", TEXT), ("source", Enum(("stdout", "stderr"))), ("content", CONTENT), ("gap", BOOL)),
)
EXIT_STATUS = Variant((("code", _S32), ("signal", _S32), ("timeout", None), ("lost", None)))

HTTP_OUTCOME = Record((("state", TEXT), ("response", Option(HTTP_RESPONSE))))
MIDDLEWARE_OUTCOME = Record((("state", TEXT), ("verdict", VERDICT)))
WEBSOCKET_OPENING = Record(
    (
        ("connection", TEXT),
        ("server", TEXT),
        ("tag", TEXT),
        ("path", TEXT),
        ("query", Option(TEXT)),
        ("parameters", PAIRS),
        ("headers", PAIRS),
        ("protocol", Option(TEXT)),
        ("peer", TEXT),
    )
)
