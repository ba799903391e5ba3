"""A node that does what it is told on standard input, and says what came of it on standard output, a line each.

It is a script, and is killed at any moment: what it has said then is what it has promised. Orders are JSON objects with
a number ``n``, which comes back with ``ok`` or ``error``. Standard error stays empty unless there is a bug.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.crash import cast
from tests.guests.puppet import log_of
from theater.errors import NameTaken, NotFound, TheaterError
from theater.model.ids import ActorId
from theater.model.manifest import parse_manifest
from theater.model.ports import Entry, Space
from theater.runtime.examination import examine_actor
from theater.runtime.history import payload_of, state_at
from theater.runtime.letter import decode_deferred
from theater.runtime.opening import Options
from theater.runtime.reference import ActorRef
from theater.runtime.runtime import Runtime
from theater.runtime.sources import Source

LINE_MAX = 1 << 20
LOOK_S = 0.002
CALM_LOOKS = 3
PATIENCE_S = 40.0  # longer than anybody waits for an answer
TRIES = 5
UNFINISHED: tuple[Space, ...] = ("mailbox", "signal", "duty", "deferred", "answer")


def say(**what: object) -> None:
    """Say it so that it is heard even if we die now."""
    os.write(1, json.dumps(what).encode() + b"\n")


class Node:
    """One runtime, and those who play in it."""

    def __init__(self, runtime: Runtime, component: bytes) -> None:
        self.runtime = runtime
        self.digest = hashlib.sha256(component).hexdigest()
        self.refs: dict[str, ActorRef] = {}
        self._arriving = asyncio.Lock()
        runtime.blobs.put(component)

    async def root(self, name: str) -> ActorRef:
        """The root actor of that name, spawned if there is none."""
        async with self._arriving:
            if name not in self.refs:
                try:
                    self.refs[name] = await self.runtime.actor(name, allowed=cast.ALLOWED)
                except NotFound:
                    source = Source(parse_manifest(cast.manifest(self.digest, name), params=None), Path())
                    self.refs[name] = await self.runtime.spawn(source, name=name, allowed=cast.ALLOWED)
            return self.refs[name]

    async def child(self, boss: ActorRef, name: str) -> ActorRef:
        """The boss's child of that name. It may be on the way already: an earlier process may have begun the step."""
        for _ in range(TRIES):
            found = [record.id for record in self.runtime.store.records() if record.name == name]
            if found:
                self.refs[name] = await self.runtime.actor(found[0], allowed=cast.ALLOWED)
                return self.refs[name]
            await boss.request_json(json.dumps(cast.birth(self.digest, name)))
        raise NotFound(f"the boss has no child {name}")

    async def assemble(self) -> dict[str, str]:
        """Everybody is there; their ids."""
        for name in cast.ROOTS:
            await self.root(name)
        for name in cast.CHILDREN:
            await self.child(self.refs["boss"], name)
        return {name: ref.id for name, ref in self.refs.items()}

    async def do(self, order: dict[str, Any]) -> object:
        """One order."""
        match order["do"]:
            case "send":
                body = json.dumps(order["body"])
                return await (await self.root(order["to"])).send_json(body, key=order["key"])
            case "request":
                body = json.dumps(order["body"])
                reply = await (await self.root(order["to"])).request_json(body, key=order["key"])
                return reply.text if order["key"] is None else [reply.text, reply.receipt.seq, reply.receipt.hash]
            case "mayfly":
                return await self.mayfly(order["to"])
            case "left of":
                return await asyncio.to_thread(self.left_of, [ActorId(each) for each in order["body"].split()])
            case "root":
                return (await self.root(order["to"])).id
            case "rest":
                return await self.rest()
            case "report":
                return await asyncio.to_thread(self.report)
            case unknown:
                raise AssertionError(unknown)

    async def mayfly(self, name: str) -> list[str]:
        """Be born, have a child, end, and be removed; from wherever an earlier process left it."""
        found = [record for record in self.runtime.store.records() if record.name == name]
        if not found:
            source = Source(parse_manifest(cast.manifest(self.digest, name), params=None), Path())
            ref = await self.runtime.spawn(source, name=name, allowed=cast.ALLOWED)
            await ref.request_json(json.dumps(cast.birth(self.digest, f"{name}-child")))
        else:
            ref = await self.runtime.actor(found[0].id, allowed=cast.ALLOWED)
        await ref.stop()
        return [str(each) for each in await self.runtime.remove(ref.id, tree=True)]

    def left_of(self, removed: list[ActorId]) -> dict[str, str]:
        """Who of them is not gone, and why that can be told."""
        store = self.runtime.store
        left: dict[str, str] = {}
        for actor in removed:
            *before, last = store.events(actor)
            if store.record(actor) is not None or store.entries(actor):
                left[actor] = "it is there"
            elif last.header.name != "erased" or any(event.payload is not None for event in before):
                left[actor] = "it is not erased"
        return left

    async def rest(self) -> dict[str, object]:
        """Wait until everybody has come to rest; who has not, and with what."""
        until = time.monotonic() + PATIENCE_S
        calm = 0
        while calm < CALM_LOOKS and time.monotonic() < until:
            self.runtime.store.flush()
            calm = calm + 1 if self.runtime.is_quiet and not self.unfinished() else 0
            await asyncio.sleep(LOOK_S)
        return {} if calm == CALM_LOOKS else {"quiet": self.runtime.is_quiet, "left": self.unfinished()}

    def unfinished(self) -> dict[str, object]:
        """Who has something left to do."""
        store = self.runtime.store
        running = {actor.record.name: "runs" for actor in self.runtime._dispatcher.everybody() if actor._performer.step}
        waiting = {
            f"{_name(self.runtime, actor)} {entry.space} {entry.key}": "waits"
            for actor in store.holders(*UNFINISHED)
            for entry in store.entries(actor)
            if entry.space in UNFINISHED and not (entry.space == "deferred" and self._is_over(entry))
        }
        return {**running, **waiting}

    def _is_over(self, deferred: Entry) -> bool:
        """Whether nobody waits for that answer any more."""
        expires_us = decode_deferred(deferred.key, deferred.value).expires_us
        return 0 < expires_us <= self.runtime.node.clock.now_us()

    def report(self) -> list[dict[str, object]]:
        """What has become of everybody, and whether every chain is sound."""
        store = self.runtime.store
        store.check()  # type: ignore[attr-defined]  # of the store on the disk
        found = []
        for record in store.records():
            head = store.head(record.id)
            verified = examine_actor(self.runtime.node, record.id, head=head.hash)
            state = state_at(store, record.id, head.seq)
            found.append(
                {
                    "name": record.name,
                    "status": record.status,
                    "log": log_of(state.text) if state is not None else [],
                    "ok": verified.ok,
                    "fault": str(verified.fault),
                    "open": verified.open,
                    "events": verified.events,
                    "steps": verified.steps,
                    "lost": self.lost(record.id),
                }
            )
        return found

    def lost(self, actor: ActorId) -> list[list[str]]:
        """The steps that crashed, each with its reason and its message: what was in these is gone by right."""
        lost = []
        message = ""
        for event in self.runtime.store.events(actor):
            if event.header.kind == "message":
                assert event.payload is not None
                message = event.payload.decode()
            elif event.header.kind == "crashed":
                lost.append([str(getattr(payload_of(event), "reason", "")), message])
        return lost


