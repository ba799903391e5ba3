"""What a commit brings along: entries that it writes and drops, each of a key once."""

from __future__ import annotations

from theater.model.ids import ActorId
from theater.model.ports import Entry, EntryKey
from theater.runtime.consequences import Consequences

ONE, OTHER = ActorId("1" * 32), ActorId("2" * 32)


def test_what_it_brings_is_written_and_dropped() -> None:
    brought = Consequences()
    assert brought.is_empty()
    brought.put(ONE, "mailbox", "a", b"x", once=True)
    brought.drop(OTHER, "mailbox", "a", required=False)

    assert not brought.is_empty()
    assert list(brought.puts.values()) == [Entry(ONE, "mailbox", "a", b"x", once=True)]
    assert list(brought.drops.values()) == [EntryKey(OTHER, "mailbox", "a", required=False)]


def test_an_entry_that_is_put_and_dropped_in_one_commit_was_never_there() -> None:
    brought = Consequences()
    brought.put(ONE, "mailbox", "a", b"x", once=True)
    brought.drop(ONE, "mailbox", "a")

    assert brought.is_empty()


def test_an_entry_that_may_replace_one_in_the_store_is_dropped_there_too() -> None:
    brought = Consequences()
    brought.put(ONE, "duty", "a", b"x")
    brought.drop(ONE, "duty", "a")

    assert brought.puts == {}
    assert list(brought.drops.values()) == [EntryKey(ONE, "duty", "a", required=False)]


def test_an_entry_that_is_dropped_and_put_in_one_commit_is_there() -> None:
    brought = Consequences()
    brought.drop(ONE, "deferred", "a")
    brought.put(ONE, "deferred", "a", b"x")

    assert list(brought.puts.values()) == [Entry(ONE, "deferred", "a", b"x")]


def test_a_later_value_takes_the_place_of_an_earlier_one() -> None:
    brought = Consequences()
    brought.put(ONE, "child", "a", b"x")
    brought.put(ONE, "child", "a", b"y")

    assert [entry.value for entry in brought.puts.values()] == [b"y"]


def test_what_is_put_once_leaves_an_earlier_one() -> None:
    brought = Consequences()
    brought.put(ONE, "mailbox", "a", b"x", once=True)
    brought.put(ONE, "mailbox", "a", b"y", once=True)

    assert [entry.value for entry in brought.puts.values()] == [b"x"]


def test_the_same_key_of_another_actor_or_space_is_another_entry() -> None:
    brought = Consequences()
    brought.put(ONE, "mailbox", "a", b"x")
    brought.drop(OTHER, "mailbox", "a")
    brought.drop(ONE, "answer", "a")

    assert len(brought.puts) == 1
    assert len(brought.drops) == 2


def test_what_is_done_in_memory_is_nothing_to_be_written() -> None:
    brought = Consequences()
    brought.after.append(lambda: None)

    assert brought.is_empty()


def test_what_is_required_is_there_or_is_written_by_the_same_commit() -> None:
    brought = Consequences()
    brought.put(ONE, "mailbox", "a", b"x", once=True)
    brought.require(ONE, "mailbox", "a")
    assert brought.requires == {}
    brought.require(ONE, "mailbox", "b")
    brought.require(ONE, "mailbox", "b")

    assert list(brought.requires.values()) == [EntryKey(ONE, "mailbox", "b")]
    assert not brought.is_empty()


def test_an_entry_that_is_needed_twice_by_one_commit_is_asked_for_twice() -> None:
    brought = Consequences()
    brought.drop(ONE, "answer", "a", required=False)
    brought.drop(ONE, "answer", "a")
    assert brought.twice == []
    brought.drop(ONE, "answer", "a")

    assert brought.twice == [EntryKey(ONE, "answer", "a")]
