"""The contents of ``theater:actor/values``: bytes, in whichever form costs a guest least."""

from __future__ import annotations

import base64
import binascii

from theater.capabilities.guest_json import size_bytes
from theater.model.actor_system import Problem

Content = tuple[str, str | bytes]
"""A ``content``: its form, and a text or bytes."""

_PADDING_BYTES = 2
"""What base64 may make the size look larger."""


def bytes_within(content: Content, most_bytes: int) -> bytes | Problem:
    """The bytes that a ``content`` stands for, or ``too-large`` or ``invalid-content``, as interfaces have them."""
    if size_at_most(content) > most_bytes + _PADDING_BYTES:  # nothing is made of it
        return ("too-large", most_bytes)
    data = bytes_of(content)
    if data is None:
        return ("invalid-content", None)
    return data if len(data) <= most_bytes else ("too-large", most_bytes)


def bytes_of(content: Content) -> bytes | None:
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


def size_at_most(content: Content) -> int:
    """What it cannot be longer than in bytes, without making them."""
    form, value = content
    if form == "text" and isinstance(value, str):
        return size_bytes(value)
    return len(value) // 4 * 3 if form == "base64" else len(value)


def content_of(data: bytes, form: str) -> Content | None:
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