def _name(runtime: Runtime, actor: ActorId) -> str:
    record = runtime.record(actor)
    return record.name if record is not None else actor


async def serve(node: Node, reader: asyncio.StreamReader) -> None:
    """Carry out orders, all at once, until there are no more."""

    async def carry_out(order: dict[str, Any]) -> None:
        try:
            say(n=order["n"], ok=await node.do(order))
        except TheaterError as error:
            say(n=order["n"], error=error.code, text=str(error))

    async with asyncio.TaskGroup() as tasks:
        while line := await reader.readline():
            tasks.create_task(carry_out(json.loads(line)))


async def main(task: dict[str, str], component: bytes) -> None:
    """Open the node, assemble everybody, do as told."""
    reader = asyncio.StreamReader(limit=LINE_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    options = Options(data_dir=Path(task["data"]), cache=Path(task["cache"]))
    async with Runtime.with_options(options, {"XDG_CONFIG_HOME": task["data"]}) as runtime:
        node = Node(runtime, component)
        for _ in range(TRIES):
            try:
                say(ready=await node.assemble())
                break
            except NameTaken:  # an earlier process was in the middle of it
                continue
        await serve(node, reader)


if __name__ == "__main__":
    said = json.loads(sys.argv[1])
    asyncio.run(main(said, Path(said["component"]).read_bytes()))
