"""What JSON is: the one place that decides it.

RFC 8259 in UTF-8 without BOM; no NaN or Infinity; no lone surrogate, raw or escaped; numbers of any magnitude and
length; duplicate keys kept; nesting at most 1,024. A text is judged and never parsed: it is kept, passed on and shown
as exactly what it was, so no parser's recursion limit, number range or notion of equal keys can decide anything.

How it works, in three stages, each for what the one before left over:

1. One regular expression, ``_VALUE``, swallows a whole value that is at most ``_LOW`` containers high. Almost every
   text that an actor deals in is such a value, and is judged by one call into C.
2. ``_collapses``: every low container within the text becomes ``[]`` and every string ``""``, all in C, until what is
   left is low itself. That decides ordinary texts that are higher. It only ever accepts.
3. ``_Walk``: a loop with a stack of open containers (a string of brackets), which takes towers of brackets and hostile
   mixtures in linear time, and finds the place and the reason of what is wrong. ``_DESCENT`` swallows a run of opening
   brackets with the scalars before each next one, ``_ASCENT`` a run of closing ones with the scalars between, ``_REST``
   what follows a value in a container.

Before all that a long text is shown to a parser written in C, which is twenty times as fast: what it takes is JSON, and
what it has no stack left for goes the way above. An expression that matches keeps the interpreter for as long as it
takes, and a guest may send 64 MiB; so of a huge text the parser's no is taken, too. That it says neither yes nor no
otherwise than what follows would is held by a test, and its depth decides nothing.

Escapes are looked at before the three in one sweep, which keeps the expressions small. All quantifiers are possessive:
nothing is tried twice from one place but a value that turns out too high, at most once for each of its ``_LOW`` levels.

Tried and dropped: a loop over tokens (40 times slower on a large state), and the C parser alone with its limits raised
(its limits decide, and they differ between versions).
"""

from __future__ import annotations

import re
import sys
from typing import NoReturn

import msgspec

from theater.errors import InvalidJson

NESTING_MAX = 1024
"""Containers within each other. Deeper texts are refused by many parsers, each at a depth of its own."""

_LONG = 1024  # characters: below, the expression is as fast
_HUGE = 64 * 1024  # characters: the expressions take 20 ms for the worst that is shorter
_LOW = 3  # containers; each level doubles the size of the expression
_ROUNDS_MAX = 8  # each costs at most three quarters of the one before


def _some(*ways: str) -> str:
    """The expression of one or more of ``ways``, as many as there are."""
    # Up to CPython 3.11.4 a possessive group goes on from where its last, failed turn had got to, instead of from where
    # that had begun. An alternative begins by putting the position back, so there is a last one, which then fails.
    return f"(?:{'|'.join(ways)}|(?!))++"


def _any(*ways: str) -> str:
    """The expression of none or more of ``ways``, as many as there are."""
    return f"{_some(*ways)[:-2]}*+"


_W = r"[ \t\n\r]*+"
# Here no turn fails that had moved anything, so _any is not needed. Which escapes there are is for _ESCAPES to say.
_STRING = r'"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9][0-9]*+)?+(?:[eE][+-]?+[0-9]++|)"
_SCALARS = (_STRING, _NUMBER, "true", "false", "null")
_SCALAR = f"(?:{'|'.join(_SCALARS)})"
_KEY = f"{_STRING}{_W}:{_W}"


def _values(height: int) -> tuple[str, ...]:
    """The expressions of the values with at most ``height`` containers within each other."""
    return _SCALARS if height == 0 else (*_SCALARS, *_containers(height))


def _containers(height: int) -> tuple[str, str]:
    # A comma must not stand before the closing bracket: the same look-ahead serves the first element and the rest.
    inner = _values(height - 1)
    elements = _any(*(rf"{value}{_W}(?:,{_W}(?!\])|(?=\]))" for value in inner))
    members = _any(rf"{_KEY}(?:{'|'.join(inner)}){_W}(?:,{_W}(?!}})|(?=}}))")
    return rf"\[{_W}{elements}\]", rf"{{{_W}{members}}}"


