"""All actors of the node, by id, name and family: what one has to know of another without having it in memory.

Held for every actor, idle and ended ones included, so it is small: a card an actor. What a card says is what holds in
memory, which is durable a moment later or not at all: then the actor is forgotten, or read again from the store.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from theater.model.actor_system import Relation
from theater.model.ids import ActorId
from theater.model.limits import Limits
from theater.model.ports import LIVING, ActorRecord


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of others' an actor takes, from its limits."""

    mailbox: int
    message_bytes: int
    outstanding: int
    channels: int


def bounds_of(limits: Limits) -> Bounds:
    """The part of an actor's limits that others have to keep to."""
    return Bounds(
        mailbox=limits.mailbox,
        message_bytes=limits.message_bytes,
        outstanding=limits.outstanding,
        channels=limits.channels,
    )


class Card:
    """One actor. Guarded by its directory's lock."""

    __slots__ = ("bounds", "children", "deferred", "descendants", "is_listed", "places", "record")

    def __init__(self, record: ActorRecord) -> None:
        self.record = record
        self.places = 0
        """Places of its mailbox that are taken: by messages that wait, and by those that a step is about to send."""
        self.deferred = 0
        """Requests that it has received and not answered."""
        self.bounds: Bounds | None = None
        """None until the actor was in memory, or somebody needed them."""
        self.children: list[ActorId] | None = None
        """In the order of their start, those that were removed left out."""
        self.descendants = 0
        """How many there are below it."""
        self.is_listed = False
        """Whether it is on the list of its parent, and so counts with whoever is above."""

    @property
    def is_living(self) -> bool:
        """Whether it takes messages."""
        return self.record.status in LIVING


