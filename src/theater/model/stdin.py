"""What a program is given to read: fixed when it is started, as its arguments are, and part of event 0."""

from __future__ import annotations

import base64
import binascii

import msgspec

from theater.errors import InvalidInput


class Stdin(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Bytes: ``text`` where they are UTF-8, ``base64`` where they are not. One of both is there."""

    text: str | None = None
    base64: str | None = None


def stdin_of(data: bytes) -> Stdin:
    """Bytes as they are recorded."""
    try:
        return Stdin(text=data.decode("utf-8"))
    except UnicodeDecodeError:
        return Stdin(base64=base64.b64encode(data).decode("ascii"))


def stdin_bytes(stdin: Stdin | None) -> bytes:
    """The bytes; none where there is nothing to read.

    Raises:
        InvalidInput: it has both forms or neither, or is no base64, or no text that has bytes.
    """
    match stdin:
        case None:
            return b""
        case Stdin(text=str() as text, base64=None):
            try:
                return text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise InvalidInput(f"stdin: its text is not Unicode: {error}") from error
        case Stdin(text=None, base64=str() as encoded):
            try:
                return base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError) as error:
                raise InvalidInput(f"stdin: it is not base64: {error}") from error
    raise InvalidInput("stdin: give either text or base64")
