"""Messages between actors: round a ring, and past others that wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.system_node import (
    IN_FLIGHT,
    RELAY,
    Figures,
    ended,
    gathered,
    growth,
    memory_kb,
    node_in,
    percentiles,
    puppet,
    timed,
    until,
)
from tests.guests import puppet as play
from theater.runtime.reference import ActorRef

RING = 1_000
MESSAGES = 100_000
TOKENS = 64

ACTORS = 10_000
BLOCKED = 1_000
REQUESTS = 10_000
PATIENT = 'wait = "600s"'
TIMEOUT_MS = 600_000


async def ring(folder: Path, scale: float) -> Figures:
    """Messages a second round a ring of actors, with many on their way and with one."""
    messages, size = round(MESSAGES * scale), max(TOKENS, round(RING * scale))
    async with node_in(folder) as node:
        refs = await node.spawn_all(node.source(RELAY), [f"relay-{number}" for number in range(size)])
        await gathered([partial(ref.request, after.id) for ref, after in zip(refs, [*refs[1:], refs[0]], strict=True)])
        figures: Figures = {}
        actors = [node.runtime.find(ref.id) for ref in refs]
        before = memory_kb()
        for tokens, count in ((TOKENS, messages), (1, messages // 10)):
            figures |= await _round(refs, tokens, count)
        await node.rest()
        figures |= growth(before, memory_kb(), messages)
        figures["stayed_in_memory"] = sum(
            node.runtime.find(ref.id) is actor for ref, actor in zip(refs, actors, strict=True)
        )
        return figures


async def _round(refs: Sequence[ActorRef], tokens: int, messages: int) -> Figures:
    hops = messages // tokens - 1  # the last one ends it
    starts = range(0, len(refs), len(refs) // tokens)[:tokens]
    wanted = {(start + hops) % len(refs): 0 for start in starts}
    for start in starts:
        wanted[(start + hops) % len(refs)] += 1
    for place in wanted:
        wanted[place] += ended(refs[place])
    started, began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(refs[start].send(hops) for start in starts))
    done = await until(lambda: all(ended(refs[place]) == count for place, count in wanted.items()), look_s=0.02)
    total = tokens * (hops + 1)
    spent_us = (time.process_time() - began) * 1e6
    return {f"{tokens}_tokens_per_s": total / (done - started), f"{tokens}_tokens_cpu_us": spent_us / total}


async def blocked(folder: Path, scale: float) -> Figures:
    """How others fare while many wait in the middle of a step, and what it costs to wait."""
    actors, waiting = round(ACTORS * scale), round(BLOCKED * scale)
    async with node_in(folder) as node:
        guest = puppet()
        limits = f"outstanding = 2000\nmailbox = 2000\n{PATIENT}"
        keeper = await node.spawn(node.source(guest, limits=limits), "keeper")
        waiters = await node.spawn_all(node.source(guest, limits=PATIENT), [f"waiter-{n}" for n in range(waiting)])
        relays = await node.spawn_all(node.source(RELAY), [f"relay-{n}" for n in range(actors - waiting)])
        figures = await _load(relays, scale, "free")
        await node.rest()
        before = memory_kb()
        program = play.request(keeper.id, play.remember(), TIMEOUT_MS) + play.keep(play.ANSWER_JSON)
        started = time.perf_counter()
        await gathered([partial(ref.send, program) for ref in waiters])
        await until(lambda: len(play.log_of(keeper.state()[1] or "0")) == waiting, look_s=0.05)
        figures["block_s"] = time.perf_counter() - started
        await node.rest()
        figures |= growth(before, memory_kb(), waiting)
        figures |= await _load(relays, scale, "blocked")
        figures["ratio_of_free"] = figures["blocked_per_s"] / figures["free_per_s"]
        figures["answer_s"] = await _answer_all(keeper, waiters)
        await node.rest()
        return figures


async def _load(relays: Sequence[ActorRef], scale: float, name: str) -> Figures:
    """Requests to some of the others, as many under way as there are of these."""
    healthy = relays[-IN_FLIGHT:]
    await gathered([partial(ref.request, 0) for _ in range(10) for ref in healthy])
    times: list[float] = []

    async def client(ref: ActorRef) -> None:
        times.extend([await timed(ref.request(0)) for _ in range(max(1, round(REQUESTS * scale) // len(healthy)))])

    took = await timed(asyncio.gather(*map(client, healthy)))
    return {f"{name}_per_s": len(times) / took} | percentiles(times, name)


async def _answer_all(keeper: ActorRef, waiters: Sequence[ActorRef]) -> float:
    started = time.perf_counter()
    left = len(waiters)
    while left:
        count = min(50, left)
        await keeper.request(play.repeat(count, play.answer_first("done")) + play.reply("ok"))
        left -= count
    return await until(lambda: all(ref.state()[1] == '"done"' for ref in waiters)) - started
