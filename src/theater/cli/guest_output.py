"""What a guest wrote, out of its ``log`` events."""

from __future__ import annotations

import base64
import binascii

from theater.model.payload import Log

LOG_STREAM = "log"


def log_text(stream: str, log: Log) -> str:
    r"""The text of a ``log`` event; bytes that are not UTF-8 as ``\xff``.

    A call of ``log`` is a line of its own; stdout and stderr end their lines themselves.
    """
    if log.text is not None:
        text = log.text
    else:
        try:
            text = base64.b64decode(log.base64 or "").decode("utf-8", "backslashreplace")
        except (binascii.Error, ValueError):  # a chain from elsewhere may hold anything
            text = log.base64 or ""
    return f"{text}\n" if stream == LOG_STREAM else text
