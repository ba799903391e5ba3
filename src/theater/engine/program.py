"""A component, compiled and linked: what calls are begun from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import wasmtime
from wasmtime import component as wc

from theater.engine import native
from theater.engine.introspect import ExportedFunction, Introspector, unsupported
from theater.engine.lifting import Lift
from theater.engine.linker import Linker
from theater.engine.lowering import Lower
from theater.engine.marshaller import Marshaller
from theater.engine.symbols import Symbols
from theater.errors import InvalidInput
from theater.model.execution import ImportedFunction
from theater.model.ids import Digest
from theater.model.wit import Function, strip_version

LARGE_CODE_BYTES = 4 << 20
"""Compiled code above this has an interpreter in it: its stores take long to make and to free, so without the GIL."""


@dataclass(frozen=True, slots=True)
class Export:
    """One exported function, ready to be called."""

    index: int
    """Address of wasmtime's export index; valid for every instance of the component."""
    function: Function
    lower: Lower
    lift: Lift | None


class WasmtimeProgram:
    """Implements the port ``Program``. Shared by all threads; freed when the last call and instance of it are gone."""

    def __init__(
        self,
        engine: wasmtime.Engine,
        component: wc.Component,
        *,
        digest: Digest,
        memories: int,
        code_bytes: int,
        symbols: Symbols,
        is_suspending: Callable[[str, str], bool],
    ) -> None:
        shape = Introspector(engine).shape(component)
        self._shape = shape
        self._marshaller = Marshaller()
        self._component = component
        self._engine = engine
        self._digest = digest
        self._indices: list[Any] = []  # wasmtime's export indices, freed with us
        self._exports: dict[tuple[str, str], Export] = {}
        self.linker = Linker(engine, shape, self._marshaller, is_suspending)
        self.engine_pointer = native.address(engine.ptr())
        self.component_pointer = native.address(component.ptr())
        self.memories = memories
        self.symbols = symbols
        self.is_large = code_bytes > LARGE_CODE_BYTES
        self.delete_store = native.store_delete_large if self.is_large else native.store_delete

    @property
    def digest(self) -> Digest:
        return self._digest

    @property
    def imports(self) -> tuple[ImportedFunction, ...]:
        return self._shape.imports

    @property
    def imported_interfaces(self) -> tuple[str, ...]:
        return self._shape.imported_interfaces

    @property
    def exported_interfaces(self) -> tuple[str, ...]:
        return self._shape.exported_interfaces

    @property
    def exports(self) -> Mapping[tuple[str, str], Function]:
        return {key: exported.type for key, exported in self._shape.exports.items()}

    @property
    def resources(self) -> Mapping[tuple[str, str], int]:
        return {(strip_version(found.interface), found.name): found.number for found in self._shape.resources}

    def export(self, interface: str, function: str) -> Export:
        """The exported function, its conversions compiled. Raises ``InvalidInput`` if it cannot be called."""
        ready = self._exports.get((interface, function))
        if ready is None:
            ready = self._exports[interface, function] = self._make_export(interface, function)
        return ready

    def _make_export(self, interface: str, function: str) -> Export:
        exported = self._shape.exports.get((interface, function))
        if exported is None:
            raise InvalidInput(f"the component exports no function {interface}#{function}")
        for type_ in (*(t for _, t in exported.type.params), exported.type.result):
            what = unsupported(type_)
            if what:
                raise InvalidInput(f"{interface}#{function} takes or returns {what}, which cannot be passed")
        lower, lift = self._marshaller.for_export(exported.type)
        return Export(self._index(exported), exported.type, lower, lift)

    def _index(self, exported: ExportedFunction) -> int:
        parent = None
        if exported.interface:
            parent = self._component.get_export_index(exported.interface)
            assert parent is not None, exported
        index = self._component.get_export_index(exported.name, parent)
        assert index is not None, exported
        self._indices.append(index)
        return native.address(index.ptr())
