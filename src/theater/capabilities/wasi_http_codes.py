"""The ``error-code`` of ``wasi:http``: what went wrong with a request, for guests and in the record."""

from __future__ import annotations

from theater.model.wit import Option, Primitive, Record, Variant
from theater.model.wit_json import decoder, encoder

ErrorCode = tuple[str, object]
"""A case, and its payload."""

_TEXT = Option(Primitive("string"))
_U8 = Option(Primitive("u8"))
_U16 = Option(Primitive("u16"))
_U32 = Option(Primitive("u32"))
_U64 = Option(Primitive("u64"))
_FIELD_SIZE = Record((("field-name", _TEXT), ("field-size", _U32)))

ERROR_CODE = Variant(
    (
        ("DNS-timeout", None),
        ("DNS-error", Record((("rcode", _TEXT), ("info-code", _U16)))),
        ("destination-not-found", None),
        ("destination-unavailable", None),
        ("destination-IP-prohibited", None),
        ("destination-IP-unroutable", None),
        ("connection-refused", None),
        ("connection-terminated", None),
        ("connection-timeout", None),
        ("connection-read-timeout", None),
        ("connection-write-timeout", None),
        ("connection-limit-reached", None),
        ("TLS-protocol-error", None),
        ("TLS-certificate-error", None),
        ("TLS-alert-received", Record((("alert-id", _U8), ("alert-message", _TEXT)))),
        ("HTTP-request-denied", None),
        ("HTTP-request-length-required", None),
        ("HTTP-request-body-size", _U64),
        ("HTTP-request-method-invalid", None),
        ("HTTP-request-URI-invalid", None),
        ("HTTP-request-URI-too-long", None),
        ("HTTP-request-header-section-size", _U32),
        ("HTTP-request-header-size", Option(_FIELD_SIZE)),
        ("HTTP-request-trailer-section-size", _U32),
        ("HTTP-request-trailer-size", _FIELD_SIZE),
        ("HTTP-response-incomplete", None),
        ("HTTP-response-header-section-size", _U32),
        ("HTTP-response-header-size", _FIELD_SIZE),
        ("HTTP-response-body-size", _U64),
        ("HTTP-response-trailer-section-size", _U32),
        ("HTTP-response-trailer-size", _FIELD_SIZE),
        ("HTTP-response-transfer-coding", _TEXT),
        ("HTTP-response-content-coding", _TEXT),
        ("HTTP-response-timeout", None),
        ("HTTP-upgrade-failed", None),
        ("HTTP-protocol-error", None),
        ("loop-detected", None),
        ("configuration-error", None),
        ("internal-error", _TEXT),
    )
)

DENIED: ErrorCode = ("HTTP-request-denied", None)
TIMED_OUT: ErrorCode = ("HTTP-response-timeout", None)
UNKNOWN: ErrorCode = ("internal-error", "outcome-unknown")
"""Nobody knows whether the request was answered, or sent."""
EXHAUSTED: ErrorCode = ("internal-error", "wait-exhausted")
"""The step's limit ``wait`` was used up."""


def code_json(code: ErrorCode) -> object:
    """As it stands in a chain."""
    return encoder(ERROR_CODE)(code, {})


def code_of_json(recorded: object) -> ErrorCode:
    """Raises ``ValueError`` where it is none."""
    code = decoder(ERROR_CODE)(recorded)
    assert isinstance(code, tuple)
    return code
