"""Guest values as JSON and back, by type: every value survives, and nothing but what was written is read."""

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
from theater.model.wit_json import Mismatch, Names, decoder, encoder

STRING = Primitive("string")
U64 = Primitive("u64")
S64 = Primitive("s64")
F32 = Primitive("f32")
F64 = Primitive("f64")
CHAR = Primitive("char")
BOOL = Primitive("bool")

WIDTHS = {"s8": 8, "u8": 8, "s16": 16, "u16": 16, "s32": 32, "u32": 32, "s64": 64, "u64": 64}
NAMES = st.text("abcdefghij-", min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def some_names(least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(NAMES, min_size=least, max_size=4, unique=True).map(tuple)


def primitives() -> st.SearchStrategy[Type]:
    names = ["bool", "char", "string", "f32", "f64", *WIDTHS]
    return st.sampled_from(names).map(Primitive)  # type: ignore[arg-type]  # they are its names


def composites(parts: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    maybe = st.none() | parts
    return st.one_of(
        parts.map(List),
        st.lists(parts, min_size=1, max_size=3).map(lambda elements: Tuple(tuple(elements))),
        some_names().flatmap(
            lambda names: st.tuples(*[parts] * len(names)).map(
                lambda types: Record(tuple(zip(names, types, strict=True)))
            )
        ),
        parts.map(Option),
        st.builds(Result, maybe, maybe),
        some_names().flatmap(
            lambda names: st.tuples(*[maybe] * len(names)).map(
                lambda types: Variant(tuple(zip(names, types, strict=True)))
            )
        ),
    )


LEAVES = st.one_of(
    primitives(),
    some_names().map(Enum),
    some_names().map(Flags),
)
TYPES = st.recursive(LEAVES, composites, max_leaves=8)


def values(of: Type) -> st.SearchStrategy[Any]:
    """Values of a type, in the shapes that the engine gives."""
    match of:
        case Primitive():
            return primitive_values(of.name)
        case List():
            return st.binary(max_size=8) if of.element == U8 else st.lists(values(of.element), max_size=3)
        case Tuple():
            return st.tuples(*map(values, of.elements))
        case Record():
            return st.fixed_dictionaries({name: values(field) for name, field in of.fields})
        case Option():
            inner = values(of.payload)
            return st.none() | (inner.map(lambda v: ("some", v)) if isinstance(of.payload, Option) else inner)
        case Result():
            return case_values({"ok": of.ok, "err": of.err})
        case Variant():
            return case_values(dict(of.cases))
        case Enum():
            return st.sampled_from(of.names)
        case Flags():
            return st.frozensets(st.sampled_from(of.names))
        case Handle() | Unsupported():
            raise AssertionError


def primitive_values(name: str) -> st.SearchStrategy[Any]:
    match name:
        case "bool":
            return st.booleans()
        case "char":
            return st.characters(exclude_categories=["Cs"])
        case "string":
            return TEXTS
        case "f32" | "f64":
            return st.floats(width=32 if name == "f32" else 64)
        case _:
            bits = WIDTHS[name]
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if name[0] == "s" else (0, 2**bits - 1)
            edges = [edge for edge in (2**53 - 1, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1) if low <= edge <= high]
            return st.integers(low, high) | st.sampled_from([low, high, *edges])


def case_values(cases: dict[str, Type | None]) -> st.SearchStrategy[Any]:
    def of_case(case: str, payload: Type | None) -> st.SearchStrategy[Any]:
        return st.tuples(st.just(case), st.none() if payload is None else values(payload))

    return st.one_of([of_case(case, payload) for case, payload in cases.items()])


def same(left: object, right: object) -> bool:
    """Equal in kind and value, NaN and the sign of zero included."""
    return repr(left) == repr(right)


typed_values = TYPES.flatmap(lambda of: st.tuples(st.just(of), values(of)))


@given(typed_values)
@example((F64, -0.0))
@example((F64, math.nan))
@example((F32, struct.unpack("<f", struct.pack("<f", 0.1))[0]))
@example((Option(Option(STRING)), ("some", None)))
@example(
    (List(Option(Option(Option(U64)))), [None, ("some", None), ("some", ("some", None)), ("some", ("some", 2**64 - 1))])
)
@pytest.mark.slow
def test_every_value_of_every_type_survives_the_way_through_json(typed: tuple[Type, Any]) -> None:
    of, value = typed

    text = msgspec.json.encode(encoder(of)(value, {}))
    back = decoder(of)(msgspec.json.decode(text))

    assert same(normal(back), normal(value))
    assert msgspec.json.encode(encoder(of)(back, {})) == text


def normal(value: object) -> object:
    """Neither sets nor fields have an order of their own."""
    match value:
        case frozenset():
            return ("flags", sorted(value))
        case list():
            return [normal(item) for item in value]
        case tuple():
            return tuple(normal(item) for item in value)
        case dict():
            return {name: normal(value[name]) for name in sorted(value)}
        case _:
            return value


@given(typed_values)
@pytest.mark.slow
def test_what_is_written_is_plain_json_that_another_reader_reads_the_same(typed: tuple[Type, Any]) -> None:
    of, value = typed
    written = encoder(of)(value, {})

    assert json.loads(json.dumps(written, allow_nan=False)) == written


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(TYPES, JSON_VALUES)
@pytest.mark.slow
def test_a_decoder_reads_only_what_the_encoder_writes_and_raises_mismatch_for_the_rest(of: Type, value: object) -> None:
    try:
        decoded = decoder(of)(value)
    except Mismatch:
        return
    assert encoder(of)(decoded, {}) == value


RECORD = Record((("id", STRING), ("expects-reply", BOOL), ("sender", Option(STRING))))
COLOURS = Flags(("red", "green", "blue"))
ERROR = Variant((("closed", None), ("too-large", U64)))


@pytest.mark.parametrize(
    ("of", "value", "written"),
    [
        (STRING, '{"by":1}', '{"by":1}'),
        (CHAR, "ü", "ü"),
        (U64, 2**53, 2**53),
        (U64, 2**53 + 1, "9007199254740993"),
        (S64, -(2**63), "-9223372036854775808"),
        (S64, -(2**53), -(2**53)),
        (F64, math.inf, "Infinity"),
        (F64, -math.inf, "-Infinity"),
        (F64, math.nan, "NaN"),
        (F64, 1.5, 1.5),
        (List(U8), b"\x00\xff", "AP8="),
        (List(STRING), ["a"], ["a"]),
        (List(Tuple((STRING, STRING))), [("a", "b")], [["a", "b"]]),
        (
            RECORD,
            {"sender": None, "expects-reply": True, "id": "1"},
            {"id": "1", "expects-reply": True, "sender": None},
        ),
        (Option(STRING), None, None),
        (Option(STRING), "x", "x"),
        (Option(Option(STRING)), None, None),
        (Option(Option(STRING)), ("some", None), [None]),
        (Option(Option(STRING)), ("some", "x"), ["x"]),
        (Result(U64, STRING), ("ok", 1), {"ok": 1}),
        (Result(None, ERROR), ("ok", None), {"ok": None}),
        (Result(None, ERROR), ("err", ("closed", None)), {"err": {"closed": None}}),
        (ERROR, ("too-large", 2**60), {"too-large": "1152921504606846976"}),
        (Enum(("ipv4", "ipv6")), "ipv6", "ipv6"),
        (COLOURS, frozenset({"blue", "red"}), ["red", "blue"]),
        (COLOURS, frozenset(), []),
    ],
)
def test_each_type_has_its_form(of: Type, value: object, written: object) -> None:
    assert same(encoder(of)(value, {}), written)
    assert same(normal(decoder(of)(written)), normal(decoder(of)(encoder(of)(value, {}))))


@pytest.mark.parametrize(
    ("of", "found", "text"),
    [
        (STRING, 1, "$: expected a string, found a number"),
        (STRING, "\ud800", "$: expected a string of Unicode scalar values, found a string"),
        (CHAR, "ab", "$: expected one character, found a string"),
        (CHAR, "\udfff", "$: expected a string of Unicode scalar values, found a string"),
        (BOOL, 1, "$: expected a boolean, found a number"),
        (U8, True, "$: expected a whole number from 0 to 255, found a boolean"),
        (U8, 256, "$: expected a whole number from 0 to 255, found a number"),
        (U8, 1.0, "$: expected a whole number from 0 to 255, found a number"),
        (U64, 2**53 + 1, None),
        (U64, "9007199254740992", None),
        (U64, "09007199254740993", None),
        (U64, "18446744073709551616", None),
        (U64, "-9007199254740993", None),
        (U64, "٩٠٠٧١٩٩٢٥٤٧٤٠٩٩٣", None),
        (U64, "9" * 5000, None),
        (S64, "+9007199254740993", None),
        (S64, "9223372036854775808", None),
        (F64, "nan", None),
        (F64, math.inf, None),
        (F64, 2**53 + 1, None),
        (F32, 0.1, "$: expected a number that an f32 holds exactly, found a number"),
        (F32, 1e300, "$: expected a number that an f32 holds exactly, found a number"),
        (List(U8), [0, 255], "$: expected base64, padded, found an array"),
        (List(U8), "AP9=", None),
        (List(U8), "AP8", None),
        (List(U8), "AP-_", None),
        (List(U8), "AP8=\n", None),
        (List(STRING), {}, "$: expected an array, found an object"),
        (List(STRING), ["a", None], "$[1]: expected a string, found null"),
        (Tuple((STRING, BOOL)), ["a"], "$: expected an array of 2, found an array"),
        (Tuple((STRING, BOOL)), ["a", "b"], "$[1]: expected a boolean, found a string"),
        (
            RECORD,
            {"id": "1", "sender": None},
            "$: expected an object with exactly id, expects-reply, sender, found an object",
        ),
        (
            RECORD,
            {"id": "1", "expects-reply": 0, "sender": None},
            "$.expects-reply: expected a boolean, found a number",
        ),
        (Option(Option(STRING)), "x", "$: expected null or an array of 1, found a string"),
        (Option(Option(STRING)), [1], "$[0]: expected a string, found a number"),
        (
            Result(STRING, None),
            {"ok": "a", "err": None},
            "$: expected an object with exactly one of ok, err, found an object",
        ),
        (Result(STRING, None), {"err": 0}, "$.err: expected null, found a number"),
        (ERROR, {"open": None}, "$: expected an object with exactly one of closed, too-large, found an object"),
        (ERROR, "closed", "$: expected an object with exactly one of closed, too-large, found a string"),
        (Enum(("a", "b")), "c", "$: expected one of a, b, found a string"),
        (COLOURS, ["blue", "red"], None),
        (COLOURS, ["red", "red"], None),
        (COLOURS, ["pink"], None),
        (COLOURS, [["red"]], None),
        (
            List(Record((("a", Result(Tuple((STRING,)), None)),))),
            [{"a": {"err": None}}, {"a": {"ok": [5]}}],
            "$[1].a.ok[0]: expected a string, found a number",
        ),
    ],
)
def test_what_is_not_of_the_type_is_refused_with_its_place(of: Type, found: object, text: str | None) -> None:
    with pytest.raises(Mismatch) as caught:
        decoder(of)(found)

    assert isinstance(caught.value, ValueError)
    assert text is None or str(caught.value) == text


@pytest.mark.parametrize("make", [encoder, decoder])
def test_a_type_that_cannot_cross_the_boundary_has_neither(make: Callable[[Type], object]) -> None:
    with pytest.raises(ValueError, match="a stream cannot be written down"):
        make(List(Unsupported("a stream")))


OWN = Handle(1, owned=True)
BORROW = Handle(2, owned=False)


def test_resources_are_named_in_the_order_in_which_a_record_mentions_them() -> None:
    names: Names = {}

    assert encoder(BORROW)(70, names) == 1
    assert encoder(List(BORROW))([9, 70, 8], names) == [2, 1, 3]
    assert encoder(Result(Record((("b", OWN), ("a", Option(Tuple((OWN, STRING)))))), None))(
        ("ok", {"a": (8, "x"), "b": 5}), names
    ) == {"ok": {"b": 4, "a": [3, "x"]}}
    assert names == {70: 1, 9: 2, 8: 3, 5: 4}
    assert encoder(BORROW)(5, {}) == 1


@pytest.mark.parametrize("of", [OWN, BORROW, List(BORROW), Result(Option(Record((("a", OWN),))), None)])
def test_a_resource_cannot_be_read_back(of: Type) -> None:
    with pytest.raises(ValueError, match="a resource cannot be read back"):
        decoder(of)


def test_a_type_is_compiled_once() -> None:
    assert encoder(List(RECORD)) is encoder(List(RECORD))
    assert decoder(List(RECORD)) is decoder(List(RECORD))


def test_values_that_are_their_own_json_are_passed_through_whole() -> None:
    texts = ["a", "b"]

    assert encoder(List(STRING))(texts, {}) is texts
