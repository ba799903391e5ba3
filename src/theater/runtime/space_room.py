"""Whether there is room for one more in a space that several steps write at once.

What a step is about to put takes its room when the call is made, whoever else puts the same; so whatever is committed,
in whichever order, there is never more than may be. What a step is about to remove makes room for that step alone, and
only as long as nobody else is about to put the very same thing: whoever wants to is given that only if there is room
for it beside all that was put in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from theater.model.ids import ActorId


class Party:
    """One step of an actor, from its first call that changes a space until what it does has its place in the order."""

    __slots__ = ("actor", "rooms")

    def __init__(self, actor: ActorId) -> None:
        self.actor = actor
        self.rooms: set[Room] = set()
        """Those in which something is kept for it."""


class Amount(NamedTuple):
    """How many, and the sum of their sizes."""

    number: int = 0
    size_bytes: int = 0

    def plus(self, size_bytes: int, *, times: int = 1) -> Amount:
        """With one more of this size; with ``times`` -1, one less."""
        return Amount(self.number + times, self.size_bytes + times * size_bytes)


Lack = Literal["number", "bytes"]


class Room:
    """That of all blobs, or of all labels, of one space. Guarded by whoever has it."""

    __slots__ = ("_claims", "_coming", "_freed", "_keys", "_size_of", "_wants", "there")

    def __init__(self, size_of: Callable[[str], int | None]) -> None:
        """``size_of`` says how large something is that is there, and None of what is not."""
        self._size_of = size_of
        self.there = Amount()
        """All that is there."""
        self._coming = Amount()  # what somebody wants and is not there
        self._wants: dict[str, dict[Party, int]] = {}
        self._claims: dict[str, Party] = {}  # what is there, and about to be removed by the one who counts on that
        self._freed: dict[Party, Amount] = {}  # the sum of these
        self._keys: dict[Party, set[str]] = {}  # what a step has ever wanted or claimed

    @property
    def is_quiet(self) -> bool:
        """Whether no step is about to change anything."""
        return not self._wants and not self._claims

    # -- what is there

    def came(self, key: str, size_bytes: int) -> None:
        """It is there now."""
        self.there = self.there.plus(size_bytes)
        if key in self._wants:
            self._coming = self._coming.plus(size_bytes, times=-1)

    def went(self, key: str, size_bytes: int) -> None:
        """It is there no longer."""
        self.there = self.there.plus(size_bytes, times=-1)
        if key in self._wants:
            self._coming = self._coming.plus(size_bytes)
        self._unclaim(key, size_bytes)

    def count_again(self, there: Amount) -> None:
        """All may be otherwise than it was."""
        self.there = there
        claims, self._claims, self._freed, self._coming = self._claims, {}, {}, Amount()
        for key, wanted in self._wants.items():
            if self._size_of(key) is None:
                self._coming = self._coming.plus(max(wanted.values()))
        for key, party in claims.items():
            self._claim(party, key)

    # -- what steps are about to do

    def lack(self, party: Party, key: str, size_bytes: int, most: Amount) -> Lack | None:
        """What there is not enough of for this step to put it; None where there is."""
        if party in self._wants.get(key, ()):
            return None
        size_there = self._size_of(key)
        claimer = self._claims.get(key)
        is_new = size_there is None and key not in self._wants
        if not is_new and claimer is None:
            return None
        freed = self._freed.get(party, Amount())
        if claimer is party:
            freed = freed.plus(size_there or 0, times=-1)
        number = self.there.number + self._coming.number + is_new - freed.number
        total_bytes = self.there.size_bytes + self._coming.size_bytes - freed.size_bytes + (size_bytes if is_new else 0)
        if number > most.number:
            return "number"
        return "bytes" if total_bytes > most.size_bytes else None

    def want(self, party: Party, key: str, size_bytes: int) -> None:
        """The step is about to put it, and there is room."""
        size_there = self._size_of(key)
        self._unclaim(key, size_there or 0)
        wanted = self._wants.setdefault(key, {})
        if not wanted and size_there is None:
            self._coming = self._coming.plus(size_bytes)
        wanted[party] = size_bytes
        self._note(party, key)

    def give_up(self, party: Party, key: str) -> None:
        """The step is about to remove it."""
        self._unwant(party, key)
        self._claim(party, key)
        self._note(party, key)

    def is_wanted_beside(self, actor: ActorId, key: str) -> bool:
        """Whether another actor is about to put it."""
        return any(party.actor != actor for party in self._wants.get(key, ()))

    def release(self, party: Party) -> None:
        """The step is over."""
        party.rooms.discard(self)
        for key in self._keys.pop(party, ()):
            self._unwant(party, key)
            if self._claims.get(key) is party:
                self._unclaim(key, self._size_of(key) or 0)

    def _note(self, party: Party, key: str) -> None:
        party.rooms.add(self)
        self._keys.setdefault(party, set()).add(key)

    def _unwant(self, party: Party, key: str) -> None:
        wanted = self._wants.get(key)
        size_bytes = wanted.pop(party, None) if wanted is not None else None
        if size_bytes is not None and not wanted:
            del self._wants[key]
            if self._size_of(key) is None:
                self._coming = self._coming.plus(size_bytes, times=-1)

    def _claim(self, party: Party, key: str) -> None:
        size_bytes = self._size_of(key)
        if size_bytes is not None and key not in self._wants and key not in self._claims:
            self._claims[key] = party
            self._freed[party] = self._freed.get(party, Amount()).plus(size_bytes)

    def _unclaim(self, key: str, size_bytes: int) -> None:
        party = self._claims.pop(key, None)
        if party is not None:
            freed = self._freed[party].plus(size_bytes, times=-1)
            if freed.number:
                self._freed[party] = freed
            else:
                del self._freed[party]
