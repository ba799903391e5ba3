"""What is in a space for blobs, in layers: all that is there, and over it what single steps have changed.

A layer says of a blob or a label that it is there, that it is not, or nothing; then the one below it is asked.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import TypeVar

from theater.model.blob_space import BlobEffect, BlobIndex
from theater.model.effects import PutBlob, RemoveBlob, SetLabel
from theater.model.ids import Digest
from theater.runtime.space_room import Amount, Party, Room

K = TypeVar("K", bound=str)
V = TypeVar("V")

Named = dict[Digest, dict[str, None]]
"""The labels of each blob."""


class Layer:
    """What one step changes in one space. None: it is removed."""

    __slots__ = ("blobs", "labels", "named")

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes | None] = {}
        self.labels: dict[str, Digest | None] = {}
        self.named: Named = {}

    def apply(self, effect: BlobEffect) -> None:
        """One more change."""
        match effect:
            case PutBlob():
                self.blobs[effect.blob] = effect.content
            case RemoveBlob():
                self.blobs[effect.blob] = None
            case SetLabel():
                _rename(self.named, effect.label, self.labels.get(effect.label), effect.blob)
                self.labels[effect.label] = effect.blob
            case _:
                _rename(self.named, effect.label, self.labels.get(effect.label), None)
                self.labels[effect.label] = None


class Ground:
    """All that is in a space, by the rules of ``theater.model.blob_space``."""

    __slots__ = ("_by_digest", "_by_label", "blob_room", "blobs", "label_room", "labels", "named")

    def __init__(self) -> None:
        self.blobs: dict[Digest, int] = {}
        self.labels: dict[str, Digest] = {}
        self.named: Named = {}
        self.blob_room = Room(lambda blob: self.blobs.get(Digest(blob)))
        self.label_room = Room(lambda label: 0 if label in self.labels else None)
        self._by_digest: list[Digest] | None = None
        self._by_label: list[str] | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether no step is about to change anything."""
        return self.blob_room.is_quiet and self.label_room.is_quiet

    def learn(self, index: BlobIndex, changes: Iterable[BlobEffect]) -> None:
        """All that is there, and what was done to it since."""
        self.blobs, self.labels, self.named = dict(index.blobs), dict(index.labels), {}
        for label, blob in self.labels.items():
            _rename(self.named, label, None, blob)
        self._by_digest = self._by_label = None
        self.blob_room.count_again(Amount(len(self.blobs), sum(self.blobs.values())))
        self.label_room.count_again(Amount(len(self.labels)))
        for change in changes:
            self.apply(change)

    def apply(self, effect: BlobEffect) -> None:
        """Carry out one change."""
        match effect:
            case PutBlob():
                if effect.blob not in self.blobs:
                    size_bytes = self.blobs[effect.blob] = len(effect.content)
                    self._by_digest = None
                    self.blob_room.came(effect.blob, size_bytes)
            case RemoveBlob():
                if effect.blob in self.blobs and effect.blob not in self.named:
                    size_bytes = self.blobs.pop(effect.blob)
                    self._by_digest = None
                    self.blob_room.went(effect.blob, size_bytes)
            case SetLabel():
                if effect.blob in self.blobs:
                    before = self.labels.get(effect.label)
                    self.labels[effect.label] = effect.blob
                    _rename(self.named, effect.label, before, effect.blob)
                    if before is None:
                        self._by_label = None
                        self.label_room.came(effect.label, 0)
            case _:
                named = self.labels.pop(effect.label, None)
                if named is not None:
                    _rename(self.named, effect.label, named, None)
                    self._by_label = None
                    self.label_room.went(effect.label, 0)

    def expect(self, party: Party, effect: BlobEffect) -> None:
        """A step is about to change this, whether there is room or not."""
        match effect:
            case PutBlob():
                self.blob_room.want(party, effect.blob, len(effect.content))
            case RemoveBlob():
                self.blob_room.give_up(party, effect.blob)
            case SetLabel():
                self.label_room.want(party, effect.label, 0)
            case _:
                self.label_room.give_up(party, effect.label)

    def sorted_blobs(self) -> list[Digest]:
        """By digest."""
        if self._by_digest is None:
            self._by_digest = sorted(self.blobs)
        return self._by_digest

    def sorted_labels(self) -> list[str]:
        """By the bytes of their names, which is the order of their characters."""
        if self._by_label is None:
            self._by_label = sorted(self.labels)
        return self._by_label


