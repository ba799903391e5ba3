"""The children of an actor, as one live step of it sees them: those that it spawns in this very step included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from theater.capabilities.moment import datetime_of
from theater.capabilities.supervisor_grant import NAME as SUPERVISOR
from theater.capabilities.supervisor_grant import SupervisorGrant
from theater.errors import Busy, InvalidComponent, InvalidInput, NotFound
from theater.model.actor_system import ChildFacts, Problem
from theater.model.child_spec import ChildSpec
from theater.model.effects import ChildOrder, Effect, RemoveChild, RestartChild, Spawn, Subscribe, Unsubscribe
from theater.model.event import Event
from theater.model.exit_reason import ExitReason
from theater.model.family import Child
from theater.model.ids import ActorId, is_actor_id
from theater.model.limits import Limits
from theater.model.manifest import parse_manifest
from theater.runtime.being import Being
from theater.runtime.conception import ChildPlan, child_spec, free_name, plan_child
from theater.runtime.directory import Card
from theater.runtime.endings import exit_of
from theater.runtime.history import state_at
from theater.runtime.holdings import decode_child
from theater.runtime.orders import Order
from theater.runtime.sources import component_of, read_source

MANIFEST = "theater.toml"

DESCENDANTS_MAX = 1_000
"""In one tree, its root left out: what one root actor may bring about."""

SUBSCRIPTIONS_MAX = DESCENDANTS_MAX
"""Of one actor."""

EVENTS_MAX_BYTES = 2**20
"""Of payloads, beyond which no more events are looked up at once: each may have one of many MiB."""

DEPTH_MAX = 16
"""Of one tree: the root is at depth 1."""


class Offspring:
    """See above. Made when a step first asks for it; used by the thread that runs the step, and by who settles it."""

    __slots__ = ("_being", "_effects", "_plans")

    def __init__(self, being: Being, effects: Sequence[Effect]) -> None:
        self._being = being
        self._effects = effects
        self._plans: dict[ActorId, ChildPlan] = {}

    # -- spawning

    def read(self, directory: str) -> ChildOrder | Problem:
        """The order for the child in a directory. What it reads is inside the granted ones, whatever links say."""
        node = self._being.surroundings.node
        manifest = Path(directory) / MANIFEST
        try:
            if not self._may_read(manifest):
                return ("denied", f"{directory} leads out of the directories of the grant")
            source = read_source(manifest)
            if not self._may_read(manifest.parent / source.manifest.component):
                return ("denied", f"the component of {directory} is outside the directories of the grant")
            component = component_of(source, node.blobs, self._assemble)
        except Busy as error:
            return ("other", f"busy: {error.message}")
        except NotFound as error:
            return ("component-not-found", error.message)
        except InvalidComponent as error:
            return ("component-refused", error.message)
        except InvalidInput as error:
            return ("invalid-manifest", error.message)
        except OSError as error:
            return ("other", f"unreadable: {directory}: {error.strerror}")
        return ChildOrder(manifest=source.manifest.text, component=component)

    def _assemble(self, text: str) -> bytes:
        engine = self._being.surroundings.node.engine
        with engine.blocked():
            return engine.assemble(text)

    def _may_read(self, file: Path) -> bool:
        grant = self._being.anatomy.grants.get(SUPERVISOR)
        assert isinstance(grant, SupervisorGrant)  # or this function would not be linked
        found = file.resolve()
        return any(found.is_relative_to(Path(root).resolve()) for root in grant.directories)

    def check(self, child: ActorId, order: ChildOrder) -> Problem | None:
        """Check everything about a child, and keep its name until the step ends."""
        problem = self._too_many()
        if problem is not None:
            return problem
        plan = plan_child(self._being.surroundings, order, self._being.anatomy.grants)
        if not isinstance(plan, ChildPlan):
            return plan
        self._plans[child] = plan
        return None

    def take_plan(self, child: ActorId, order: ChildOrder) -> ChildPlan | Problem:
        """The plan of a child that is about to be born; where an earlier process made it, it is made again.

        Its name was not kept while nobody had the step in hand. If somebody took it, the child gets one like it.
        """
        surroundings, grants = self._being.surroundings, self._being.anatomy.grants
        plan = self._plans.pop(child, None) or plan_child(surroundings, order, grants, must=True)
        match plan:
            case ("name-taken", str(name)):
                free = free_name(surroundings.directory, name)
                return plan_child(surroundings, msgspec.structs.replace(order, name=free), grants, must=True)
            case _:
                return plan

    def give_back(self) -> None:
        """The step is over: names that were not used are free again."""
        for plan in self._plans.values():
            self._being.surroundings.directory.release_name(plan.request.name)
        self._plans.clear()

    def _too_many(self) -> Problem | None:
        directory, own = self._being.surroundings.directory, self._being.id
        spawned = sum(isinstance(effect, Spawn) for effect in self._effects)
        limits: Limits = self._being.anatomy.limits
        if directory.count_children(own) + spawned >= limits.children:
            return ("too-many", limits.children)
        line = directory.line_of(own)
        if len(line) + 2 > DEPTH_MAX:
            return ("too-deep", DEPTH_MAX)
        root = line[-1] if line else own
        if directory.descendants(root) + spawned >= DESCENDANTS_MAX:
            return ("too-many", DESCENDANTS_MAX)
        return None

    # -- looking

    def descendant(self, child: str) -> ChildFacts | None:
        """A descendant, or one that this step spawns."""
        if not is_actor_id(child):
            return None
        found = ActorId(child)
        for effect in self._effects:
            if isinstance(effect, Spawn) and effect.id == found:
                return self._not_started(effect)
        card = self._being.surroundings.directory.card(found)
        return self._facts(card) if card is not None and self._is_descendant(found) else None

    def children(self, parent: ActorId | None) -> list[ChildFacts]:
        """Children in the order of their start; those of this step included, those that it removes not."""
        removed = {effect.child for effect in self._effects if isinstance(effect, RemoveChild)}
        directory = self._being.surroundings.directory
        cards = [directory.card(child) for child in directory.children(parent or self._being.id)]
        found = [self._facts(card) for card in cards if card is not None and card.record.id not in removed]
        if parent is None:
            found += [self._not_started(effect) for effect in self._effects if isinstance(effect, Spawn)]
        return found

    def may_stop(self, child: ActorId) -> Problem | None:
        """Whether it can be stopped; one that waits for its restart can be kept from it."""
        problem = self._unable(child)
        if problem is not None or self._is_living(child) or self.pending_start(child) is not None:
            return problem
        return ("not-running", child)

    def may_restart(self, child: ActorId) -> Problem | None:
        """Whether it can be started again: not below a parent that has ended, where nobody would supervise it."""
        problem = self._unable(child)
        if problem is not None:
            return problem
        directory = self._being.surroundings.directory
        parent = self.parent_of(child)
        if parent != self._being.id and not (directory.is_living(parent) or self._is_to_restart(parent)):
            return ("not-running", parent)
        card = directory.card(child)
        if card is None:  # somebody removed it in this very moment
            return ("not-found", child)
        holder = directory.named(card.record.name)
        return ("name-taken", card.record.name) if holder not in (None, child) else None

    def may_subscribe(self, child: ActorId) -> Problem | None:
        """Whether it can watch one more."""
        watched = self._being.surroundings.subscriptions.watched_by(self._being.id)
        for effect in self._effects:
            if isinstance(effect, Subscribe):
                watched.add(effect.child)
            elif isinstance(effect, Unsubscribe):
                watched.discard(effect.child)
        is_more = child not in watched and len(watched) >= SUBSCRIPTIONS_MAX
        return ("too-many", SUBSCRIPTIONS_MAX) if is_more else None

    def may_remove(self, child: ActorId) -> Problem | None:
        """Whether it can leave the list."""
        problem = self._unable(child)
        if problem is not None:
            return problem
        member = self.member(child)
        is_over = not self._is_living(child) and (member is None or not member.alive)
        return None if is_over else ("still-running", child)

    def state(self, child: ActorId) -> tuple[str, int] | Problem:
        """The last committed state of a descendant, also of one that was removed."""
        if not self._is_descendant(child):
            return ("not-found", child)
        found = self._being.surroundings.router.find(child)
        if found is not None:
            seq, text = found.state
            return (text, seq) if seq is not None and text is not None else ("not-running", child)
        store = self._being.surroundings.node.store
        head = store.head(child)
        held = state_at(store, child, head.seq) if head.seq >= 0 else None
        return (held.text, held.seq) if held is not None else ("not-running", child)

    def events(self, child: ActorId, start: int, limit: int) -> list[Event] | Problem:
        """Committed events of a descendant, also of one that was removed."""
        if not self._is_descendant(child):
            return ("not-found", child)
        found: list[Event] = []
        size_bytes = 0
        for event in self._being.surroundings.node.store.events(child, start=start, stop=start + limit):
            found.append(event)
            size_bytes += event.header.size_bytes
            if size_bytes > EVENTS_MAX_BYTES:
                break
        return found

    # -- what stands about a descendant with its own parent

    def parent_of(self, child: ActorId) -> ActorId:
        """Of a descendant."""
        card = self._being.surroundings.directory.card(child)
        return card.record.parent or self._being.id if card is not None else self._being.id

    def member(self, child: ActorId) -> Child | None:
        """How its parent supervises a descendant; None for one that it does not restart."""
        parent = self.parent_of(child)
        found = self._being.surroundings.router.find(parent)
        if found is not None:
            return found.supervising.family.child(child)
        entry = self._being.surroundings.node.store.entry(parent, "child", child)
        return decode_child(entry.value) if entry is not None else None

    def pending_start(self, child: ActorId) -> Order | None:
        """By what its parent is about to start it. Whoever owes something is in memory."""
        found = self._being.surroundings.router.find(self.parent_of(child))
        return found.supervising.duties.start_of(child) if found is not None else None

    def _unable(self, child: ActorId) -> Problem | None:
        """Who has not started, or is on nobody's list any more, can neither be stopped nor started."""
        if any(isinstance(effect, Spawn) and effect.id == child for effect in self._effects):
            return ("not-running", child)
        is_removed = any(isinstance(effect, RemoveChild) and effect.child == child for effect in self._effects)
        if is_removed or not self._is_descendant(child):
            return ("not-found", child)
        siblings = self._being.surroundings.directory.children(self.parent_of(child))
        return None if child in siblings else ("not-found", child)

    def _is_to_restart(self, child: ActorId) -> bool:
        return any(isinstance(effect, RestartChild) and effect.child == child for effect in self._effects)

    def _is_descendant(self, child: ActorId) -> bool:
        return self._being.id in self._being.surroundings.directory.line_of(child)

    def _is_living(self, child: ActorId) -> bool:
        return self._being.surroundings.directory.is_living(child)

    def _facts(self, card: Card) -> ChildFacts:
        record = card.record
        member = self.member(record.id)
        return ChildFacts(
            id=record.id,
            name=record.name,
            parent=record.parent or self._being.id,
            status=self._status(card),
            component=record.program,
            restart=member.spec.restart if member is not None else "temporary",
            restarts=member.restarts if member is not None else 0,
        )

    def _status(self, card: Card) -> tuple[str, object]:
        child = card.record.id
        if card.is_living:
            return (card.record.status, None)
        start = self.pending_start(child)
        if start is not None:
            return ("restarting", datetime_of(start.due_us or self._being.surroundings.node.clock.now_us()))
        reason = exit_of(self._being.surroundings.node.store, child) or ExitReason(kind="shutdown", by="runtime")
        return ("exited", reason.to_wit())

    def _not_started(self, effect: Spawn) -> ChildFacts:
        plan = self._plans.get(effect.id)
        spec = plan.spec if plan is not None else spec_again(effect.order)
        return ChildFacts(
            id=effect.id,
            name=plan.request.name if plan is not None else effect.order.name or "",
            parent=self._being.id,
            status=("not-started", None),
            component=plan.request.component if plan is not None else effect.order.component or "0" * 64,
            restart=spec.restart,
            restarts=0,
        )


def spec_again(order: ChildOrder) -> ChildSpec:
    """Of a child that an earlier process checked: it was right then."""
    return child_spec(order, parse_manifest(order.manifest, params=order.params))
