"""A node in trouble: guests that never end, and children that crash by the dozen."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from benchmarks.system_node import RELAY, Figures, gathered, node_in, percentiles, puppet, timed, until
from benchmarks.system_population import spawn_children
from tests.guests import puppet as play
from theater.errors import Crashed
from theater.runtime.reference import ActorRef

LOOPING = 8
SAMPLES = 400
ENDLESS = f'fuel = {2**61}\ndeadline = "3600s"'

CHILDREN = 1_000
CRASHING = 100
MANY_RESTARTS = 'intensity = 1000\nperiod = "60s"'


async def latency(folder: Path, scale: float) -> Figures:
    """How soon the node answers while more guests run for ever than there are cores."""
    samples = round(SAMPLES * scale)
    async with node_in(folder) as node:
        looping = await node.spawn_all(node.source(puppet(), limits=ENDLESS), [f"loop-{n}" for n in range(LOOPING)])
        relay = await node.spawn(node.source(RELAY), "relay")
        idle = await node.spawn_all(node.source(RELAY), [f"idle-{n}" for n in range(samples)])
        await asyncio.gather(*(ref.send(play.loop()) for ref in looping))
        await asyncio.sleep(0.1)
        state, requests, stops = [], [], []
        for number in range(samples):
            await asyncio.sleep(0.001)
            started = time.perf_counter()
            looping[number % LOOPING].state()
            state.append(time.perf_counter() - started)
            requests.append(await timed(relay.request(0)))
            stops.append(await timed(idle[number].stop()))
        figures = percentiles(state, "state") | percentiles(requests, "request") | percentiles(stops, "stop")
        figures |= percentiles(await _terminations(looping, max(LOOPING, samples // 4)), "terminate")
        await asyncio.gather(*(ref.terminate() for ref in looping))
        return figures


async def _terminations(looping: list[ActorRef], samples: int) -> list[float]:
    times = []
    for number in range(samples):
        ref = looping[number % LOOPING]
        times.append(await timed(ref.terminate()))
        await ref.restart()
        await ref.send(play.loop())
        await asyncio.sleep(0.02)
    return times


async def crowd(folder: Path, scale: float) -> Figures:
    """One supervisor, many children, of which a tenth crash at once: until they run again."""
    children, crashing = round(CHILDREN * scale), round(CRASHING * scale)
    async with node_in(folder) as node:
        guest = puppet()
        source = node.source(puppet(("supervisor",)), limits="children = 2000", supervision=MANY_RESTARTS)
        boss = await node.spawn(source, "boss")
        await spawn_children(node, boss, guest, children)
        await node.rest()
        refs = [await node.runtime.actor(f"child-{n}") for n in range(0, children, max(1, children // crashing))]
        refs = refs[:crashing]
        started = time.perf_counter()
        await asyncio.gather(*map(_crash, refs))
        crashed = time.perf_counter()
        again = await until(lambda: all(ref.record.status == "running" for ref in refs))
        answers = await gathered([partial(ref.request, play.reply("ok")) for ref in refs])
        answered = time.perf_counter()
        assert answers == ["ok"] * len(refs), answers
        await node.rest()
        seen = play.log_of(boss.state()[1] or "0")
        assert len(seen) == len(refs), (len(seen), len(refs))
        return {"crashed_s": crashed - started, "running_s": again - started, "answered_s": answered - started}


async def _crash(ref: ActorRef) -> None:
    try:
        await ref.request(play.trap())
    except Crashed:
        return
    raise AssertionError("it was to crash")
