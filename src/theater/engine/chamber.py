"""One store with one instance of a component in it: what a guest's memory is.

Fresh for every call, unless a warm actor keeps it. After any trap it is thrown away: wasmtime refuses everything in a
store after that, and half-written guest memory is nothing to run a second step on.
"""

from __future__ import annotations

import ctypes
import threading

from theater.engine import native
from theater.engine.program import Export, WasmtimeProgram
from theater.engine.settings import INSTANCES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX

_Buffer = ctypes.c_char * (native.INSTANCE_SIZE + native.FUNCTION_SIZE)


class Chamber:
    """Implements the port ``Instance``. One owner at a time: the call that runs in it, or the actor that keeps it."""

    __slots__ = ("_buffer", "_busy", "_export", "_store", "context", "function_at", "instance_at", "program")

    def __init__(self, program: WasmtimeProgram) -> None:
        self.program = program
        self._busy = threading.Lock()
        self._busy.acquire()
        self._export: Export | None = None  # the one whose function is looked up
        self._buffer = _Buffer()
        self.instance_at = ctypes.addressof(self._buffer)
        self.function_at = self.instance_at + native.INSTANCE_SIZE
        self._store: int = native.store_new(program.engine_pointer, 0, 0)
        self.context: int = native.store_context(self._store)
        native.yield_at_epoch(self.context, 1)

    def claim(self) -> bool:
        """Take it from its keeper to run a call in it; false if it is closed or another call has it."""
        return self._busy.acquire(blocking=False) and bool(self._store)

    def release(self) -> None:
        """Hand it to its keeper."""
        self.program.linker.running.pop(self.context, None)
        self._busy.release()

    def prepare(self, *, fuel: int, memory_bytes: int, yield_fuel: int) -> None:
        """Set what the next call may use, and after how much fuel it yields; 0: only when its slice is over.

        wasmtime limits the size of each memory and their number. The sum is what is promised, so the memories share it
        in equal parts; a component that instantiates one module twice has more memories than were counted, and is
        refused by their number.
        """
        memories = max(1, self.program.memories)
        native.store_limiter(
            self._store, memory_bytes // memories, TABLE_ELEMENTS_MAX, INSTANCES_MAX, TABLES_MAX, memories
        )
        error = native.set_fuel(self.context, fuel)
        assert not error, native.take_error(error)
        native.set_epoch_deadline(self.context, 1)
        error = native.yield_after_fuel(self.context, yield_fuel)
        assert not error, native.take_error(error)

    def find(self, export: Export) -> None:
        """Look up the function to call."""
        if self._export is not export:
            found = native.get_function(self.instance_at, self.context, export.index, self.function_at)
            assert found, export
            self._export = export

    def fuel_left(self) -> int:
        """What is left of the fuel that ``prepare`` set."""
        out = ctypes.c_uint64()
        error = native.get_fuel(self.context, ctypes.addressof(out))
        assert not error, native.take_error(error)
        return out.value

    def close(self) -> None:
        if self._busy.acquire(blocking=False):  # else a call runs in it, and frees it
            self.discard()

    def discard(self) -> None:
        """Free it, as the call that has it."""
        store, self._store = self._store, 0
        if store:
            self.program.linker.running.pop(self.context, None)
            self.program.delete_store(store)

    def __del__(self) -> None:
        self.discard()
