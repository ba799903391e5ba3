"""The cases of the suite for event stores that are about the spaces in which guests keep blobs."""

# ruff: noqa: D103 - the name of a case is its sentence

from __future__ import annotations

import hashlib
from collections.abc import Callable

from theater.errors import HeadConflict
from theater.model.blob_space import BlobChange, BlobEffect, BlobIndex, BlobSpace, BlobWrites
from theater.model.effects import PutBlob, RemoveBlob, RemoveLabel, SetLabel
from theater.model.ids import Digest
from theater.model.ports import Append, EventStore, Written
from theater.testing.chains import ChainMaker
from theater.testing.store_calls import append_together, begun, drop, kinds

POOL = BlobSpace("name", "pool")


def digest(text: str) -> Digest:
    """Of a blob with these bytes."""
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def putting(text: str) -> PutBlob:
    """A blob with these bytes."""
    return PutBlob("", digest(text), text.encode())


def labelling(label: str, text: str) -> SetLabel:
    """A label for it."""
    return SetLabel("", label, digest(text))


def writing(maker: ChainMaker, space: BlobSpace, *effects: BlobEffect) -> Append:
    """A batch of one step's changes alone."""
    changes = tuple(BlobChange(space, effect) for effect in effects)
    return Append(maker.actor, None, (), blobs=(BlobWrites(changes),))


def what_is_in(store: EventStore, space: BlobSpace) -> tuple[set[str], dict[str, str]]:
    """Blobs by their texts, and what each label names."""
    found: list[BlobIndex] = []
    store.read_space(space, found.append)
    texts = {blob: text_of(store, space, blob) for blob in found[0].blobs}
    assert {blob: len(text) for blob, text in texts.items()} == found[0].blobs
    return set(texts.values()), {label: texts[blob] for label, blob in found[0].labels.items()}


def text_of(store: EventStore, space: BlobSpace, blob: Digest) -> str:
    """All bytes of a blob."""
    content = store.blob(space, blob, offset=0, size_bytes=100)
    assert content is not None
    assert digest(content.decode()) == blob
    return content.decode()


def blobs_and_labels_are_kept_apart_by_their_space(store: EventStore) -> None:
    [maker] = begun(store, 1)
    own, tree = BlobSpace("self", maker.actor), BlobSpace("tree", maker.actor)

    append_together(
        store,
        writing(maker, own, putting("abc"), labelling("a", "abc"), putting("")),
        writing(maker, POOL, putting("abc")),
    )
    assert what_is_in(store, own) == ({"abc", ""}, {"a": "abc"})
    assert what_is_in(store, POOL) == ({"abc"}, {})
    assert what_is_in(store, tree) == (set(), {})


def a_part_of_a_blob_ends_where_it_does(store: EventStore) -> None:
    [maker] = begun(store, 1)
    append_together(store, writing(maker, POOL, putting("abcdef")))

    parts = [(0, 2, b"ab"), (2, 100, b"cdef"), (6, 1, b""), (100, 1, b""), (1, 0, b"")]
    for offset, size_bytes, part in parts:
        assert store.blob(POOL, digest("abcdef"), offset=offset, size_bytes=size_bytes) == part
    assert store.blob(POOL, digest("x"), offset=0, size_bytes=1) is None


def changes_are_made_in_their_order_and_keep_a_space_sound(store: EventStore) -> None:
    [maker] = begun(store, 1)
    remove, unlabel = RemoveBlob("", digest("abc")), RemoveLabel("", "a")

    def after(*effects: BlobEffect) -> object:
        append_together(store, writing(maker, POOL, *effects))
        return what_is_in(store, POOL)

    assert after(labelling("a", "abc"), remove, unlabel) == (set(), {})
    assert after(putting("abc"), putting("abc"), labelling("a", "abc"), remove) == ({"abc"}, {"a": "abc"})
    assert after(putting("x"), labelling("a", "x"), remove, labelling("a", "abc")) == ({"x"}, {"a": "x"})
    assert after(unlabel, RemoveBlob("", digest("x")), putting("abc")) == ({"abc"}, {})


def a_refused_batch_changes_no_space(store: EventStore) -> None:
    [maker] = begun(store, 1)
    append_together(store, writing(maker, POOL, putting("abc")))
    changes = writing(maker, POOL, putting("x"), RemoveBlob("", digest("abc")), labelling("a", "x")).blobs
    refused = Append(maker.actor, None, (), drops=(drop(maker, "nothing"),), blobs=changes)

    assert kinds(append_together(store, refused)) == [HeadConflict]
    assert what_is_in(store, POOL) == ({"abc"}, {})


def spaces_end_with_the_actor_whose_they_are(store: EventStore) -> None:
    maker, other = begun(store, 2)
    own, tree = BlobSpace("self", maker.actor), BlobSpace("tree", maker.actor)
    for space in (own, tree, POOL, BlobSpace("self", other.actor)):
        append_together(store, writing(other, space, putting("abc"), labelling("a", "abc")))
    head = maker.head
    removal = Append(maker.actor, head, (maker.add("lifecycle", "erased", b'{"by":"x"}'),), erases=True)
    append_together(store, removal, writing(other, tree, putting("late")))
    append_together(store, writing(other, own, putting("late")))

    assert what_is_in(store, own) == what_is_in(store, tree) == (set(), {})
    assert what_is_in(store, POOL) == what_is_in(store, BlobSpace("self", other.actor)) == ({"abc"}, {"a": "abc"})


def who_watches_has_heard_of_all_that_is_in_a_space(store: EventStore) -> None:
    [maker] = begun(store, 1)
    heard: list[Written] = []
    store.observe(heard.append)
    batches = [writing(maker, POOL, putting(str(number))) for number in range(3)]
    append_together(store, *batches)

    indexes: list[tuple[int, int]] = []
    store.read_space(POOL, lambda index: indexes.append((len(index.blobs), sum(len(each.batches) for each in heard))))
    assert indexes == [(3, 3)]
    told = [writes for each in heard for batch in each.batches for writes in batch.blobs]
    assert all(one is other.blobs[0] for one, other in zip(told, batches, strict=True))


BLOB_CASES: tuple[Callable[[EventStore], None], ...] = (
    blobs_and_labels_are_kept_apart_by_their_space,
    a_part_of_a_blob_ends_where_it_does,
    changes_are_made_in_their_order_and_keep_a_space_sound,
    a_refused_batch_changes_no_space,
    spaces_end_with_the_actor_whose_they_are,
    who_watches_has_heard_of_all_that_is_in_a_space,
)
"""Part of ``event_store_suite.CASES``."""
