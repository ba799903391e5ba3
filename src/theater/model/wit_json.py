"""Guest values as JSON: how arguments and answers stand in the payloads of events.

The mapping is by WIT type and part of the chain's format: it never changes for a type that it has.

=====================  ================================================================================================
type                   JSON
=====================  ================================================================================================
bool                   ``true``, ``false``
integers               number; an s64 or u64 beyond 2^53 its decimal digits as a string, since many readers have no
                       exact number there
f32, f64               number; ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
char, string           string; a ``json`` value is a string with exactly its text
list<u8>               base64 (RFC 4648 section 4, padded)
list<T>, tuple         array
record                 object, fields in the order of their declaration
option<T>              null or the value; where T is itself an option: null or ``[value]``
result<T, E>           ``{"ok":value}`` or ``{"err":value}``, null for a missing payload
variant                ``{"case":value}``, null for a missing payload
enum                   its name
flags                  the names that are set, in the order of their declaration
own<R>, borrow<R>      number: the name of the resource, see below
=====================  ================================================================================================

``encoder`` and ``decoder`` compile a type into a function, once. An encoder trusts its value, which comes from the
engine or from a host function in the shapes of ``theater.model.wit``. A type whose JSON is its value (strings, small
integers, lists of them ...) has the identity as encoder: the common payload costs nothing.

A resource is named by its place among those that the record of its step mentions: the first is 1, the next 2. Its
number in the instance would tell how much the instance did in steps before, and be another one in a fresh instance. An
encoder is therefore given the ``Names`` of its step, and adds to them. A name says nothing of which resource to hand
out, so there is no way back: a type with a resource in it has a decoder for those alone who look at the rest of it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from functools import lru_cache
from typing import assert_never

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
from theater.model.wit_json_decoder import CACHED_TYPES_MAX, EXACT_MAX, Mismatch, decoder

__all__ = ["EXACT_MAX", "Encode", "Mismatch", "Names", "decoder", "encoder"]

Names = dict[int, int]
"""The names that a step's record has given to resources so far, by their numbers. Each step begins with none."""

Encode = Callable[[object, Names], object]


@lru_cache(maxsize=CACHED_TYPES_MAX)
def encoder(of: Type) -> Encode:
    """What makes JSON-able values (None, bool, int, float, str, list, dict) of values of this type.

    Raises:
        ValueError: the type cannot cross the boundary.
    """
    match of:
        case Primitive(name="s64" | "u64"):
            return _encode_wide
        case Primitive(name="f32" | "f64"):
            return _encode_float
        case Primitive() | Enum():
            return _same
        case Handle():
            return _encode_handle
        case List(element=element):
            return _encode_bytes if element == U8 else _list_encoder(encoder(element))
        case Tuple(elements=elements):
            return _tuple_encoder([encoder(element) for element in elements])
        case Record(fields=fields):
            return _record_encoder([(name, encoder(field)) for name, field in fields])
        case Option(payload=payload):
            return _option_encoder(encoder(payload), is_nested=isinstance(payload, Option))
        case Result(ok=ok, err=err):
            return _case_encoder({"ok": _payload_encoder(ok), "err": _payload_encoder(err)})
        case Variant(cases=cases):
            return _case_encoder({name: _payload_encoder(payload) for name, payload in cases})
        case Flags(names=names):
            return _flags_encoder(names)
        case Unsupported(what=what):
            raise ValueError(f"{what} cannot be written down")
        case _:
            assert_never(of)


def _same(value: object, _names: Names) -> object:
    return value


def _encode_wide(value: object, _names: Names) -> object:
    assert isinstance(value, int)
    return value if -EXACT_MAX <= value <= EXACT_MAX else str(value)


def _encode_float(value: object, _names: Names) -> object:
    assert isinstance(value, float)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _encode_bytes(value: object, _names: Names) -> object:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode("ascii")


def _encode_handle(value: object, names: Names) -> object:
    assert isinstance(value, int)
    return names.setdefault(value, len(names) + 1)


def _list_encoder(element: Encode) -> Encode:
    if element is _same:
        return _same

    def encode(value: object, names: Names) -> object:
        assert isinstance(value, list)
        return [element(item, names) for item in value]

    return encode


def _tuple_encoder(elements: list[Encode]) -> Encode:
    def encode(value: object, names: Names) -> object:
        assert isinstance(value, tuple)
        return [element(item, names) for element, item in zip(elements, value, strict=True)]

    return encode


def _record_encoder(fields: list[tuple[str, Encode]]) -> Encode:
    def encode(value: object, names: Names) -> object:
        assert isinstance(value, dict)
        return {name: field(value[name], names) for name, field in fields}

    return encode


def _option_encoder(payload: Encode, *, is_nested: bool) -> Encode:
    if is_nested:

        def encode_nested(value: object, names: Names) -> object:
            if value is None:
                return None
            assert isinstance(value, tuple)
            return [payload(value[1], names)]

        return encode_nested
    if payload is _same:
        return _same

    def encode(value: object, names: Names) -> object:
        return None if value is None else payload(value, names)

    return encode


def _payload_encoder(of: Type | None) -> Encode:
    return _same if of is None else encoder(of)


def _case_encoder(cases: dict[str, Encode]) -> Encode:
    def encode(value: object, names: Names) -> object:
        assert isinstance(value, tuple)
        case, payload = value
        return {case: cases[case](payload, names)}

    return encode


def _flags_encoder(names: tuple[str, ...]) -> Encode:
    def encode(value: object, _names: Names) -> object:
        assert isinstance(value, frozenset)
        return [name for name in names if name in value]

    return encode
