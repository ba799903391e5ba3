"""The channels of all actors: which are open, which are asked for, and who holds the other end.

A channel has two sides, each an entry in the store and a line here. What an actor does to its own side holds for its
next step; the other side sees it when the transaction has its place in the order of all transactions. A channel that is
asked for is an *offer*, until it is accepted, refused, or nobody waits for it any more: which of these came first is
decided here, under one lock, so that both sides always agree.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from theater.model.actor_system import ChannelFacts
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Entry, EntryKey
from theater.runtime.exports import CHANNEL_CLOSED, handler_form
from theater.runtime.letter import Letter, encode_letter, nobody
from theater.runtime.node import Node
from theater.runtime.outside import Outside

if TYPE_CHECKING:
    from theater.errors import StoreError
    from theater.runtime.surroundings import Router

SOURCE = "channel"
"""Who a message is from that nobody sent: a channel is closed since the other end is gone."""


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """One side of a channel, as it stands in the store under the channel's id."""

    peer: str | None
    opened_here: bool
    is_open: bool = True
    """False while it is asked for, and not accepted."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A channel that is asked for. ``outside`` is there where no actor asks."""

    opener: ActorId | None
    acceptor: ActorId
    outside: Outside | None = None


_encode = msgspec.msgpack.encode
_decoder = msgspec.msgpack.Decoder(Side)
Sides = dict[str, ChannelFacts]


