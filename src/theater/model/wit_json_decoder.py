"""From JSON back to guest values, by WIT type; ``theater.model.wit_json`` has the mapping.

A decoder trusts nothing, since a chain may come from anybody: what no encoder writes is refused, with its place.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, assert_never

from theater.model.wit import (
    U8,
    Enum,
    Flags,
    Handle,
    List,
    Option,
    Primitive,
    Record,
    Result,
    Tuple,
    Type,
    Unsupported,
    Variant,
)

Decode = Callable[[object], object]

EXACT_MAX: Final = 2**53
"""Integers up to here are exact in every JSON reader."""

_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WIDE_DIGITS_MAX = 20  # of -9223372036854775808 and of 18446744073709551615
CACHED_TYPES_MAX = 4096  # more than the functions of many components have between them

_RANGES: Final = {
    "s8": (-(2**7), 2**7 - 1),
    "u8": (0, 2**8 - 1),
    "s16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "s32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
    "s64": (-(2**63), 2**63 - 1),
    "u64": (0, 2**64 - 1),
}


class Mismatch(ValueError):
    """A JSON value is not of its type; the text says where in it, from ``$`` on, and what was expected."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(expected)
        self._expected = expected
        self._found = _KINDS.get(type(found), "something else")
        self._path: list[str] = []

    def add(self, step: str) -> None:
        """The value lies under this field or place of the value around it."""
        self._path.append(step)

    def __str__(self) -> str:
        return f"${''.join(reversed(self._path))}: expected {self._expected}, found {self._found}"


_KINDS: Final = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


@lru_cache(maxsize=CACHED_TYPES_MAX)
def decoder(of: Type, *, naming: bool = False) -> Decode:
    """What makes values of this type of parsed JSON.

    It raises ``Mismatch``, a ``ValueError``, for anything that the encoder of the type does not give.

    ``naming``: a resource in it is read as the name that it has in the record, which says nothing of which to hand out.

    Raises:
        ValueError: the type cannot cross the boundary, or has a resource in it, and that is not what is wanted.
    """
    match of:
        case Primitive():
            return _primitive_decoder(of)
        case List(element=element):
            return _decode_bytes if element == U8 else _list_decoder(decoder(element, naming=naming))
        case Tuple(elements=elements):
            return _tuple_decoder([decoder(element, naming=naming) for element in elements])
        case Record(fields=fields):
            return _record_decoder({name: decoder(field, naming=naming) for name, field in fields})
        case Option(payload=payload):
            return _option_decoder(decoder(payload, naming=naming), is_nested=isinstance(payload, Option))
        case Result(ok=ok, err=err):
            payloads = {"ok": ok, "err": err}
            return _case_decoder({case: _payload_decoder(of, naming=naming) for case, of in payloads.items()})
        case Variant(cases=cases):
            return _case_decoder({name: _payload_decoder(payload, naming=naming) for name, payload in cases})
        case Enum(names=names):
            return _enum_decoder(names)
        case Flags(names=names):
            return _flags_decoder(names)
        case Handle() if naming:
            return _integer_decoder(1, EXACT_MAX)
        case Handle():
            raise ValueError("a resource cannot be read back")
        case Unsupported(what=what):
            raise ValueError(f"{what} cannot be written down")
        case _:
            assert_never(of)


def _primitive_decoder(of: Primitive) -> Decode:
    match of.name:
        case "bool":
            return _decode_bool
        case "string":
            return _decode_string
        case "char":
            return _decode_char
        case "f32" | "f64":
            return _decode_f32 if of.name == "f32" else _decode_f64
        case "s64" | "u64":
            return _wide_decoder(*_RANGES[of.name])
        case _:
            return _integer_decoder(*_RANGES[of.name])


def _decode_bool(value: object) -> object:
    if value is True or value is False:
        return value
    raise Mismatch("a boolean", value)


