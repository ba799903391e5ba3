"""Says what is wrong with a value that the marshaller refused.

The compiled marshaller only decides; this walks the type and the value again and names the place. It runs once, on the
way to an error.
"""

from __future__ import annotations

from theater.model import wit

_RANGES = {
    "s8": (-(1 << 7), (1 << 7) - 1),
    "u8": (0, (1 << 8) - 1),
    "s16": (-(1 << 15), (1 << 15) - 1),
    "u16": (0, (1 << 16) - 1),
    "s32": (-(1 << 31), (1 << 31) - 1),
    "u32": (0, (1 << 32) - 1),
    "s64": (-(1 << 63), (1 << 63) - 1),
    "u64": (0, (1 << 64) - 1),
}

LIST_BYTES_MAX = 8 << 20
"""Of a ``list<u8>`` given to a guest: each byte takes 32 on the way, so this is a quarter of a gigabyte already."""


def explain(type_: wit.Type, value: object, where: str = "value") -> str:
    """The first thing wrong with ``value`` as a ``type_``, "" if nothing is."""
    match type_:
        case wit.Primitive():
            return _primitive(type_, value, where)
        case wit.List() | wit.Tuple() | wit.Record():
            return _compound(type_, value, where)
        case wit.Option():
            return _option(type_, value, where)
        case wit.Result(ok=ok, err=err):
            return _case({"ok": ok, "err": err}, value, where)
        case wit.Variant(cases=cases):
            return _case(dict(cases), value, where)
        case wit.Enum(names=names):
            return (
                "" if isinstance(value, str) and value in names else f"{where}: expected one of {names}, got {value!r}"
            )
        case wit.Flags(names=names):
            if not isinstance(value, frozenset | set):
                return _expected("a frozenset", value, where)
            extra = sorted(map(repr, value - set(names)))
            return f"{where}: {extra[0]} is none of the flags {names}" if extra else ""
        case wit.Handle():
            if value.__class__ is not int or not 0 <= value < 1 << 32:
                return _expected("a resource's number", value, where)
            return ""
        case wit.Unsupported(what=what):
            return f"{where}: {what} cannot cross the boundary"


def explain_arguments(params: tuple[tuple[str, wit.Type], ...], values: tuple[object, ...]) -> str:
    """The same for the arguments of a function."""
    if len(values) != len(params):
        return f"expected {len(params)} arguments, got {len(values)}"
    return next((text for (n, t), v in zip(params, values, strict=True) if (text := explain(t, v, n))), "")


def _expected(what: str, value: object, where: str) -> str:
    got = type(value).__name__
    if isinstance(value, str | int | float) and len(shown := repr(value)) <= 40:
        got += f" {shown}"
    return f"{where}: expected {what}, got {got}"


def _primitive(type_: wit.Primitive, value: object, where: str) -> str:
    name = type_.name
    if name == "bool":
        return "" if value.__class__ is bool else _expected("bool", value, where)
    if name in {"f32", "f64"}:
        if value.__class__ is not float:
            return _expected("float", value, where)
        too_large = name == "f32" and abs(value) > 3.4028235677973366e38 and abs(value) != float("inf")
        return f"{where}: {value!r} is out of range for f32" if too_large else ""
    if name in {"string", "char"}:
        if value.__class__ is not str:
            return _expected(f"str for {name}", value, where)
        if name == "char" and len(value) != 1:
            return _expected("one character", value, where)
        bad = next((i for i, c in enumerate(value) if 0xD800 <= ord(c) <= 0xDFFF), None)
        return "" if bad is None else f"{where}: a lone surrogate at position {bad}, which UTF-8 cannot hold"
    low, high = _RANGES[name]
    if value.__class__ is not int:
        return _expected(f"int for {name}", value, where)
    return "" if low <= value <= high else f"{where}: {value} is out of range for {name}"


def _compound(type_: wit.List | wit.Tuple | wit.Record, value: object, where: str) -> str:
    parts: list[tuple[wit.Type, object, str]] = []
    match type_:
        case wit.List(element=wit.Primitive(name="u8")):
            if not isinstance(value, bytes | bytearray):
                return _expected("bytes", value, where)
            return "" if len(value) <= LIST_BYTES_MAX else f"{where}: {len(value)} bytes, more than {LIST_BYTES_MAX}"
        case wit.List(element=element):
            if value.__class__ not in (list, tuple):
                return _expected("a list", value, where)
            parts = [(element, v, f"{where}[{i}]") for i, v in enumerate(value)]
        case wit.Tuple(elements=elements):
            if value.__class__ not in (tuple, list) or len(value) != len(elements):
                return _expected(f"a tuple of {len(elements)}", value, where)
            parts = [(t, v, f"{where}[{i}]") for i, (t, v) in enumerate(zip(elements, value, strict=True))]
        case wit.Record(fields=fields):
            if not isinstance(value, dict):
                return _expected("a dict", value, where)
            names = [name for name, _ in fields]
            odd = next((n for n in names if n not in value), None) or next((n for n in value if n not in names), None)
            if odd is not None:
                return f"{where}: field {odd!r} is {'missing' if odd in names else 'unknown'}"
            parts = [(t, value[n], f"{where}.{n}") for n, t in fields]
    return next((text for t, v, w in parts if (text := explain(t, v, w))), "")


def _option(type_: wit.Option, value: object, where: str) -> str:
    if value is None:
        return ""
    if isinstance(type_.payload, wit.Option):
        if not (isinstance(value, tuple) and len(value) == 2 and value[0] == "some"):
            return _expected("None or ('some', value)", value, where)
        value = value[1]
    return explain(type_.payload, value, where)


def _case(cases: dict[str, wit.Type | None], value: object, where: str) -> str:
    if not (isinstance(value, tuple) and len(value) == 2):
        return _expected("(case, payload)", value, where)
    case, payload = value
    if not isinstance(case, str) or case not in cases:
        return f"{where}: expected one of the cases {tuple(cases)}, got {case!r}"
    type_ = cases[case]
    if type_ is None:
        return "" if payload is None else f"{where}.{case}: this case has no payload"
    return explain(type_, payload, f"{where}.{case}")
