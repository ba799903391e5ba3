"""Whatever batches come, in whatever groups: the stores do what a few dicts would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.opened_store import opened
from theater.errors import HeadConflict, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, Entry, EntryKey, EventStore, Space
from theater.store import MemoryEventStore, entries
from theater.testing.chains import ChainMaker
from theater.testing.removal_suite import withheld
from theater.testing.store_calls import append_together, record_of

ACTORS = 4  # the first two are born before anything happens
NAMES = ("a", "b")
SPACES: tuple[Space, ...] = ("mailbox", "timer")

numbers = st.integers(0, ACTORS - 1)
places = st.tuples(numbers, st.sampled_from(SPACES), st.sampled_from("xyz"))
puts = st.tuples(places, st.sampled_from((b"", b"1", b"2")), st.booleans())
drops = st.tuples(places, st.sampled_from((True, True, False)))


@dataclass(frozen=True)
class Wish:
    """A batch, before it is known how far the chains are."""

    actor: int
    head: Literal["right", "wrong", "none"]
    size: int
    name: str | None
    is_living: bool
    puts: list[tuple[tuple[int, Space, str], bytes, bool]]
    drops: list[tuple[tuple[int, Space, str], bool]]
    erases: bool = False
    births: list[Wish] = field(default_factory=list)


def wishes(births: st.SearchStrategy[list[Wish]]) -> st.SearchStrategy[Wish]:
    return st.builds(
        Wish,
        actor=numbers,
        head=st.sampled_from(("right", "right", "right", "none", "none", "wrong")),
        size=st.integers(0, 2),
        name=st.sampled_from((None, None, *NAMES)),
        is_living=st.booleans(),
        puts=st.lists(puts, max_size=3),
        drops=st.lists(drops, max_size=2),
        erases=st.sampled_from((False, False, False, False, True)),
        births=births,
    )


groups = st.lists(st.lists(wishes(st.lists(wishes(st.just([])), max_size=2)), min_size=1, max_size=6), max_size=5)


class Model:
    """What a store holds, in dicts, and whether it takes a batch. Works on a copy and keeps it if all went well."""

    def __init__(self, makers: list[ChainMaker]) -> None:
        self.makers = makers
        self.chains: dict[ActorId, list[Event]] = {}
        self.all: list[Event] = []
        self.names: dict[ActorId, tuple[str, bool]] = {}
        self.held: dict[tuple[ActorId, Space, str], bytes] = {}
        self.removed: dict[ActorId, int] = {}  # the seq of the first event that keeps its payload

    def batch(self, wish: Wish, *, is_birth: bool = False) -> Append:
        """The batch that fits what is there."""
        maker = self.makers[wish.actor]
        actor = maker.actor
        chain = [] if is_birth else self.chains.get(actor, [])
        head = Head(chain[-1].header.seq, chain[-1].hash) if chain else EMPTY
        changes_only = wish.head == "none" and not is_birth
        size = 0 if changes_only else max(wish.size, is_birth)
        maker.events[:] = chain
        for _ in range(size):
            maker.add("genesis" if not maker.events else "lifecycle", "x", b"{}")
        events = tuple(maker.events[len(chain) :])
        if wish.head == "wrong" and not is_birth:  # of a chain that nobody has
            head, events = Head(7, events[0].hash if events else EMPTY.hash), ()
        erases = wish.erases and not is_birth and not changes_only and head != EMPTY
        is_named = wish.name is not None and not erases
        record = record_of(actor, wish.name or "", "running" if wish.is_living else "stopped") if is_named else None
        return Append(
            actor,
            None if changes_only else head,
            events,
            record=None if changes_only else record,
            puts=tuple(Entry(self.makers[n].actor, space, key, v, once) for (n, space, key), v, once in wish.puts),
            drops=tuple(EntryKey(self.makers[n].actor, space, key, must) for (n, space, key), must in wish.drops),
            births=() if changes_only else tuple(self.batch(birth, is_birth=True) for birth in wish.births),
            erases=erases,
        )

    def wipe(self) -> None:
        for actor, kept_from in self.removed.items():
            chain = self.chains[actor]
            chain[:kept_from] = map(withheld, chain[:kept_from])
        self.all = [self.chains[event.header.actor][event.header.seq] for event in self.all]

    def take(self, batch: Append) -> type:
        before = {a: [*c] for a, c in self.chains.items()}, [*self.all], {**self.names}, {**self.held}, {**self.removed}
        refusal = self._refusal(batch)
        if refusal is not None:
            self.chains, self.all, self.names, self.held, self.removed = before
        return refusal or Appended

    def _refusal(self, batch: Append) -> type | None:
        parts = batch, *batch.births
        for part in parts:
            chain = self.chains.get(part.actor, [])
            if part.expected is not None:
                if part.actor in self.removed:
                    return HeadConflict
                if (
                    part.expected.hash != (chain[-1].hash if chain else EMPTY.hash)
                    or part.expected.seq != len(chain) - 1
                ):
                    return HeadConflict
                if part.record is not None:
                    name = part.record.name, part.record.status == "running"
                    if name[1] and any(other == name and who != part.actor for who, other in self.names.items()):
                        return StoreError
                    self.names[part.actor] = name
                self.chains[part.actor] = [*chain, *part.events]
                self.all += part.events
                if part.erases:
                    self.removed[part.actor] = len(chain)
                    self.names.pop(part.actor, None)
        for part in parts:
            for drop in part.drops:
                if self.held.pop((drop.actor, drop.space, drop.key), None) is None and drop.required:
                    return HeadConflict
            for put in part.puts:
                if not self.chains.get(put.actor):
                    return HeadConflict
                if put.actor in self.removed:
                    continue
                if not put.once or (put.actor, put.space, put.key) not in self.held:
                    self.held[put.actor, put.space, put.key] = put.value
            if part.erases:
                self.held = {place: value for place, value in self.held.items() if place[0] != part.actor}
        return None

    def require(self, store: EventStore, begin: int) -> None:
        """Look whether ``store`` holds just this, behind the events that others brought before."""
        for maker in self.makers:
            actor = maker.actor
            assert list(store.events(actor)) == self.chains.get(actor, [])
            held = [Entry(*place, value) for place, value in self.held.items() if place[0] == actor]
            assert store.entries(actor) == held
            for space in SPACES:
                assert store.entries(actor, space) == [entry for entry in held if entry.space == space]
                assert store.size_entries(space).get(actor, 0) == sum(entry.space == space for entry in held)
                assert (actor in store.holders(space)) == any(entry.space == space for entry in held)
            record = store.record(actor)
            found = None if record is None else (record.name, record.status == "running")
            assert found == self.names.get(actor)
        assert list(store.events_by_index(start=begin, limit=1000)) == list(enumerate(self.all, start=begin))


@pytest.mark.slow
@pytest.mark.parametrize("is_tight", [False, True])
def test_stores_do_what_dicts_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_tight: bool) -> None:
    if is_tight:  # shelves are too large to remember, and what is remembered is forgotten all the time
        monkeypatch.setattr(entries, "_SHELF_MAX", 1)
        monkeypatch.setattr(entries, "_KNOWN_MAX", 0)
    fresh = count(1)

    with opened(tmp_path) as sqlite:
        memory = MemoryEventStore()

        @given(groups)
        @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        def run(wished: list[list[Wish]]) -> None:
            number = ACTORS * next(fresh)
            model = Model([ChainMaker(number + actor) for actor in range(ACTORS)])
            begin = sqlite.size_events()
            first = [Wish(actor, "right", 1, None, is_living=True, puts=[], drops=[]) for actor in range(2)]
            for group in [first, *wished]:
                batches, expected = [], []
                for wish in group:
                    batches.append(model.batch(wish))
                    expected.append(model.take(batches[-1]))
                for store in (sqlite, memory):
                    results = append_together(store, *batches)
                    assert [type(result) for result in results] == expected
                    model.require(store, begin)
                if len(group) % 2:
                    model.wipe()
                    assert sqlite.wipe() == memory.wipe()
                for maker in (each for each in model.makers if each.actor not in model.removed):
                    assert sqlite.size_bytes(maker.actor) == memory.size_bytes(maker.actor)
            for store in (sqlite, memory):
                model.require(store, begin)
            ends = [
                Append(maker.actor, maker_head(model, maker), (), record=record_of(maker.actor, "", "stopped"))
                for maker in model.makers
                if maker.actor in model.names
            ]
            for store in (sqlite, memory):  # the names are free for the next example
                append_together(store, *ends)

        run()
        memory.close()
    with opened(tmp_path) as sqlite:
        assert sqlite.check() == sqlite.size_events()


def maker_head(model: Model, maker: ChainMaker) -> Head:
    chain = model.chains[maker.actor]
    return Head(chain[-1].header.seq, chain[-1].hash) if chain else EMPTY
