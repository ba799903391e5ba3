"""The JSON texts that guests hand over, judged before anybody else is asked about them."""

from __future__ import annotations

from theater.errors import InvalidJson
from theater.model.actor_system import Problem
from theater.model.json_text import check_json


def size_bytes(text: str) -> int:
    """How many bytes a guest's text has in UTF-8. It has no lone surrogate: the binding lets none through."""
    return len(text) if text.isascii() else len(text.encode())


def json_problem(text: str, *, most_bytes: int) -> Problem | None:
    """``too-large`` or ``not-json``, as every interface with JSON has them; None for one JSON value that fits."""
    if size_bytes(text) > most_bytes:
        return ("too-large", most_bytes)
    try:
        check_json(text, max_bytes=most_bytes)
    except InvalidJson as error:
        return ("not-json", error.message)
    return None
