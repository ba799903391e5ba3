import math
import struct
import sys
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.echo import TYPES, echo_component, function_name, values
from tests.engine.guests import IMPORTING, MISBEHAVIOURS, guest, lift
from tests.engine.rig import RecordingHost, Rig, echoes
from theater.engine.marshaller import Marshaller
from theater.engine.program import WasmtimeProgram
from theater.engine.shapes import LIST_BYTES_MAX, explain
from theater.model import wit

P = wit.Primitive


@pytest.fixture(scope="module")
def echo(rig: Rig) -> WasmtimeProgram:
    return rig.load(echo_component())


def _there_and_back(rig: Rig, echo: WasmtimeProgram, index: int, value: object) -> object:
    host = echoes()
    closed = rig.run(echo, function_name(index), value, host=host)
    assert closed.crash is None, closed.crash
    (call,) = host.calls
    assert call == ("", function_name(index), (value,))
    return closed.result


def test_the_types_are_read_from_the_component(echo: WasmtimeProgram) -> None:
    for imported, t in zip(echo.imports, TYPES, strict=True):
        assert imported.type == wit.Function((("v", wit.List(t)),), wit.List(t))
        assert echo.exports["", imported.name] == imported.type


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(TYPES)))
def test_values_go_through_guest_and_host_and_come_back_equal(rig: Rig, echo: WasmtimeProgram, index: int) -> None:
    many = values(wit.List(TYPES[index]))

    @given(many)
    def round_trip(value: object) -> None:
        assert explain(wit.List(TYPES[index]), value) == ""
        assert _there_and_back(rig, echo, index, value) == value

    round_trip()


@pytest.mark.parametrize(
    ("t", "edges"),
    [
        (P("s8"), [-128, 127]),
        (P("u64"), [0, 2**64 - 1]),
        (P("s64"), [-(2**63), 2**63 - 1]),
        (P("f32"), [math.inf, -math.inf, -0.0, 1.5]),
        (P("f64"), [5e-324, sys.float_info.max, -0.0]),
        (P("char"), ["\0", "\ud7ff", "\ue000", "\U0010ffff"]),
        (P("string"), ["", "\0", "é" * 30_000, "\U0001f3ad"]),
        (wit.Option(wit.Option(P("u8"))), [None, ("some", None), ("some", 0)]),
    ],
)
def test_edges_go_through(rig: Rig, echo: WasmtimeProgram, t: wit.Type, edges: list[object]) -> None:
    got = cast("list[object]", _there_and_back(rig, echo, TYPES.index(t), edges))
    assert got == edges
    assert [repr(x) for x in got] == [repr(x) for x in edges]  # tells -0.0 from 0.0


