"""What TOML is taken: a text whose nesting has a bound before a parser sees it.

The parser recurses, and a text comes from a stranger. A text that leads it to the end of the stack is refused by it,
too, but on the way there anything else that happens to run, such as the finalizer of an object that has nothing to do
with it, fails as well. And of a dotted key it keeps every beginning: a long one takes memory by the square of its
length. So what opens is counted beforehand, in one scan that knows no more of TOML than where strings and comments end.

The scan reads a text as the parser does up to the first place where the parser fails. What it counts behind that
decides nothing.
"""

from __future__ import annotations

import re
import tomllib

from theater.errors import InvalidInput

DEPTH_MAX = 100
"""Arrays and tables within each other, below the table that the text itself is."""

# Each string is matched whole or not at all, and where none is, the parser gets no further either: ``broken``.
_TOKEN = re.compile(
    r"""
    \#[^\n]*+
    | "{3}[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*"{3,5}
    | '{3}.*?'{3,5}
    | "(?!"")[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*"
    | '(?!'')[^'\n]*+'
    | (?P<broken>["'])
    | (?P<opening>[\[{])
    | (?P<closing>[\]}])
    | (?P<dot>\.)
    | (?P<end>[=,\n])
    """,
    re.DOTALL | re.VERBOSE,
)


def parse_toml(text: str) -> dict[str, object]:
    """The table that ``text`` is.

    Raises:
        InvalidInput: it is not TOML, nests deeper than ``DEPTH_MAX``, or has a number that Python does not read.
    """
    _check_text(text)
    try:
        table: dict[str, object] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; too many digits; a caller deep in the stack itself
        raise InvalidInput(str(error)) from error
    _check_table(table)
    return table


def _check_text(text: str) -> None:
    """Refuse what would make the parser recurse too deep, or take a key of too many parts."""
    depth = dots = 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "opening":
                depth += 1
                dots = 0
            case "closing":
                depth -= 1
                dots = 0
            case "dot":
                dots += 1
            case "end":
                dots = 0
            case "broken":
                return
            case _:  # a string or a comment
                continue
        if max(depth, dots) > DEPTH_MAX:
            line = text.count("\n", 0, token.start()) + 1
            column = token.start() - text.rfind("\n", 0, token.start())
            raise InvalidInput(f"nested deeper than {DEPTH_MAX} (at line {line}, column {column})")


def _check_table(table: dict[str, object]) -> None:
    """Refuse what headers, keys and values nest too deep together, though each of them may be allowed."""
    below = [(key, 0, value) for key, value in table.items()]  # the outermost key, to name it by
    while below:
        key, depth, value = below.pop()
        if not isinstance(value, dict | list):
            continue
        if depth == DEPTH_MAX:
            raise InvalidInput(f"nested deeper than {DEPTH_MAX} (under the key {key[:40]!r})")
        items = value.values() if isinstance(value, dict) else value
        below += [(key, depth + 1, item) for item in items]
