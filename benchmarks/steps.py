"""How fast one node takes steps, with a bare loop of the same parts beside it in the same run. Prints JSON.

* ``concurrent``: 64 actors with one request under way each, so 64 in flight;
* ``sequential``: one actor, one request after the other from ``await request()``;
* ``floor``: no mailbox, no boundary, no runtime: instance + call + four hashes + one insert, on one thread;
* ``replay``: the history that ``concurrent`` recorded, re-executed and compared;
* ``memory``: what an idle actor that has been loaded and has worked keeps in RAM.

A counter in WebAssembly text is the guest; durability is ``process``. Rates of one run compare with each other, and
with nothing else: these machines are shared.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.guests.wat import COUNTER
from theater.chain.sealing import seal
from theater.engine.execution import GuestCall
from theater.model.capability import Resources
from theater.model.event import EMPTY, Head
from theater.model.execution import Closed, Resting
from theater.runtime.boundary import Boundary
from theater.runtime.examination import examine_actor
from theater.runtime.invocation import invocation_of
from theater.runtime.letter import Letter, nobody
from theater.runtime.loading import HANDLE
from theater.runtime.runtime import ActorRef, Runtime
from theater.runtime.tape import Playing

ACTORS = 64
BODY = '{"by":1}'


def manifest(folder: Path, mode: str) -> Path:
    (folder / "counter.wat").write_text(COUNTER)
    path = folder / f"{mode}.toml"
    path.write_text(f'name = "counter"\ncomponent = "counter.wat"\ninstance = "{mode}"\n')
    return path


async def concurrent(actors: list[ActorRef], steps: int) -> float:
    async def client(actor: ActorRef) -> None:
        for _ in range(steps // len(actors)):
            await actor.request_json(BODY)

    started = time.perf_counter()
    await asyncio.gather(*(client(actor) for actor in actors))
    return steps // len(actors) * len(actors) / (time.perf_counter() - started)


async def sequential(actor: ActorRef, steps: int) -> dict[str, float]:
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        await actor.request_json(BODY)
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return {"p50_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99)]}


class _Inline:
    """A queue for calls that are run by whoever made them."""

    def put(self, call: GuestCall) -> None:
        call.run()

    put_urgent = put

    def forget(self, call: GuestCall) -> None:
        pass

    def step_aside(self) -> None:
        pass

    step_back = step_aside


def floor(actor: ActorRef, folder: Path, *, mode: str, steps: int) -> float:
    """Steps a second of the bare loop: called on a thread of its own, since guests never run on the main one."""
    anatomy = actor._actor.anatomy  # noqa: SLF001 - the parts, without what they are parts of
    database = sqlite3.connect(folder / f"floor-{mode}.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, data BLOB)")
    message = {"id": "0" * 32, "sender": None, "expects-reply": True, "body": BODY}
    letter = Letter("0" * 32, "local", HANDLE, (message,), True, nobody)
    boundary = Boundary(
        anatomy.facts,
        bindings=anatomy.bindings,
        tape=Playing((), end_seq=0),
        message_id=letter.id,
        now_us=0,
        seed=bytes(32),
        resources=Resources(),
    )
    state, head, instance = '{"count":0}', EMPTY, None
    rested: list[Resting] = []
    started = time.perf_counter()
    for number in range(steps):
        rested.clear()
        invocation = invocation_of(anatomy, letter, boundary, state, instance=instance, keep=mode == "warm")
        GuestCall(anatomy.loaded.program, invocation, rested.append, _Inline()).run()  # type: ignore[arg-type]
        closed = rested[0]
        assert isinstance(closed, Closed)
        assert isinstance(closed.result, tuple)
        instance = closed.instance
        state = closed.result[1]["state"]
        data = b""
        for kind in ("message", "state"):
            payload = f'{{"state":{json.dumps(state)}}}'.encode()
            event = seal(head, actor=actor.id, kind=kind, name=HANDLE, payload=payload, salt=bytes(16), time_us=number)
            head = Head(event.header.seq, event.hash)
            data += event.header_bytes + payload
        database.execute("INSERT INTO events (data) VALUES (?)", (data,))
    rate = steps / (time.perf_counter() - started)
    if instance is not None:
        instance.close()
    database.close()
    return rate


async def on_thread(rates: dict[str, float], name: str, actor: ActorRef, folder: Path, n: int) -> None:
    def work() -> None:
        rates["floor_per_s"] = floor(actor, folder, mode=name, steps=n)

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)


def resident_bytes() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


async def measure(mode: str, steps: int, folder: Path) -> dict[str, object]:
    async with Runtime(data_dir=folder / f"data-{mode}", environ={"HOME": str(folder)}) as runtime:
        path = manifest(folder, mode)
        first = await runtime.spawn(path, name="first")
        gc.collect()
        before = resident_bytes()
        actors = [await runtime.spawn(path, name=f"counter-{number}") for number in range(ACTORS)]
        await concurrent(actors, ACTORS * 20)
        gc.collect()
        memory = (resident_bytes() - before) // ACTORS
        rates: dict[str, float] = {}
        await on_thread(rates, mode, first, folder, steps // 2)
        rates["concurrent_per_s"] = max([await concurrent(actors, steps) for _ in range(3)])
        latency = await sequential(actors[0], min(steps, 2000))
        started = time.perf_counter()
        report = await asyncio.to_thread(examine_actor, runtime.node, actors[1].id)
        rates["replay_per_s"] = report.steps / (time.perf_counter() - started)
        assert report.ok, report
        return {
            **{name: round(rate) for name, rate in rates.items()},
            **{name: round(value, 3) for name, value in latency.items()},
            "of_floor": round(rates["concurrent_per_s"] / rates["floor_per_s"], 2),
            "replay_of_recording": round(rates["replay_per_s"] / rates["concurrent_per_s"], 2),
            "memory_per_actor_bytes": memory,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=19_200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "benchmark": "steps",
            "python": platform.python_version(),
            "actors": ACTORS,
            "in_flight": ACTORS,
            "hashes_per_step": 4,
            "digest": hashlib.sha256(COUNTER.encode()).hexdigest()[:12],
            "fresh": asyncio.run(measure("fresh", arguments.steps, Path(folder))),
            "warm": asyncio.run(measure("warm", arguments.steps, Path(folder))),
        }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
