"""The node that the measurements of ``system.py`` play on: a real one in a folder, with guests that cost little."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import wasmtime

from tests.guests.component import Import, actor
from tests.guests.puppet import puppet_manifest, puppet_wat
from theater.engine.chamber import Chamber
from theater.model.manifest import parse_manifest
from theater.runtime.reference import ActorRef
from theater.runtime.runtime import Runtime
from theater.runtime.sources import Source

IN_FLIGHT = 64
PATIENCE_S = 600.0
CALM_LOOKS = 3  # between two actors, a letter is on its way for a moment without anybody doing anything
LOOK_S = 0.002
KB = 1024
ALLOWED = ("messaging",)

T = TypeVar("T")
Figures = dict[str, float]

_SEND = Import(
    "theater:actor/messaging@0.1.0",
    "send",
    '(param "to" string) (param "body" string) (result (result string (error $error)))',
    "(param i32 i32 i32 i32 i32)",
    types="""(export "crash-reason" (type $crash-reason (eq $exits-crash-reason)))
      (type $e (variant (case "denied" string) (case "not-found" string) (case "not-running" string)
        (case "not-started" string) (case "mailbox-full" u32) (case "not-json" string) (case "too-large" u64)
        (case "too-many" u32) (case "refused" string) (case "crashed" $crash-reason) (case "no-channels" string)
        (case "timeout") (case "wait-exhausted") (case "cycle" (list string)) (case "unknown-request" string)
        (case "unknown-channel" string) (case "other" string)))
      (export "error" (type $error (eq $e)))""",
    before="""
  (import "theater:actor/exits@0.1.0" (instance $exits
    (type $c (variant (case "trap") (case "stack") (case "fuel") (case "memory") (case "handles") (case "host-data")
      (case "events") (case "bytes") (case "state-size") (case "not-json") (case "exit") (case "deadline")
      (case "terminated") (case "host-died") (case "diverged") (case "internal") (case "other" string)))
    (export "crash-reason" (type $crash-reason (eq $c)))))
  (alias export $exits "crash-reason" (type $exits-crash-reason))
""",
)

_NOBODY = "0" * 32

RELAY = actor(
    imports=[_SEND],
    init=f'(call $started @"{{\\"next\\":\\"{_NOBODY}\\",\\"ended\\":0}}")',
    handle="""(local $left i64)
    (call $begin)
    (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 34)) (then ;; a string
      (call $put @"{\\"next\\":") (call $put (local.get $body) (local.get $body-len)) (call $put @",\\"ended\\":0}")
      (return (call $ok (global.get $out) (global.get $out-len) @"null"))))
    (local.set $left (call $number (local.get $body) (local.get $body-len) @"" (i64.const 0)))
    (if (i64.eqz (local.get $left)) (then
      (call $put (local.get $state) (i32.const 51)) ;; up to the number
      (call $put-number (i64.add (i64.const 1)
        (call $number (local.get $state) (local.get $state-len) @"\\"ended\\":" (i64.const 0))))
      (call $put @"}")
      (return (call $ok (global.get $out) (global.get $out-len) @"null"))))
    (call $put-number (i64.sub (local.get $left) (i64.const 1)))
    (call $send (i32.add (local.get $state) (i32.const 9)) (i32.const 32)
                (global.get $out) (global.get $out-len) (i32.const 64))
    (if (i32.load8_u (i32.const 64)) (then (unreachable)))
    (call $silent (local.get $state) (local.get $state-len))""",
)
"""A string as message is the id of the next one in the ring; a number goes on to that one, less one, until it is 0.

