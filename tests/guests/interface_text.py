"""Interfaces as component text: imports and exports with the types that the project's WIT files give them."""

from collections.abc import Iterable, Mapping, Sequence

from tests.guests.wit_text import Interface, read_interface
from theater.model import wit

Names = Mapping[wit.Type, str]
"""How a type that needs a name is called where it is used."""

_NAMED = (wit.Record, wit.Variant, wit.Enum)


def with_dependencies(interfaces: Iterable[str]) -> list[str]:
    """These and all whose types they use, the used ones first."""
    found: dict[str, None] = {}
    for name in interfaces:
        found |= dict.fromkeys(with_dependencies(other for other, _ in read_interface(name).uses))
        found[name] = None
    return list(found)


def import_text(interface: Interface, functions: Sequence[str]) -> str:
    """The import of an interface with these of its functions, and its types as ``$interface.type``."""
    names: dict[wit.Type, str] = {}
    lines = []
    for other, name in interface.uses:
        type_ = read_interface(other).types[name]
        if isinstance(type_, _NAMED):
            lines.append(f'(export "{name}" (type ${name} (eq ${other}.{name})))')
            names[type_] = f"${name}"
    for name, type_ in interface.types.items():
        if isinstance(type_, _NAMED):
            lines.append(f"(type $as-written-{name} {_definition(type_, names)})")
            lines.append(f'(export "{name}" (type ${name} (eq $as-written-{name})))')
            names[type_] = f"${name}"
    lines += [f'(export "{name}" (func {_signature(interface.functions[name], names)}))' for name in functions]
    members = "".join(f"\n    {line}" for line in lines)
    aliases = "".join(
        f'\n  (alias export ${interface.name} "{name}" (type ${interface.name}.{name}))' for name in _own(interface)
    )
    return f'  (import "{interface.path}" (instance ${interface.name}{members})){aliases}\n'


def lowering_text(interface: str, function: str) -> str:
    """The core function ``$lowered-interface.function`` of an imported one."""
    return (
        f'  (core func $lowered-{interface}.{function} (canon lower (func ${interface} "{function}")'
        " (memory $memory) (realloc $realloc)))\n"
    )


def export_text(interface: Interface) -> str:
    """The export of an interface; its functions are those that the core module ``$main`` exports by their names."""
    names: dict[wit.Type, str] = {}
    lines = []
    exports = []
    for other, name in interface.uses:
        type_ = read_interface(other).types[name]
        if isinstance(type_, _NAMED):
            names[type_] = f"${other}.{name}"
            exports.append(f'(export "{name}" (type {names[type_]}))')
    for name, type_ in interface.types.items():
        if isinstance(type_, _NAMED):
            lines.append(f"(type ${interface.name}.{name} {_definition(type_, names)})")
            names[type_] = f"${interface.name}.{name}"
            exports.append(f'(export "{name}" (type {names[type_]}))')
    for name, function in interface.functions.items():
        lines.append(
            f"(func ${interface.name}.{name} {_signature(function, names)}"
            f' (canon lift (core func $main "{interface.name}.{name}") (memory $memory) (realloc $realloc)'
            " (post-return $post-return)))"
        )
        exports.append(f'(export "{name}" (func ${interface.name}.{name}))')
    lines.append(f"(instance $exported-{interface.name} {' '.join(exports)})")
    lines.append(f'(export "{interface.path}" (instance $exported-{interface.name}))')
    return "".join(f"  {line}\n" for line in lines)


def _own(interface: Interface) -> list[str]:
    return [name for name, type_ in interface.types.items() if isinstance(type_, _NAMED)]


def _signature(function: wit.Function, names: Names) -> str:
    params = [f'(param "{name}" {_reference(t, names)})' for name, t in function.params]
    result = [f"(result {_reference(function.result, names)})"] if function.result is not None else []
    return " ".join(params + result)


def _definition(t: wit.Type, names: Names) -> str:
    match t:
        case wit.Record(fields=fields):
            return "(record " + " ".join(f'(field "{n}" {_reference(f, names)})' for n, f in fields) + ")"
        case wit.Variant(cases=cases):
            return "(variant " + " ".join(f'(case "{n}" {_maybe(c, names)})' for n, c in cases) + ")"
        case wit.Enum(names=members):
            return "(enum " + " ".join(f'"{n}"' for n in members) + ")"
        case _:
            raise AssertionError(t)


def _reference(t: wit.Type, names: Names) -> str:
    match t:
        case wit.Primitive(name=name):
            return name
        case wit.List(element=element):
            return f"(list {_reference(element, names)})"
        case wit.Tuple(elements=elements):
            return f"(tuple {' '.join(_reference(e, names) for e in elements)})"
        case wit.Option(payload=payload):
            return f"(option {_reference(payload, names)})"
        case wit.Result(ok=ok, err=err):
            return f"(result {_maybe(ok, names)} {f'(error {_reference(err, names)})' if err is not None else ''})"
        case _:
            return names[t]


def _maybe(t: wit.Type | None, names: Names) -> str:
    return "" if t is None else _reference(t, names)
