"""The members of a JSON object as texts, each exactly as it was written.

For an order in which a value for a guest stands: a parser that decodes the one recurses into the other, and JSON may be
nested deeper than a parser recurses.
"""

from __future__ import annotations

import json
import re
from typing import TypeVar

import msgspec

from theater.errors import InvalidInput

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]|[,:]')
_SPACE = " \t\n\r"


T = TypeVar("T", bound=msgspec.Struct)


def decode_in_parts(text: str, kind: type[T], apart: str) -> T:
    """A structure out of ``text``, which is known to be JSON; its member ``apart`` is kept as it is, whatever it is.

    Raises:
        InvalidInput: it is no object.
        msgspec.DecodeError, RecursionError: it is not such a structure, or nested too deep beside that member.
    """
    members = members_of(text)
    value = members.pop(apart, None)
    rest = ",".join(f"{json.dumps(key)}:{member}" for key, member in members.items())
    decoded = msgspec.json.decode(f"{{{rest}}}", type=kind)
    return decoded if value is None else msgspec.structs.replace(decoded, **{apart: msgspec.Raw(value.encode())})


def members_of(text: str) -> dict[str, str]:
    """The members of an object; of two with one key, the last. ``text`` is known to be JSON.

    Raises:
        InvalidInput: it is no object.
    """
    if not text.lstrip(_SPACE).startswith("{"):
        raise InvalidInput("an order is a JSON object, and this is another value")
    members: dict[str, str] = {}
    depth = 0
    begin = 0
    key: str | None = None
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth == 1:
                begin = token.end()
        elif depth == 1 and first == ":":
            key = json.loads(text[begin : token.start()])
            begin = token.end()
        elif first in "]}," and (depth == 1 or first != ","):
            if depth == 1 and key is not None:
                members[key] = text[begin : token.start()].strip(_SPACE)
                key = None
            if first == ",":
                begin = token.end()
            else:
                depth -= 1
    return members
