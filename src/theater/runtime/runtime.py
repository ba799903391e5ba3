"""The runtime: what a program that uses Theater holds in its hand.

    async with theater.Runtime(data_dir="…") as runtime:
        counter = await runtime.spawn("counter/theater.toml")
        reply = await counter.request({"by": 1})

Everything hangs from one ``Runtime``: the data directory and its lock, the store, the engine, the living actors.
Leaving the ``async with`` ends running steps (bounded), commits what was accepted and joins every thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from theater.errors import InvalidInput, NameTaken, TheaterError, TimedOut
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.model.json_text import check_json
from theater.model.manifest import check_name
from theater.model.ports import ActorRecord, BlobStore, Clock, Durability, Entropy, EventStore, Status
from theater.runtime.actor import Actor
from theater.runtime.birth import Request, free_name, give_birth, wake_up
from theater.runtime.config import Config
from theater.runtime.delivery import Delivery
from theater.runtime.letter import Answer, Letter, Reply
from theater.runtime.loading import HANDLE, INIT, RUN
from theater.runtime.lookup import find_record
from theater.runtime.node import Node
from theater.runtime.opening import Options, open_node
from theater.runtime.permissions import Grants
from theater.runtime.sampling import FreshSampler
from theater.runtime.sources import Source, component_of, read_source

STOP_GRACE_S = 5.0
"""How long running steps may go on when the runtime closes; then they are left open, to be resumed."""

ASSEMBLED_MAX = 16
"""WAT texts whose component is remembered: assembling one starts a process."""

SOURCE = "local"
"""Who a message is from that came through this interface."""


class Runtime:
    """One node. Its methods belong to the event loop that entered it."""

    def __init__(
        self,
        *,
        data_dir: str | Path | None = None,
        durability: Durability | None = None,
        environ: Mapping[str, str] | None = None,
        ceiling: Grants | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        workers: int | None = None,
        purpose: str = "runtime",
    ) -> None:
        self._options = Options(
            data_dir=Path(data_dir) if data_dir is not None else None,
            durability=durability,
            ceiling=ceiling,
            clock=clock,
            entropy=entropy,
            workers=workers,
            purpose=purpose,
        )
        self._environ = dict(os.environ) if environ is None else dict(environ)
        self._closing = ExitStack()
        self._actors: dict[ActorId, Actor] = {}

    @classmethod
    def with_options(cls, options: Options, environ: Mapping[str, str]) -> Self:
        """A runtime in which every part may have been chosen: for tests, and for whoever embeds one."""
        runtime = cls(environ=environ)
        runtime._options = options
        return runtime

    async def __aenter__(self) -> Self:
        self._delivery = Delivery(asyncio.get_running_loop())
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    @property
    def node(self) -> Node:
        """The parts."""
        return self._node

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._config

    @property
    def store(self) -> EventStore:
        """The chains, for reading."""
        return self._node.store

    @property
    def blobs(self) -> BlobStore:
        """The components."""
        return self._node.blobs

    async def spawn(
        self,
        manifest: str | Path | Source,
        *,
        name: str | None = None,
        params: str | None = None,
        settings: Mapping[str, object] | None = None,
        allowed: Sequence[str] = (),
        arguments: Sequence[str] = (),
        rename: bool = False,
    ) -> ActorRef:
        """Start an actor from a manifest, or from a bare ``.wasm`` or ``.wat``.

        ``params`` is a JSON text for ``init``; ``settings`` replace placeholders; ``allowed`` grants beyond the
        ceiling, as ``--allow`` does; with ``rename``, a name that a living actor has becomes ``name-2``. Returns once
        ``init`` (or, of a command, the whole run) has been committed.

        Raises:
            InvalidInput and its children: nothing was started.
            Refused, Crashed: ``init`` did; the actor stays to be looked at: ``data["actor"]`` has its id.
        """
        if isinstance(manifest, Source):
            source = manifest
        else:
            source = await asyncio.to_thread(read_source, Path(manifest), settings=settings, params=params)
        component = await asyncio.to_thread(component_of, source, self.blobs, self._assemble)
        wanted = check_name(name) if name is not None else source.manifest.name
        if rename:
            wanted = free_name(self._node, wanted)
        request = Request(source.manifest, component, wanted, tuple(arguments), tuple(allowed))
        actor = await asyncio.to_thread(give_birth, self._node, request, self._sampler)
        self._actors[actor.record.id] = actor
        reference = ActorRef(self, actor)
        try:
            if actor.anatomy.loaded.role == "actor":
                reference.first = await self.post(actor, "init-0", INIT, (source.manifest.params,))
            else:
                reference.first = await self.post(actor, "run-0", RUN, ())
        except TheaterError as error:
            error.data["actor"] = actor.record.id
            raise
        return reference

    async def actor(self, text: str, *, allowed: Sequence[str] = ()) -> ActorRef:
        """The actor of that name, id, or unique beginning of an id; woken up if it was idle in the store.

        Where it is woken up, its grants have to be within this node's ceiling and ``allowed``, as when it was spawned:
        what was allowed once was allowed once, and an imported chain was granted its own by another node.

        Raises:
            NotFound: naming the nearest that there is.
            Denied: it has more than that; ``data["asked"]`` has the lines.
        """
        record = find_record(self.store, text)
        actor = self._actors.get(record.id)
        if actor is None:
            actor = await asyncio.to_thread(wake_up, self._node, record, self._sampler, allowed=allowed)
            self._actors[record.id] = actor
        return ActorRef(self, actor)

    async def post(
        self,
        actor: Actor,
        message_id: str,
        export: str,
        arguments: tuple[object, ...],
        *,
        expects_reply: bool = True,
    ) -> Reply:
        """Submit a letter and wait until its step has been committed."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        delivery = self._delivery

        def done(answer: Answer) -> None:
            delivery.put(future, answer)

        actor.submit(Letter(message_id, SOURCE, export, arguments, expects_reply, done))
        return await future

    async def control(self, actor: Actor, verb: str, status: Status) -> None:
        """Change an actor's status between two steps, and wait until that is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivery = self._delivery

        def done(failure: TheaterError | None) -> None:
            delivery.put(future, failure)

        actor.control(verb, status, by=SOURCE, done=done)
        await future

    def new_id(self) -> str:
        """An id for a message from outside."""
        return self._node.entropy.take(16).hex()

    def _open(self) -> None:
        try:
            self._node, self._config = open_node(self._options, self._environ, self._closing)
        except BaseException:
            self._closing.close()
            raise
        self._sampler = FreshSampler(self._node.engine)
        self._assemble = lru_cache(maxsize=ASSEMBLED_MAX)(self._node.engine.assemble)

    def _close(self) -> None:
        until = time.monotonic() + STOP_GRACE_S
        try:
            for actor in self._actors.values():
                if not actor.wait_idle(max(0.0, until - time.monotonic())):
                    actor.leave()
                    actor.wait_idle(STOP_GRACE_S)
            self._sampler.wait_quiet(STOP_GRACE_S)
            for actor in self._actors.values():
                actor.release()
        finally:
            self._closing.close()


class ActorRef:
    """An actor as seen from outside.

    ``first`` is the answer to ``init``, or to a command's run, if it was just spawned.
    """

    def __init__(self, runtime: Runtime, actor: Actor) -> None:
        self._runtime = runtime
        self._actor = actor
        self.first: Reply | None = None

    @property
    def id(self) -> ActorId:
        """Its id."""
        return self._actor.record.id

    @property
    def record(self) -> ActorRecord:
        """Its row: name, status, program."""
        return self._actor.record

    @property
    def head(self) -> Head:
        """The last event of its chain."""
        return self._actor.head

    @property
    def role(self) -> str:
        """``actor`` or ``command``."""
        return self._actor.anatomy.loaded.role

    async def request(self, body: object, *, timeout_s: float | None = None) -> object:
        """Send ``body`` as JSON and return the reply, decoded. None where the actor gave none.

        Raises: as ``request_json``.
        """
        reply = await self.request_json(msgspec.json.encode(body).decode(), timeout_s=timeout_s)
        return msgspec.json.decode(reply.text) if reply.text is not None else None

    async def request_json(self, body: str, *, timeout_s: float | None = None) -> Reply:
        """Send a JSON text; the reply comes back as exactly the guest's text, with the receipt of its event.

        Raises:
            InvalidJson, NotRunning, MailboxFull: nothing was sent.
            Refused: the guest said no; its state is unchanged.
            Crashed: the step crashed; ``data["reason"]`` says how.
            TimedOut: no answer in time; the step goes on all the same.
            StoreError: it could not be recorded, so it has not happened.
        """
        pending = self._send(body, expects_reply=True)
        if timeout_s is None:
            return await pending
        try:
            return await asyncio.wait_for(pending, timeout_s)
        except TimeoutError as error:
            raise TimedOut(f"no answer within {timeout_s:g} s; the step goes on") from error

    async def send_json(self, body: str) -> Reply:
        """Send a JSON text for which no reply is expected; returns once its step has been committed."""
        return await self._send(body, expects_reply=False)

    async def stop(self) -> None:
        """Stop it after the step that is running. It takes no more messages; what waits for an answer is refused."""
        await self._runtime.control(self._actor, "stopped", "stopped")

    async def terminate(self) -> None:
        """Stop it now: the step that is running ends as ``terminated``."""
        self._actor.terminate("terminated from outside")
        await self._runtime.control(self._actor, "stopped", "stopped")

    async def pause(self) -> None:
        """Begin no further step; messages are accepted and wait."""
        await self._runtime.control(self._actor, "paused", "paused")

    async def resume(self) -> None:
        """Go on after ``pause``."""
        await self._runtime.control(self._actor, "resumed", "running")

    async def restart(self) -> None:
        """Go on after a stop or a crash, from the last committed state.

        Raises:
            NameTaken: another living actor has its name by now.
        """
        for record in self._runtime.store.find(self.record.name):
            if record.name == self.record.name and record.id != self.id and record.status in ("running", "paused"):
                raise NameTaken(f"a living actor is called {record.name!r} by now; stop that first")
        await self._runtime.control(self._actor, "restarted", "running")

    def state(self) -> tuple[int | None, str | None]:
        """The seq of the event that holds the current state, and its JSON text."""
        return self._actor.state

    async def _send(self, body: str, *, expects_reply: bool) -> Reply:
        if self.role == "command":
            raise InvalidInput(f"{self.record.name!r} is a command: it runs once and takes no messages")
        check_json(body, max_bytes=self._actor.anatomy.limits.message_bytes)
        message_id = self._runtime.new_id()
        message = {"id": message_id, "sender": None, "expects-reply": expects_reply, "body": body}
        return await self._runtime.post(self._actor, message_id, HANDLE, (message,), expects_reply=expects_reply)
