"""Many guests that wait, as fibers of the engine and, beside them, as parked threads. Prints JSON.

``fibers``: each guest is suspended in a host call; the time and memory of getting there, and of going on. ``threads``:
the same guests, each called synchronously on a thread of its own that waits inside the host function. ``one wait`` is a
single guest that waits again and again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import wasmtime
from wasmtime import component as wc

from theater.engine import WasmtimeEngine
from theater.engine.program import WasmtimeProgram
from theater.engine.settings import make_config
from theater.model.execution import SUSPEND, Closed, ExecutionLimits, Invocation, Resting, Waiting
from theater.model.ids import Digest

GUEST = """(component
  (import "ask" (func $ask (param "n" u32) (result u32)))
  (core func $ask' (canon lower (func $ask)))
  (core module $M (import "h" "ask" (func $ask (param i32) (result i32))) (memory 1)
    (func (export "ask-often") (param $n i32) (result i32) (local $sum i32)
      (loop $more (if (i32.eqz (local.get $n)) (then (return (local.get $sum))))
        (local.set $sum (i32.add (local.get $sum) (call $ask (local.get $n))))
        (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $more)) (unreachable)))
  (core instance $m (instantiate $M (with "h" (instance (export "ask" (func $ask'))))))
  (func (export "ask-often") (param "n" u32) (result u32) (canon lift (core func $m "ask-often"))))"""
LIMITS = ExecutionLimits(fuel=1_000_000, memory_bytes=64 << 20, deadline_s=10.0)
THREAD_STACK = (4 << 20) + (1 << 20)
"""The guest's own stack and a margin: with less, a deep guest kills the process."""
SWITCH_INTERVAL_S = 100e-6  # what the runtime sets


class SuspendingHost:
    def call(self, _interface: str, _function: str, _args: tuple[object, ...]) -> object:
        return SUSPEND

    def tick(self) -> None:
        pass


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def mappings() -> int:
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def fibers(engine: WasmtimeEngine, program: WasmtimeProgram, count: int) -> dict[str, float]:
    rests: SimpleQueue[Resting] = SimpleQueue()
    host = SuspendingHost()
    memory, maps, started = resident_bytes(), mappings(), time.perf_counter()
    executions = [
        engine.begin(Invocation(program, "", "ask-often", (1,), host, LIMITS), rests.put) for _ in range(count)
    ]
    for _ in executions:
        assert isinstance(rests.get(), Waiting)
    waiting = time.perf_counter()
    held, mapped = resident_bytes() - memory, mappings() - maps
    for execution in executions:
        execution.resume(7)
    for _ in executions:
        rest = rests.get()
        assert isinstance(rest, Closed)
        assert rest.result == 7, rest
    return {
        "start_us_each": (waiting - started) / count * 1e6,
        "resume_us_each": (time.perf_counter() - waiting) / count * 1e6,
        "resident_kb_each": held / count / 1000,
        "mappings_each": mapped / count,
        "threads": sum(t.name.startswith("theater-guest") for t in threading.enumerate()),
    }


def one_wait(engine: WasmtimeEngine, program: WasmtimeProgram, waits: int) -> float:
    """Microseconds of one suspension and its resumption, resumed from within the report."""
    closed = threading.Event()
    box: list[float] = []

    def then(rest: Resting) -> None:
        if isinstance(rest, Closed):
            box.append(time.perf_counter())
            closed.set()
        else:
            begun.wait()
            execution.resume(1)

    begun = threading.Event()
    started = time.perf_counter()
    execution = engine.begin(Invocation(program, "", "ask-often", (waits,), SuspendingHost(), LIMITS), then)
    begun.set()
    assert closed.wait(60)
    return (box[0] - started) / waits * 1e6


def parked_threads(count: int) -> dict[str, float]:
    """The alternative: the stock synchronous call, one thread a guest, waiting inside its host function."""
    engine = wasmtime.Engine(make_config())
    component = wc.Component(engine, GUEST)
    linker = wc.Linker(engine)
    go_on = threading.Event()
    arrived = threading.Semaphore(0)

    def ask(_store: object, _n: int) -> int:
        arrived.release()
        go_on.wait()
        return 7

    def run() -> None:
        with wasmtime.Store(engine) as store:
            store.set_fuel(LIMITS.fuel)
            store.set_epoch_deadline(1 << 40)
            function = linker.instantiate(store, component).get_func(store, "ask-often")
            assert function is not None
            assert function(store, 1) == 7

    with linker.root() as root:
        root.add_func("ask", ask)
    threading.stack_size(THREAD_STACK)
    memory, maps, started = resident_bytes(), mappings(), time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        arrived.acquire()
    waiting = time.perf_counter()
    held, mapped = resident_bytes() - memory, mappings() - maps
    go_on.set()
    for thread in threads:
        thread.join()
    threading.stack_size(0)
    return {
        "start_us_each": (waiting - started) / count * 1e6,
        "resume_us_each": (time.perf_counter() - waiting) / count * 1e6,
        "resident_kb_each": held / count / 1000,
        "mappings_each": mapped / count,
        "threads": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer guests")
    options = parser.parse_args()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    counts, parked = ((100, 1_000), 100) if options.quick else ((1_000, 10_000), 1_000)
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        engine = WasmtimeEngine(Path(folder) / "cache")
        binary = engine.assemble(GUEST)
        path = Path(folder) / "guest.wasm"
        path.write_bytes(binary)
        digest = Digest(hashlib.sha256(binary).hexdigest())
        program = engine.load(path, digest, is_suspending=lambda _interface, _function: True)
        for count in counts:
            results[f"{count} fibers"] = rounded(fibers(engine, program, count))
        results["one wait, us"] = round(one_wait(engine, program, 2_000 if options.quick else 20_000), 2)
        engine.close()
    results[f"{parked} parked threads"] = rounded(parked_threads(parked))
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    json.dump({"benchmark": "suspended steps", **machine, "results": results}, sys.stdout, indent=2)
    print()


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(figure, 1) for name, figure in figures.items()}


if __name__ == "__main__":
    main()
