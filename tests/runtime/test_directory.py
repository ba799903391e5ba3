"""What one has to know of others without having them in memory: names, family, places."""

from __future__ import annotations

import dataclasses

import pytest

from theater.model.actor_system import Relation
from theater.model.ids import ActorId, Digest
from theater.model.limits import Limits
from theater.model.ports import ActorRecord, Status
from theater.runtime.directory import Directory, bounds_of

ROOT, CHILD, SISTER, GRANDCHILD, STRANGER = (ActorId(letter * 32) for letter in "abcde")


def row(actor: ActorId, parent: ActorId | None = None, *, name: str = "", status: Status = "running") -> ActorRecord:
    return ActorRecord(
        id=actor,
        name=name or f"actor-{actor[0]}",
        status=status,
        parent=parent,
        created_us=0,
        program=Digest("0" * 64),
        engine="",
    )


def family() -> Directory:
    return Directory(
        [row(ROOT), row(CHILD, ROOT), row(SISTER, ROOT), row(GRANDCHILD, CHILD), row(STRANGER)],
    )


# -- names -----------------------------------------------------------------------------------------------------------


def test_a_name_is_that_of_the_living_actor() -> None:
    directory = Directory([row(ROOT, name="a")])
    assert directory.named("a") == ROOT

    directory.put(row(ROOT, name="a", status="stopped"))
    assert directory.named("a") is None
    assert not directory.is_living(ROOT)

    directory.put(row(STRANGER, name="a"))
    directory.put(row(ROOT, name="a", status="crashed"))
    assert directory.named("a") == STRANGER


def test_a_paused_actor_has_its_name() -> None:
    directory = Directory([row(ROOT, name="a", status="paused")])

    assert directory.named("a") == ROOT
    assert directory.is_living(ROOT)


def test_a_name_is_reserved_once_and_not_where_somebody_has_it() -> None:
    directory = Directory([row(ROOT, name="a")])

    assert not directory.reserve_name("a")
    assert directory.reserve_name("b")
    assert not directory.reserve_name("b")
    assert directory.named("b") is None

    directory.release_name("b")
    assert directory.reserve_name("b")


def test_a_reserved_name_is_free_again_when_who_took_it_has_ended() -> None:
    directory = Directory()
    assert directory.reserve_name("a")
    directory.put(row(ROOT, name="a"))
    assert not directory.reserve_name("a")

    directory.put(row(ROOT, name="a", status="stopped"))
    assert directory.reserve_name("a")


def test_whoever_never_came_to_be_leaves_no_name_and_no_parent() -> None:
    directory = Directory([row(ROOT)])
    directory.put(row(CHILD, ROOT, name="a"))

    directory.forget(CHILD)
    directory.forget(CHILD)

    assert directory.card(CHILD) is None
    assert directory.named("a") is None
    assert directory.children(ROOT) == ()
    assert len(directory) == 1


# -- family ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asker", "other", "found"),
    [
        (ROOT, ROOT, {"self"}),
        (CHILD, CHILD, {"self"}),
        (ROOT, CHILD, {"children", "descendants"}),
        (ROOT, GRANDCHILD, {"descendants"}),
        (CHILD, GRANDCHILD, {"children", "descendants"}),
        (CHILD, ROOT, {"parent"}),
        (GRANDCHILD, CHILD, {"parent"}),
        (GRANDCHILD, ROOT, set()),
        (CHILD, SISTER, {"siblings"}),
        (SISTER, CHILD, {"siblings"}),
        (SISTER, GRANDCHILD, set()),
        (ROOT, STRANGER, set()),  # that both have no parent makes them no siblings
        (STRANGER, CHILD, set()),
        (ROOT, ActorId("f" * 32), set()),
    ],
)
def test_what_one_is_to_another(asker: ActorId, other: ActorId, found: set[Relation]) -> None:
    assert family().relations(asker, other) == found


def test_children_stand_in_the_order_of_their_start_and_descendants_are_counted() -> None:
    directory = family()

    assert directory.children(ROOT) == (CHILD, SISTER)
    assert directory.children(GRANDCHILD) == ()
    assert (directory.descendants(ROOT), directory.descendants(CHILD), directory.descendants(STRANGER)) == (3, 1, 0)
    assert directory.line_of(GRANDCHILD) == [CHILD, ROOT]


def test_a_change_of_a_child_leaves_it_at_its_place() -> None:
    directory = family()
    card = directory.card(CHILD)
    assert card is not None

    assert directory.put(dataclasses.replace(card.record, status="stopped")) is card

    assert directory.children(ROOT) == (CHILD, SISTER)


def test_a_child_that_was_removed_is_still_there_but_for_the_list() -> None:
    directory = family()

    directory.remove_child(CHILD)

    assert directory.children(ROOT) == (SISTER,)
    assert directory.card(CHILD) is not None
    assert directory.line_of(CHILD) == [ROOT]


# -- places ----------------------------------------------------------------------------------------------------------


def test_what_is_below_one_that_is_on_no_list_counts_for_nobody_above() -> None:
    directory = family()
    directory.remove_child(CHILD)
    assert directory.descendants(ROOT) == 1

    directory.forget(GRANDCHILD)
    directory.forget(CHILD)

    assert directory.descendants(ROOT) == 1


def test_the_child_of_one_whose_parent_is_elsewhere_is_counted() -> None:
    directory = Directory([row(CHILD, ROOT), row(GRANDCHILD, CHILD)])

    assert directory.descendants(CHILD) == 1
    directory.forget(GRANDCHILD)
    assert directory.descendants(CHILD) == 0


def test_places_are_taken_up_to_the_bound_and_freed() -> None:
    directory = family()
    card = directory.card(ROOT)
    assert card is not None

    assert [directory.take_place(card, most=2) for _ in range(3)] == [True, True, False]
    directory.free_place(card)
    assert directory.take_place(card, most=2)
    assert directory.take_place(card, most=None)  # one that cannot be refused any more
    assert card.places == 3
    directory.free_place(card, 5)
    assert card.places == 0


def test_the_bounds_are_those_of_the_limits() -> None:
    bounds = bounds_of(Limits(mailbox=7, message_bytes=8, outstanding=9, channels=10))

    assert (bounds.mailbox, bounds.message_bytes, bounds.outstanding, bounds.channels) == (7, 8, 9, 10)
