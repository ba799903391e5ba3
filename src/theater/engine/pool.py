"""Memories, tables and stacks reserved ahead, for as many guests as may live at one time.

Mapping and unmapping them for each call costs more than all the rest of it, and makes the cores wait for each other (a
fresh step takes 64 to 144 us without a pool, 31 to 43 us with it). What is reserved is address space; it costs memory
only when it is used. A guest beyond the pool's size is refused with a clear error, and its step can be run again.

wasmtime aborts the process when a reservation fails, so what fits is found out beforehand.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from theater.engine import native
from theater.engine.settings import STACK_SIZE, TABLE_ELEMENTS_MAX, TABLES_MAX

SIZES = (10_240, 4_096, 1_024, 256)
"""Guests that live at one time, running, waiting or kept: the largest that fits is taken."""

_MEMORY_SLOT = (4 << 30) + (64 << 20)
"""Of address space: 4 GiB, so that no access needs a check, and what guards its end."""
_MAPS_PER_GUEST = 4
"""Two for its stack and guard from the start, two when it lives."""
_MAPS_SPARE = 4_096
_TABLES_PER_GUEST = 4
"""On average. One may have 20; CPython has 2."""
_INSTANCE_SIZE_MAX = 8 << 20
"""Of what an instance needs beside memories and tables: 16 bytes for each global."""
_MEMORY_KEPT = 64 << 10
"""Of a memory, cleared and kept when its guest is gone: one page of WebAssembly, all that a small guest has. More is
given back to the system; giving back is what costs."""
_STACK_KEPT = 32 << 10
_TABLE_KEPT = 8 << 10
_NORESERVE = 0x4000


def choose_size() -> int:
    """The largest pool that fits this process now; 0 for none (an address space limit, or many engines)."""
    limit = int(Path("/proc/sys/vm/max_map_count").read_text("ascii")) - _MAPS_SPARE
    in_use = Path("/proc/self/maps").read_bytes().count(b"\n")
    for size in SIZES:
        if in_use + _MAPS_PER_GUEST * size <= limit and _can_reserve(size * (_MEMORY_SLOT + STACK_SIZE)):
            return size
    return 0


def set_pool(config: int, size: int) -> None:
    """Have the engine of this configuration allocate from a pool for ``size`` guests."""
    pool = native.pool_new()
    for name, value in (
        ("total_component_instances", size),
        ("total_core_instances", 100 * size),
        ("total_memories", size),
        ("total_tables", _TABLES_PER_GUEST * size),
        ("total_stacks", size),
        ("table_elements", TABLE_ELEMENTS_MAX),
        ("max_tables_per_module", TABLES_MAX),
        ("max_core_instance_size", _INSTANCE_SIZE_MAX),
        ("max_component_instance_size", _INSTANCE_SIZE_MAX),
        ("linear_memory_keep_resident", _MEMORY_KEPT),
        ("async_stack_keep_resident", _STACK_KEPT),
        ("table_keep_resident", _TABLE_KEPT),
    ):
        native.pool_setter(name)(pool, value)
    native.pool_use(config, pool)
    native.pool_delete(pool)


def _can_reserve(size_bytes: int) -> bool:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    try:
        mmap.mmap(-1, size_bytes, flags=flags, prot=0).close()
    except OSError:
        return False
    return True
