"""Every import of a component, defined through one dispatch: ``Host.call`` of whoever is running.

wasmtime calls back into three C functions (plain, suspending, resource dropped), made once per program; ``data`` says
which import it is, the store's context which call is under way. Nothing is global: what one guest's host function
raises is kept on that guest's call, and cannot surface in another.

**The guard.** An exception that left a callback would make ctypes hand uninitialised memory to wasmtime as the error,
and the process would be gone. So each callback catches ``BaseException``, keeps it on the call and answers with an
error; the guest traps, and the call closes with what was kept.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

import wasmtime
from wasmtime import component as wc

from theater.engine import native
from theater.engine.introspect import Shape
from theater.engine.lowering import Lower
from theater.engine.marshaller import Marshaller, wrong_result
from theater.errors import InternalError, InvalidComponent
from theater.model import wit
from theater.model.execution import SUSPEND, Host, ImportedFunction

_CONTINUATION = struct.Struct("<QQQ").pack_into  # callback, its argument, finalizer
_POINTER = struct.Struct("<Q").pack_into
_READY = b"\1\0"
_READY_AT = id(_READY) + native.BYTES_DATA
_HOST_FAILED = b"the host function failed"


class Caller(Protocol):
    """The call under way, as the dispatch sees it."""

    host: Host
    failure: BaseException | None
    hosted_s: float
    """Time that host functions took: none of the guest's."""

    def suspend(self, results: int, lower: Lower | None, type_: wit.Type | None) -> int:
        """Note that the guest waits, and where its answer goes; returns the address of its ready flag."""


Plain = Callable[[int, int, int], None]
"""(context, arguments, results)"""
Suspending = Callable[[int, int, int, int], None]
"""(context, arguments, results, continuation out)"""


