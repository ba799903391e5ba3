"""Why a batch is not written, in the same words whatever the store."""

from __future__ import annotations

from theater.errors import HeadConflict, StoreError
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.model.ports import Entry, EntryKey


def other_head(actor: ActorId, head: Head, expected: Head) -> HeadConflict:
    """The chain goes further, or less far, than whoever appended thought."""
    return HeadConflict(
        f"the chain of {actor} ends with event {head.seq}, and {expected.seq} was expected", actor=actor, head=head
    )


def removed(actor: ActorId, head: Head) -> HeadConflict:
    """The actor was removed, and its chain ended with that."""
    return HeadConflict(
        f"{actor} was removed: its chain ended with event {head.seq}", actor=actor, head=head, removed=True
    )


def name_taken(name: str, holder: ActorId) -> StoreError:
    """Another living actor has the name."""
    return StoreError(f"an actor named '{name}' is alive already", name_taken=name, by=holder)


def missing_entry(drop: EntryKey) -> HeadConflict:
    """What was to be taken away was never put, or has been taken away before."""
    return HeadConflict(
        f"{drop.actor} holds no {drop.space} entry '{drop.key}': it was never put, or was dropped before",
        actor=drop.actor,
        entry=drop.key,
    )


def missing_holder(put: Entry) -> HeadConflict:
    """Nobody can hold the entry."""
    return HeadConflict(
        f"there is no chain of {put.actor}, which was to hold the {put.space} entry '{put.key}'",
        actor=put.actor,
        entry=put.key,
    )
