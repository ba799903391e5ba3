"""How an actor comes to be: from a manifest (event 0 is made), or out of the store (its chain is read)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec.structs import asdict

from theater import __version__
from theater.capabilities import environment
from theater.errors import TheaterError
from theater.model.crash import Crash
from theater.model.effects import Tell
from theater.model.event import EMPTY
from theater.model.header import format_time
from theater.model.ids import ActorId, root_actor_id
from theater.model.payload import BOUNDARY, EngineFacts, Genesis, Lifecycle, encode_payload
from theater.model.ports import LIVING, ActorRecord, Append, Entry
from theater.model.stdin import stdin_of
from theater.runtime.actor import Actor
from theater.runtime.anatomy import anatomy_of
from theater.runtime.appender import Appender
from theater.runtime.being import Being
from theater.runtime.conception import Request
from theater.runtime.exports import FIRST
from theater.runtime.history import OpenStep, left_off, payload_of, read_genesis
from theater.runtime.holdings import Awaited, Holdings, holdings_of
from theater.runtime.letter import Done, Letter, encode_letter, nobody
from theater.runtime.life import Memory, first_letter, lifecycle
from theater.runtime.lineage import Lineage
from theater.runtime.node import Node
from theater.runtime.orders import ExitSignal
from theater.runtime.permissions import Permissions, decide_again
from theater.runtime.serving import prepare, rows_of
from theater.runtime.surroundings import Surroundings
from theater.runtime.upgrading import anatomy_of_step


@dataclass(frozen=True, slots=True)
class Newborn:
    """An actor that is complete in memory, and the transaction that makes it one in the store."""

    actor: Actor
    append: Append
    serving: Tell | None = None
    """What was told where it is a service: it is asked once it is durable."""


def give_birth(
    surroundings: Surroundings,
    request: Request,
    permissions: Permissions,
    *,
    actor: ActorId | None = None,
    parent: ActorId | None = None,
    state: str | None = None,
    awaited: Awaited | None = None,
    done: Done = nobody,
) -> Newborn:
    """A new actor. Its name is reserved, everything about it was checked; ``done`` hears what its first step came to.

    It is not begun: that comes when the transaction has its place.
    """
    node = surroundings.node
    actor = actor or root_actor_id(node.entropy.take(16))
    genesis = _genesis(node, request, permissions, parent=parent, state=state)
    appender = Appender(
        node.store,
        actor,
        head=EMPTY,
        time_us=node.clock.now_us(),
        clock=node.clock,
        entropy=node.entropy,
        exclusion=surroundings.exclusion,
    )
    first = appender.add("genesis", "genesis", encode_payload(genesis))
    started = appender.add(*lifecycle("started", request.by, None))
    record = ActorRecord(
        id=actor,
        name=request.name,
        status="running",
        parent=parent,
        created_us=first.header.time_us,
        program=request.component,
        engine=_fingerprint(genesis.engine),
    )
    loaded = node.loader.load(request.component)
    anatomy = anatomy_of(node.loader, actor, genesis, loaded, first.header.time_us)
    puts: tuple[Entry, ...] = ()
    letters: tuple[Letter, ...] = ()
    first_step = first_letter(anatomy, 0, by=request.by, done=done) if state is None else None
    if first_step is not None:
        letter = msgspec.structs.replace(first_step, is_durable=True)
        letters = (letter,)
        puts = (Entry(actor, "mailbox", letter.id, encode_letter(letter), once=True),)
    serving = prepare(node, loaded, actor, permissions, must=parent is not None)
    puts = (*puts, *rows_of(actor, serving))
    append = Append(actor, EMPTY, (first, started), record=record, puts=puts)
    appender.entrust(append)
    memory = Memory(state, 0 if state is not None else None, 0)
    being = Being(surroundings, anatomy, memory, record, appender, Holdings())
    being.holdings.awaited = awaited
    return Newborn(Actor(being, letters), append, serving)


@dataclass(frozen=True, slots=True)
class Woken:
    """An actor out of the store, and the ends of its children that it has not heard of."""

    actor: Actor
    signals: list[ExitSignal]
    go_on: Callable[[], None] | None
    """Goes on with the step that was left open, or closes it if it was the death of us twice."""


def wake_up(surroundings: Surroundings, record: ActorRecord, *, attempts: int | None = None) -> Woken:
    """An actor out of the store, with what waits for it. Nothing of it is begun.

    ``attempts``: how often its open step was begun under a mark by processes that died; None: as the store says.

    A step that was left open goes on at once; anything else begins when it joins the others. Of a chain that was taken
    in, and is looked at for the first time, it does not: what it recorded would be carried out here, on the word of
    whoever wrote the chain.

    Raises:
        InvalidManifest, InvalidInput, InvalidComponent, CompileFailed, NotFound, Unsound: it cannot go on here.
    """
    node = surroundings.node
    genesis_event, genesis = read_genesis(node.store, record.id)
    is_taken_in = not record.engine
    lineage = Lineage() if is_taken_in else None
    record = _looked_up(node, record, genesis, lineage)
    loaded = node.loader.load(record.program)
    past = left_off(node.store, record.id, is_warm=genesis.instance == "warm")
    appender = Appender(
        node.store,
        record.id,
        head=past.head,
        time_us=past.time_us,
        clock=node.clock,
        entropy=node.entropy,
        exclusion=surroundings.exclusion,
        size_bytes=node.store.size_bytes(record.id),
    )
    anatomy = anatomy_of(node.loader, record.id, genesis, loaded, genesis_event.header.time_us)
    state = past.state
    memory = Memory(state.text if state else None, state.seq if state else None, past.next_instance)
    record = _note_engine(node, record, appender, lineage, is_open=past.open_step is not None)
    entries = node.store.entries(record.id)
    held = holdings_of(entries, anatomy.supervision.supervisor)
    surroundings.learn(record.id, entries)
    letters = [surroundings.joiners.attached(letter) for letter in held.letters]
    held.holdings.deferred = surroundings.joiners.attach_all(held.holdings.deferred or {}) or None
    found = [letter.id for letter in letters]
    open_letter = None
    if past.open_step is not None:
        open_letter = _letter_of(past.open_step, letters)
        letters = [letter for letter in letters if letter.id != open_letter.id]
    elif state is None and record.status in LIVING and not any(letter.export in FIRST for letter in letters):
        first = first_letter(anatomy, past.head.seq + 1)
        letters = [first, *letters] if first is not None else letters
    letters.sort(key=lambda letter: letter.export not in FIRST)  # behind a restart others may have waited for longer
    being = Being(surroundings, anatomy, memory, record, appender, held.holdings)
    actor = Actor(being, letters, held.orders, found=found)
    step, letter = past.open_step, open_letter
    marks = node.store.attempt(record.id) if attempts is None else attempts
    if step is None or letter is None:
        return Woken(actor, held.signals, None)
    if is_taken_in:
        return Woken(actor, held.signals, lambda: actor.disown_open_step(letter))
    return Woken(actor, held.signals, lambda: _resume(node, actor, step, letter, attempts=marks))


def check_grants(node: Node, record: ActorRecord, allowed: Sequence[str]) -> None:
    """Whether a person may have this actor go on here: what it has must be within this node's ceiling and ``allowed``.

    Raises:
        Denied: it has more than this node allows now.
        InvalidManifest, InvalidInput: its grants cannot be read.
    """
    _, genesis = read_genesis(node.store, record.id)
    decide_again(
        node.registry,
        genesis.asked,
        genesis.effective,
        ceiling=node.ceiling,
        allowed=allowed,
        folder=genesis.folder,
    )


def _genesis(
    node: Node, request: Request, permissions: Permissions, *, parent: ActorId | None, state: str | None
) -> Genesis:
    manifest = request.manifest
    grant = permissions.effective.get(environment.NAME)
    variables: Sequence[tuple[str, str]] = ()
    if isinstance(grant, environment.EnvironmentGrant):
        known = request.environment
        variables = environment.captured(grant, node.environ if known is None else dict(known))
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
        parent=parent,
        name=request.name,
        node=node.store.facts().public_key,
        version=__version__,
        engine=node.engine_facts(),
        boundary=BOUNDARY,
        settings=manifest.settings,
        allowed=list(permissions.allowed),
        forked=request.forked,
        state=state,
        folder=permissions.folder,
        stdin=stdin_of(request.stdin) if request.stdin else None,
    )


def _looked_up(node: Node, record: ActorRecord, genesis: Genesis, lineage: Lineage | None) -> ActorRecord:
    """The row, filled in from the chain where it came without: one that was taken in, which ``lineage`` follows."""
    if lineage is None:
        return record
    engine = genesis.engine
    has_hidden_state, restarts = False, 0
    for event in node.store.events(record.id):
        lineage.feed_unjudged(event)
        if event.header.kind == "lifecycle" and event.header.name == "hidden-state":
            has_hidden_state = True
        elif event.header.kind == "lifecycle" and event.header.name == "restarted":
            restarts += 1
        elif event.header.kind == "lifecycle" and event.header.name == "engine":
            noted = payload_of(event)
            assert isinstance(noted, Lifecycle)
            engine = msgspec.convert(noted.detail, EngineFacts)
    return replace(record, engine=_fingerprint(engine), has_hidden_state=has_hidden_state, restarts=restarts)


def _note_engine(
    node: Node, record: ActorRecord, appender: Appender, lineage: Lineage | None, *, is_open: bool
) -> ActorRecord:
    """Fuel and stack depth are only comparable under one engine, so a change of it is in the chain.

    So is it that a supervisor was taken in, whose children are elsewhere. The row of a chain that was taken in (which
    has a ``lineage``) becomes that of any other with this; where its last step is open, only with the event that closes
    that.
    """
    facts = node.engine_facts()
    changed = [] if _fingerprint(facts) == record.engine else [lifecycle("engine", "runtime", asdict(facts))]
    if lineage is not None and not lineage.leaves_nothing:
        changed.append(lifecycle("taken-in", "runtime", None))
    record = replace(record, engine=_fingerprint(facts))
    if lineage is not None and is_open:
        for event in changed:
            appender.add(*event)
    elif lineage is not None or changed:
        appender.commit(None, *changed, record=record)
    return record


def _fingerprint(facts: EngineFacts) -> str:
    return hashlib.sha256(encode_payload(facts)).hexdigest()[:16]


def _letter_of(step: OpenStep, letters: Sequence[Letter]) -> Letter:
    """The message of a step that was left open: as it waits in the mailbox, or as its event says."""
    for letter in letters:
        if letter.id == step.payload.id:
            return msgspec.structs.replace(letter, has_place=False)
    return Letter(
        id=step.payload.id,
        source=step.payload.source,
        export=step.payload.export,
        arguments=tuple(step.payload.arguments),
        expects_reply=False,
        done=nobody,
    )


def _resume(node: Node, actor: Actor, step: OpenStep, letter: Letter, *, attempts: int) -> None:
    if attempts > 0:
        when = format_time(step.message.header.time_us)
        crash = Crash("host-died", message=f"the process died twice while it ran the step begun at {when}")
        actor.close_open_step(crash, letter)
        return
    try:
        anatomy = anatomy_of_step(actor.anatomy, node.loader, step.payload.component)
    except TheaterError as error:
        actor.close_open_step(Crash("internal", message=f"its component cannot be run here: {error.message}"), letter)
        return
    actor.resume_step(step.message, step.payload, letter, step.recorded, anatomy)