class Directory:
    """See above. Any thread may use it."""

    def __init__(self, records: Iterable[ActorRecord] = ()) -> None:
        self._lock = threading.Lock()
        self._cards: dict[ActorId, Card] = {}
        self._born: dict[ActorId, dict[ActorId, None]] = {}  # by parent, known or not, and listed by it or not
        self._names: dict[str, ActorId] = {}
        self._reserved: set[str] = set()
        self._kept: dict[str, ActorId] = {}  # for whom, ended now, that is to be started again
        for record in records:
            self.put(record)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._cards)

    def card(self, actor: ActorId) -> Card | None:
        """That of one actor."""
        return self._cards.get(actor)

    def meant(self, text: str) -> ActorRecord | None:
        """The living actor of that name, or the actor of that id; None where the store has to be asked.

        As ``find_record`` would say: a living actor's name goes before all else, and no name can be an id.
        """
        card = self._cards.get(self._names.get(text, ActorId(text)))
        return card.record if card is not None else None

    def is_living(self, actor: ActorId) -> bool:
        """Whether it takes messages."""
        card = self._cards.get(actor)
        return card is not None and card.is_living

    def put(self, record: ActorRecord) -> Card:
        """It is new, or its row has changed."""
        with self._lock:
            card = self._cards.get(record.id)
            if card is None:
                card = self._cards[record.id] = Card(record)
                if record.parent is not None:
                    self._born.setdefault(record.parent, {})[record.id] = None
                self._adopt(record)
            before = card.record
            card.record = record
            if self._names.get(before.name) == record.id and record.status not in LIVING:
                del self._names[before.name]
            if record.status in LIVING:
                self._names[record.name] = record.id
                self._reserved.discard(record.name)
            return card

    def forget(self, actor: ActorId) -> None:
        """It never came to be."""
        with self._lock:
            card = self._cards.pop(actor, None)
            if card is None:
                return
            if self._names.get(card.record.name) == actor:
                del self._names[card.record.name]
            if self._kept.get(card.record.name) == actor:
                del self._kept[card.record.name]
            self._disown(card.record)
            parent = card.record.parent
            if parent is not None:
                del self._born[parent][actor]
                if not self._born[parent]:
                    del self._born[parent]

    def remove_child(self, child: ActorId) -> None:
        """It is no longer on the list of its parent's children."""
        with self._lock:
            card = self._cards.get(child)
            if card is not None:
                self._disown(card.record)

    # -- names

    def named(self, name: str) -> ActorId | None:
        """The living actor of that name."""
        return self._names.get(name)

    def is_free(self, name: str) -> bool:
        """Whether no living actor has that name, and it is kept for nobody who is to be started again."""
        return name not in self._names and name not in self._kept

    def reserve_name(self, name: str, owner: ActorId | None = None) -> bool:
        """Keep a name for an actor that is about to come: ``owner``, where it comes again.

        False where a living one, or another such, has it, or it is kept for one that is to be started again.
        """
        with self._lock:
            if name in self._names or name in self._reserved or self._kept.get(name, owner) != owner:
                return False
            self._reserved.add(name)
            return True

    def release_name(self, name: str) -> None:
        """Nobody came."""
        with self._lock:
            self._reserved.discard(name)

    def keep_name(self, name: str, owner: ActorId) -> None:
        """It has ended, or is about to, and is to be started again: nobody else gets its name until then."""
        with self._lock:
            self._kept.setdefault(name, owner)

    def give_up_name(self, name: str, owner: ActorId) -> None:
        """It has been started again, or is not to be any more."""
        with self._lock:
            if self._kept.get(name) == owner:
                del self._kept[name]

    # -- family

    def children(self, parent: ActorId) -> tuple[ActorId, ...]:
        """In the order of their start."""
        with self._lock:
            card = self._cards.get(parent)
            return tuple(card.children) if card is not None and card.children is not None else ()

    def living_below(self, parent: ActorId) -> list[ActorId]:
        """The living ones next below it: its children, and in the place of an ended one those below that.

        In the order in which they are stopped: the last started first.
        """
        found: list[ActorId] = []
        for child in reversed(self.children(parent)):
            found += [child] if self.is_living(child) else self.living_below(child)
        return found

    def everybody_below(self, actor: ActorId) -> list[ActorId]:
        """All below it, each behind those below itself; also those that their parents have taken off the list."""
        found = [actor]
        seen = {actor}
        with self._lock:
            for each in found:  # which grows meanwhile
                fresh = [child for child in self._born.get(each, ()) if child not in seen]
                found += fresh
                seen.update(fresh)
        return found[:0:-1]

    def count_children(self, parent: ActorId) -> int:
        """How many there are."""
        card = self._cards.get(parent)
        return len(card.children) if card is not None and card.children is not None else 0

    def descendants(self, parent: ActorId) -> int:
        """How many there are below it."""
        card = self._cards.get(parent)
        return card.descendants if card is not None else 0

    def keep_listed(self, listed: Mapping[ActorId, Collection[str]]) -> None:
        """After the records were read: an ended child that its parent does not list was taken off the list."""
        with self._lock:
            for card in list(self._cards.values()):
                names = listed.get(card.record.id, ())
                for child in tuple(card.children or ()):
                    found = self._cards[child]
                    if not found.is_living and child not in names:
                        self._disown(found.record)

    def line_of(self, actor: ActorId) -> list[ActorId]:
        """Its parent, that one's parent, and so on."""
        line: list[ActorId] = []
        card = self._cards.get(actor)
        while card is not None and card.record.parent is not None and card.record.parent not in line:
            line.append(card.record.parent)
            card = self._cards.get(card.record.parent)
        return line

    def relations(self, asker: ActorId, other: ActorId) -> frozenset[Relation]:
        """What ``other`` is to ``asker``."""
        found: set[Relation] = set()
        if asker == other:
            found.add("self")
        mine, theirs = self._cards.get(asker), self._cards.get(other)
        if mine is None or theirs is None:
            return frozenset(found)
        if mine.record.parent == other:
            found.add("parent")
        if theirs.record.parent == asker:
            found.add("children")
        if asker != other and mine.record.parent is not None and mine.record.parent == theirs.record.parent:
            found.add("siblings")
        if asker in self.line_of(other):
            found.add("descendants")
        return frozenset(found)

    # -- places

    def take_place(self, card: Card, *, most: int | None) -> bool:
        """One place in its mailbox; ``most`` is None for what is never refused."""
        with self._lock:
            if most is not None and card.places >= most:
                return False
            card.places += 1
            return True

    def free_place(self, card: Card, count: int = 1) -> None:
        """It is free again."""
        with self._lock:
            card.places = max(0, card.places - count)

    def _adopt(self, record: ActorRecord) -> None:
        parent = self._cards.get(record.parent) if record.parent is not None else None
        if parent is not None:
            if parent.children is None:
                parent.children = []
            parent.children.append(record.id)
            self._cards[record.id].is_listed = True
            self._count_descendants(record.id, 1)

    def _disown(self, record: ActorRecord) -> None:
        parent = self._cards.get(record.parent) if record.parent is not None else None
        if parent is not None and parent.children is not None and record.id in parent.children:
            own = self._cards.get(record.id)
            self._count_descendants(record.id, -1 - (own.descendants if own is not None else 0), parent)
            parent.children.remove(record.id)
            if own is not None:
                own.is_listed = False

    def _count_descendants(self, child: ActorId, more: int, parent: Card | None = None) -> None:
        line = [parent.record.id, *self.line_of(parent.record.id)] if parent is not None else self.line_of(child)
        for ancestor in line:
            self._cards[ancestor].descendants += more
            if not self._cards[ancestor].is_listed:
                return  # it counts nowhere above, and so does what is below it
