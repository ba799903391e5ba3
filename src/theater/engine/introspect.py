"""From wasmtime's description of a component to ``theater.model.wit`` types.

Resources are numbered in the order in which the imports name them. One resource may be visible through several
interfaces (``output-stream`` through ``wasi:io/streams``, ``wasi:cli/stdout`` ...); wasmtime's types compare equal
there, and it gets one number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import wasmtime
import wasmtime._ffi as ffi
from wasmtime import component as wc
from wasmtime.component import _types as wt

from theater.errors import InvalidComponent
from theater.model import wit
from theater.model.execution import ImportedFunction

TYPE_NODES_MAX = 50_000
"""Parts of all types together. A full WASI guest has 2,500; types that share parts can unfold to millions."""
ITEMS_MAX = 4_096
"""Imported and exported functions, types and instances, each. A full WASI guest imports 260."""
RESOURCES_MAX = 256

_PRIMITIVES: dict[type, wit.Type] = {
    wt.Bool: wit.Primitive("bool"),
    wt.S8: wit.Primitive("s8"),
    wt.U8: wit.U8,
    wt.S16: wit.Primitive("s16"),
    wt.U16: wit.Primitive("u16"),
    wt.S32: wit.Primitive("s32"),
    wt.U32: wit.Primitive("u32"),
    wt.S64: wit.Primitive("s64"),
    wt.U64: wit.Primitive("u64"),
    wt.F32: wit.Primitive("f32"),
    wt.F64: wit.Primitive("f64"),
    wt.Char: wit.Primitive("char"),
    wt.String: wit.Primitive("string"),
}


@dataclass(frozen=True, slots=True)
class ImportedResource:
    """A resource type that the component imports, to be defined under ``name`` in ``interface`` ("" for the root)."""

    interface: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class ExportedFunction:
    """Where an exported function is found: names as the component writes them."""

    interface: str
    name: str
    type: wit.Function


@dataclass(frozen=True, slots=True)
class Shape:
    """All of a component's surface."""

    imports: tuple[ImportedFunction, ...]
    imported_interfaces: tuple[str, ...]
    resources: tuple[ImportedResource, ...]
    exported_interfaces: tuple[str, ...]
    exports: Mapping[tuple[str, str], ExportedFunction]
    """By (interface without version, function)."""