@pytest.mark.parametrize("size", [0, 1, 64, 65, 100_000])
def test_bytes_of_each_size_go_through(rig: Rig, echo: WasmtimeProgram, size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert _there_and_back(rig, echo, TYPES.index(wit.U8), data) == data


WRONG = [
    (P("bool"), 1, "expected bool, got int 1"),
    (P("u16"), 65_536, "65536 is out of range for u16"),
    (P("u16"), -1, "-1 is out of range for u16"),
    (P("s16"), 40_000, "40000 is out of range for s16"),
    (P("u64"), 2**64, "18446744073709551616 is out of range for u64"),
    (P("u32"), True, "expected int for u32, got bool True"),
    (P("u32"), 1.0, "expected int for u32, got float 1.0"),
    (P("f64"), 1, "expected float, got int 1"),
    (P("f32"), 1e300, "1e+300 is out of range for f32"),
    (P("char"), "ab", "expected one character, got str 'ab'"),
    (P("char"), "\ud800", "a lone surrogate at position 0, which UTF-8 cannot hold"),
    (P("char"), 65, "expected str for char, got int 65"),
    (P("string"), b"x", "expected str for string, got bytes"),
    (P("string"), "ab\udfffc", "a lone surrogate at position 2, which UTF-8 cannot hold"),
    (wit.List(wit.U8), "abc", "expected bytes, got str 'abc'"),
    (wit.List(wit.U8), [1], "expected bytes, got list"),
    (wit.List(P("string")), "abc", "expected a list, got str 'abc'"),
    (wit.List(P("u16")), [1, 70_000], "[1]: 70000 is out of range for u16"),
    (wit.Tuple((P("f32"),)), (1.0, 2.0), "expected a tuple of 1, got tuple"),
    (TYPES[19], {"x": 1, "y-axis": 1.0}, "field 'label' is missing"),
    (TYPES[19], {"x": 1, "y-axis": 1.0, "label": None, "z": 0}, "field 'z' is unknown"),
    (TYPES[19], {"x": "1", "y-axis": 1.0, "label": None}, ".x: expected int for s32, got str '1'"),
    (TYPES[21], "none-at-all", "expected (case, payload), got str 'none-at-all'"),
    (TYPES[21], ("none-at-all", 1), ".none-at-all: this case has no payload"),
    (TYPES[21], ("other", 1), "expected one of the cases"),
    (TYPES[21], ("number", None), ".number: expected int for u32, got NoneType"),
    (TYPES[22], "blue", "expected one of ('red', 'dark-green', 'b'), got 'blue'"),
    (TYPES[23], frozenset({"fly"}), "'fly' is none of the flags"),
    (TYPES[23], ["read"], "expected a frozenset, got list"),
    (wit.Option(wit.Option(P("u8"))), 5, "expected None or ('some', value), got int 5"),
    (wit.Result(None, None), ("ok", 1), ".ok: this case has no payload"),
    (wit.Result(None, None), ["ok", None], "expected (case, payload), got list"),
]


@pytest.mark.parametrize(("t", "value", "message"), WRONG)
def test_a_wrong_argument_never_reaches_c_and_is_named(
    rig: Rig, echo: WasmtimeProgram, t: wit.Type, value: object, message: str
) -> None:
    host = RecordingHost()
    crash = rig.run(echo, function_name(TYPES.index(t)), [value], host=host).crash
    assert crash is not None
    assert (crash.reason, crash.code) == ("internal", "invalid-input")
    assert message in crash.message
    assert not host.calls


@pytest.mark.parametrize(("t", "value", "message"), WRONG)
def test_a_wrong_answer_of_the_host_is_our_bug_and_named(
    rig: Rig, echo: WasmtimeProgram, t: wit.Type, value: object, message: str
) -> None:
    host = RecordingHost(lambda *_: [value])
    crash = rig.run(echo, function_name(TYPES.index(t)), [], host=host).crash
    assert crash is not None
    assert (crash.reason, crash.code) == ("internal", "internal")
    assert message in crash.message


@pytest.mark.slow
@given(st.sampled_from(TYPES), st.from_type(object) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
))  # fmt: skip
def test_what_the_marshaller_refuses_is_what_the_explanation_finds(t: wit.Type, value: object) -> None:
    lower, _ = Marshaller().for_export(wit.Function((("v", t),), None))
    try:
        lower((value,), [0])
        refused = False
    except Exception:  # noqa: BLE001 - whatever it raises
        refused = True
    assert refused == bool(explain(t, value))


def test_too_many_bytes_are_refused(rig: Rig, echo: WasmtimeProgram) -> None:
    crash = rig.run(echo, function_name(TYPES.index(wit.U8)), bytes(LIST_BYTES_MAX + 1)).crash
    assert crash is not None
    assert "8388609 bytes, more than 8388608" in crash.message


def test_a_nan_crosses_as_the_canonical_one(rig: Rig, echo: WasmtimeProgram) -> None:
    (odd,) = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_1234))
    for t in (P("f32"), P("f64")):
        host = echoes()
        got = cast("list[float]", rig.run(echo, function_name(TYPES.index(t)), [odd], host=host).result)
        seen = cast("tuple[list[float]]", host.calls[0][2])[0]
        for value in (*got, *seen):
            assert struct.pack("<d", value) == struct.pack("<d", math.nan)


def test_a_guests_own_nan_is_canonical(rig: Rig) -> None:
    wat = guest(
        '(func (export "f32") (result f32) (f32.reinterpret_i32 (i32.const 0xffc12345)))'
        '(func (export "bits") (result i64) (i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const -0))))',
        lift("f32", "(result f32)"),
        lift("bits", "(result u64)"),
    )
    program = rig.load(wat)
    assert rig.run(program, "bits").result == 0x7FF8_0000_0000_0000
    assert struct.pack("<d", cast("float", rig.run(program, "f32").result)) == struct.pack("<d", math.nan)


def test_out_of_range_small_integers_of_a_guest_are_cut(rig: Rig) -> None:
    program = rig.load(MISBEHAVIOURS)
    assert rig.run(program, "u8", 300).result == 44
    assert rig.run(program, "s8", 200).result == -56
    assert rig.run(program, "bool", 7).result is True
    assert rig.run(program, "char", 0x1F3AD).result == "\U0001f3ad"


def test_a_function_without_result_answers_nothing(rig: Rig) -> None:
    host = RecordingHost(lambda *_: "something")
    crash = rig.run(rig.load(IMPORTING), "log", 1024, 5, host=host).crash
    assert crash is not None
    assert crash.message == "host-log: the host answered str where nothing is returned"
