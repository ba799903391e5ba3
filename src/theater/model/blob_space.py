"""Where guests keep blobs and labels, and what a step changes there.

A space is one actor's own, or that of a whole tree, which is its root actor's, or one of the node's by a name. Both of
the former end with the actor whose they are.

A change is carried out in the transaction of the step that asked for it, and by these rules, which are the same in
every store and in memory: a blob that is there already is kept as it is; a blob that a label names is not removed; a
label is not set for a blob that is not there. So a space is sound in whichever order the steps of several actors are
committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from theater.model.effects import PutBlob, RemoveBlob, RemoveLabel, SetLabel
from theater.model.ids import ActorId, Digest

SpaceKind = Literal["self", "tree", "name"]

OWNED: tuple[SpaceKind, ...] = ("self", "tree")
"""Kinds of spaces that an actor owns, and that end with it."""

BlobEffect = PutBlob | RemoveBlob | SetLabel | RemoveLabel


class BlobSpace(NamedTuple):
    """One space. ``of`` is the id of the actor whose it is, or the name."""

    kind: SpaceKind
    of: str

    @property
    def owner(self) -> ActorId | None:
        """The actor with which it ends."""
        return ActorId(self.of) if self.kind in OWNED else None

    @property
    def key(self) -> str:
        """As it stands in a store."""
        return f"{self.kind}:{self.of}"


def spaces_of(actor: ActorId) -> tuple[BlobSpace, ...]:
    """The spaces that end with an actor."""
    return tuple(BlobSpace(kind, actor) for kind in OWNED)


class BlobChange(NamedTuple):
    """One change of one space."""

    space: BlobSpace
    effect: BlobEffect


class BlobWrites(msgspec.Struct, frozen=True, eq=False):
    """What one step changes, in the order of its calls. Each is known by its identity."""

    changes: tuple[BlobChange, ...]


@dataclass(frozen=True, slots=True)
class BlobIndex:
    """What is in a space: the size of each blob in bytes, and the blob of each label."""

    blobs: Mapping[Digest, int]
    labels: Mapping[str, Digest]


LearnIndex = Callable[[BlobIndex], None]
