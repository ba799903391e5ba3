"""The canonical ABI, as far as hand-written guests need it: where a value's parts lie in memory and among parameters.

``layout`` and ``flat`` are the two representations of a type; ``load`` and ``spill`` are the code (WAT) that goes from
memory to flat values and back.
"""

from collections.abc import Iterator, Sequence

from theater.model import wit

PARAMS_MAX = 16
"""More flat parameters than that go through memory (MAX_FLAT_PARAMS)."""
RESULTS_MAX = 1
"""Likewise for results (MAX_FLAT_RESULTS)."""

_INTEGERS = {"bool": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8, "char": 4}
_LOADS = {1: "i32.load8_u", 2: "i32.load16_u", 4: "i32.load", 8: "i64.load"}
_STORES = {1: "i32.store8", 2: "i32.store16", 4: "i32.store", 8: "i64.store"}

Cases = tuple[tuple[str, wit.Type | None], ...]


def cases(t: wit.Type) -> Cases:
    """The cases of a type that is a choice, () of any other."""
    match t:
        case wit.Variant(cases=found):
            return found
        case wit.Enum(names=names):
            return tuple((name, None) for name in names)
        case wit.Option(payload=payload):
            return (("none", None), ("some", payload))
        case wit.Result(ok=ok, err=err):
            return (("ok", ok), ("err", err))
        case _:
            return ()


def layout(t: wit.Type) -> tuple[int, int]:
    """Size and alignment in memory, in bytes."""
    match t:
        case wit.Primitive(name="string") | wit.List():
            return 8, 4
        case wit.Primitive(name=name):
            return _INTEGERS[name], _INTEGERS[name]
        case wit.Record(fields=fields):
            return sequence([inner for _, inner in fields])[1:]
        case wit.Tuple(elements=elements):
            return sequence(elements)[1:]
    payloads = [layout(payload) for _, payload in cases(t) if payload is not None]
    align = max([1, *(each for _, each in payloads)])
    return _aligned(payload_offset(t) + max([0, *(size for size, _ in payloads)]), align), align


def sequence(types: Sequence[wit.Type]) -> tuple[list[int], int, int]:
    """The offset of each of several values that lie one after the other; the size and alignment of them all."""
    places: list[int] = []
    at, most = 0, 1
    for t in types:
        size, align = layout(t)
        places.append(_aligned(at, align))
        at = places[-1] + size
        most = max(most, align)
    return places, _aligned(at, most), most


def payload_offset(t: wit.Type) -> int:
    """Where the payload of a choice lies, behind its discriminant (one byte: none of ours has more than 256 cases)."""
    return _aligned(1, max([1, *(layout(payload)[1] for _, payload in cases(t) if payload is not None)]))


def flat(t: wit.Type) -> list[str]:
    """The core types of a value that is passed without memory."""
    match t:
        case wit.Primitive(name="string") | wit.List():
            return ["i32", "i32"]
        case wit.Primitive(name=name):
            return [_core(name)]
        case wit.Record(fields=fields):
            return [each for _, inner in fields for each in flat(inner)]
        case wit.Tuple(elements=elements):
            return [each for inner in elements for each in flat(inner)]
    joined: list[str] = []
    for _, payload in cases(t):
        for position, each in enumerate(flat(payload) if payload is not None else ()):
            if position == len(joined):
                joined.append(each)
            elif joined[position] != each:
                joined[position] = "i64"
    return ["i32", *joined]


