"""Python values for JSON texts, where a program would rather have those.

The texts themselves are what is recorded. JSON can say more than Python's reader takes (a nesting of 1,000, a number of
5,000 digits, ``1e400``): such a text is refused here, by an error of ours, and never changed. How deep the reader goes
differs between its versions and with what the stack holds already, so the bound is our own.
"""

from __future__ import annotations

import json
import math

from theater.errors import InvalidInput, InvalidJson
from theater.model.json_text import nests_deeper

DEPTH_MAX = 512
"""Containers within each other that a text may have to be read: half of Python's own recursion limit."""


def to_json(value: object) -> str:
    """The JSON text of a value made of dict, list, str, int, float, bool and None.

    Raises:
        InvalidJson: it holds something else, NaN or infinity, or nests too deep to be written.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidJson(f"this value cannot be written as JSON: {error}") from error


def from_json(text: str) -> object:
    """The value of a JSON text.

    Raises:
        InvalidInput: it is JSON, but Python's reader does not take it; ``data["text"]`` has it.
    """
    try:
        if nests_deeper(text, DEPTH_MAX):
            raise ValueError(f"nested deeper than {DEPTH_MAX}")
        return json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        why = f"the reply is JSON that Python cannot hold ({error}); request_json gives its text"
        raise InvalidInput(why, text=text) from error


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is beyond a float")
    return value
