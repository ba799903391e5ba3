"""A guest that passes values of many types to the host and back, made from the types."""

from __future__ import annotations

from hypothesis import strategies as st

from theater.model import wit

P = wit.Primitive
POINT = wit.Record((("x", P("s32")), ("y-axis", P("f64")), ("label", wit.Option(P("string")))))
SHADE = wit.Enum(("red", "dark-green", "b"))
RIGHTS = wit.Flags(("read", "write", "exec-all"))
SHAPE = wit.Variant((("none-at-all", None), ("number", P("u32")), ("point", POINT), ("text", P("string"))))

TYPES: tuple[wit.Type, ...] = (
    *(P(name) for name in ("bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64")),
    P("char"),
    P("string"),
    wit.List(wit.U8),
    wit.List(P("u16")),
    wit.List(P("string")),
    wit.List(wit.List(wit.List(P("char")))),
    wit.Tuple((P("u8"), P("string"), P("bool"))),
    wit.Tuple((P("f32"),)),
    POINT,
    wit.List(POINT),
    SHAPE,
    SHADE,
    RIGHTS,
    wit.Flags(tuple(f"b{i}" for i in range(30))),
    wit.Option(P("string")),
    wit.Option(wit.Option(P("u8"))),
    wit.Option(wit.Option(wit.Option(RIGHTS))),
    wit.Result(P("string"), P("u32")),
    wit.Result(None, P("string")),
    wit.Result(P("u64"), None),
    wit.Result(None, None),
    wit.Result(wit.Option(POINT), wit.List(wit.U8)),
    wit.List(wit.Tuple((wit.Option(wit.Result(POINT, SHAPE)), RIGHTS, SHADE))),
)
"""Every kind of type, alone and in each other. The echo carries each in a list."""


def function_name(index: int) -> str:
    return f"echo-{index}"


def echo_component() -> str:
    """``echo-N: func(v: list<TYPES[N]>) -> list<TYPES[N]>``: calls the import of the same name with what it got."""
    named: dict[wit.Type, str] = {}
    head: list[str] = []
    imports, lowers, core_imports, core_functions, withs, lifts = [], [], [], [], [], []
    for i, t in enumerate(TYPES):
        signature = f'(param "v" (list {_text(t, named, head)})) (result (list {_text(t, named, head)}))'
        imports.append(f'(import "{function_name(i)}" (func $f{i} {signature}))')
        lowers.append(f"(core func $l{i} (canon lower (func $f{i}) (memory $memory) (realloc $realloc)))")
        core_imports.append(f'(import "h" "f{i}" (func $f{i} (param i32 i32 i32)))')
        core_functions.append(
            f'(func (export "f{i}") (param i32 i32) (result i32)'
            f" (call $f{i} (local.get 0) (local.get 1) (i32.const 16)) (i32.const 16))"
        )
        withs.append(f'(export "f{i}" (func $l{i}))')
        lifts.append(
            f'(func (export "{function_name(i)}") {signature}'
            f' (canon lift (core func $i "f{i}") (memory $memory) (realloc $realloc)))'
        )
    return f"""(component {" ".join(head)} {" ".join(imports)}
  (core module $Memory (memory (export "memory") 16)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
      (local.set $r (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $r) (local.get 3))) (local.get $r)))
  (core instance $m (instantiate $Memory))
  (alias core export $m "memory" (core memory $memory)) (alias core export $m "realloc" (core func $realloc))
  {" ".join(lowers)}
  (core module $M {" ".join(core_imports)} {" ".join(core_functions)})
  (core instance $i (instantiate $M (with "h" (instance {" ".join(withs)}))))
  {" ".join(lifts)})"""


def values(t: wit.Type) -> st.SearchStrategy[object]:
    """Values of a type in their Python shape."""
    match t:
        case wit.Primitive(name=name):
            return _primitive(name)
        case wit.List(element=wit.Primitive(name="u8")):
            return st.binary(max_size=100)
        case wit.List(element=element):
            return st.lists(values(element), max_size=3)
        case wit.Tuple(elements=elements):
            return st.tuples(*(values(e) for e in elements))
        case wit.Record(fields=fields):
            return st.fixed_dictionaries({name: values(f) for name, f in fields})
        case wit.Option(payload=payload):
            some = values(payload)
            nested = st.tuples(st.just("some"), some) if isinstance(payload, wit.Option) else some
            return st.none() | nested
        case wit.Result(ok=ok, err=err):
            return _case("ok", ok) | _case("err", err)
        case wit.Variant(cases=cases):
            return st.one_of(*(_case(name, c) for name, c in cases))
        case wit.Enum(names=names):
            return st.sampled_from(names)
        case wit.Flags(names=names):
            return st.frozensets(st.sampled_from(names))
        case _:
            raise AssertionError(t)


def _primitive(name: wit.PrimitiveName) -> st.SearchStrategy[object]:
    match name:
        case "bool":
            return st.booleans()
        case "f32" | "f64":
            return st.floats(width=int(name[1:]), allow_nan=False)  # type: ignore[arg-type] # 32 or 64
        case "char":
            return st.characters(exclude_categories=["Cs"])
        case "string":
            return st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    bits = int(name[1:])
    low, high = (0, (1 << bits) - 1) if name[0] == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return st.integers(low, high)


def _case(name: str, payload: wit.Type | None) -> st.SearchStrategy[object]:
    return st.tuples(st.just(name), st.none() if payload is None else values(payload))


def _text(t: wit.Type, named: dict[wit.Type, str], head: list[str]) -> str:
    """A type in WAT. Records, variants, enums and flags need a name at the boundary; ``head`` gets its definition."""

    def part(inner: wit.Type) -> str:
        return _text(inner, named, head)

    match t:
        case wit.Primitive(name=name):
            return name
        case wit.List(element=element):
            return f"(list {part(element)})"
        case wit.Tuple(elements=elements):
            return f"(tuple {' '.join(part(e) for e in elements)})"
        case wit.Option(payload=payload):
            return f"(option {part(payload)})"
        case wit.Result(ok=ok, err=err):
            return f"(result {part(ok) if ok else ''} {f'(error {part(err)})' if err else ''})"
        case wit.Record(fields=fields):
            body = "(record " + " ".join(f'(field "{n}" {part(f)})' for n, f in fields) + ")"
        case wit.Variant(cases=cases):
            body = "(variant " + " ".join(f'(case "{n}" {part(c) if c else ""})' for n, c in cases) + ")"
        case wit.Enum(names=names):
            body = "(enum " + " ".join(f'"{n}"' for n in names) + ")"
        case wit.Flags(names=names):
            body = "(flags " + " ".join(f'"{n}"' for n in names) + ")"
        case _:
            raise AssertionError(t)
    if t not in named:
        named[t] = f"$t{len(named)}"
        head.append(f'(type {named[t]}d {body}) (import "t{len(named)}" (type {named[t]} (eq {named[t]}d)))')
    return named[t]
