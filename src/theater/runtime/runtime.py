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

from theater.errors import NameTaken, NotRunning, TheaterError
from theater.model.child_spec import RestartFrom, Shutdown
from theater.model.ids import ActorId, Digest
from theater.model.manifest import check_name
from theater.model.ports import (
    LIVING,
    ActorRecord,
    BlobStore,
    Clock,
    Durability,
    Entropy,
    EventStore,
    Status,
)
from theater.runtime.actor import Actor
from theater.runtime.anatomy import Anatomy
from theater.runtime.arrivals import Arrivals
from theater.runtime.birth import check_grants, give_birth
from theater.runtime.channel_ref import SOURCE, Channel, open_channel
from theater.runtime.channels import Channels
from theater.runtime.conception import Request, free_name, root_permissions
from theater.runtime.config import Config
from theater.runtime.correspondence import Correspondence
from theater.runtime.delivery import Delivery
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.feed import Feed
from theater.runtime.forgetting import Forgetting
from theater.runtime.forking import Forking
from theater.runtime.idempotency import Idempotency
from theater.runtime.letter import Answer, Letter, Reply
from theater.runtime.live import Live
from theater.runtime.lookup import find_record
from theater.runtime.node import Node
from theater.runtime.opening import Options, open_node
from theater.runtime.orders import Heard, Restart, Stop
from theater.runtime.permissions import Grants
from theater.runtime.reference import ActorRef
from theater.runtime.sampling import FreshSampler
from theater.runtime.sources import Source, check_stdin, component_of, loaded_digest, put_component, read_source
from theater.runtime.tally import Tally
from theater.runtime.upgrading import Upgrade, successor

STOP_GRACE_S = 5.0
"""How long running steps may go on when the runtime closes; then they are left open, to be resumed."""

DURABLE_GRACE_S = 30.0
"""How long the disk may take, when the runtime closes, for what has been executed."""

ASSEMBLED_MAX = 16
"""WAT texts whose component is remembered: assembling one starts a process."""


__all__ = ["ActorRef", "Runtime"]

T = TypeVar("T")