_VALUE = re.compile(f"{_W}(?:{'|'.join(_values(_LOW))}){_W}", re.DOTALL)
_LOW_VALUE = f"(?:{'|'.join(_values(1))})"
_DESCENT = re.compile(
    _W
    + _some(
        rf"\[{_W}(?!\]){_any(f'{_SCALAR}{_W},{_W}')}",
        rf"{{{_W}{_any(f'{_KEY}{_SCALAR}{_W},{_W}')}{_KEY}(?!}})",
    ),
    re.DOTALL,
)
_ASCENT = re.compile(
    _some(rf"{_any(f',{_W}{_SCALAR}{_W}')}\]{_W}", rf"{_any(f',{_W}{_KEY}{_SCALAR}{_W}')}}}{_W}"), re.DOTALL
)
_REST = {
    "[": re.compile(rf"{_any(f',{_W}{_LOW_VALUE}{_W}')}(?:(,{_W})|)", re.DOTALL),
    "{": re.compile(rf"{_any(f',{_W}{_KEY}{_LOW_VALUE}{_W}')}(?:(,{_W}{_KEY})|)", re.DOTALL),
}

_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_LOW_CONTAINER = re.compile("|".join(_containers(_LOW)), re.DOTALL)
_ESCAPES = re.compile(
    r"[^\\]*+"
    + _any(
        r'\\(?:["\\/bfnrt]|u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
        r"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))[^\\]*+"
    )
)
_STRING_PREFIX = re.compile(r'"[^"\x00-\x1f\\]*+(?:\\.[^"\x00-\x1f\\]*+)*+', re.DOTALL)
_SPACE = re.compile(_W)
_KEY_END = re.compile(rf"{_STRING}{_W}", re.DOTALL)
_SCALAR_AND_COMMA = re.compile(f"{_W}{_SCALAR}{_W},", re.DOTALL)
_NOT_OPENING = re.compile(r"[^\[{]++")
_NOT_CLOSING = re.compile(r"[^\]}]++")
_BRACKETS = re.compile(rf"{_STRING}|[\[{{]++|[\]}}]++", re.DOTALL)
_STRING_OR_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?|[\[{]++|[\]}]++', re.DOTALL)  # an open string, too
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

_PARSER = msgspec.json.Decoder(msgspec.Raw)
_PARSED_UNTIL = re.compile(r"\(byte ([0-9]+)\)")
_DEEPER_IN_C = (3, 12)  # before, what is written in C heeds the limit of the interpreter, which is 1,000 by default

_CLOSED_BY = str.maketrans("[{", "]}")


def check_json(text: str, *, max_bytes: int) -> None:
    """Return if ``text`` is one JSON value of at most ``max_bytes`` in UTF-8.

    Raises:
        InvalidJson: it is not; says why, and at which character.
    """
    size_bytes = len(text) if text.isascii() else _size_bytes(text)
    if size_bytes > max_bytes:
        raise InvalidJson(f"not accepted as JSON: {size_bytes} bytes, allowed {max_bytes}", offset=0)
    if len(text) >= _LONG and _is_taken(text):
        return
    if "\\" in text:
        _check_escapes(text)
    if len(text) >= _HUGE or (_VALUE.fullmatch(text) is None and not _collapses(text)):
        _Walk(text).run()


def _is_taken(text: str) -> bool:
    """Whether the parser takes it; False where somebody else has to judge. Fails for what is huge and no JSON."""
    try:
        _PARSER.decode(text)
    except RecursionError:
        if len(text) >= _HUGE:
            _check_nesting(text)
        return False
    except msgspec.DecodeError as error:
        if len(text) >= _HUGE:
            _fail_as_parsed(text, str(error))
        return False
    if not _is_stack_short() and text.count("[") + text.count("{") > NESTING_MAX:
        _check_nesting(text)
    return True


def _is_stack_short() -> bool:
    """Whether nothing that recurses gets deeper than JSON may be."""
    return sys.version_info < _DEEPER_IN_C and sys.getrecursionlimit() <= NESTING_MAX


