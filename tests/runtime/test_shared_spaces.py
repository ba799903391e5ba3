"""Several actors that change one space: whatever order their steps are committed in, it stays what it has to be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theater.capabilities.store import digest_of
from theater.errors import StoreError
from theater.model.actor_system import Problem, SpaceLimits, SpaceUsage
from theater.model.blob_space import BlobIndex, BlobSpace
from theater.model.effects import Effect, PutBlob, RemoveBlob, RemoveLabel, SetLabel
from theater.model.ids import ActorId
from theater.model.ports import Append, Appended, EntryKey
from theater.runtime import spaces
from theater.runtime.consequences import Consequences
from theater.runtime.directory import Directory
from theater.runtime.own_spaces import OwnSpaces, blob_effects
from theater.runtime.spaces import Spaces
from theater.store import MemoryEventStore

POOL = BlobSpace("name", "pool")
LIMITS = SpaceLimits(quota_bytes=6, blobs=3, labels=2)
TEXTS = {"a": b"1", "b": b"22", "c": b"333", "d": b"4444"}
DIGESTS = {name: digest_of(data) for name, data in TEXTS.items()}


class Player:
    """An actor as far as spaces are concerned: one step at a time, and what is settled goes out in order."""

    def __init__(self, node: PoolNode, number: int) -> None:
        self.node = node
        self.actor = ActorId(f"{number:032x}")
        self.settled: deque[Consequences] = deque()
        self.unsaid: Consequences | None = None
        self._begin()

    def _begin(self) -> None:
        self.effects: list[Effect] = []
        self.own = OwnSpaces(self.node.spaces, self.actor, self.effects)
        self.view = self.own.space("pool")

    def call(self, verb: str, text: str, label: str) -> Problem | None:
        """As the capability does."""
        blob, data = DIGESTS[text], TEXTS[text]
        made: list[Effect]
        match verb:
            case "put":
                problem = self.view.may_put(blob, len(data), None, LIMITS)
                made = [PutBlob("pool", blob, data)]
            case "put-at-label":
                problem = self.view.may_put(blob, len(data), label, LIMITS)
                made = [PutBlob("pool", blob, data), SetLabel("pool", label, blob)]
            case "set-label":
                problem = self.view.may_label(label, blob, LIMITS)
                made = [SetLabel("pool", label, blob)]
            case "remove":
                problem = self.view.may_remove(blob)
                made = [RemoveBlob("pool", blob)]
            case _:
                problem = self.view.may_remove_label(label)
                made = [RemoveLabel("pool", label)]
        if problem is None:
            self.effects += made
        return problem

    def succeed(self) -> None:
        """The step is settled, and the next one begins."""
        brought = Consequences()
        if self.effects:
            self.own.settle(blob_effects(self.effects), brought)
            self.settled.append(brought)
        self.own.give_back()
        self._begin()

    def fail(self) -> None:
        """The step comes to nothing."""
        self.own.give_back()
        self._begin()

    def hand_over(self, *, is_late: bool = False, is_slow: bool = False, is_doomed: bool = False) -> None:
        """The oldest of what is settled goes to the store; ``is_late``: it is written before we say that it has gone.

        ``is_slow``: we do not say so now. ``is_doomed``: the store refuses it, and with it the chain fails.
        """
        self.say()
        if not self.settled:
            return
        brought = self.settled.popleft()
        drops = (EntryKey(self.actor, "mailbox", "never"),) if is_doomed else ()

        def done(result: Appended | StoreError) -> None:
            if isinstance(result, StoreError):
                for each in (brought, *self.settled):
                    for undo in each.undone:
                        undo(result)
                self.settled.clear()

        self.node.store.append(Append(self.actor, None, (), drops=drops, blobs=tuple(brought.blobs)), done, hurry=False)
        if is_late:
            self.node.store.flush()
        self.unsaid = brought
        if not is_slow:
            self.say()

    def say(self) -> None:
        """What was handed over last has its place."""
        said, self.unsaid = self.unsaid, None
        for action in said.after if said is not None else ():
            action()


class PoolNode:
    """A store, and three actors that have one space."""

    def __init__(self) -> None:
        self.store = MemoryEventStore()
        self.spaces = Spaces(self.store, Directory())
        self.players = [Player(self, number) for number in range(1, 4)]

    def index(self) -> BlobIndex:
        """What is in the store; it is sound."""
        found: list[BlobIndex] = []
        self.store.read_space(POOL, found.append)
        [index] = found
        assert sum(index.blobs.values()) <= LIMITS.quota_bytes
        assert len(index.blobs) <= LIMITS.blobs
        assert len(index.labels) <= LIMITS.labels
        assert set(index.labels.values()) <= index.blobs.keys()
        return index

    def settle_all(self) -> None:
        """Nothing is under way any more, and what is known is what is there."""
        for player in self.players:
            player.fail()
            while player.settled:
                player.hand_over()
            player.say()
        self.store.flush()
        index = self.index()
        for player in self.players:
            assert dict(player.view.blobs(after="", limit=100)) == index.blobs
            assert dict(player.view.labels("", after="", limit=100)) == index.labels
            assert player.view.usage() == SpaceUsage(sum(index.blobs.values()), len(index.blobs), len(index.labels))
            for text, blob in DIGESTS.items():
                read = player.view.read(blob, offset=0, size_bytes=9)
                assert read == (TEXTS[text] if blob in index.blobs else None)
        with self.spaces.reading(POOL, self.players[0].actor) as (ground, layers):
            assert ground.is_quiet
            assert layers == []
            assert ground.blob_room.there.size_bytes == sum(index.blobs.values())


@contextmanager
def playing() -> Iterator[tuple[PoolNode, Player, Player]]:
    node = PoolNode()
    try:
        anna, bert, _ = node.players
        yield node, anna, bert
        node.settle_all()
    finally:
        node.store.close()


def commit(player: Player) -> None:
    player.succeed()
    player.hand_over()
    player.node.store.flush()


CALLS = st.tuples(
    st.sampled_from(["put", "put-at-label", "set-label", "remove", "remove-label"]),
    st.sampled_from(sorted(TEXTS)),
    st.sampled_from(["x", "y", "z"]),
)
TURNS: list[Callable[[Player], None]] = [
    Player.succeed,
    Player.succeed,
    Player.fail,
    Player.hand_over,
    Player.hand_over,
    lambda player: player.hand_over(is_late=True),
    lambda player: player.hand_over(is_slow=True),
    lambda player: player.hand_over(is_doomed=True),
    Player.say,
    lambda player: player.node.store.flush(),
]


@settings(max_examples=400, deadline=None)
@given(moves=st.lists(st.tuples(st.integers(0, 2), CALLS | st.sampled_from(TURNS)), max_size=60))
@pytest.mark.slow
def test_whoever_writes_in_whichever_order_a_space_stays_sound(
    moves: list[tuple[int, tuple[str, str, str] | Callable[[Player], None]]],
) -> None:
    with playing() as (node, _, _):
        for number, move in moves:
            player = node.players[number]
            if isinstance(move, tuple):
                player.call(*move)
            else:
                move(player)
                node.index()


def test_no_label_names_what_is_not_there() -> None:
    with playing() as (node, anna, bert):
        assert anna.call("put", "a", "") is None
        commit(anna)
        assert bert.call("set-label", "a", "x") is None
        assert anna.call("remove", "a", "") is None
        commit(anna)
        commit(bert)
        assert node.index().labels == {"x": DIGESTS["a"]}

        assert bert.call("remove-label", "a", "x") is None
        assert bert.call("remove", "a", "") is None
        bert.succeed()
        assert anna.call("set-label", "a", "x") is None  # what Bert did is not on its way yet
        bert.hand_over()
        commit(anna)
        assert node.index().labels == {}


def test_what_one_step_makes_room_for_another_does_not_take() -> None:
    with playing() as (_, anna, bert):
        for text in ("b", "d"):
            assert anna.call("put", text, "") is None
        commit(anna)
        assert anna.call("remove", "d", "") is None
        assert bert.call("put", "c", "") == ("quota", 6)
        assert anna.call("put", "c", "") is None
        assert bert.call("put", "d", "") == ("quota", 6)  # there would be no room for both
        assert anna.call("put", "d", "") == ("quota", 6)
        anna.fail()
        assert bert.call("put", "d", "") is None


def test_two_who_put_the_same_take_room_for_one() -> None:
    with playing() as (node, anna, bert):
        assert anna.call("put", "d", "") is None
        assert bert.call("put-at-label", "d", "x") is None
        assert bert.call("put", "c", "") == ("quota", 6)
        assert bert.call("put", "b", "") is None
        commit(bert)
        commit(anna)
        assert node.index().blobs == {DIGESTS["d"]: 4, DIGESTS["b"]: 2}


def test_of_two_who_set_one_label_the_later_commit_wins() -> None:
    with playing() as (node, anna, bert):
        assert anna.call("put-at-label", "a", "x") is None
        assert bert.call("put-at-label", "b", "x") is None
        anna.succeed()
        bert.succeed()
        bert.hand_over()
        anna.hand_over()
        node.store.flush()
        assert node.index().labels == {"x": DIGESTS["a"]}
        assert anna.view.blob_of("x") == DIGESTS["a"]


def test_what_is_written_in_another_order_than_it_was_seen_is_read_again() -> None:
    with playing() as (node, anna, bert):
        assert anna.call("put-at-label", "a", "x") is None
        assert bert.call("put-at-label", "b", "x") is None
        anna.succeed()
        bert.succeed()
        anna.hand_over(is_slow=True)
        bert.hand_over()
        anna.say()
        assert bert.view.blob_of("x") == DIGESTS["a"]
        node.store.flush()
        assert anna.view.blob_of("x") == bert.view.blob_of("x") == DIGESTS["b"]


def test_what_a_commit_that_fails_would_have_put_is_not_there() -> None:
    with playing() as (node, anna, bert):
        assert anna.call("put-at-label", "d", "x") is None
        anna.succeed()
        anna.hand_over(is_doomed=True)
        assert bert.view.blob_of("x") == DIGESTS["d"]
        node.store.flush()
        assert (anna.view.blob_of("x"), bert.view.usage()) == (None, SpaceUsage(0, 0, 0))
        assert bert.call("put", "c", "") is None


def test_of_many_spaces_those_that_nobody_uses_are_forgotten_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spaces, "SPACES_MAX", 2)
    with playing() as (node, anna, _):
        assert anna.call("put", "a", "") is None
        commit(anna)
        for number in range(5):
            assert anna.own.space(f"other-{number}").usage() == SpaceUsage(0, 0, 0)
        assert len(node.spaces._known) == 2
        assert anna.view.usage() == SpaceUsage(1, 1, 0)


def test_what_is_not_queued_is_seen_by_its_own_actor_alone() -> None:
    with playing() as (_, anna, bert):
        assert anna.call("put-at-label", "a", "x") is None
        anna.succeed()
        assert anna.view.read(DIGESTS["a"], offset=0, size_bytes=9) == b"1"
        assert (anna.view.blob_of("x"), bert.view.blob_of("x")) == (DIGESTS["a"], None)
        anna.hand_over()
        assert bert.view.read(DIGESTS["a"], offset=0, size_bytes=9) == b"1"
