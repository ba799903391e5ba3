"""Secrets on their way out, and on their way back: values that neither a guest nor a chain ever sees.

A guest writes ``{{secret:NAME}}`` in the value of a header field or in the query of a URL. The value stands in the
request on the wire alone. Where a server sends it back, as it is or in one of the usual spellings, the placeholder is
put in its place again.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote, quote_plus

VALUE_MIN_CHARS = 8
"""A shorter value would be found, and masked, in texts that have nothing to do with it."""
VALUE_MAX_CHARS = 8192
"""As long as a whole header may be at many servers."""

_NAME = "([A-Za-z_][A-Za-z0-9_-]{0,63})"
_WHOLE_NAME = re.compile(_NAME + r"\Z")
_PLAIN = re.compile(r"\{\{secret:" + _NAME + r"\}\}")
_ESCAPED = re.compile("%7B%7Bsecret:" + _NAME + "%7D%7D")


def is_secret_name(text: str) -> bool:
    """Whether a secret can be called that."""
    return _WHOLE_NAME.match(text) is not None


def secrets_in_value(value: str) -> list[str]:
    """The names of the secrets that a header's value asks for."""
    return _PLAIN.findall(value)


def secrets_in_query(query: str | None) -> list[str]:
    """The names of the secrets that the query of a normalised URL asks for."""
    return _ESCAPED.findall(query or "")


def placeholder(name: str) -> str:
    """What a guest writes for it."""
    return f"{{{{secret:{name}}}}}"


class SecretUnavailable(Exception):
    """The node has no value for a secret, or none that can be sent. The text says which and why, without the value."""


class SecretValues:
    """The values of the secrets of one request."""

    def __init__(self, names: Iterable[str], look_up: Callable[[str], str | None]) -> None:
        """Raises ``SecretUnavailable``."""
        self._values: dict[str, str] = {name: _checked(name, look_up(name)) for name in names}
        self._masks = _masks(self._values)

    def fill_value(self, value: str) -> str:
        """A header's value as it is sent."""
        return _PLAIN.sub(lambda match: self._values[match[1]], value)

    def fill_query(self, query: str) -> str:
        """A query as it is sent."""
        return _ESCAPED.sub(lambda match: quote(self._values[match[1]], safe=""), query)

    def mask(self, data: bytes) -> bytes:
        """With placeholders wherever a value stands."""
        for found, instead in self._masks:
            data = data.replace(found, instead)
        return data

    def mask_text(self, text: str) -> str:
        """The same for a text."""
        return self.mask(text.encode()).decode() if self._masks else text


def _checked(name: str, value: str | None) -> str:
    if value is None:
        raise SecretUnavailable(
            f"the node has no value for {name}: name a variable or a file under [secrets] in config.toml, "
            "and see that it is there"
        )
    if not VALUE_MIN_CHARS <= len(value) <= VALUE_MAX_CHARS:
        raise SecretUnavailable(f"the value of {name} has not {VALUE_MIN_CHARS} to {VALUE_MAX_CHARS} characters")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise SecretUnavailable(f"the value of {name} is not printable ASCII without blanks around it")
    return value


def _masks(values: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """What is looked for, the longest first: one spelling, or one secret, may be part of another."""
    found: dict[bytes, bytes] = {}
    for name, value in values.items():
        escaped = quote(value, safe="")
        spellings = {
            value,
            escaped,
            escaped.lower() if escaped != value else value,
            quote(value),
            quote_plus(value),
            json.dumps(value)[1:-1],
            json.dumps(value)[1:-1].replace("/", "\\/"),
            html.escape(value),
            base64.b64encode(value.encode()).decode(),
        }
        for spelling in spellings:
            found.setdefault(spelling.encode(), placeholder(name).encode())
    return sorted(found.items(), key=lambda pair: (-len(pair[0]), pair[0]))