def _fail_as_parsed(text: str, why: str) -> NoReturn:
    place = _PARSED_UNTIL.search(why)
    offset = len(text) if place is None else len(text.encode()[: int(place[1])].decode("utf-8", "ignore"))
    reason = _PARSED_UNTIL.sub("", why).removeprefix("JSON is malformed: ").strip()
    _fail(offset, reason or "no value")


def decode_json_bytes(data: bytes, *, max_bytes: int) -> str:
    """The text of ``data`` if that is one JSON value in UTF-8 of at most ``max_bytes``.

    Raises:
        InvalidJson: it is not; says why, and at which character.
    """
    if len(data) > max_bytes:
        raise InvalidJson(f"not accepted as JSON: {len(data)} bytes, allowed {max_bytes}", offset=0)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = len(data[: error.start].decode("utf-8"))
        raise InvalidJson(f"not JSON: not UTF-8 at character {offset}", offset=offset) from error
    check_json(text, max_bytes=max_bytes)
    return text


def nests_deeper(text: str, depth: int) -> bool:
    """Whether containers within ``text`` stand deeper than ``depth`` within each other.

    To be asked before a parser that recurses: near the end of the stack more fails than the parser. For what is not
    JSON the answer may be either, but False only where no parser gets deeper before it finds that out.
    """
    if text.count("[") + text.count("{") <= depth:
        return False
    now = 0
    for token in _STRING_OR_BRACKETS.finditer(text):
        first = text[token.start()]
        if first in "[{":
            now += token.end() - token.start()
            if now > depth:
                return True
        elif first != '"':
            now -= token.end() - token.start()
    return False


def _size_bytes(text: str) -> int:
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        _fail(error.start, "a lone surrogate")


def _check_escapes(text: str) -> None:
    """Fail if any backslash begins what is no escape; one that stands outside of strings is for the others to find."""
    good = _ESCAPES.match(text)
    assert good is not None
    offset = good.end()
    if offset != len(text):
        _fail(offset, "the escape of a lone surrogate" if _LONE_SURROGATE.match(text, offset) else "an unknown escape")


def _collapses(text: str) -> bool:
    """Whether ``text`` becomes a low value by putting ``[]`` for its low containers, a few times over.

    ``[]`` and ``""`` join with no neighbour to anything that would be right where it was wrong before. Each round takes
    ``_LOW - 1`` levels, so what is accepted is far from the limit of nesting.
    """
    left, strings = _WHOLE_STRING.subn('""', text)
    if left.count('"') != 2 * strings:
        return False  # of what is no whole string, a part could be taken for a container, and mended by that
    for _ in range(_ROUNDS_MAX):
        size = len(left)
        left = _LOW_CONTAINER.sub("[]", left)
        if _VALUE.fullmatch(left) is not None:
            return True
        if len(left) > size * 3 // 4:
            break
    return False


def _check_nesting(text: str) -> None:
    """Fail if anything is nested too deep. The text up to the first such place is known to be JSON."""
    depth = 0
    for token in _BRACKETS.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += len(token.group())
            if depth > NESTING_MAX:
                _fail(token.end() - (depth - NESTING_MAX), f"nested deeper than {NESTING_MAX}")
        elif first != '"':
            depth -= len(token.group())


def _fail(offset: int, reason: str) -> NoReturn:
    raise InvalidJson(f"not JSON: {reason} at character {offset}", offset=offset)


