"""How an actor comes to be: from a manifest (event 0 is written), or out of the store (its chain is read)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from theater import __version__
from theater.capabilities import environment
from theater.errors import NameTaken
from theater.model.crash import Crash
from theater.model.event import EMPTY
from theater.model.header import format_time
from theater.model.ids import Digest, root_actor_id
from theater.model.manifest import Manifest
from theater.model.payload import BOUNDARY, EngineFacts, Genesis, Lifecycle, encode_payload
from theater.model.ports import LIVING, ActorRecord
from theater.runtime.actor import Actor, Sampler
from theater.runtime.anatomy import Anatomy, anatomy_of
from theater.runtime.appender import Appender
from theater.runtime.history import OpenStep, left_off, payload_of, read_genesis
from theater.runtime.letter import Letter, nobody
from theater.runtime.life import Memory
from theater.runtime.node import Node
from theater.runtime.permissions import Permissions, decide, decide_again


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be born. ``component`` is in the content store already."""

    manifest: Manifest
    component: Digest
    name: str
    arguments: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def permissions_of(node: Node, manifest: Manifest, allowed: Sequence[str] = ()) -> Permissions:
    """What a root actor with this manifest would get on this node. Raises ``Denied``, ``InvalidManifest``."""
    return decide(node.registry, manifest.capabilities, ceiling=node.ceiling, allowed=allowed)


def free_name(node: Node, name: str) -> str:
    """``name``, or ``name-2`` and so on where a living actor has it."""
    taken = {record.name for record in node.store.records() if record.status in LIVING}
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name[: 62 - len(str(number))]}-{number}"
    return candidate


def give_birth(node: Node, request: Request, sampler: Sampler) -> Actor:
    """A new root actor: checked in every respect, and not yet in the store, where it comes with ``Actor.enter``.

    Raises:
        Denied, InvalidManifest, InvalidComponent, CompileFailed, NotFound, NameTaken: nothing was written.
    """
    permissions = permissions_of(node, request.manifest, request.allowed)
    loaded = node.loader.load(request.component)
    node.loader.bind(loaded.program, permissions.effective)
    if any(record.status in LIVING for record in node.store.find(request.name) if record.name == request.name):
        raise NameTaken(f"a living actor is called {request.name!r} already; choose another name")
    actor = root_actor_id(node.entropy.take(16))
    genesis = _genesis(node, request, permissions)
    appender = Appender(
        node.store, actor, head=EMPTY, time_us=node.clock.now_us(), clock=node.clock, entropy=node.entropy
    )
    first = appender.add("genesis", "genesis", encode_payload(genesis))
    record = ActorRecord(
        id=actor,
        name=request.name,
        status="running",
        parent=None,
        created_us=first.header.time_us,
        program=request.component,
        engine=_fingerprint(genesis.engine),
    )
    anatomy = anatomy_of(node.registry, node.loader, actor, genesis, loaded, first.header.time_us)
    return _actor(node, anatomy, Memory(None, None, 0, 0), record, appender, sampler)


def wake_up(node: Node, record: ActorRecord, sampler: Sampler, *, allowed: Sequence[str] = ()) -> Actor:
    """An actor out of the store. A step that was left open is resumed, or closed if it was the death of us twice.

    Raises:
        Denied: it has more than this node allows now; nothing was written.
        InvalidManifest, InvalidInput, InvalidComponent, CompileFailed, NotFound, Unsound: it cannot go on here.
    """
    genesis_event, genesis = read_genesis(node.store, record.id)
    decide_again(node.registry, genesis.asked, genesis.effective, ceiling=node.ceiling, allowed=allowed)
    record = _looked_up(node, record, genesis)
    loaded = node.loader.load(record.program)
    past = left_off(node.store, record.id, is_warm=genesis.instance == "warm")
    appender = Appender(
        node.store, record.id, head=past.head, time_us=past.time_us, clock=node.clock, entropy=node.entropy
    )
    anatomy = anatomy_of(node.registry, node.loader, record.id, genesis, loaded, genesis_event.header.time_us)
    state = past.state
    memory = Memory(state.text if state else None, state.seq if state else None, past.next_instance, past.first_steps)
    record = _note_engine(node, record, appender)
    actor = _actor(node, anatomy, memory, record, appender, sampler)
    if past.open_step is not None:
        _resume(node, actor, past.open_step)
    elif state is None and past.first_steps == 0 and record.status in LIVING:
        actor.begin_anew()
    return actor


def _genesis(node: Node, request: Request, permissions: Permissions) -> Genesis:
    manifest = request.manifest
    grant = permissions.effective.get(environment.NAME)
    variables = environment.captured(grant, node.environ) if isinstance(grant, environment.EnvironmentGrant) else ()
    return Genesis(
        program=request.component,
        manifest=manifest.text,
        asked=permissions.asked,
        ceiling=permissions.ceiling,
        effective=permissions.effective_tables(),
        limits=manifest.limits.to_json(),
        instance=manifest.instance,
        params=manifest.params,
        environment=list(variables),
        arguments=list(request.arguments),
        parent=None,
        name=request.name,
        node=node.store.facts().public_key,
        version=__version__,
        engine=node.engine_facts(),
        boundary=BOUNDARY,
        settings=manifest.settings,
        allowed=list(permissions.allowed),
    )


def _looked_up(node: Node, record: ActorRecord, genesis: Genesis) -> ActorRecord:
    """The row, filled in from the chain where it came without: an imported chain."""
    if record.engine:
        return record
    engine = genesis.engine
    has_hidden_state = False
    for event in node.store.events(record.id):
        if event.header.kind == "lifecycle" and event.header.name == "hidden-state":
            has_hidden_state = True
        elif event.header.kind == "lifecycle" and event.header.name == "engine":
            noted = payload_of(event)
            assert isinstance(noted, Lifecycle)
            engine = msgspec.convert(noted.detail, EngineFacts)
    return replace(record, engine=_fingerprint(engine), has_hidden_state=has_hidden_state)


def _note_engine(node: Node, record: ActorRecord, appender: Appender) -> ActorRecord:
    """Fuel and stack depth are only comparable under one engine, so a change of it is in the chain."""
    facts = node.engine_facts()
    if _fingerprint(facts) == record.engine:
        return record
    record = replace(record, engine=_fingerprint(facts))
    detail = msgspec.structs.asdict(facts)
    appender.commit(
        None, ("lifecycle", "engine", encode_payload(Lifecycle(by="runtime", detail=detail))), record=record
    )
    return record


def _fingerprint(facts: EngineFacts) -> str:
    return hashlib.sha256(encode_payload(facts)).hexdigest()[:16]


def _resume(node: Node, actor: Actor, step: OpenStep) -> None:
    export = step.payload.export
    if node.store.attempt(actor.record.id) > 0:
        when = format_time(step.message.header.time_us)
        crash = Crash("host-died", message=f"the process died twice while it ran the step begun at {when}")
        actor.close_open_step(crash, export)
        return
    letter = Letter(
        id=step.payload.id,
        source=step.payload.source,
        export=export,
        arguments=tuple(step.payload.arguments),
        expects_reply=False,
        done=nobody,
    )
    actor.resume_step(step.message, step.payload, letter, step.recorded)


def _actor(
    node: Node, anatomy: Anatomy, memory: Memory, record: ActorRecord, appender: Appender, sampler: Sampler
) -> Actor:
    return Actor(
        anatomy,
        memory,
        record,
        appender,
        engine=node.engine,
        clock=node.clock,
        entropy=node.entropy,
        sampler=sampler,
    )