def _decode_string(value: object) -> object:
    if not isinstance(value, str):
        raise Mismatch("a string", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Mismatch("a string of Unicode scalar values", value) from None
    return value


def _decode_char(value: object) -> object:
    text = _decode_string(value)
    if isinstance(text, str) and len(text) == 1:
        return text
    raise Mismatch("one character", value)


def _integer_decoder(low: int, high: int) -> Decode:
    expected = f"a whole number from {low} to {high}"

    def decode(value: object) -> object:
        if type(value) is int and low <= value <= high:
            return value
        raise Mismatch(expected, value)

    return decode


def _wide_decoder(low: int, high: int) -> Decode:
    expected = f"a whole number from {low} to {high}, beyond 2^53 as a string"

    def decode(value: object) -> object:
        if type(value) is int and max(low, -EXACT_MAX) <= value <= EXACT_MAX:
            return value
        if isinstance(value, str) and len(value) <= _WIDE_DIGITS_MAX and value.removeprefix("-").isdecimal():
            number = int(value)
            if not -EXACT_MAX <= number <= EXACT_MAX and low <= number <= high and str(number) == value:
                return number
        raise Mismatch(expected, value)

    return decode


def _decode_f64(value: object) -> object:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if type(value) is int and -EXACT_MAX <= value <= EXACT_MAX:  # a reader may take 1.0 for 1
        return float(value)
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    raise Mismatch('a number, "NaN", "Infinity" or "-Infinity"', value)


def _decode_f32(value: object) -> object:
    number = _decode_f64(value)
    assert isinstance(number, float)
    try:
        exact = math.isnan(number) or struct.unpack("<f", struct.pack("<f", number))[0] == number
    except OverflowError:
        exact = False
    if not exact:
        raise Mismatch("a number that an f32 holds exactly", value)
    return number


def _decode_bytes(value: object) -> object:
    if isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            data = None
        if data is not None and base64.b64encode(data).decode("ascii") == value:
            return data
    raise Mismatch("base64, padded", value)


def _list_decoder(element: Decode) -> Decode:
    def decode(value: object) -> object:
        if not isinstance(value, list):
            raise Mismatch("an array", value)
        items: list[object] = []
        try:
            for item in value:
                items.append(element(item))  # noqa: PERF401 - the length says where it went wrong
        except Mismatch as error:
            error.add(f"[{len(items)}]")
            raise
        return items

    return decode


def _tuple_decoder(elements: list[Decode]) -> Decode:
    def decode(value: object) -> object:
        if not isinstance(value, list) or len(value) != len(elements):
            raise Mismatch(f"an array of {len(elements)}", value)
        items: list[object] = []
        try:
            for element, item in zip(elements, value, strict=True):
                items.append(element(item))
        except Mismatch as error:
            error.add(f"[{len(items)}]")
            raise
        return tuple(items)

    return decode


def _record_decoder(fields: dict[str, Decode]) -> Decode:
    expected = f"an object with exactly {', '.join(fields)}"

    def decode(value: object) -> object:
        if not isinstance(value, dict) or value.keys() != fields.keys():
            raise Mismatch(expected, value)
        items: dict[str, object] = {}
        for name, field in fields.items():
            try:
                items[name] = field(value[name])
            except Mismatch as error:
                error.add(f".{name}")
                raise
        return items

    return decode


def _option_decoder(payload: Decode, *, is_nested: bool) -> Decode:
    def decode(value: object) -> object:
        if value is None:
            return None
        if not is_nested:
            return payload(value)
        if not isinstance(value, list) or len(value) != 1:
            raise Mismatch("null or an array of 1", value)
        try:
            return ("some", payload(value[0]))
        except Mismatch as error:
            error.add("[0]")
            raise

    return decode


def _payload_decoder(of: Type | None, *, naming: bool) -> Decode:
    return _decode_nothing if of is None else decoder(of, naming=naming)


def _decode_nothing(value: object) -> object:
    if value is None:
        return None
    raise Mismatch("null", value)


def _case_decoder(cases: dict[str, Decode]) -> Decode:
    expected = f"an object with exactly one of {', '.join(cases)}"

    def decode(value: object) -> object:
        if not isinstance(value, dict) or len(value) != 1:
            raise Mismatch(expected, value)
        [(case, payload)] = value.items()
        if case not in cases:
            raise Mismatch(expected, value)
        try:
            return (case, cases[case](payload))
        except Mismatch as error:
            error.add(f".{case}")
            raise

    return decode


def _enum_decoder(names: tuple[str, ...]) -> Decode:
    known = frozenset(names)

    def decode(value: object) -> object:
        if isinstance(value, str) and value in known:
            return value
        raise Mismatch(f"one of {', '.join(names)}", value)

    return decode


def _flags_decoder(names: tuple[str, ...]) -> Decode:
    def decode(value: object) -> object:
        if isinstance(value, list) and value == [name for name in names if name in value]:
            return frozenset(value)
        raise Mismatch(f"an array of some of {', '.join(names)}, in this order, each once", value)

    return decode
