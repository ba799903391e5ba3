"""Other actors that a test makes up, and calls that are made live and then again as a replay makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from theater.capabilities.registry import built_in
from theater.model.actor_system import (
    Acquaintance,
    ActorSystem,
    ChannelFacts,
    ChildFacts,
    PendingRequest,
    Problem,
    Relation,
    SpaceView,
    TimerFacts,
)
from theater.model.capability import Denied, Grant, HostFunction, Noted, Wait
from theater.model.effects import ChildOrder
from theater.model.event import NO_HASH, Event, Header, Kind
from theater.model.ids import ActorId, Digest
from theater.model.service import Service
from theater.runtime.own_spaces import OwnSpaces
from theater.testing.step_context import ACTOR, COMPONENT, FakeStepContext

PARENT = ActorId("1" * 32)
CHILD = ActorId("2" * 32)
SIBLING = ActorId("3" * 32)
GRANDCHILD = ActorId("4" * 32)
LEDGER = ActorId("5" * 32)
NOBODY = ActorId("f" * 32)

TABLE = built_in().table


def _acquaintance(actor: ActorId, name: str, *relations: Relation) -> Acquaintance:
    return Acquaintance(actor, name, frozenset(relations))


EVERYBODY = (
    _acquaintance(ACTOR, "counter", "self"),
    _acquaintance(PARENT, "parent", "parent"),
    _acquaintance(CHILD, "child", "children", "descendants"),
    _acquaintance(SIBLING, "sibling", "siblings"),
    _acquaintance(GRANDCHILD, "grandchild", "descendants"),
    _acquaintance(LEDGER, "ledger"),
)


def child_facts(actor: ActorId = CHILD, **changes: object) -> ChildFacts:
    facts = ChildFacts(actor, "child", ACTOR, ("running", None), COMPONENT, "permanent", 0)
    return replace(facts, **changes)  # type: ignore[arg-type]  # the fields of a child


def event(seq: int, kind: Kind = "state", payload: bytes | None = b"{}") -> Event:
    header = Header(CHILD, seq, NO_HASH, 1_700_000_000_000_000 + seq, kind, "handle", NO_HASH, len(payload or b""))
    return Event(header, b"", Digest(f"{seq:064x}"), None if payload is None else b"salt", payload)


@dataclass(slots=True)
class Neighbours:
    """An ``ActorSystem`` with the six actors above. ``problem`` is what every question for permission is answered."""

    problem: Problem | None = None
    everybody: tuple[Acquaintance, ...] = EVERYBODY
    pending: list[PendingRequest] = field(default_factory=list)
    open_channels: list[ChannelFacts] = field(default_factory=list)
    waiting_timers: list[TimerFacts] = field(default_factory=list)
    offspring: list[ChildFacts] = field(default_factory=lambda: [child_facts(), child_facts(GRANDCHILD, parent=CHILD)])
    folders: dict[str, ChildOrder | Problem] = field(default_factory=dict)
    states: dict[str, tuple[str, int] | Problem] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    own_service: Service | None = None
    held: list[Callable[[], None]] = field(default_factory=list)
    clients: frozenset[str] = frozenset()
    spaces: OwnSpaces | None = None

    def service(self, capability: str) -> Service:
        assert self.own_service is not None, f"{capability} needs no service here"
        return self.own_service

    def hold(self, release: Callable[[], None]) -> None:
        self.held.append(release)

    def is_client_waiting(self, request_id: str) -> bool:
        return request_id in self.clients

    def space(self, name: str) -> SpaceView:
        assert self.spaces is not None, "this step has no spaces"
        return self.spaces.space(name)

    def acquaintance(self, actor: str) -> Acquaintance | None:
        return next((known for known in self.everybody if known.id == actor), None)

    def whereis(self, name: str) -> ActorId | None:
        return next((known.id for known in self.everybody if known.name == name), None)

    def reserve(self, to: ActorId, size_bytes: int) -> Problem | None:
        return self._ask("reserve", to, size_bytes)

    def may_request(self, to: ActorId, size_bytes: int) -> Problem | None:
        return self._ask("may_request", to, size_bytes)

    def pending_requests(self) -> list[PendingRequest]:
        return self.pending

    def is_pending(self, request_id: str) -> bool:
        return any(request.id == request_id for request in self.pending)

    def may_open_channel(self, to: ActorId, size_bytes: int) -> Problem | None:
        return self._ask("may_open_channel", to, size_bytes)

    def may_send_on_channel(self, channel: str, size_bytes: int) -> Problem | None:
        return self._ask("may_send_on_channel", channel, size_bytes)

    def channels(self) -> list[ChannelFacts]:
        return self.open_channels

    def has_channel(self, channel: str) -> bool:
        return any(facts.id == channel for facts in self.open_channels)

    def timers(self) -> list[TimerFacts]:
        return self.waiting_timers

    def has_timer(self, timer_id: str) -> bool:
        return any(timer.id == timer_id for timer in self.waiting_timers)

    def count_timers(self) -> int:
        return len(self.waiting_timers)

    def timers_bytes(self) -> int:
        return sum(len(timer.body.encode()) for timer in self.waiting_timers)

    def read_child(self, directory: str) -> ChildOrder | Problem:
        self.asked.append(("read_child", directory))
        return self.folders[directory]

    def may_spawn(self, child: ActorId, order: ChildOrder) -> Problem | None:
        return self._ask("may_spawn", child, order)

    def descendant(self, child: str) -> ChildFacts | None:
        return next((facts for facts in self.offspring if facts.id == child), None)

    def children(self, parent: ActorId | None) -> list[ChildFacts]:
        return [facts for facts in self.offspring if facts.parent == (parent or ACTOR)]

    def may_stop(self, child: ActorId) -> Problem | None:
        return self._ask("may_stop", child)

    def may_restart(self, child: ActorId) -> Problem | None:
        return self._ask("may_restart", child)

    def may_subscribe(self, child: ActorId) -> Problem | None:
        return self._ask("may_subscribe", child)

    def may_remove(self, child: ActorId) -> Problem | None:
        return self._ask("may_remove", child)

    def child_state(self, child: ActorId) -> tuple[str, int] | Problem:
        return self.states.get(child, ("not-found", child))

    def child_events(self, child: ActorId, start: int, limit: int) -> list[Event] | Problem:
        if self.descendant(child) is None:
            return ("not-found", child)
        self.asked.append(("child_events", start, limit))
        return [event for event in self.events if event.header.seq >= start][:limit]

    def _ask(self, *question: object) -> Problem | None:
        self.asked.append(question)
        return self.problem


def step(neighbours: ActorSystem | None = None, **fields: object) -> FakeStepContext:
    """A step among these, that has given no id out yet."""
    more = {"system": neighbours or Neighbours(), "ids": -1, **fields}
    return FakeStepContext(**more)  # type: ignore[arg-type]  # the fields of a step


def replayed(ctx: FakeStepContext, *, note: object = None) -> FakeStepContext:
    """The same step again, with nobody there: whoever is asked anything fails the test."""
    return FakeStepContext(
        actor=ctx.actor,
        message_id=ctx.message_id,
        limits=ctx.limits,
        now_us=ctx.now_us,
        ids=ctx.ids,
        note=json.loads(json.dumps(note)),
    )


def call(where: str, ctx: FakeStepContext, grant: Grant, *arguments: object) -> object:
    """Make a call of the class read or buffered, and give its answer.

    What a buffered one does is the same when a replay does it with the recorded answer, without asking anybody.
    """
    function = function_of(where)
    if function.gives_id:
        ctx.begin_id()
    outcome = function.run(ctx, grant, *arguments)
    answer = outcome.answer if isinstance(outcome, Denied | Noted) else outcome
    if function.act is not None:
        done = len(ctx.effects)
        again = replayed(ctx, note=outcome.note if isinstance(outcome, Noted) else None)
        ctx.note = again.note
        function.act(ctx, answer, *arguments)
        function.act(again, answer, *arguments)
        assert again.effects == ctx.effects[done:]
        assert is_ok(answer) == bool(again.effects)
    return answer


def ask(where: str, ctx: FakeStepContext, grant: Grant, *arguments: object) -> Wait | object:
    """Make a call that waits for others: what it waits for, or the error that it is answered at once.

    What it waits for is the same when a replay asks, without asking anybody.
    """
    function = function_of(where)
    assert function.check is not None
    ctx.begin_id()
    denied = function.check(ctx, grant, *arguments)
    if denied is not None:
        return denied.answer
    wait, again = function.run(ctx, grant, *arguments), function.run(replayed(ctx), grant, *arguments)
    assert isinstance(wait, Wait)
    assert isinstance(again, Wait)
    assert (wait.effect, wait.until_us) == (again.effect, again.until_us)
    return wait


def is_ok(answer: object) -> bool:
    """Whether a result is no error."""
    assert isinstance(answer, tuple)
    return bool(answer[0] == "ok")


def error_of(answer: object) -> str:
    """The case of a result that is an error."""
    match answer:
        case ("err", (str(case), _)):
            return case
    raise AssertionError(answer)


def function_of(where: str) -> HostFunction:
    interface, _, name = where.partition("#")
    return TABLE[f"theater:actor/{interface}", name][1]