class Linker:
    """The definitions of one component's imports. Lives as long as any store that uses it."""

    def __init__(
        self,
        engine: wasmtime.Engine,
        shape: Shape,
        marshaller: Marshaller,
        is_suspending: Callable[[str, str], bool],
    ) -> None:
        self.running: dict[int, Caller] = {}
        """By store context. Addresses are used again, so an entry goes before its store does."""
        self._marshaller = marshaller
        self._plain: list[Plain] = []
        self._suspending: list[Suspending] = []
        self._drops: list[tuple[str, str]] = []
        # These three must stay alive as long as C can call them.
        self._on_plain = native.HostCallback(self._plain_called)
        self._on_suspending = native.SuspendingCallback(self._suspending_called)
        self._on_drop = native.DropCallback(self._resource_dropped)
        self._linker = wc.Linker(engine)
        self._define(shape, is_suspending)
        self.pointer = native.address(self._linker.ptr())

    def close(self) -> None:
        """Free it. Stores that still use it keep what they need."""
        self._linker.close()

    # -- definitions --------------------------------------------------------------------------------------------------

    def _define(self, shape: Shape, is_suspending: Callable[[str, str], bool]) -> None:
        with self._linker.root() as root:
            self._define_in(root, "", shape, is_suspending)
            for interface in shape.imported_interfaces:
                try:
                    instance = root.add_instance(interface)
                except wasmtime.WasmtimeError as error:
                    raise InvalidComponent(f"the import {interface!r} cannot be defined: {error}") from error
                with instance:
                    self._define_in(instance, interface, shape, is_suspending)

    def _define_in(
        self,
        instance: wc.LinkerInstance,
        interface: str,
        shape: Shape,
        is_suspending: Callable[[str, str], bool],
    ) -> None:
        at = native.address(instance.ptr())
        for resource in shape.resources:
            if resource.interface == interface:
                self._add_resource(at, interface, resource.name, resource.number)
        for function in shape.imports:
            if function.interface == interface:
                self._add_function(at, function, suspending=is_suspending(wit.strip_version(interface), function.name))

    def _add_resource(self, at: int, interface: str, name: str, number: int) -> None:
        raw = name.encode()
        self._drops.append((wit.strip_version(interface), f"[resource-drop]{name}"))
        kind = wc.ResourceType.host(number)
        callback = native.address(self._on_drop)
        error = native.add_resource(
            at,
            id(raw) + native.BYTES_DATA,
            len(raw),
            native.address(kind.ptr()),
            callback,
            len(self._drops) - 1,
            0,
        )
        _check(error, interface, name)

    def _add_function(self, at: int, function: ImportedFunction, *, suspending: bool) -> None:
        raw = function.name.encode()
        name_at = id(raw) + native.BYTES_DATA
        if suspending:
            index = len(self._suspending)
            self._suspending.append(self._first_suspending(index, function))
            callback = native.address(self._on_suspending)
            error = native.add_function_async(at, name_at, len(raw), callback, index, 0)
        else:
            index = len(self._plain)
            self._plain.append(self._first_plain(index, function))
            error = native.add_function(at, name_at, len(raw), native.address(self._on_plain), index, 0)
        _check(error, function.interface, function.name)

    # -- what runs when a guest calls ---------------------------------------------------------------------------------

    def _first_plain(self, index: int, function: ImportedFunction) -> Plain:
        """Compiles the conversions on the first call, and puts the real function in its place."""

        def first(context: int, arguments: int, results: int) -> None:
            real = self._plain[index] = self._make_plain(function)
            real(context, arguments, results)

        return first

    def _first_suspending(self, index: int, function: ImportedFunction) -> Suspending:
        def first(context: int, arguments: int, results: int, continuation: int) -> None:
            real = self._suspending[index] = self._make_suspending(function)
            real(context, arguments, results, continuation)

        return first

    def _make_plain(self, function: ImportedFunction) -> Plain:
        lift, lower = self._marshaller.for_import(function.type)
        interface, name, type_ = wit.strip_version(function.interface), function.name, function.type.result
        running, clone, data = self.running, native.value_clone, native.BYTES_DATA

        def plain(context: int, arguments: int, results: int) -> None:
            caller = running[context]
            values = lift(arguments, context)
            begun = perf_counter()
            value = caller.host.call(interface, name, values)
            caller.hosted_s += perf_counter() - begun
            if lower is not None:
                keep: list[Any] = [context]
                try:
                    image = lower(value, keep)
                except native.EngineError:
                    raise
                except Exception as error:
                    raise _wrong_answer(interface, name, type_, value, error) from error
                clone(id(image) + data, results)
            elif value is not None:
                raise _wrong_answer(interface, name, None, value, None)

        return plain

    def _make_suspending(self, function: ImportedFunction) -> Suspending:
        lift, lower = self._marshaller.for_import(function.type)
        interface, name, type_ = wit.strip_version(function.interface), function.name, function.type.result
        running = self.running

        def suspending(context: int, arguments: int, results: int, continuation: int) -> None:
            caller = running[context]
            values = lift(arguments, context)
            begun = perf_counter()
            value = caller.host.call(interface, name, values)
            caller.hosted_s += perf_counter() - begun
            if value is SUSPEND:
                flag = caller.suspend(results, lower, type_)
                _CONTINUATION(native.MEMORY, continuation, native.STRING_LENGTH, flag, 0)
            else:
                write_answer(context, value, lower, type_, results)

        return suspending

    def _plain_called(
        self, data: int, context: int, _type: int, arguments: int, _count: int, results: int, _result_count: int
    ) -> int:
        try:
            self._plain[data](context, arguments, results)
        except BaseException as error:  # noqa: BLE001 - the guard: see the top of the file
            return self._failed(context, error)
        return 0

    def _suspending_called(
        self,
        data: int,
        context: int,
        _type: int,
        arguments: int,
        _count: int,
        results: int,
        _result_count: int,
        error_out: int,
        continuation: int,
    ) -> None:
        try:
            # Something has to stand there even when this fails: wasmtime calls it without looking.
            _CONTINUATION(native.MEMORY, continuation, native.STRING_LENGTH, _READY_AT, 0)
            self._suspending[data](context, arguments, results, continuation)
        except BaseException as error:  # noqa: BLE001 - the guard: see the top of the file
            _POINTER(native.MEMORY, error_out, self._failed(context, error))

    def _resource_dropped(self, data: int, context: int, number: int) -> int:
        try:
            interface, name = self._drops[data]
            self.running[context].host.call(interface, name, (number,))
        except BaseException as error:  # noqa: BLE001 - the guard: see the top of the file
            return self._failed(context, error)
        return 0

    def _failed(self, context: int, error: BaseException) -> int:
        caller = self.running.get(context)
        if caller is not None and caller.failure is None:
            caller.failure = error
        result: int = native.error_new(_HOST_FAILED)
        return result


def write_answer(context: int, value: object, lower: Lower | None, type_: wit.Type | None, results: int) -> None:
    """Put a host function's answer where wasmtime expects it. Raises ``InternalError`` if it has the wrong shape."""
    if lower is None:
        if value is not None:
            raise _wrong_answer("", "", None, value, None)
        return
    keep: list[Any] = [context]
    try:
        image = lower(value, keep)
    except native.EngineError:
        raise
    except Exception as error:
        raise _wrong_answer("", "", type_, value, error) from error
    native.value_clone(id(image) + native.BYTES_DATA, results)


def _wrong_answer(
    interface: str, name: str, type_: wit.Type | None, value: object, error: Exception | None
) -> InternalError:
    where = f"{interface}#{name}".removeprefix("#")
    where = where and where + ": "
    if value is SUSPEND:
        return InternalError(f"{where}the host answered SUSPEND in a function that was not linked as suspending")
    if type_ is None or error is None:
        return InternalError(f"{where}the host answered {type(value).__name__} where nothing is returned")
    return InternalError(f"{where}the host's answer has the wrong shape: {wrong_result(type_, value, error)}")


def _check(error: int, interface: str, name: str) -> None:
    if error:
        where = f"{interface}#{name}" if interface else name
        raise InvalidComponent(f"the import {where} cannot be defined: {native.take_error(error)}")


assert ctypes.sizeof(ctypes.c_size_t) == 8, "the engine's C structures are those of 64-bit systems"
