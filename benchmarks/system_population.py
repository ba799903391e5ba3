"""Many actors: starting them, keeping them, and opening a node that has them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from benchmarks.system_node import (
    ALLOWED,
    RELAY,
    Figures,
    Node,
    ended,
    gathered,
    growth,
    memory_kb,
    node_in,
    population,
    puppet,
    until,
)
from tests.guests import puppet as play
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Entry
from theater.runtime.letter import Letter, encode_letter, nobody
from theater.runtime.loading import HANDLE
from theater.runtime.posting import message
from theater.runtime.reference import ActorRef

ACTORS = 10_000
CHILDREN = 1_000
CHILDREN_PER_STEP = 10
KEPT = 3_000  # fewer than a node keeps in memory
WAITING = 100
WARM_UP = 64


async def spawn(folder: Path, scale: float) -> Figures:
    """Actors a second, asked for from outside."""
    actors = round(ACTORS * scale)
    async with node_in(folder) as node:
        source = node.source(RELAY)
        await node.spawn_all(source, [f"warm-{number}" for number in range(WARM_UP)])
        started = time.perf_counter()
        await node.spawn_all(source, [f"relay-{number}" for number in range(actors)])
        took = time.perf_counter() - started
        return {"actors_per_s": actors / took}


async def children(folder: Path, scale: float) -> Figures:
    """Children a second of one actor, some in each of its steps."""
    count = round(CHILDREN * scale)
    async with node_in(folder) as node:
        guest = puppet()
        boss = await node.spawn(node.source(guest, limits="children = 2000"), "boss")
        started = time.perf_counter()
        await spawn_children(node, boss, guest, count)
        spawned = time.perf_counter()
        await node.rest()
        took = time.perf_counter() - started
        living = [record for record in node.runtime.store.records() if record.parent == boss.id]
        assert len(living) == count, len(living)
        assert {record.status for record in living} == {"running"}
        return {"children_per_s": count / took, "steps_of_parent_s": spawned - started}


async def spawn_children(node: Node, boss: ActorRef, guest: str, count: int) -> None:
    """Some in each step of their parent."""
    numbers = list(range(count))
    while numbers:
        names, numbers = numbers[:CHILDREN_PER_STEP], numbers[CHILDREN_PER_STEP:]
        orders = [play.child(node.manifest(guest, f"child-{number}", messaging="")) for number in names]
        answer = await boss.request("".join(map(play.spawn, orders)) + play.reply(play.FULL_ANSWER))
        assert not str(answer).startswith("err:"), answer


async def idle(folder: Path, scale: float) -> Figures:
    """What an actor costs that has started and does nothing: of those in memory, and of all when they are too many.

    Then each is spoken to once, which brings it back, and must not keep it there.
    """
    actors, kept = round(ACTORS * scale), round(KEPT * scale)
    async with node_in(folder) as node:
        source = node.source(RELAY)
        await node.spawn_all(source, [f"warm-{number}" for number in range(WARM_UP)])
        await node.rest()
        before = memory_kb()
        ids = [ref.id for ref in await node.spawn_all(source, [f"relay-{number}" for number in range(kept)])]
        await node.rest()
        figures = growth(before, memory_kb(), kept, "kept_")
        more = await node.spawn_all(source, [f"relay-{number}" for number in range(kept, actors)])
        ids += [ref.id for ref in more]
        del more
        await node.rest()
        figures |= growth(before, memory_kb(), actors) | {"in_memory": node.in_memory} | population()
        started = time.perf_counter()
        await gathered([partial(node.runtime.request, actor, "0") for actor in ids])
        figures["spoken_to_per_s"] = actors / (time.perf_counter() - started)
        await node.rest()
        return figures | growth(before, memory_kb(), actors, "spoken_to_") | {"spoken_to_in_memory": node.in_memory}


async def restart(folder: Path, scale: float) -> Figures:
    """How long a node with many actors takes to open, and to get done what waits there."""
    actors, waiting = round(ACTORS * scale), round(WAITING * scale)
    async with node_in(folder) as node:
        refs = await node.spawn_all(node.source(RELAY), [f"relay-{number}" for number in range(actors)])
        await node.rest()
        step = max(1, actors // waiting)
        ids = [ref.id for ref in refs[::step][:waiting]]
        await asyncio.gather(*(_left_waiting(node, actor) for actor in ids))
        closing = time.perf_counter()
    closed = time.perf_counter()
    async with node_in(folder) as node:
        opened = time.perf_counter()
        found = [await node.runtime.actor(actor, allowed=ALLOWED) for actor in ids]
        done = await until(lambda: all(ended(ref) == 1 for ref in found))
        await node.rest()
        in_memory = node.in_memory
    return {"close_s": closed - closing, "open_s": opened - closed, "done_s": done - closed, "in_memory": in_memory}


async def _left_waiting(node: Node, actor: ActorId) -> None:
    """Put a message into a mailbox as it stands in the store when the process ends before the actor gets to it."""
    message_id = node.runtime.new_id()
    arguments = (message(message_id, "0", sender=None, expects_reply=False),)
    letter = Letter(
        message_id, "local", HANDLE, arguments, expects_reply=False, done=nobody, is_durable=True, has_place=True
    )
    loop, written = asyncio.get_running_loop(), asyncio.Event()

    def done(result: object) -> None:
        assert isinstance(result, Appended), result
        loop.call_soon_threadsafe(written.set)

    entry = Entry(actor, "mailbox", message_id, encode_letter(letter), once=True)
    node.runtime.store.append(Append(actor, None, (), puts=(entry,)), done)
    await written.wait()
