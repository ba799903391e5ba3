"""The types of ``theater:actor/http-types``, structurally: what HTTP servers hand to actors, and get from them.

The requests and responses of a service (``wasi:http``) are recorded as the same.
"""

from __future__ import annotations

from theater.model.wit import List, Option, Primitive, Record, Tuple, Variant

_TEXT = Primitive("string")

CONTENT = Variant((("text", _TEXT), ("base64", _TEXT), ("bytes", List(Primitive("u8")))))
"""``values.content``."""

PAIRS = List(Tuple((_TEXT, _TEXT)))
"""Header fields, or parameters of a path."""

HTTP_REQUEST = Record(
    (
        ("id", _TEXT),
        ("server", _TEXT),
        ("tag", _TEXT),
        ("method", _TEXT),
        ("authority", _TEXT),
        ("path", _TEXT),
        ("query", Option(_TEXT)),
        ("parameters", PAIRS),
        ("headers", PAIRS),
        ("body", CONTENT),
        ("peer", _TEXT),
    )
)
"""``http-types.http-request``."""

HTTP_RESPONSE = Record((("status", Primitive("u16")), ("headers", PAIRS), ("body", Option(CONTENT))))
"""``http-types.http-response``."""

VERDICT = Variant((("proceed", HTTP_REQUEST), ("respond", HTTP_RESPONSE)))
"""``middleware-handlers.verdict``."""
