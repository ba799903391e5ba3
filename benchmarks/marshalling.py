"""What a call of a guest costs through the compiled marshaller, with wasmtime's own binding beside it. Prints JSON.

Both call the same instance of the same component synchronously, on one thread, in turns; of each the best of several
rounds counts. ``ratio`` is what must stay under a quarter for two small strings.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import sys
import time
from collections.abc import Callable

import wasmtime
from wasmtime import component as wc

from theater.engine import native
from theater.engine.introspect import Introspector
from theater.engine.marshaller import Marshaller
from theater.engine.settings import WASMTIME_VERSION, make_config

GUEST = """(component
  (core module $M
    (memory (export "memory") 64)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
      (local.set $r (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $r) (local.get 3))) (local.get $r))
    (func (export "pair") (param i32 i32 i32 i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get 0)) (i32.store (i32.const 24) (local.get 1))
      (i32.store8 (i32.const 28) (i32.const 1))
      (i32.store (i32.const 32) (local.get 2)) (i32.store (i32.const 36) (local.get 3)) (i32.const 16))
    (func (export "bytes") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "nop"))
    (func (export "done") (param i32) (global.set $next (i32.const 4096))))
  (core instance $m (instantiate $M))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (alias core export $m "done" (core func $done))
  (func (export "pair") (param "a" string) (param "b" string)
    (result (result (tuple string (option string)) (error string)))
    (canon lift (core func $m "pair") (memory $memory) (realloc $realloc) (post-return $done)))
  (func (export "bytes") (param "data" (list u8)) (result (list u8))
    (canon lift (core func $m "bytes") (memory $memory) (realloc $realloc) (post-return $done)))
  (func (export "nop") (canon lift (core func $m "nop"))))"""

CASES: dict[str, tuple[str, tuple[object, ...], int]] = {
    "nop": ("nop", (), 20_000),
    "two strings of 16 B": ("pair", ("s" * 16, "m" * 16), 10_000),
    "two strings of 4 KiB": ("pair", ("s" * 4096, "m" * 4096), 5_000),
    "two strings of 64 KiB": ("pair", ("s" * 65536, "m" * 65536), 500),
    "64 bytes": ("bytes", (b"x" * 64,), 2_000),
    "4 KiB of bytes": ("bytes", (b"x" * 4096,), 100),
}
"""Name: export, arguments, calls a round."""

P = native.POINTER
_call = ctypes.CFUNCTYPE(P, P, P, P, P, P, P)(("wasmtime_component_func_call", native.LIBRARY))


class Guest:
    """One instance, called in both ways."""

    def __init__(self) -> None:
        self._engine = wasmtime.Engine(make_config())
        self._component = wc.Component(self._engine, GUEST)
        self._store = wasmtime.Store(self._engine)
        self._store.set_fuel(1 << 60)
        self._store.set_epoch_deadline(1 << 40)
        self._instance = wc.Linker(self._engine).instantiate(self._store, self._component)
        self._exports = Introspector(self._engine).shape(self._component).exports
        self._marshaller = Marshaller()

    def stock(self, name: str, arguments: tuple[object, ...]) -> Callable[[], object]:
        function = self._instance.get_func(self._store, name)
        assert function is not None
        return lambda: function(self._store, *arguments)

    def compiled(self, name: str, arguments: tuple[object, ...]) -> Callable[[], object]:
        function = self._instance.get_func(self._store, name)
        assert function is not None
        raw = function._func  # noqa: SLF001 - the binding has no other way to it
        at, context = ctypes.addressof(raw), native.address(self._store._context())  # noqa: SLF001 - likewise
        lower, lift = self._marshaller.for_export(self._exports["", name].type)
        block = ctypes.create_string_buffer(native.VALUE_SIZE)
        result, count = ctypes.addressof(block), len(arguments)
        has_result = lift is not None

        def call() -> object:
            assert raw is not None  # keeps it
            block.raw = bytes(native.VALUE_SIZE)  # C drops what it finds there
            keep = [context]  # what the image points to lives as long as this list
            image = lower(arguments, keep)
            error = _call(at, context, id(image) + native.BYTES_DATA, count, result, int(has_result))
            assert not error, native.take_error(error)
            if lift is None:
                return None
            try:
                return lift(result, context)
            finally:
                native.value_delete(result)

        return call


def best_us(calls: dict[str, Callable[[], object]], count: int, rounds: int) -> dict[str, float]:
    """Microseconds a call, each way in turn."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            for _ in range(count):
                call()
            best[name] = min(best[name], (time.perf_counter() - started) / count * 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the calls")
    options = parser.parse_args()
    guest = Guest()
    results = {}
    for name, (export, arguments, count) in CASES.items():
        calls = {"stock_us": guest.stock(export, arguments), "compiled_us": guest.compiled(export, arguments)}
        best = best_us(calls, max(20, count // 20) if options.quick else count, options.rounds)
        ratio = round(best["compiled_us"] / best["stock_us"], 3)
        results[name] = {**{way: round(us, 2) for way, us in best.items()}, "ratio": ratio}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "wasmtime": WASMTIME_VERSION}
    json.dump({"benchmark": "marshalling", **machine, "results": results}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
