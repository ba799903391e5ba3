"""The spaces for blobs, as one live step sees them: with what it has put there and without what it has removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from theater.model.actor_system import Problem, SpaceLimits, SpaceUsage
from theater.model.blob_space import BlobEffect, BlobSpace
from theater.model.effects import Effect
from theater.model.ids import ActorId, Digest
from theater.runtime.consequences import Consequences
from theater.runtime.space_layers import Ground, Layer, View
from theater.runtime.space_room import Amount, Party
from theater.runtime.spaces import Spaces


class OwnSpaces:
    """Those of one step. Used by the thread that runs it, and by whoever settles it."""

    __slots__ = ("_effects", "_is_settled", "_layers", "_party", "_seen", "_spaces")

    def __init__(self, spaces: Spaces, actor: ActorId, effects: Sequence[Effect]) -> None:
        """``effects`` may grow afterwards, at its end."""
        self._spaces = spaces
        self._party = Party(actor)
        self._effects = effects
        self._seen: dict[str, int] = {}  # how many of the effects, for each space
        self._layers: dict[str, Layer] = {}
        self._is_settled = False

    def space(self, name: str) -> OwnSpace:
        """The one that the actor means by a name."""
        return OwnSpace(self, self._spaces, self._spaces.meant(self._party.actor, name), name, self._party)

    def layer(self, name: str, ground: Ground) -> Layer:
        """What the step has changed there so far. Each call is looked at once.

        What was called before the process died has room, too: the guest was told so then.
        """
        layer = self._layers.setdefault(name, Layer())
        for effect in self._effects[self._seen.get(name, 0) :]:
            if isinstance(effect, BlobEffect) and effect.space == name:
                layer.apply(effect)
                ground.expect(self._party, effect)
        self._seen[name] = len(self._effects)
        return layer

    def settle(self, effects: Sequence[BlobEffect], brought: Consequences) -> None:
        """The step succeeded: this comes with its commit."""
        self._is_settled = True
        self._spaces.settle(self._party, effects, brought)

    def give_back(self) -> None:
        """The step is over. Room for what was settled is held until that has its place."""
        if not self._is_settled:
            self._spaces.release(self._party)


class OwnSpace:
    """Implements ``SpaceView``."""

    __slots__ = ("_name", "_own", "_party", "_space", "_spaces")

    def __init__(self, own: OwnSpaces, spaces: Spaces, space: BlobSpace, name: str, party: Party) -> None:
        self._own = own
        self._spaces = spaces
        self._space = space
        self._name = name
        self._party = party

    def size_of(self, blob: Digest) -> int | None:
        """How large it is."""
        with self._look() as (view, _):
            return view.size_of(blob)

    def read(self, blob: Digest, *, offset: int, size_bytes: int) -> bytes | None:
        """A part of it."""
        with self._spaces.reading(self._space, self._party.actor) as (ground, earlier):
            layers = [self._own.layer(self._name, ground), *earlier]
        return self._spaces.content(self._space, blob, layers, offset=offset, size_bytes=size_bytes)

    def blob_of(self, label: str) -> Digest | None:
        """What it names."""
        with self._look() as (view, _):
            return view.blob_of(label)

    def labels(self, prefix: str, *, after: str, limit: int) -> list[tuple[str, Digest]]:
        """By name."""
        with self._look() as (view, _):
            return view.labels(prefix, after, limit)

    def blobs(self, *, after: str, limit: int) -> list[tuple[Digest, int]]:
        """By digest."""
        with self._look() as (view, _):
            return view.blobs(Digest(after), limit)

    def usage(self) -> SpaceUsage:
        """How much there is."""
        with self._look() as (view, _):
            blobs, labels = view.there()
        return SpaceUsage(blobs.size_bytes, blobs.number, labels.number)

    def may_put(self, blob: Digest, size_bytes: int, label: str | None, most: SpaceLimits) -> Problem | None:
        """Room for a blob, and for its label."""
        with self._look() as (_, ground):
            return self._take(ground, blob, size_bytes, label, most)

    def may_label(self, label: str, blob: Digest, most: SpaceLimits) -> Problem | None:
        """Room for a label of what is there."""
        with self._look() as (view, ground):
            size_bytes = view.size_of(blob)
            return ("not-found", blob) if size_bytes is None else self._take(ground, blob, size_bytes, label, most)

    def may_remove(self, blob: Digest) -> Problem | None:
        """Whether it is there, and has no label."""
        with self._look() as (view, ground):
            if view.size_of(blob) is None:
                return ("not-found", blob)
            label = view.label_of(blob)
            if label is not None:
                return ("labelled", label)
            ground.blob_room.give_up(self._party, blob)
            return None

    def may_remove_label(self, label: str) -> Problem | None:
        """Whether it is there."""
        with self._look() as (view, ground):
            if view.blob_of(label) is None:
                return ("unknown-label", label)
            ground.label_room.give_up(self._party, label)
            return None

    def _take(
        self, ground: Ground, blob: Digest, size_bytes: int, label: str | None, most: SpaceLimits
    ) -> Problem | None:
        """All of the room that is needed, or none."""
        if label is not None and ground.label_room.lack(self._party, label, 0, Amount(most.labels)):
            return ("too-many", most.labels)
        match ground.blob_room.lack(self._party, blob, size_bytes, Amount(most.blobs, most.quota_bytes)):
            case "number":
                return ("other", f"too-many-blobs: the space has {most.blobs} blobs already, the limit")
            case "bytes":
                return ("quota", most.quota_bytes)
        if label is not None:
            ground.label_room.want(self._party, label, 0)
        ground.blob_room.want(self._party, blob, size_bytes)
        return None

    @contextmanager
    def _look(self) -> Iterator[tuple[View, Ground]]:
        with self._spaces.reading(self._space, self._party.actor) as (ground, earlier):
            yield View([self._own.layer(self._name, ground), *earlier], ground), ground


def blob_effects(effects: Sequence[Effect]) -> list[BlobEffect]:
    """Those that change spaces for blobs."""
    return [effect for effect in effects if isinstance(effect, BlobEffect)]
