"""Forking: a new actor that goes on from where another one once was, with the state alone.

A fork is made ``at`` an event of its source's chain: neither that event nor anything behind it has happened for it. So
it goes on from the last step that was closed before, with the state that this left and nothing else: no message, timer,
child or channel. A step that was open there has not happened either. ``at`` may be one behind the chain's last event.

Manifest, settings, params, environment and arguments are the source's, its component is that which the source had
there, or another one; grants are decided anew, within this node's ceiling. The first event of a fork has the state, and
says where it comes from: ``forked`` names the source and the event right before ``at``, the last one that counts.

Another component that exports ``upgrade.migrate`` is given the state as in an upgrade: the fork begins with the
component that the source had, and is upgraded before anybody can send it anything.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from theater.errors import InvalidComponent, InvalidInput, NameTaken, NotFound, StoreError, TheaterError
from theater.model.event import EMPTY
from theater.model.ids import ActorId, Digest, is_actor_id
from theater.model.json_text import check_json
from theater.model.manifest import check_name, parse_manifest
from theater.model.payload import Forked
from theater.model.ports import ActorRecord, EventStore
from theater.model.stdin import stdin_bytes
from theater.runtime.actor import Actor
from theater.runtime.birth import give_birth
from theater.runtime.channel_ref import SOURCE
from theater.runtime.conception import Request, free_name, permissions_of, root_permissions
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.exports import MIGRATE
from theater.runtime.history import event_at, program_at, read_genesis, state_at
from theater.runtime.keeping import Keeping
from theater.runtime.lookup import find_record
from theater.runtime.permissions import Permissions
from theater.runtime.reference import ActorRef
from theater.runtime.surroundings import Surroundings

SUFFIX = "-fork"
NAME_MAX_CHARS = 63

PATIENCE_S = 60.0
"""How long the disk may take for a fork's first events."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """As ``Forking.fork`` is told."""

    source: str
    at: int
    name: str | None
    component: Digest | None
    allowed: tuple[str, ...]
    by: str
    rename: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the fork begins with, and the component to which it is upgraded then, if to any."""

    request: Request
    state: str
    successor: Digest | None


class Forking(Keeping):
    """A part of ``Runtime``; its methods belong to the event loop that entered that."""

    @abstractmethod
    def _refer(self, actor: Actor, by: str) -> ActorRef: ...

    async def fork(
        self,
        text: str,
        *,
        at: int,
        name: str | None = None,
        component: Digest | None = None,
        allowed: Sequence[str] = (),
        by: str = SOURCE,
        rename: bool = False,
    ) -> ActorRef:
        """A new root actor that goes on from the last step of another's that was closed before event ``at``.

        It has the state as of there, and nothing else: see above. It is called ``NAME-fork`` unless it gets a ``name``;
        ``allowed``, ``by`` and ``rename`` are as in ``spawn``. Whether the other one lives makes no difference.

        Raises:
            NotFound: there is no such actor (it may have been removed), event or component.
            InvalidInput and its children: there was no state, or it cannot go on with that component. Nothing was made.
            Denied: its manifest asks for more than this node allows; ``data["asked"]`` has the lines.
            Damaged, Unsound: what it would go on from is erased, or withheld, or is none.
            Refused, Crashed: ``migrate`` of ``component`` did; the fork, ``data["actor"]``, is as it was before.
            NotRunning, DiskFull, NameTaken: as ``spawn``.
        """
        self.require_room()
        wanted = _Wanted(text, at, name, component, tuple(allowed), by, rename)
        return await self._arrivals.arrival(self._forked(wanted))

    async def _forked(self, wanted: _Wanted) -> ActorRef:
        def begin() -> tuple[Actor, Digest | None]:
            plan = _plan(self._dispatcher, wanted)
            self.require_open()
            return _begun(self._dispatcher, plan, rename=wanted.rename), plan.successor

        actor, successor = await self._off_loop(begin)
        reference = self._refer(actor, wanted.by)
        if successor is not None:
            try:
                await reference.upgrade(f"sha256:{successor}")
            except TheaterError as error:
                error.data["actor"] = actor.record.id
                raise
        return reference


def _plan(dispatcher: Dispatcher, wanted: _Wanted) -> _Plan:
    """Everything about it is checked but for its name. Nothing has happened."""
    node = dispatcher.surroundings.node
    store = node.store
    source = _find_source(store, wanted.source)
    name = check_name(wanted.name) if wanted.name is not None else _default_name(source.name)
    forked = _place(store, source, wanted.at)
    _, genesis = read_genesis(store, source.id)
    state = state_at(store, source.id, forked.seq)
    if state is None:
        raise InvalidInput(
            f"actor {source.name!r} has no state before event {wanted.at}: its first step had not been closed with one"
            " by then, and a command's never is"
        )
    manifest = parse_manifest(genesis.manifest, settings=genesis.settings, params=genesis.params, folder=genesis.folder)
    check_json(state.text, max_bytes=manifest.limits.state_bytes)
    permissions = permissions_of(node, manifest, wanted.allowed)
    own = program_at(store, source.id, forked.seq)
    component = wanted.component or own
    loaded = node.loader.load(component)
    if loaded.role != "actor":
        raise InvalidComponent(f"this component is a {loaded.role}: only an actor can go on from a state")
    node.loader.bind(loaded.program, permissions.effective)
    is_migrated = component != own and MIGRATE in loaded.handlers
    request = Request(
        manifest,
        own if is_migrated else component,
        name,
        tuple(genesis.arguments),
        wanted.allowed,
        wanted.by,
        environment=tuple((variable, value) for variable, value in genesis.environment),
        forked=forked,
        stdin=stdin_bytes(genesis.stdin),
    )
    return _Plan(request, state.text, component if is_migrated else None)


def _begun(dispatcher: Dispatcher, plan: _Plan, *, rename: bool) -> Actor:
    """The fork, once its first events are durable. Blocks."""
    surroundings = dispatcher.surroundings
    request, permissions = _reserved(surroundings, plan.request, rename=rename)
    try:
        newborn = give_birth(surroundings, request, permissions, state=plan.state)
    except BaseException:
        surroundings.directory.release_name(request.name)
        raise
    written: Future[StoreError | None] = Future()
    dispatcher.begin(newborn, written.set_result)
    surroundings.node.store.flush()  # no step is begun with which the events would be written
    try:
        failure = written.result(PATIENCE_S)
    except TimeoutError as error:
        raise StoreError(f"nothing was heard of it for {PATIENCE_S:g} s: look whether {request.name!r} is there") from (
            error
        )
    if failure is not None:
        raise failure
    return newborn.actor


def _reserved(surroundings: Surroundings, request: Request, *, rename: bool) -> tuple[Request, Permissions]:
    """With a name that is its own now, and what it gets."""
    directory = surroundings.directory
    while True:
        named = request.named(free_name(directory, request.name)) if rename else request
        try:
            return named, root_permissions(surroundings, named)
        except NameTaken:
            if not rename or named.name == free_name(directory, request.name):
                raise  # nobody was faster


def _find_source(store: EventStore, text: str) -> ActorRecord:
    """As ``find_record``; of one that was removed, it says so."""
    try:
        return find_record(store, text)
    except NotFound:
        if is_actor_id(text) and store.head(ActorId(text)) != EMPTY:
            raise NotFound(
                f"actor {text} is not here any more: what it recorded is erased, so nobody can go on from there"
            ) from None
        raise


def _place(store: EventStore, source: ActorRecord, at: int) -> Forked:
    """The last event that counts."""
    if at < 1:
        raise InvalidInput(f"at {at}: there is nothing before it to go on from; an actor's first event is 0")
    last = store.head(source.id).seq
    if at > last + 1:
        raise NotFound(f"actor {source.name!r} has no event {at - 1} to go on from: fork it at {last + 1} at most")
    return Forked(actor=source.id, seq=at - 1, hash=event_at(store, source.id, at - 1).hash)


def _default_name(name: str) -> str:
    return f"{name[: NAME_MAX_CHARS - len(SUFFIX)]}{SUFFIX}"