class Channels:
    """See above. One for a node; any thread may use it. Its lock is never held while anything else is called on."""

    def __init__(self, node: Node, router: Router) -> None:
        self._node = node
        self._router = router
        self._lock = threading.Lock()
        self._sides: dict[ActorId, Sides] = {}
        self._asked: dict[ActorId, int] = {}  # how many each has that are not open, which count towards its limit
        self._offers: dict[str, Offer] = {}
        self._accepted: dict[str, Offer] = {}  # by steps whose transaction has no place yet
        self._given_up: set[str] = set()  # of those
        self._closing: set[str] = set()  # by steps whose transaction has no place yet
        self._outside: dict[str, Outside] = {}
        self._doubted: set[ActorId] = set()

    def of(self, actor: ActorId) -> list[ChannelFacts]:
        """The open channels of one actor, by id."""
        with self._lock:
            return sorted(self._sides.get(actor, {}).values(), key=lambda each: each.id)

    def find(self, actor: ActorId, channel: str) -> ChannelFacts | None:
        """One of them."""
        with self._lock:
            return self._sides.get(actor, {}).get(channel)

    def outside(self, channel: str) -> Outside | None:
        """The end of a channel that is held outside."""
        return self._outside.get(channel)

    # -- opening -----------------------------------------------------------------------------------------------------

    def offer(self, channel: str, offer: Offer, *, here_max: int, there_max: int) -> int | None:
        """A channel is asked for; it counts from now on. Else the limit that one of both sides has reached."""
        with self._lock:
            if offer.opener is not None and self._size(offer.opener) >= here_max:
                return here_max
            if self._size(offer.acceptor) >= there_max:
                return there_max
            self._add_offer(channel, offer)
            return None

    def asked_by(self, actor: ActorId) -> list[str]:
        """The channels for which an actor waits."""
        with self._lock:
            if actor not in self._asked:
                return []
            offers = {**self._offers, **self._accepted}
            return [channel for channel, offer in offers.items() if offer.opener == actor]

    def withdraw(self, channel: str) -> Offer | None:
        """It is refused, or nobody waits for it any more: it cannot be accepted."""
        with self._lock:
            offer = self._offers.pop(channel, None)
            if offer is not None:
                self._count(offer.opener, -1)
                self._count(offer.acceptor, -1)
            return offer

    def accept(self, channel: str) -> Offer | None:
        """The step that accepts it is closed: its own side is open. None where nobody waits for that any more."""
        with self._lock:
            offer = self._offers.pop(channel, None)
            if offer is not None:
                self._accepted[channel] = offer
                self._count(offer.acceptor, -1)
                self._enter(offer.acceptor, ChannelFacts(channel, offer.opener, opened_here=False))
                if offer.outside is not None:
                    self._outside[channel] = offer.outside
            return offer

    def placed(self, channel: str) -> None:
        """The transaction of that step has its place: the other side is open as well, if anybody still waits for it."""
        with self._lock:
            offer = self._accepted.pop(channel)
            self._count(offer.opener, -1)
            is_given_up = channel in self._given_up
            self._given_up.discard(channel)
            if not is_given_up and offer.opener is not None:
                self._enter(offer.opener, ChannelFacts(channel, offer.acceptor, opened_here=True))
        if is_given_up:
            self.close(channel, offer.acceptor, offer.opener)

    def give_up(self, channel: str) -> bool:
        """Whoever asked for it waits no longer. True where it is open all the same, so that he has to close it."""
        if self.withdraw(channel) is not None:
            return False
        with self._lock:
            if channel in self._accepted:
                self._given_up.add(channel)
                return False
        return True

    # -- closing -----------------------------------------------------------------------------------------------------

    def leave(self, actor: ActorId, channel: str) -> tuple[ChannelFacts, bool] | None:
        """A step of ``actor`` closes its side; whether it is the first to do so. None where it is closed already."""
        with self._lock:
            facts = self._exit(actor, channel)
            if facts is None:
                return None
            is_first = channel not in self._closing
            self._closing.add(channel)
            return facts, is_first

    def left(self, peer: ActorId, channel: str) -> None:
        """The transaction of that step has its place: the other side is closed as well."""
        with self._lock:
            self._exit(peer, channel)
            self._closing.discard(channel)

    def lose(self, channel: str) -> Outside | None:
        """A step closes a channel whose other end is outside."""
        with self._lock:
            self._closing.discard(channel)
            return self._outside.pop(channel, None)

    def close(
        self,
        channel: str,
        actor: ActorId,
        other: ActorId | None = None,
        *,
        done: Callable[[Appended | StoreError], None] = lambda _: None,
    ) -> bool:
        """Close the side of ``actor``, in a transaction of its own: the other end is gone. False where it is closed."""
        with self._lock:
            self._outside.pop(channel, None)
            if self._exit(actor, channel) is None:
                return False
        letter = closed_letter(channel, other)
        drops = [EntryKey(each, "channel", channel, required=False) for each in (actor, other) if each is not None]
        puts = (Entry(actor, "mailbox", letter.id, encode_letter(letter), once=True),)
        self._node.store.append(Append(actor, None, (), puts=puts, drops=tuple(drops)), done)
        self._router.deliver(actor, letter)
        return True

    def close_outside(self, reason: str) -> None:
        """The runtime closes: nobody outside hears anything any more. The actors hear of it when it starts again."""
        with self._lock:
            ends = list(self._outside.values())
            self._outside.clear()
        for end in ends:
            end.end(reason)

    # -- coming and going --------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Take all that are in the store, as after a start of the process, before anybody is woken up."""
        store = self._node.store
        for actor in store.holders("channel"):
            self._take(actor, store.entries(actor, "channel"))

    def end_outside(self) -> None:
        """Close those that came from outside: whoever held them went with the process."""
        for actor in list(self._sides):
            for facts in self.of(actor):
                if facts.peer is None:
                    self.close(facts.id, actor)

    def doubt(self, actor: ActorId) -> None:
        """Something about the actor could not be written: what is in memory may not be what is in the store."""
        with self._lock:
            self._doubted.add(actor)

    def learn(self, actor: ActorId, entries: Iterable[Entry]) -> None:
        """The actor was read from the store."""
        if actor in self._doubted:
            self._doubted.discard(actor)
            self._take(actor, entries)

    def forget(self, actor: ActorId) -> None:
        """The actor was removed."""
        self._doubted.discard(actor)
        self._take(actor, ())

    def _take(self, actor: ActorId, entries: Iterable[Entry]) -> None:
        held = {entry.key: _decoder.decode(entry.value) for entry in entries if entry.space == "channel"}
        with self._lock:
            self._sides.pop(actor, None)
            for channel, side in held.items():
                peer = ActorId(side.peer) if side.peer is not None else None
                if side.is_open:
                    self._enter(actor, ChannelFacts(channel, peer, side.opened_here))
                elif channel not in self._offers and peer is not None:
                    self._add_offer(channel, Offer(actor, peer))

    # -- the lock is held --------------------------------------------------------------------------------------------

    def _size(self, actor: ActorId) -> int:
        return len(self._sides.get(actor, ())) + self._asked.get(actor, 0)

    def _count(self, actor: ActorId | None, change: int) -> None:
        if actor is not None:
            self._asked[actor] = self._asked.get(actor, 0) + change
            if self._asked[actor] <= 0:
                del self._asked[actor]

    def _add_offer(self, channel: str, offer: Offer) -> None:
        self._offers[channel] = offer
        self._count(offer.opener, 1)
        self._count(offer.acceptor, 1)

    def _enter(self, actor: ActorId, facts: ChannelFacts) -> None:
        self._sides.setdefault(actor, {})[facts.id] = facts

    def _exit(self, actor: ActorId, channel: str) -> ChannelFacts | None:
        sides = self._sides.get(actor)
        facts = sides.pop(channel, None) if sides is not None else None
        if sides is not None and not sides:
            del self._sides[actor]
        return facts


def encode_side(side: Side) -> bytes:
    """As it stands in the store."""
    return _encode(side)


def closed_letter(channel: str, by: ActorId | None) -> Letter:
    """What the other side gets. It takes no place: an end is never refused."""
    return Letter(
        id=f"{channel}-closed",
        source=by or SOURCE,
        export=CHANNEL_CLOSED,
        arguments=handler_form(CHANNEL_CLOSED, (channel,)),
        expects_reply=False,
        done=nobody,
        sender=by,
        is_durable=True,
    )
