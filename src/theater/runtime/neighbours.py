"""The other actors, as the host functions of one live step see them: ``theater.model.actor_system``.

What is asked here is recorded by the boundary, so it may be whatever holds at this moment. What is reserved (places in
mailboxes, names) is used by the step's effects when it is committed, or given back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from theater.capabilities.moment import LAST_US
from theater.errors import StoreError
from theater.model.actor_system import (
    Acquaintance,
    ChannelFacts,
    ChildFacts,
    PendingRequest,
    Problem,
    TimerFacts,
)
from theater.model.effects import ChildOrder, Effect, Spawn
from theater.model.event import Event
from theater.model.ids import ActorId, is_actor_id
from theater.model.ports import LIVING
from theater.model.service import Service
from theater.runtime.being import Being
from theater.runtime.channels import Offer
from theater.runtime.consequences import Consequences
from theater.runtime.context import Context
from theater.runtime.deeds import Deeds
from theater.runtime.directory import Bounds, Card
from theater.runtime.exports import ANSWERS, CHANNEL_OPENED
from theater.runtime.letter import Deferred, Letter, decode_deferred
from theater.runtime.offspring import Offspring
from theater.runtime.own_spaces import OwnSpace, OwnSpaces, blob_effects
from theater.runtime.own_timers import OwnTimers


class Neighbours:
    """Implements ``ActorSystem`` for one step. Used by the thread that runs the step, and by whoever settles it."""

    __slots__ = (
        "_actor",
        "_being",
        "_crowded",
        "_deeds",
        "_held",
        "_holdings",
        "_is_asking",
        "_letter",
        "_offered",
        "_offspring",
        "_places",
        "_spaces",
        "_surroundings",
        "_timers",
        "context",
    )

    def __init__(self, being: Being, letter: Letter) -> None:
        self._being = being
        self._surroundings = being.surroundings
        self._actor = being.id
        self._holdings = being.holdings
        self._letter = letter
        self._places: dict[ActorId, int] | None = None
        self._offered: str | None = None
        self._held: list[Callable[[], None]] | None = None
        self._is_asking = False
        self._offspring: Offspring | None = None
        self._deeds: Deeds | None = None
        self._timers: OwnTimers | None = None
        self._spaces: OwnSpaces | None = None
        self._crowded: dict[ActorId, tuple[int, int]] = {}
        """Who has too many requests to answer: as long as it is that number, until that time."""
        self.context: Context | None = None
        """That of the step; set when there is one."""

    @property
    def offspring(self) -> Offspring:
        """The children, as this step sees them."""
        if self._offspring is None:
            self._offspring = Offspring(self._being, self._effects())
        return self._offspring

    def service(self, capability: str) -> Service:
        services = self._surroundings.node.services
        assert services is not None, "a node that runs steps has services"
        return services.of(capability)

    def hold(self, release: Callable[[], None]) -> None:
        """Something in the world is reserved for what this step will have done."""
        self._held = [*(self._held or ()), release]

    def is_client_waiting(self, request_id: str) -> bool:
        """Whether an HTTP client waits for an answer."""
        return self._is_asked(request_id, is_client=True)

    # -- store

    def space(self, name: str) -> OwnSpace:
        """A space for blobs."""
        return self._own_spaces().space(name)

    # -- messaging

    def acquaintance(self, actor: str) -> Acquaintance | None:
        """Anybody on this node, and whom this step spawns."""
        if not is_actor_id(actor):
            return None
        found = ActorId(actor)
        spawned = self._spawned(found)
        if spawned is not None:
            return Acquaintance(found, spawned.order.name or "", frozenset(("children", "descendants")))
        card = self._surroundings.directory.card(found)
        if card is None:
            return None
        return Acquaintance(found, card.record.name, self._surroundings.directory.relations(self._actor, found))

    def whereis(self, name: str) -> ActorId | None:
        """The living actor of this name."""
        return self._surroundings.directory.named(name)

    def reserve(self, to: ActorId, size_bytes: int) -> Problem | None:
        """A place in a mailbox."""
        if self._spawned(to) is not None:
            return None
        card = self._surroundings.directory.card(to)
        if card is None:
            return ("not-found", to)
        problem = self._unable(card, size_bytes)
        if problem is None and not self._surroundings.directory.take_place(card, most=self._bounds(card).mailbox):
            problem = ("mailbox-full", self._bounds(card).mailbox)
        if problem is None:
            if self._places is None:
                self._places = {}
            self._places[to] = self._places.get(to, 0) + 1
        return problem

    def may_request(self, to: ActorId, size_bytes: int) -> Problem | None:
        """A place for a request that is about to be made, unless that would close a circle."""
        if self._spawned(to) is not None:
            return ("not-started", to)
        circle = self._surroundings.waits.cycle(self._actor, to)
        if circle is not None:
            return ("cycle", list(circle))
        card = self._surroundings.directory.card(to)
        if card is not None and self._has_too_many(card):
            return ("too-many", self._bounds(card).outstanding)
        problem = self.reserve(to, size_bytes)
        if problem is None:
            circle = self._surroundings.waits.reserve(self._actor, to)
            if circle is not None:  # it closed in this very moment
                self._free_place(to)
                return ("cycle", list(circle))
            self._is_asking = True
        return problem

    def pending_requests(self) -> list[PendingRequest]:
        """What waits for an answer of this actor."""
        now_us = self._surroundings.node.clock.now_us()
        answered = self._done().answered
        waiting = [
            PendingRequest(request.id, request.sender, request.expires_us)
            for request in self._holdings.all_deferred()
            if request.export not in ANSWERS and request.id not in answered and not request.is_expired(now_us)
        ]
        letter = self._letter
        if letter.expects_reply and letter.export not in ANSWERS and letter.id not in answered:
            waiting.append(PendingRequest(letter.id, letter.sender, letter.expires_us or 0))
        return waiting

    def is_pending(self, request_id: str) -> bool:
        """Whether it waits for an answer of this actor."""
        return self._is_asked(request_id, is_client=False)

    def may_open_channel(self, to: ActorId, size_bytes: int) -> Problem | None:
        """As a request, if both sides take channels and have not too many. It counts from now on."""
        problem = self._no_channels(to) or self.may_request(to, size_bytes)
        if problem is not None:
            return problem
        assert self.context is not None
        card = self._surroundings.directory.card(to)
        there_max = self._bounds(card).channels if card is not None else 0
        here_max = self._being.anatomy.limits.channels
        offer = Offer(self._actor, to)
        reached = self._surroundings.channels.offer(self.context.call_id, offer, here_max=here_max, there_max=there_max)
        if reached is not None:
            self._free_place(to)
            self._ask_nobody()
            return ("too-many", reached)
        self._offered = self.context.call_id
        return None

    def may_send_on_channel(self, channel: str, size_bytes: int) -> Problem | None:
        """A place at the other side. Where that is about to end, the channel is as good as closed."""
        facts = self._channel(channel)
        problem: Problem | None = ("unknown-channel", channel)
        if facts is not None:
            problem = None if facts.peer is None else self.reserve(facts.peer, size_bytes)
        return ("unknown-channel", channel) if problem and problem[0] in ("not-found", "not-running") else problem

    def channels(self) -> list[ChannelFacts]:
        """The open channels of this actor, that which this step is about to accept included."""
        closed, letter = self._done().closed, self._letter
        found = self._surroundings.channels.of(self._actor)
        if letter.export == CHANNEL_OPENED:
            found.append(ChannelFacts(letter.id, letter.sender, opened_here=False))
            found.sort(key=lambda each: each.id)
        return [facts for facts in found if facts.id not in closed]

    def has_channel(self, channel: str) -> bool:
        """Whether it is one of those."""
        return self._channel(channel) is not None

    # -- timing

    def timers(self) -> list[TimerFacts]:
        """The waiting timers of this actor, with those that this step sets, and without those that it takes back."""
        return self._own_timers().all()

    def has_timer(self, timer_id: str) -> bool:
        """Whether it is one of those."""
        return self._own_timers().has(timer_id)

    def count_timers(self) -> int:
        """How many those are."""
        return self._own_timers().measure().number

    def timers_bytes(self) -> int:
        """The sum of their bodies."""
        return self._own_timers().measure().size_bytes

    # -- supervisor

    def read_child(self, directory: str) -> ChildOrder | Problem:
        """The order for the child in a directory."""
        return self.offspring.read(directory)

    def may_spawn(self, child: ActorId, order: ChildOrder) -> Problem | None:
        """Check a child that is about to be spawned."""
        return self.offspring.check(child, order)

    def descendant(self, child: str) -> ChildFacts | None:
        """A descendant."""
        return self.offspring.descendant(child)

    def children(self, parent: ActorId | None) -> list[ChildFacts]:
        """The children of this actor or of a descendant."""
        return self.offspring.children(parent)

    def may_stop(self, child: ActorId) -> Problem | None:
        """Whether it can be stopped."""
        return self.offspring.may_stop(child)

    def may_restart(self, child: ActorId) -> Problem | None:
        """Whether it can be restarted."""
        return self.offspring.may_restart(child)

    def may_subscribe(self, child: ActorId) -> Problem | None:
        return self.offspring.may_subscribe(child)

    def may_remove(self, child: ActorId) -> Problem | None:
        """Whether it can be removed."""
        return self.offspring.may_remove(child)

    def child_state(self, child: ActorId) -> tuple[str, int] | Problem:
        """The last committed state of a descendant."""
        return self.offspring.state(child)

    def child_events(self, child: ActorId, start: int, limit: int) -> list[Event] | Problem:
        """Committed events of a descendant."""
        return self.offspring.events(child, start, limit)

    # -- what the settlement uses

    def use_place(self, to: ActorId) -> None:
        """A letter goes there, into the place that was reserved; where none was (an earlier process did), into one."""
        places = self._places
        if places is not None and places.get(to, 0) > 0:
            places[to] -= 1
            return
        card = self._surroundings.directory.card(to)
        if card is not None:
            self._surroundings.directory.take_place(card, most=None)

    def use_offer(self, channel: str) -> None:
        """The channel is really asked for."""
        if self._offered == channel:
            self._offered = None

    def settle_spaces(self, effects: Sequence[Effect], brought: Consequences) -> None:
        """What the step has changed in spaces for blobs comes with its commit."""
        changes = blob_effects(effects)
        if changes:
            self._own_spaces().settle(changes, brought)

    def settle_held(self, brought: Consequences) -> None:
        """What was reserved in the world is used, unless the commit is not written."""
        held, self._held = self._held, None
        brought.undone.extend(_undo_by(release) for release in held or ())

    def give_back(self) -> None:
        """The step is over: what was reserved and not used is free again."""
        held, self._held = self._held, None
        for release in held or ():
            release()
        if self._spaces is not None:
            self._spaces.give_back()
        self._ask_nobody()
        if self._offered is not None:
            self._surroundings.channels.withdraw(self._offered)
            self._offered = None
        if self._offspring is not None:
            self._offspring.give_back()
        places, self._places = self._places, None
        for to, count in (places or {}).items():
            card = self._surroundings.directory.card(to)
            if card is not None and count:
                self._surroundings.directory.free_place(card, count)

    def _is_asked(self, request_id: str, *, is_client: bool) -> bool:
        if request_id in self._done().answered:
            return False
        request = self._holdings.pending(request_id)
        if request is not None and not request.is_expired(self._surroundings.node.clock.now_us()):
            return (request.export in ANSWERS) is is_client
        letter = self._letter
        return letter.expects_reply and letter.id == request_id and (letter.export in ANSWERS) is is_client

    def _ask_nobody(self) -> None:
        if self._is_asking:
            self._is_asking = False
            self._surroundings.waits.release(self._actor)

    def _free_place(self, to: ActorId) -> None:
        """The one that was just reserved."""
        card = self._surroundings.directory.card(to)
        if card is not None and self._places is not None:
            self._places[to] -= 1
            self._surroundings.directory.free_place(card)

    def _no_channels(self, to: ActorId) -> Problem | None:
        """Whether one of both takes none. An actor that is not in memory says so itself, when it is asked."""
        if CHANNEL_OPENED not in self._being.anatomy.loaded.handlers:
            return ("no-channels", self._actor)
        other = self._surroundings.router.find(to)
        if other is not None and other.status in LIVING and CHANNEL_OPENED not in other.anatomy.loaded.handlers:
            return ("no-channels", to)
        return None

    def _has_too_many(self, card: Card) -> bool:
        """Whether as many wait for its answer as may. Those that gave up waiting are counted until its next step."""
        most = self._bounds(card).outstanding
        if card.deferred < most:
            return False
        node, actor = self._surroundings.node, card.record.id
        now_us = node.clock.now_us()
        number, until_us = self._crowded.get(actor, (0, 0))
        if number == card.deferred and now_us < until_us:
            return True
        number = card.deferred
        found = self._surroundings.router.find(actor)
        deferred = found.deferred if found is not None else self._stored_deferred(actor)
        waiting = [request for request in deferred if not request.is_expired(now_us)]
        if len(waiting) < most:
            return False
        self._crowded[actor] = (number, _room_at_us(waiting, most))
        return True

    def _stored_deferred(self, actor: ActorId) -> list[Deferred]:
        entries = self._surroundings.node.store.entries(actor, "deferred")
        return [decode_deferred(entry.key, entry.value) for entry in entries]

    def _unable(self, card: Card, size_bytes: int) -> Problem | None:
        if not card.is_living:
            return ("not-running", card.record.id)
        bounds = self._bounds(card)
        if size_bytes > bounds.message_bytes:
            return ("too-large", bounds.message_bytes)
        return None

    def _bounds(self, card: Card) -> Bounds:
        return self._surroundings.router.bounds(card)

    def _spawned(self, actor: ActorId) -> Spawn | None:
        return self._done().spawned.get(actor)

    def _channel(self, channel: str) -> ChannelFacts | None:
        if channel in self._done().closed:
            return None
        facts = self._surroundings.channels.find(self._actor, channel)
        if facts is None and self._letter.export == CHANNEL_OPENED and self._letter.id == channel:
            return ChannelFacts(channel, self._letter.sender, opened_here=False)
        return facts

    def _own_timers(self) -> OwnTimers:
        if self._timers is None:
            self._timers = OwnTimers(self._surroundings.timers, self._actor, self._done())
        return self._timers

    def _own_spaces(self) -> OwnSpaces:
        if self._spaces is None:
            self._spaces = OwnSpaces(self._surroundings.spaces, self._actor, self._effects())
        return self._spaces

    def _done(self) -> Deeds:
        """What the step has asked for so far."""
        if self._deeds is None:
            self._deeds = Deeds(self._effects())
        return self._deeds.up_to_now()

    def _effects(self) -> Sequence[Effect]:
        return self.context.effects if self.context is not None else ()


def _undo_by(release: Callable[[], None]) -> Callable[[StoreError], None]:
    return lambda _failure: release()


def _room_at_us(waiting: Sequence[Deferred], most: int) -> int:
    """When so many of them have expired that there is room for one more, if nothing else happens."""
    ends_us = sorted(request.expires_us or LAST_US for request in waiting)
    return ends_us[len(waiting) - most]
