"""The contents of ``theater:actor/values``: bytes, in whichever form costs a guest least."""

from __future__ import annotations

import base64
import binascii


def bytes_of(content: tuple[str, str | bytes]) -> bytes | None:
    """The bytes that a ``content`` stands for; None where it is not base64."""
    form, value = content
    if form == "text" and isinstance(value, str):
        return value.encode()
    if form == "base64" and isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        return data if len(value) == (len(data) + 2) // 3 * 4 else None  # Python lets more padding through
    assert isinstance(value, bytes)
    return value


def size_at_most(content: tuple[str, str | bytes]) -> int:
    """What it cannot be longer than in bytes, without looking at each."""
    form, value = content
    if form == "text" and isinstance(value, str):
        return len(value.encode())
    return len(value) // 4 * 3 if form == "base64" else len(value)


def content_of(data: bytes, form: str) -> tuple[str, str | bytes] | None:
    """``data`` in that form, a ``content-form``; None where it is not text, and that was wanted."""
    if form in ("automatic", "text"):
        try:
            return ("text", data.decode())
        except UnicodeDecodeError:
            if form == "text":
                return None
    if form == "bytes":
        return ("bytes", data)
    return ("base64", base64.b64encode(data).decode("ascii"))
