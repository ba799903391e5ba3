"""What crosses the wall of the sandbox: JSON as text, and contents, which are texts or bytes."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from theater_sdk.failure import CallFailed

# Reading and writing a number of any length: the host bounds the size of a text, so no bound on digits is needed.
sys.set_int_max_str_digits(0)

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def decoded(text: str) -> Any:  # noqa: ANN401 - any JSON
    """The value of a JSON text."""
    return _decode(text)


def encoded(value: Any, what: str) -> str:  # noqa: ANN401 - any JSON
    """The compact text of a value; what cannot be JSON raises, with ``what`` named in a note."""
    try:
        text = _encode(value)
        text.encode()  # a lone surrogate is no Unicode text
    except (TypeError, ValueError, RecursionError) as error:
        error.add_note(f"{what} has to be JSON: None, True, False, numbers, strings, lists, dicts with string keys")
        raise
    return text


def content_of(data: bytes | str) -> tuple[str, str]:
    """Bytes, or a text in UTF-8, as a ``content``: bytes would cross the wall one by one."""
    return ("text", data) if isinstance(data, str) else ("base64", base64.b64encode(data).decode("ascii"))


def bytes_of(content: tuple[str, str]) -> bytes:
    """The bytes of a ``content``."""
    form, text = content
    return text.encode() if form == "text" else base64.b64decode(text)


def content_in(data: bytes, form: str) -> tuple[str, str]:
    """Bytes as the ``content`` of an answer: in the form that was asked for, or as a text where they are one."""
    try:
        return ("text", data.decode())
    except UnicodeDecodeError:
        if form == "text":
            raise CallFailed("not-text") from None
        return content_of(data)