class Runtime(Forking):
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
        self._arrivals = Arrivals()
        self._is_closing = False

    @classmethod
    def with_options(cls, options: Options, environ: Mapping[str, str]) -> Self:
        """A runtime in which every part may have been chosen: for tests, and for whoever embeds one."""
        runtime = cls(environ=environ)
        runtime._options = options
        return runtime

    async def __aenter__(self) -> Self:
        self._delivery = Delivery(asyncio.get_running_loop())
        self._feed = Feed(asyncio.get_running_loop())
        await asyncio.to_thread(self._open)
        clock, joiners = self._node.clock, self._dispatcher.surroundings.joiners
        forgetting = Forgetting(self.store, clock, self._delivery, self._keys)
        self._mail = Correspondence(self, self._dispatcher)
        self._idempotency = Idempotency(self, self._mail, joiners, clock=clock, forgetting=forgetting)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        until = time.monotonic() + STOP_GRACE_S
        self._is_closing = True
        self._feed.close()
        for actor in self._dispatcher.everybody():
            actor.shut()
        try:
            await self._arrivals.over(STOP_GRACE_S)
            await self._idempotency.rest(STOP_GRACE_S)
        finally:
            await asyncio.to_thread(self._close, until)
            self._idempotency.close()

    @property
    def node(self) -> Node:
        """The parts."""
        return self._node

    @property
    def channels(self) -> Channels:
        """The channels of all actors."""
        return self._dispatcher.surroundings.channels

    @property
    def delivery(self) -> Delivery:
        """To the event loop."""
        return self._delivery

    @property
    def feed(self) -> Feed:
        """Who waits for chains to grow."""
        return self._feed

    @property
    def tally(self) -> Tally:
        """Counts of what was committed since the data directory was opened."""
        return self._tally

    @property
    def live(self) -> Live:
        """What is known of the actors beyond what is in the store."""
        return self._live

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

    async def spawn(  # noqa: PLR0913 - each says one thing of the actor that is started
        self,
        manifest: str | Path | Source,
        *,
        name: str | None = None,
        params: str | None = None,
        settings: Mapping[str, object] | None = None,
        allowed: Sequence[str] = (),
        arguments: Sequence[str] = (),
        stdin: bytes = b"",
        rename: bool = False,
        by: str = SOURCE,
    ) -> ActorRef:
        """Start an actor from a manifest, or from a bare ``.wasm`` or ``.wat``.

        ``params`` is a JSON text for ``init``; ``settings`` replace placeholders; ``allowed`` grants beyond the
        ceiling, as ``--allow`` does; a command has ``arguments``, and reads ``stdin``, which may have as many bytes as
        a message; with ``rename``, a name that a living actor has becomes ``name-2``. What is done through the
        reference is recorded as done ``by`` that. Returns once ``init`` (or, of a command, the whole run) has been
        committed.

        Raises:
            InvalidInput and its children: nothing was started.
            NotRunning: the runtime is closing.
            Refused, Crashed: ``init`` did; the actor stays to be looked at: ``data["actor"]`` has its id.
            DiskFull: there is less room than the reserve; as for everything that begins new work.
        """
        self.require_room()
        if isinstance(manifest, Source):
            source = manifest
        else:
            source = await asyncio.to_thread(read_source, Path(manifest), settings=settings, params=params)
        component = loaded_digest(source, self._node.loader.is_loaded)
        if component is None:
            component = await asyncio.to_thread(component_of, source, self.blobs, self._assemble)
        wanted = check_name(name) if name is not None else source.manifest.name
        check_stdin(stdin, source.manifest)
        self.require_open()
        while True:
            free = free_name(self._dispatcher.surroundings.directory, wanted) if rename else wanted
            request = Request(source.manifest, component, free, tuple(arguments), tuple(allowed), by, stdin=stdin)
            try:
                return await self._spawned(request, by)
            except NameTaken:
                if not rename or free == free_name(self._dispatcher.surroundings.directory, wanted):
                    raise  # nobody was faster

    async def put_component(self, component: str | Path | bytes) -> Digest:
        """Put a component into the content store, ready to run; manifests name it by the digest: ``sha256:DIGEST``.

        ``component`` is a ``.wasm`` or ``.wat`` file, or the bytes of a component. It is compiled here and now, so that
        the step of an actor that spawns it does not take the time for that.

        Raises:
            NotFound, InvalidInput: nothing was put there.
            InvalidComponent, CompileFailed: it cannot run here.
            NotRunning: the runtime is closing.
        """
        self.require_room()
        wanted = Path(component) if isinstance(component, str) else component

        def put() -> Digest:
            digest = put_component(wanted, self.blobs, self._assemble)
            self._node.loader.load(digest)
            return digest

        return await self._off_loop(put)

    async def actor(self, text: str, *, allowed: Sequence[str] = (), by: str = SOURCE) -> ActorRef:
        """The actor of that name, id, or unique beginning of an id; woken up if it was idle in the store.

        What is done through the reference is recorded as done ``by`` that.

        Where it is woken up, its grants have to be within this node's ceiling and ``allowed``, as when it was spawned:
        what was allowed once was allowed once, and an imported chain was granted its own by another node.

        Raises:
            NotFound: naming the nearest that there is.
            Denied: it has more than that; ``data["asked"]`` has the lines.
            NotRunning: the runtime is closing.
        """
        self.require_open()
        record = find_record(self.store, text)
        if self._dispatcher.find(record.id) is None:
            await self._off_loop(lambda: check_grants(self._node, record, allowed))
        return ActorRef(self, await self.woken(record.id), by=by)

    async def reach(self, text: str, *, allowed: Sequence[str] = (), by: str = SOURCE) -> ActorRef:
        """As ``actor``, for whoever serves others; but a living actor goes on with the grants that it has.

        It has them from a person on this node: what was taken in from elsewhere is not living until it is restarted.

        Raises: as ``actor``; ``Denied`` only where it has ended.
        """
        self.require_open()
        record = self._dispatcher.surroundings.directory.meant(text)  # each request from elsewhere comes through here
        if record is None:
            found = find_record(self.store, text)
            record = self.record(found.id) or found
        if record.status not in LIVING:
            return await self.actor(record.id, allowed=allowed, by=by)
        return ActorRef(self, await self.woken(record.id), by=by)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes on but what waits for somebody outside, or for the clock."""
        return self._dispatcher.is_quiet

    def find(self, actor: ActorId) -> Actor | None:
        """The actor, if it is in memory."""
        return self._dispatcher.find(actor)

    def record(self, actor: ActorId) -> ActorRecord | None:
        """Its row as of now."""
        card = self._dispatcher.surroundings.directory.card(actor)
        return card.record if card is not None else self.store.record(actor)

    async def woken(self, actor: ActorId) -> Actor:
        """The actor in memory, read from the store where it is not."""
        self.require_open()
        found = self._dispatcher.find(actor)
        if found is not None:
            return found
        return await self._off_loop(lambda: self._dispatcher.woken(actor))

    async def request(
        self, actor: ActorId, body: str, *, by: str, expects_reply: bool = True, key: str | None = None
    ) -> Reply:
        """Have an actor handle a message, and wait for its answer, or else until it has been handled."""
        if key is not None:
            return await self._idempotency.request(actor, body, by=by, key=key)
        return await self._mail.request(actor, body, by=by, expects_reply=expects_reply)

    async def submit(self, actor: ActorId, letter: Letter) -> None:
        """Put a letter into an actor's mailbox that need not survive the process."""
        await self._mail.submit(actor, letter)

    async def send(self, actor: ActorId, body: str, *, by: str, key: str | None = None) -> str:
        """Have an actor handle a message some time; returns its id once it would survive the death of the process."""
        if key is not None:
            return await self._idempotency.send(actor, body, by=by, key=key)
        return await self._mail.send(actor, body, by=by)

    async def post(self, actor: ActorId, letter: Letter) -> None:
        """Put a letter into an actor's mailbox for good."""
        await self._mail.post(actor, letter)

    async def open_channel(self, actor: ActorId, opening: str, *, by: str) -> Channel:
        """Open a channel to an actor, which is given ``opening``, a JSON text.

        Raises:
            InvalidJson, NotRunning, NoChannels, MailboxFull: nothing was asked.
            Busy: the actor has as many channels as its manifest allows.
            Refused, Crashed: the actor did not accept.
        """
        return await open_channel(self, actor, opening, by=by)

    async def control(self, actor: ActorId, verb: str, status: Status, *, by: str) -> None:
        """Pause or resume an actor between two steps, and wait until that is durable."""
        await self._ordered(actor, lambda found, done: found.control(verb, status, by=by, done=done))

    async def stop(self, actor: ActorId, mode: Shutdown | None, *, by: str) -> None:
        """End an actor and its children, and wait until that is durable."""
        await self._ordered(actor, lambda found, done: found.stop(Stop(by=by, mode=mode, done=done)))

    async def restart(self, actor: ActorId, start: RestartFrom, *, by: str) -> None:
        """Begin an actor again, and wait until that is durable."""
        await self._ordered(actor, lambda found, done: found.restart(Restart(by=by, done=done, start=start)))

    async def upgrade(self, actor: ActorId, component: Path | bytes | str, *, by: str) -> Digest:
        """Have an actor go on with another component, and wait until that is durable; see ``ActorRef.upgrade``."""
        self.require_room()
        loader = self._node.loader

        def checked(anatomy: Anatomy) -> Anatomy:
            digest = put_component(component, self.blobs, self._assemble)
            return successor(anatomy, loader, digest)

        found = await self.woken(actor)
        anatomy = await self._off_loop(lambda: checked(found.anatomy))
        await self._ordered(actor, lambda found, done: found.upgrade(Upgrade(by, anatomy, done)))
        return anatomy.facts.component

    async def _ordered(self, actor: ActorId, order: Callable[[Actor, Heard], bool]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivery = self._delivery

        def done(failure: TheaterError | None) -> None:
            delivery.put(future, failure)

        self.require_open()
        self._dispatcher.awake(actor, lambda found: order(found, done), done)
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
        self._tally = Tally({interface for interface, _ in self._node.registry.table})
        self.store.observe(self._feed.written)
        self.store.observe(self._tally.written)
        self._sampler = FreshSampler(self._node.engine)
        self._dispatcher = Dispatcher(self._node, self._sampler)
        self._keys = self.store.size_entries("key")
        self._dispatcher.start()
        self._live = Live(self._dispatcher, self._tally)
        self._assemble = lru_cache(maxsize=ASSEMBLED_MAX)(self._node.engine.assemble)

    async def _spawned(self, request: Request, by: str) -> ActorRef:
        actor, first = await self._arrivals.arrival(self._born(request))
        reference = ActorRef(self, actor, by=by)
        try:
            reference.first = await first
        except TheaterError as error:
            if actor.is_born:
                error.data["actor"] = actor.record.id
            raise
        return reference

    async def _born(self, request: Request) -> tuple[Actor, asyncio.Future[Reply]]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        delivery = self._delivery

        def done(answer: Answer) -> None:
            delivery.put(future, answer)

        surroundings = self._dispatcher.surroundings

        def make() -> Actor:
            permissions = root_permissions(surroundings, request)
            try:
                if self._is_closing:
                    self.require_open()
                newborn = give_birth(surroundings, request, permissions, done=done)
                actor = newborn.actor
            except BaseException:
                surroundings.directory.release_name(request.name)
                raise
            if actor.anatomy.loaded.role != "service":
                self._dispatcher.begin(newborn)
                return actor
            self._dispatcher.begin(newborn, lambda failure: done(failure or Reply(None, actor.head)))
            self.store.flush()  # no step is begun with which its first events would be written
            return actor

        if self._node.loader.is_loaded(request.component):  # it is quicker done than handed to a thread
            return make(), future
        return await self._off_loop(make), future

    async def _off_loop(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except Exception:
            self.require_open()  # what it stumbled over may have been closed
            raise

    def _refer(self, actor: Actor, by: str) -> ActorRef:
        return ActorRef(self, actor, by=by)

    def require_open(self) -> None:
        """Raise ``NotRunning`` from the moment at which it begins to close."""
        if self._is_closing:
            raise NotRunning("the runtime is closed: it starts and wakes no actors")

    def _close(self, until: float) -> None:
        def left(until: float) -> float:
            return max(0.0, until - time.monotonic())

        try:
            self._dispatcher.shut()
            actors = self._dispatcher.everybody()
            for actor in actors:
                actor.shut()
            for actor in actors:
                actor.wait_idle(left(until))
            for actor in actors:  # idle ones too: another may just have sent them something
                actor.leave()
            until = time.monotonic() + STOP_GRACE_S
            for actor in actors:
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
