"""How the compiler and the engine are set up, and the text that says so.

Two engines with equal ``SETTINGS_TEXT``, version and architecture burn the same fuel and overflow the same stack at the
same depth; the text goes into every chain. Changing anything here changes that text and empties the compile cache.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform

import wasmtime
import wasmtime._ffi as ffi

from theater.model.execution import EngineIdentity

MAX_WASM_STACK = 4 << 20
"""What a guest's own calls may take. CPython in a component recurses in C: with less than 3 MiB its ``RecursionError``
comes too late and the guest traps instead."""
HOST_STACK = 12 << 20
"""What host functions get on top of it, on the same fiber: 900 nested Python-in-C frames fit in 8 MiB. Address space
only, until it is used."""

STACK_SIZE = MAX_WASM_STACK + HOST_STACK

TABLES_MAX = 20
TABLE_ELEMENTS_MAX = 20_000
"""Of each table, 8 bytes an element; CPython in a component has 2 tables of 5,700."""
INSTANCES_MAX = 100
"""Core instances of one guest; CPython in a component has 14."""

WASMTIME_VERSION = importlib.metadata.version("wasmtime")
ARCHITECTURE = platform.machine()

_OFF = (
    "wasm_threads",
    "shared_memory",
    "wasm_memory64",
    "wasm_gc",
    "gc_support",
    "wasm_function_references",
    "wasm_exceptions",
    "wasm_tail_call",
    "wasm_relaxed_simd",
    "wasm_wide_arithmetic",
    "wasm_custom_page_sizes",
    "wasm_stack_switching",
)
"""Proposals that are off: nondeterministic (threads, relaxed SIMD), or more surface than any toolchain needs yet.
Several memories in a module are on: what joins the parts of a composed component imports one of each."""

STRIPPING = 1
"""The version of what is taken out of a component before it is compiled."""

SETTINGS_TEXT = " ".join(
    [
        "cranelift=speed",
        "nan=canonical",
        "fuel=on",
        "epoch=on",
        f"wasm-stack={MAX_WASM_STACK}",
        "component-async=off",
        *(f"{name.removeprefix('wasm_').replace('_', '-')}=off" for name in _OFF),
    ]
)


def make_config() -> wasmtime.Config:
    """The settings as wasmtime takes them: all that compiled code depends on."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = True
    config.cranelift_opt_level = "speed"
    for name in _OFF:
        setattr(config, name, False)
    # Plain fibers need neither of these; without them no async function of the component model gets past validation.
    ffi.wasmtime_config_concurrency_support_set(config.ptr(), False)
    ffi.wasmtime_config_wasm_component_model_async_set(config.ptr(), False)
    config.max_wasm_stack = MAX_WASM_STACK
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), STACK_SIZE)
    return config


def engine_identity() -> EngineIdentity:
    """What has to be equal for fuel and stack depth to be comparable."""
    return EngineIdentity(name="wasmtime", version=WASMTIME_VERSION, settings=SETTINGS_TEXT, architecture=ARCHITECTURE)


def fingerprint() -> str:
    """A short text that differs whenever compiled code could: part of a cache key."""
    text = f"{WASMTIME_VERSION}\n{ARCHITECTURE}\n{SETTINGS_TEXT}\nasync-stack={HOST_STACK}\nstripping={STRIPPING}\n"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