class _Walk:
    """One text that is higher than ``_LOW``, or wrong."""

    __slots__ = ("_deep", "_open", "_position", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._open = ""  # the brackets that are open, outermost first
        self._deep = False

    def run(self) -> None:
        """Return if the text is JSON."""
        while True:
            self._take_value()
            if self._take_rest():
                break
        if self._position != len(self._text):
            _fail(self._position, "something after the end of the value")
        if self._deep:
            _check_nesting(self._text)

    def _take_value(self) -> None:
        """Go on to behind the next low value, opening what stands before it."""
        low = _VALUE.match(self._text, self._position)
        while low is None:
            descent = _DESCENT.match(self._text, self._position)
            if descent is None:
                self._explain_value()
            run = descent.group()
            self._open += _NOT_OPENING.sub("", _WHOLE_STRING.sub("", run) if '"' in run else run)
            if len(self._open) > NESTING_MAX:
                _check_nesting(self._text)
            self._position = descent.end()
            low = _VALUE.match(self._text, self._position)
        if len(self._open) + _LOW > NESTING_MAX:
            self._deep = True  # a low value here, or a neighbour of it, may be a little too deep: looked at in the end
        self._position = low.end()

    def _take_rest(self) -> bool:
        """Go on behind a value to the next one that is to come; True if none is."""
        while self._open:
            ascent = _ASCENT.match(self._text, self._position)
            if ascent is not None:
                self._close(ascent.group())
                if not self._open:
                    break
            rest = _REST[self._open[-1]].match(self._text, self._position)
            if rest is None or (ascent is None and rest.end() == self._position):
                self._explain_rest()
            self._position = rest.end()
            if rest.lastindex:
                return False
        return True

    def _close(self, run: str) -> None:
        closing = _NOT_CLOSING.sub("", _WHOLE_STRING.sub("", run) if '"' in run else run)
        count = len(closing)
        if self._open[-count:][::-1].translate(_CLOSED_BY) == closing:
            self._open = self._open[:-count]
            self._position += len(run)
            return
        for token in _BRACKETS.finditer(run):
            for offset, bracket in enumerate(token.group(), start=token.start()):
                if bracket == '"':
                    break
                if not self._open:
                    _fail(self._position + offset, "something after the end of the value")
                if self._open[-1].translate(_CLOSED_BY) != bracket:
                    _fail(self._position + offset, f"'{bracket}' where '{self._open[-1]}' is open")
                self._open = self._open[:-1]
        raise AssertionError(run)

    def _explain_value(self) -> NoReturn:
        """A value was to come here, and none that opens or stands here is right."""
        self._skip_space()
        match self._next():
            case "":
                _fail(self._position, "the end of the text where a value must be")
            case '"':
                self._explain_string()
            case "{":
                self._position += 1
                self._explain_key()
            case "\ufeff":
                _fail(self._position, "a byte order mark")
            case "N" | "I":
                _fail(self._position, "no value (JSON has no NaN and no Infinity)")
            case _:
                _fail(self._position, "no value")

    def _explain_rest(self) -> NoReturn:
        """A comma or a closing bracket was to come here."""
        self._skip_space()
        match self._next():
            case "":
                _fail(self._position, f"the end of the text where '{self._open[-1]}' is open")
            case ",":  # in an array the comma was right, and what follows it was looked at as a value
                self._position += 1
                self._explain_key()
            case _:
                _fail(self._position, f"neither ',' nor '{self._open[-1].translate(_CLOSED_BY)}'")

    def _explain_key(self) -> NoReturn:
        """A key was to come here, and in a member from here on is what is wrong."""
        while True:
            self._skip_space()
            if self._next() != '"':
                _fail(self._position, "no key")
            key = _KEY_END.match(self._text, self._position)
            if key is None:
                self._explain_string()
            self._position = key.end()
            if self._next() != ":":
                _fail(self._position, "no ':' after a key")
            self._position += 1
            member = _SCALAR_AND_COMMA.match(self._text, self._position)
            if member is None:
                self._explain_value()
            self._position = member.end()

    def _explain_string(self) -> NoReturn:
        good = _STRING_PREFIX.match(self._text, self._position)
        assert good is not None
        self._position = good.end()
        match self._next():
            case "":
                _fail(self._position, "the end of the text in a string")
            case character:
                _fail(self._position, f"the control character U+{ord(character):04X} in a string")

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._position)
        assert space is not None
        self._position = space.end()

    def _next(self) -> str:
        return self._text[self._position : self._position + 1]