The state is ``{"next":id,"ended":n}``: how many numbers came to 0 here.
"""


class Node:
    """One runtime, and what is asked of it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._manifests: dict[str, str] = {}

    def source(self, text: str, **lines: str) -> Source:
        """A manifest for a component of this WAT text; ``lines`` go into its tables."""
        return Source(parse_manifest(self.manifest(text, "guest", **lines)), Path())

    def manifest(self, text: str, name: str, *, messaging: str = 'to = ["any"]', **lines: str) -> str:
        """The text of that manifest."""
        if text not in self._manifests:
            binary = bytes(wasmtime.wat2wasm(text))
            self._manifests[text] = hashlib.sha256(binary).hexdigest()
            self.runtime.blobs.put(binary)
        capabilities = {"messaging": messaging} | ({"supervisor": ""} if text != RELAY else {})
        return puppet_manifest(self._manifests[text], name, capabilities=capabilities, **lines)

    async def spawn(self, source: Source, name: str) -> ActorRef:
        return await self.runtime.spawn(source, name=name, allowed=ALLOWED)

    async def spawn_all(self, source: Source, names: Iterable[str]) -> list[ActorRef]:
        """Many at a time."""
        return await gathered([partial(self.spawn, source, name) for name in names])

    @property
    def in_memory(self) -> int:
        """Actors that are in memory."""
        return len(self.runtime._dispatcher)  # noqa: SLF001 - a figure that nobody else needs

    async def rest(self) -> None:
        """Wait until nothing goes on but what waits for somebody outside."""
        calm = 0
        while calm < CALM_LOOKS:
            self.runtime.store.flush()
            calm = calm + 1 if self.runtime.is_quiet else 0
            await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def node_in(folder: Path) -> AsyncIterator[Node]:
    """A node whose data lies in ``folder``, and stays there."""
    environ = {"HOME": str(folder)}
    async with asyncio.timeout(PATIENCE_S):
        async with Runtime(data_dir=folder / "data", durability="process", environ=environ) as runtime:
            yield Node(runtime)


async def gathered(works: Sequence[Callable[[], Awaitable[T]]], *, in_flight: int = IN_FLIGHT) -> list[T]:
    """What all of them return, so many at a time."""
    results: dict[int, T] = {}
    line = iter(enumerate(works))

    async def client() -> None:
        for number, work in line:
            results[number] = await work()

    await asyncio.gather(*(client() for _ in range(in_flight)))
    return [results[number] for number in range(len(works))]


async def until(is_so: Callable[[], bool], *, look_s: float = LOOK_S) -> float:
    """Wait for it; the moment at which it was seen."""
    while not is_so():  # noqa: ASYNC110 - what is looked at is the record of what happened, which tells nobody
        await asyncio.sleep(look_s)
    return time.perf_counter()


def ended(ref: ActorRef) -> int:
    """How many numbers came to 0 at a relay."""
    text = ref.state()[1]
    return 0 if text is None else int(json.loads(text)["ended"])


def memory_kb() -> Figures:
    """What this process has of the memory: as it stands, and once what is free has been given back."""
    for _ in range(2):
        gc.collect()
    before = _pss_kb()
    ctypes.CDLL(None).malloc_trim(0)
    return {"pss_kb": before, "trimmed_kb": _pss_kb()}


def growth(before: Figures, after: Figures, count: int, name_before: str = "") -> Figures:
    """For each of ``count``."""
    return {f"{name_before}{name}_each": (after[name] - before[name]) / count for name in before}


def population() -> Figures:
    """What is alive in this process besides actors."""
    instances = sum(isinstance(each, Chamber) for each in gc.get_objects())
    return {"threads": threading.active_count(), "instances": instances}


def percentiles(seconds: Collection[float], name: str) -> Figures:
    """In milliseconds."""
    times = sorted(seconds)
    return {
        f"{name}_p50_ms": times[len(times) // 2] * 1000,
        f"{name}_p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)] * 1000,
        f"{name}_max_ms": times[-1] * 1000,
    }


async def timed(work: Awaitable[object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def puppet(handlers: Collection[str] = ()) -> str:
    """The text of a guest that does what its message says."""
    return puppet_wat(("messaging", "supervisor"), handlers=handlers)  # type: ignore[arg-type]  # words of its own


def _pss_kb() -> float:
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1])
    return 0.0
