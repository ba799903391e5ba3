"""The messages that wait: their order, their places, and what of them survives an end."""

from __future__ import annotations

from theater.model.ids import ActorId, Digest
from theater.model.ports import ActorRecord
from theater.runtime.directory import Card, Directory
from theater.runtime.letter import Letter, nobody
from theater.runtime.mailbox import Mailbox

ACTOR = ActorId("a" * 32)


def letter(name: str, *, asks: bool = False, is_durable: bool = True, has_place: bool = True) -> Letter:
    return Letter(name, "test", "handle", (), asks, nobody, is_durable=is_durable, has_place=has_place)


def directory_and_card() -> tuple[Directory, Card]:
    directory = Directory()
    record = ActorRecord(
        id=ACTOR, name="a", status="running", parent=None, created_us=0, program=Digest("0" * 64), engine=""
    )
    return directory, directory.put(record)


def post(directory: Directory, card: Card, mailbox: Mailbox, given: Letter) -> None:
    """As whoever sends it: the place comes first."""
    if given.has_place:
        directory.take_place(card, most=None)
    mailbox.put(given)


def names(letters: list[Letter]) -> list[str]:
    return [each.id for each in letters]


def test_they_are_taken_in_the_order_in_which_they_came() -> None:
    directory, card = directory_and_card()
    mailbox = Mailbox(directory, card)
    for name in "abc":
        post(directory, card, mailbox, letter(name))
    mailbox.put_first(letter("first", has_place=False))

    assert card.places == 3
    assert names([mailbox.take() for _ in range(len(mailbox))]) == ["first", "a", "b", "c"]
    assert (len(mailbox), card.places) == (0, 0)


def test_letters_from_the_store_take_their_places() -> None:
    directory, card = directory_and_card()

    mailbox = Mailbox(directory, card, [letter("a"), letter("b", has_place=False)])

    assert (len(mailbox), card.places) == (2, 1)


def test_a_letter_that_was_found_in_the_store_is_not_taken_again_when_it_is_handed_over() -> None:
    directory, card = directory_and_card()
    directory.take_place(card, most=None)  # by whoever posted it
    mailbox = Mailbox(directory, card, [letter("a")], found=["a"])
    assert card.places == 2

    mailbox.put(letter("a"))

    assert (len(mailbox), card.places) == (1, 1)
    assert mailbox.take().id == "a"
    assert card.places == 0


def test_it_is_not_taken_again_even_if_it_was_begun_before() -> None:
    directory, card = directory_and_card()
    directory.take_place(card, most=None)
    mailbox = Mailbox(directory, card, [letter("a")], found=["a"])
    mailbox.take()

    mailbox.put(letter("a"))
    post(directory, card, mailbox, letter("b"))

    assert names([mailbox.take() for _ in range(len(mailbox))]) == ["b"]
    assert card.places == 0


def test_at_an_end_requests_and_what_is_not_durable_are_taken_out_and_the_rest_stays() -> None:
    directory, card = directory_and_card()
    mailbox = Mailbox(directory, card)
    for each in (letter("send"), letter("ask", asks=True), letter("outside", is_durable=False), letter("more")):
        post(directory, card, mailbox, each)

    assert names(mailbox.take_requests()) == ["ask", "outside"]

    assert card.places == 2
    assert names([mailbox.take() for _ in range(len(mailbox))]) == ["send", "more"]
    assert mailbox.take_requests() == []


def test_what_is_not_durable_can_be_taken_out_alone() -> None:
    directory, card = directory_and_card()
    mailbox = Mailbox(directory, card)
    for each in (letter("ask", asks=True), letter("outside", is_durable=False)):
        post(directory, card, mailbox, each)

    assert names(mailbox.take_volatile()) == ["outside"]
    assert (len(mailbox), card.places) == (1, 1)
    assert mailbox.take_volatile() == []


def test_durable_letters_that_go_on_waiting_in_the_store_keep_their_places() -> None:
    directory, card = directory_and_card()
    mailbox = Mailbox(directory, card)
    assert mailbox.take_durable() == []
    for each in (letter("a"), letter("outside", is_durable=False)):
        post(directory, card, mailbox, each)

    assert names(mailbox.take_durable()) == ["a"]
    assert (len(mailbox), card.places) == (1, 2)


def test_all_can_be_taken_out() -> None:
    directory, card = directory_and_card()
    mailbox = Mailbox(directory, card)
    for name in "ab":
        post(directory, card, mailbox, letter(name))

    assert names(mailbox.clear()) == ["a", "b"]
    assert (len(mailbox), card.places, mailbox.clear()) == (0, 0, [])