def load(t: wit.Type, base: str, offset: int = 0) -> list[str]:
    """Expressions that load the flat values of what lies at ``base`` (an expression) and ``offset``."""
    match t:
        case wit.Primitive(name="string") | wit.List():
            return [_load(4, base, offset), _load(4, base, offset + 4)]
        case wit.Primitive(name=name):
            return [_load(_INTEGERS[name], base, offset)]
        case wit.Record(fields=fields):
            return _load_all([inner for _, inner in fields], base, offset)
        case wit.Tuple(elements=elements):
            return _load_all(elements, base, offset)
    case_of = _load(1, base, offset)
    slots = flat(t)[1:]
    found = [f"({slot}.const 0)" for slot in slots]
    for number, (_, payload) in enumerate(cases(t)):
        if payload is None:
            continue
        loaded = load(payload, base, offset + payload_offset(t))
        for position, (expression, core) in enumerate(zip(loaded, flat(payload), strict=True)):
            slot = slots[position]
            value = expression if core == slot else f"(i64.extend_i32_u {expression})"
            found[position] = (
                f"(if (result {slot}) (i32.eq {case_of} (i32.const {number})) (then {value}) (else {found[position]}))"
            )
    return [case_of, *found]


def spill(t: wit.Type, base: str, values: Iterator[str], offset: int = 0) -> str:
    """Statements that store the flat ``values`` (expressions, as many as ``flat`` has) at ``base`` and ``offset``."""
    match t:
        case wit.Primitive(name="string") | wit.List():
            return _store(4, base, offset, next(values)) + _store(4, base, offset + 4, next(values))
        case wit.Primitive(name=name):
            return _store(_INTEGERS[name], base, offset, next(values))
        case wit.Record(fields=fields):
            return _spill_all([inner for _, inner in fields], base, values, offset)
        case wit.Tuple(elements=elements):
            return _spill_all(elements, base, values, offset)
    case_of = next(values)
    slots = flat(t)[1:]
    given = [next(values) for _ in slots]
    text = _store(1, base, offset, case_of)
    for number, (_, payload) in enumerate(cases(t)):
        if payload is None:
            continue
        narrowed = [
            value if core == slot else f"(i32.wrap_i64 {value})"
            for value, slot, core in zip(given, slots, flat(payload), strict=False)
        ]
        stored = spill(payload, base, iter(narrowed), offset + payload_offset(t))
        text += f"(if (i32.eq {case_of} (i32.const {number})) (then {stored}))"
    return text


def store_number(t: wit.Type, base: str, offset: int, number: str) -> str:
    """A statement that stores an integer or a bool, given as an expression of the type i64."""
    assert isinstance(t, wit.Primitive)
    size = _INTEGERS[t.name]
    return _store(size, base, offset, number if size == 8 else f"(i32.wrap_i64 {number})")


def load_number(t: wit.Type, base: str) -> str:
    """An expression of the type i64."""
    assert isinstance(t, wit.Primitive)
    size = _INTEGERS[t.name]
    return _load(size, base, 0) if size == 8 else f"(i64.extend_i32_u {_load(size, base, 0)})"


def signature(function: wit.Function) -> str:
    """The core type of an imported function, as its lowering has it."""
    params = [each for _, t in function.params for each in flat(t)]
    if len(params) > PARAMS_MAX:
        params = ["i32"]
    results = flat(function.result) if function.result is not None else []
    if len(results) > RESULTS_MAX:
        params.append("i32")
        results = []
    return "".join(f"({word} {' '.join(types)})" for word, types in (("param", params), ("result", results)) if types)


def _load_all(types: Sequence[wit.Type], base: str, offset: int) -> list[str]:
    places = sequence(types)[0]
    return [each for place, inner in zip(places, types, strict=True) for each in load(inner, base, offset + place)]


def _spill_all(types: Sequence[wit.Type], base: str, values: Iterator[str], offset: int) -> str:
    places = sequence(types)[0]
    return "".join(spill(inner, base, values, offset + place) for place, inner in zip(places, types, strict=True))


def _core(name: str) -> str:
    return "i64" if _INTEGERS[name] == 8 else "i32"


def _load(size: int, base: str, offset: int) -> str:
    return f"({_LOADS[size]} offset={offset} {base})"


def _store(size: int, base: str, offset: int, value: str) -> str:
    return f"({_STORES[size]} offset={offset} {base} {value})"


def _aligned(at: int, align: int) -> int:
    return -(-at // align) * align