class Introspector:
    """Reads one component's types, within bounds: they come from somebody whom nobody trusts."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._resources: list[Any] = []
        self._nodes = 0
        self._items = 0

    def shape(self, component: wc.Component) -> Shape:
        """Everything that ``component`` imports and exports.

        Raises ``InvalidComponent`` for imports that cannot be provided and for descriptions beyond our bounds.
        """
        described = component.type
        imports: list[ImportedFunction] = []
        resources: list[ImportedResource] = []
        interfaces: list[str] = []
        for name, extern in described.imports(self._engine).items():
            item = self._item(name, extern)
            if isinstance(item, wt.ComponentInstanceType):
                interfaces.append(name)
                self._read_interface(name, item, imports, resources)
            elif isinstance(item, wt.FuncType):
                imports.append(self._imported("", name, item))
            elif isinstance(item, wc.ResourceType):
                resources.append(ImportedResource("", name, self._number(item)))
            elif not isinstance(item, wt.ValType):
                raise InvalidComponent(
                    f"the component imports {name!r}, a {_kind(item)}: only interfaces and functions can be provided",
                    item=name,
                )
        exported, exports = self._exports(described)
        return Shape(tuple(imports), tuple(interfaces), tuple(resources), exported, exports)

    def _read_interface(
        self,
        interface: str,
        instance: wt.ComponentInstanceType,
        imports: list[ImportedFunction],
        resources: list[ImportedResource],
    ) -> None:
        items = {name: self._item(name, extern) for name, extern in instance.exports(self._engine).items()}
        for name, item in items.items():
            if isinstance(item, wc.ResourceType):
                resources.append(ImportedResource(interface, name, self._number(item)))
        for name, item in items.items():
            if isinstance(item, wt.FuncType):
                imports.append(self._imported(interface, name, item))
            elif not isinstance(item, wc.ResourceType | wt.ValType):
                raise InvalidComponent(
                    f"the component imports {interface}, which has {name!r}, a {_kind(item)}: "
                    "only functions and types can be provided",
                    item=f"{interface}#{name}",
                )

    def _exports(
        self, described: wt.ComponentType
    ) -> tuple[tuple[str, ...], Mapping[tuple[str, str], ExportedFunction]]:
        interfaces: list[str] = []
        found: dict[tuple[str, str], ExportedFunction] = {}
        for name, extern in described.exports(self._engine).items():
            item = self._item(name, extern)
            if isinstance(item, wt.FuncType):
                found["", name] = ExportedFunction("", name, self._function(item))
            elif isinstance(item, wt.ComponentInstanceType):
                interfaces.append(name)
                for inner, inner_extern in item.exports(self._engine).items():
                    function = self._item(inner, inner_extern)
                    if not isinstance(function, wt.FuncType):
                        continue
                    key = (wit.strip_version(name), inner)
                    if key in found:
                        raise InvalidComponent(
                            f"the component exports {key[0]} in two versions, "
                            f"{found[key].interface} and {name}: keep one of them",
                            item=name,
                        )
                    found[key] = ExportedFunction(name, inner, self._function(function))
        return tuple(interfaces), found

    def _item(self, name: str, extern: wt.ComponentExtern) -> Any:
        self._items += 1
        if self._items > ITEMS_MAX:
            raise InvalidComponent(f"the component imports and exports more than {ITEMS_MAX} items")
        try:
            return extern.ty
        except TypeError as error:
            raise InvalidComponent(f"the component has an item {name!r} of an unknown kind", item=name) from error

    def _imported(self, interface: str, name: str, function: wt.FuncType) -> ImportedFunction:
        described = self._function(function)
        where = f"{interface}#{name}" if interface else name
        if described.is_async:
            raise InvalidComponent(
                f"the component imports {where}, an async function of the component model: "
                "build it against a synchronous version of that interface",
                item=where,
            )
        for type_ in (*(t for _, t in described.params), described.result):
            what = unsupported(type_)
            if what:
                raise InvalidComponent(f"the component imports {where}, which takes or returns {what}", item=where)
        return ImportedFunction(interface, name, described)

    def _function(self, function: wt.FuncType) -> wit.Function:
        try:
            params = tuple((name, self._type(t)) for name, t in function.params)
            result = function.result
        except TypeError:
            return wit.Function((), wit.Unsupported("a type that this version does not know"))
        return wit.Function(
            params,
            None if result is None else self._type(result),
            bool(ffi.wasmtime_component_func_type_async(function.ptr())),
        )

    def _number(self, resource: Any) -> int:
        for position, known in enumerate(self._resources, 1):
            if known == resource:
                return position
        if len(self._resources) >= RESOURCES_MAX:
            raise InvalidComponent(f"the component imports more than {RESOURCES_MAX} resource types")
        self._resources.append(resource)
        return len(self._resources)

    def _handle(self, resource: Any, *, owned: bool) -> wit.Type:
        for position, known in enumerate(self._resources, 1):
            if known == resource:
                return wit.Handle(position, owned)
        return wit.Unsupported("a resource that the component itself defines")

    def _type(self, t: Any) -> wit.Type:
        self._nodes += 1
        if self._nodes > TYPE_NODES_MAX:
            raise InvalidComponent(f"the types of the component's functions have more than {TYPE_NODES_MAX} parts")
        primitive = _PRIMITIVES.get(type(t))
        if primitive is not None:
            return primitive
        match t:
            case wt.ListType():
                return wit.List(self._type(t.element))
            case wt.TupleType():
                return wit.Tuple(tuple(self._type(e) for e in t.elements))
            case wt.RecordType():
                return wit.Record(tuple((name, self._type(f)) for name, f in t.fields))
            case wt.OptionType():
                return wit.Option(self._type(t.payload))
            case wt.ResultType():
                return wit.Result(self._maybe(t.ok), self._maybe(t.err))
            case wt.VariantType():
                return wit.Variant(tuple((name, self._maybe(c)) for name, c in t.cases))
            case wt.EnumType():
                return wit.Enum(tuple(t.names))
            case wt.FlagsType():
                return wit.Flags(tuple(t.names))
            case wt.OwnType():
                return self._handle(t.ty, owned=True)
            case wt.BorrowType():
                return self._handle(t.ty, owned=False)
        return wit.Unsupported(_kind(t))

    def _maybe(self, t: Any) -> wit.Type | None:
        return None if t is None else self._type(t)


def unsupported(type_: wit.Type | None) -> str:
    """What in a type cannot cross the boundary, "" if all of it can."""
    match type_:
        case wit.Unsupported(what=what):
            return what
        case wit.List(element=inner) | wit.Option(payload=inner):
            parts: tuple[wit.Type | None, ...] = (inner,)
        case wit.Tuple(elements=elements):
            parts = elements
        case wit.Record(fields=fields):
            parts = tuple(t for _, t in fields)
        case wit.Result(ok=ok, err=err):
            parts = (ok, err)
        case wit.Variant(cases=cases):
            parts = tuple(t for _, t in cases)
        case _:
            return ""
    return next((what for part in parts if (what := unsupported(part))), "")


def _kind(item: Any) -> str:
    return {
        wt.ModuleType: "core module",
        wt.ComponentType: "component",
        wt.ComponentInstanceType: "nested interface",
        wt.FutureType: "future",
        wt.StreamType: "stream",
        wt.ErrorContext: "error-context",
    }.get(type(item), type(item).__name__)
