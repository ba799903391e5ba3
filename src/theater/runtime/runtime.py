"""The runtime: what a program that uses Theater holds in its hand.

    async with theater.Runtime(data_dir="…") as runtime:
        counter = await runtime.spawn("counter/theater.toml")
        reply = await counter.request({"by": 1})

Everything hangs from one ``Runtime``: the data directory and its lock, the store, the engine, the living actors.
Leaving the ``async with`` takes no more messages, answers those that wait with ``not-running``, gives running steps
some seconds and then leaves them open, to be resumed; it makes durable what has been executed, and joins every thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from theater.errors import NameTaken, NotRunning, StoreError, TheaterError
from theater.model.ids import ActorId
from theater.model.manifest import check_name
from theater.model.ports import BlobStore, Clock, Durability, Entropy, EventStore, Status
from theater.runtime.actor import Actor
from theater.runtime.birth import Request, free_name, give_birth, wake_up
from theater.runtime.config import Config
from theater.runtime.delivery import Delivery
from theater.runtime.letter import Answer, Letter, Reply
from theater.runtime.loading import INIT, RUN
from theater.runtime.lookup import find_record
from theater.runtime.node import Node
from theater.runtime.opening import Options, open_node
from theater.runtime.permissions import Grants
from theater.runtime.reference import ActorRef
from theater.runtime.roster import Roster
from theater.runtime.sampling import FreshSampler
from theater.runtime.sources import Source, component_of, read_source

STOP_GRACE_S = 5.0
"""How long running steps may go on when the runtime closes; then they are left open, to be resumed."""

DURABLE_GRACE_S = 30.0
"""How long the disk may take, when the runtime closes, for what has been executed."""

ASSEMBLED_MAX = 16
"""WAT texts whose component is remembered: assembling one starts a process."""

SOURCE = "local"
"""Who a message is from that came through this interface."""


__all__ = ["ActorRef", "Runtime"]

T = TypeVar("T")


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
        self._roster = Roster()
        self._is_closing = False

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
        until = time.monotonic() + STOP_GRACE_S
        self._is_closing = True
        for actor in self._roster.everybody():
            actor.shut()
        try:
            await self._roster.arrived(STOP_GRACE_S)
        finally:
            await asyncio.to_thread(self._close, self._roster.everybody(), until)

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
            NotRunning: the runtime is closing.
            Refused, Crashed: ``init`` did; the actor stays to be looked at: ``data["actor"]`` has its id.
        """
        self.require_open()
        if isinstance(manifest, Source):
            source = manifest
        else:
            source = await asyncio.to_thread(read_source, Path(manifest), settings=settings, params=params)
        component = await asyncio.to_thread(component_of, source, self.blobs, self._assemble)
        wanted = check_name(name) if name is not None else source.manifest.name
        self.require_open()
        while True:
            free = free_name(self._node, wanted) if rename else wanted
            request = Request(source.manifest, component, free, tuple(arguments), tuple(allowed))
            try:
                return await self._spawned(request)
            except NameTaken:
                if not rename or free == free_name(self._node, wanted):
                    raise  # nobody was faster

    async def actor(self, text: str, *, allowed: Sequence[str] = ()) -> ActorRef:
        """The actor of that name, id, or unique beginning of an id; woken up if it was idle in the store.

        Where it is woken up, its grants have to be within this node's ceiling and ``allowed``, as when it was spawned:
        what was allowed once was allowed once, and an imported chain was granted its own by another node.

        Raises:
            NotFound: naming the nearest that there is.
            Denied: it has more than that; ``data["asked"]`` has the lines.
            NotRunning: the runtime is closing.
        """
        self.require_open()
        record = find_record(self.store, text)
        actor = self._roster.find(record.id)
        if actor is None:
            actor = await self._roster.arrival(self._woken(record.id, allowed))
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
        return await self._answered(
            actor, self._submitted(actor, message_id, export, arguments, expects_reply=expects_reply)
        )

    async def control(self, actor: Actor, verb: str, status: Status) -> None:
        """Change an actor's status between two steps, and wait until that is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivery = self._delivery

        def done(failure: TheaterError | None) -> None:
            delivery.put(future, failure)

        actor.control(verb, status, by=SOURCE, done=done)
        await self._answered(actor, future)

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

    async def _spawned(self, request: Request) -> ActorRef:
        actor, first = await self._roster.arrival(self._born(request))
        reference = ActorRef(self, actor)
        try:
            reference.first = await self._answered(actor, first)
        except TheaterError as error:
            if actor.is_born:
                error.data["actor"] = actor.record.id
            raise
        return reference

    async def _born(self, request: Request) -> tuple[Actor, asyncio.Future[Reply]]:
        actor = await self._off_loop(lambda: give_birth(self._node, request, self._sampler))
        self.require_open()
        self._roster.add(actor)  # before it is in the store, where others find it
        actor.enter()
        if actor.anatomy.loaded.role == "actor":
            return actor, self._submitted(actor, "init-0", INIT, (request.manifest.params,))
        return actor, self._submitted(actor, "run-0", RUN, ())

    async def _woken(self, actor: ActorId, allowed: Sequence[str]) -> Actor:
        async def make() -> Actor:
            record = self.store.record(actor)
            assert record is not None  # nothing is taken out of a store
            return await self._off_loop(lambda: wake_up(self._node, record, self._sampler, allowed=allowed))

        woken = await self._roster.found_or(actor, make)
        if self._is_closing:
            woken.shut()
        self.require_open()
        return woken

    def _submitted(
        self,
        actor: Actor,
        message_id: str,
        export: str,
        arguments: tuple[object, ...],
        *,
        expects_reply: bool = True,
    ) -> asyncio.Future[Reply]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        delivery = self._delivery

        def done(answer: Answer) -> None:
            delivery.put(future, answer)

        try:
            actor.submit(Letter(message_id, SOURCE, export, arguments, expects_reply, done))
        except TheaterError as error:
            future.set_exception(error)
        return future

    async def _answered(self, actor: Actor, future: asyncio.Future[T]) -> T:
        try:
            return await future
        except StoreError as error:
            name = error.data.get("name_taken")
            if name is None:
                raise
            raise NameTaken(f"a living actor is called {name!r} already; choose another name") from error
        finally:
            self._roster.settle(actor)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except Exception:
            self.require_open()  # what it stumbled over may have been closed
            raise

    def require_open(self) -> None:
        """Raise ``NotRunning`` from the moment at which it begins to close."""
        if self._is_closing:
            raise NotRunning("the runtime is closed: it starts and wakes no actors")

    def _close(self, actors: list[Actor], until: float) -> None:
        def left(until: float) -> float:
            return max(0.0, until - time.monotonic())

        try:
            for actor in actors:
                actor.shut()
            busy = [actor for actor in actors if not actor.wait_idle(left(until))]
            for actor in busy:
                actor.leave()
            until = time.monotonic() + STOP_GRACE_S
            for actor in busy:
                actor.wait_idle(left(until))
            self._sampler.wait_quiet(STOP_GRACE_S)
            self.store.flush()
            until = time.monotonic() + DURABLE_GRACE_S
            for actor in actors:
                actor.flush()
            for actor in actors:
                actor.wait_durable(left(until))
            for actor in actors:
                actor.release()
        finally:
            self._closing.close()
