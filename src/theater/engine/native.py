"""wasmtime's C functions, bound for speed, and raw reads and writes of memory.

Every pointer is a plain ``int`` here. The stock binding wraps each one in a ctypes object and re-queries types on every
call (54 us for a call of two small strings); this module and the marshaller get the same call done in a tenth.

Two ways to call out, and the choice matters:

* ``_held`` keeps the GIL. For leaf functions that take less than a microsecond; giving the GIL away and taking it back
  would cost more than they do, and under contention a whole switch interval.
* ``_released`` gives the GIL away. For whatever may run guest code, map or unmap memory, or take a lock.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, PYFUNCTYPE, c_bool, c_size_t, c_uint32, c_uint64
from typing import Any

import wasmtime._bindings as bindings
import wasmtime._ffi as ffi

POINTER = c_size_t

LIBRARY: Any = vars(bindings)["dll"]

VALUE_SIZE = 32
"""Of a ``wasmtime_component_val_t``: a kind (u8) at 0, its contents at 8."""
INSTANCE_SIZE = ctypes.sizeof(ffi.wasmtime_component_instance_t)
FUNCTION_SIZE = ctypes.sizeof(ffi.wasmtime_component_func_t)
assert ctypes.sizeof(ffi.wasmtime_component_val_t) == VALUE_SIZE

MEMORY: Any = memoryview((ctypes.c_ubyte * (1 << 47)).from_address(0)).cast("B")
"""The whole address space: ``unpack_from(MEMORY, address)`` is the fastest read that Python has."""

BYTES_DATA = bytes.__basicsize__ - 1
"""Where the data of a ``bytes`` object starts, counted from its ``id``: what C reads lives in such objects."""
assert bytes(MEMORY[id(b"probe") + BYTES_DATA :][:5]) == b"probe"


def _held(name: str, result: Any, *arguments: Any) -> Any:
    return PYFUNCTYPE(result, *arguments)((name, LIBRARY))


def _released(name: str, result: Any, *arguments: Any) -> Any:
    return CFUNCTYPE(result, *arguments)((name, LIBRARY))


P = POINTER

store_new = _held("wasmtime_store_new", P, P, P, P)
store_context = _held("wasmtime_store_context", P, P)
store_delete = _held("wasmtime_store_delete", None, P)
store_delete_large = _released("wasmtime_store_delete", None, P)
store_limiter = _held(
    "wasmtime_store_limiter", None, P, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)
set_fuel = _held("wasmtime_context_set_fuel", P, P, c_uint64)
get_fuel = _held("wasmtime_context_get_fuel", P, P, P)
set_epoch_deadline = _held("wasmtime_context_set_epoch_deadline", None, P, c_uint64)
# The header declares an error pointer as the result, the library returns nothing: reading it would be reading garbage.
yield_at_epoch = _held("wasmtime_context_epoch_deadline_async_yield_and_update", None, P, c_uint64)

yield_after_fuel = _held("wasmtime_context_fuel_async_yield_interval", P, P, c_uint64)

instantiate_async = _held("wasmtime_component_linker_instantiate_async", P, P, P, P, P, P)
call_async = _held("wasmtime_component_func_call_async", P, P, P, P, c_size_t, P, c_size_t, P)
poll = _released("wasmtime_call_future_poll", c_bool, P)
poll_held = _held("wasmtime_call_future_poll", c_bool, P)
"""The same without giving the interpreter's lock away: only for a guest that yields by itself before long."""
future_delete = _held("wasmtime_call_future_delete", None, P)
future_drop = _released("wasmtime_call_future_delete", None, P)
"""The same for one that is not done: it unwinds the guest's stack."""
get_function = _held("wasmtime_component_instance_get_func", c_bool, P, P, P, P)

value_clone = _held("wasmtime_component_val_clone", None, P, P)
value_delete = _held("wasmtime_component_val_delete", None, P)
any_to_host = _held("wasmtime_component_resource_any_to_host", P, P, P, P)
any_delete = _held("wasmtime_component_resource_any_delete", None, P)
host_to_any = _held("wasmtime_component_resource_host_to_any", P, P, P, P)
host_new = _held("wasmtime_component_resource_host_new", P, c_bool, c_uint32, c_uint32)
host_number = _held("wasmtime_component_resource_host_rep", c_uint32, P)
host_delete = _held("wasmtime_component_resource_host_delete", None, P)

add_function = _held("wasmtime_component_linker_instance_add_func", P, P, P, c_size_t, P, P, P)
add_function_async = _held("wasmtime_component_linker_instance_add_func_async", P, P, P, c_size_t, P, P, P)
add_resource = _held("wasmtime_component_linker_instance_add_resource", P, P, P, c_size_t, P, P, P, P)

increment_epoch = _held("wasmtime_engine_increment_epoch", None, P)

pool_new = _held("wasmtime_pooling_allocation_config_new", P)
pool_delete = _held("wasmtime_pooling_allocation_config_delete", None, P)
pool_use = _held("wasmtime_pooling_allocation_strategy_set", None, P, P)

error_new = _held("wasmtime_error_new", P, ctypes.c_char_p)
_error_message = _held("wasmtime_error_message", None, P, P)
_error_delete = _held("wasmtime_error_delete", None, P)
_bytes_delete = _held("wasm_byte_vec_delete", None, P)

HostCallback = CFUNCTYPE(P, P, P, P, P, c_size_t, P, c_size_t)
"""(data, context, type, arguments, count, results, count) -> error"""
SuspendingCallback = CFUNCTYPE(None, P, P, P, P, c_size_t, P, c_size_t, P, P)
"""(data, context, type, arguments, count, results, count, error out, continuation out)"""
DropCallback = CFUNCTYPE(P, P, P, c_uint32)
"""(data, context, number) -> error"""

_libc = ctypes.CDLL(None, use_errno=True)
STRING_LENGTH: int = ctypes.cast(_libc.strlen, ctypes.c_void_p).value or 0
"""The continuation of a suspended call: a C function of one pointer whose result is false while that points at a zero
byte, and true once it points at ``b"\\1\\0"``. So asking whether a guest may go on costs no Python call."""


class EngineError(Exception):
    """wasmtime refused something while a value was converted; the text says what, as in a trap."""


ERROR_READ_MAX = 256 * 1024
"""Of an error's text, at each end: a hostile component can make it hundreds of megabytes long."""


def pool_setter(name: str) -> Any:
    """The setter of one number of a pool's configuration."""
    return _held(f"wasmtime_pooling_allocation_config_{name}_set", None, P, c_size_t)


def address(pointer: Any) -> int:
    """The address that one of wasmtime-py's pointers holds."""
    value = ctypes.cast(pointer, ctypes.c_void_p).value
    assert value
    return value


def take_error(error: int) -> str:
    """The text of a C error, which is freed. A huge one keeps its two ends."""
    vector = (c_uint64 * 2)()
    at = ctypes.addressof(vector)
    _error_message(error, at)
    size, data = vector[0], vector[1]
    if size <= 2 * ERROR_READ_MAX:
        raw = ctypes.string_at(data, size)
    else:
        raw = ctypes.string_at(data, ERROR_READ_MAX) + b"\n...\n"
        raw += ctypes.string_at(data + size - ERROR_READ_MAX, ERROR_READ_MAX)
    _bytes_delete(at)
    _error_delete(error)
    return raw.decode("utf-8", "replace")