class View:
    """What one step sees: the layers, the uppermost first, and the ground. To be used while nobody changes them."""

    __slots__ = ("_ground", "_layers")

    def __init__(self, layers: Sequence[Layer], ground: Ground) -> None:
        self._layers = layers
        self._ground = ground

    def size_of(self, blob: Digest) -> int | None:
        """How large it is; None where it is not there."""
        for layer in self._layers:
            if blob in layer.blobs:
                content = layer.blobs[blob]
                return None if content is None else len(content)
        return self._ground.blobs.get(blob)

    def blob_of(self, label: str) -> Digest | None:
        """What a label names; None where there is no such label."""
        for layer in self._layers:
            if label in layer.labels:
                return layer.labels[label]
        return self._ground.labels.get(label)

    def label_of(self, blob: Digest) -> str | None:
        """A label that names it."""
        for depth, named in enumerate([*(layer.named for layer in self._layers), self._ground.named]):
            for label in named.get(blob, ()):
                if not any(label in upper.labels for upper in self._layers[:depth]):
                    return label
        return None

    def there(self) -> tuple[Amount, Amount]:
        """How much there is: of blobs, and of labels."""
        blobs, labels = self._ground.blob_room.there, self._ground.label_room.there
        for blob in {blob for layer in self._layers for blob in layer.blobs}:
            now, below = self.size_of(blob), self._ground.blobs.get(blob)
            if now is not None and below is None:
                blobs = blobs.plus(now)
            elif now is None and below is not None:
                blobs = blobs.plus(below, times=-1)
        for label in {label for layer in self._layers for label in layer.labels}:
            is_now, is_below = self.blob_of(label) is not None, label in self._ground.labels
            if is_now != is_below:
                labels = labels.plus(0, times=1 if is_now else -1)
        return blobs, labels

    def blobs(self, after: Digest, limit: int) -> list[tuple[Digest, int]]:
        """By digest."""
        changed = _merged([layer.blobs for layer in self._layers])
        digests = _page(self._ground.sorted_blobs(), changed, prefix="", after=after, limit=limit)
        return [(Digest(digest), self.size_of(Digest(digest)) or 0) for digest in digests]

    def labels(self, prefix: str, after: str, limit: int) -> list[tuple[str, Digest]]:
        """By name."""
        changed = _merged([layer.labels for layer in self._layers])
        names = _page(self._ground.sorted_labels(), changed, prefix=prefix, after=after, limit=limit)
        found = ((name, self.blob_of(name)) for name in names)
        return [(name, blob) for name, blob in found if blob is not None]


def _rename(named: Named, label: str, before: Digest | None, now: Digest | None) -> None:
    if before is not None:
        labels = named[before]
        del labels[label]
        if not labels:
            del named[before]
    if now is not None:
        named.setdefault(now, {})[label] = None


def _merged(layers: Sequence[Mapping[K, V | None]]) -> dict[K, V | None]:
    merged: dict[K, V | None] = {}
    for layer in reversed(layers):
        merged |= layer
    return merged


def _page(ground: Sequence[str], changed: Mapping[K, V | None], *, prefix: str, after: str, limit: int) -> list[str]:
    """Up to ``limit`` keys with this prefix, in order, behind ``after``: of the ground, as far as it is not changed."""
    start = max(bisect_left(ground, prefix), bisect_right(ground, after)) if after else bisect_left(ground, prefix)
    added: list[str] = sorted(
        key for key, value in changed.items() if value is not None and key.startswith(prefix) and key > after
    )
    kept = _from(ground, start, prefix, frozenset[str](changed))
    return list(islice(merge(kept, added), limit))


def _from(ground: Sequence[str], start: int, prefix: str, changed: Collection[str]) -> Iterator[str]:
    for at in range(start, len(ground)):
        key = ground[at]
        if not key.startswith(prefix):
            return
        if key not in changed:
            yield key
