"""Who waits for whom: answers find the asker, and no circle closes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.model.ids import ActorId
from theater.runtime import waits as module
from theater.runtime.waits import Waits

A, B, C, D = (ActorId(letter * 32) for letter in "abcd")


def ignore(answer: object) -> None:
    del answer


def test_an_answer_finds_who_waits_for_it_once() -> None:
    waits = Waits()
    heard: list[object] = []
    waits.begin("w", A, B, heard.append)
    assert (len(waits), waits.is_waiting("w")) == (1, True)

    assert waits.answer("w", "yes")
    assert not waits.answer("w", "again")

    assert heard == ["yes"]
    assert (len(waits), waits.is_waiting("w")) == (0, False)


def test_a_wait_that_was_ended_is_not_woken() -> None:
    waits = Waits()
    heard: list[object] = []
    waits.begin("w", A, B, heard.append)

    assert waits.end("w")
    assert not waits.end("w")
    assert not waits.answer("w", "late")

    assert heard == []


def test_an_answer_that_came_early_is_there_when_it_is_waited_for() -> None:
    waits = Waits()
    heard: list[object] = []

    assert not waits.answer("w", None)  # None is an answer as any other
    waits.begin("w", A, B, heard.append)

    assert heard == [None]
    assert len(waits) == 0
    assert waits.cycle(B, A) is None  # and nobody waits


def test_of_too_many_early_answers_the_oldest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EARLY_MAX", 2)
    waits = Waits()
    heard: list[object] = []
    for number in range(3):
        waits.answer(f"w{number}", number)

    for number in range(3):
        waits.begin(f"w{number}", ActorId(f"{number:032x}"), D, heard.append)

    assert heard == [1, 2]
    assert waits.is_waiting("w0")


def test_whoever_asks_himself_would_wait_for_ever() -> None:
    assert Waits().cycle(A, A) == (A,)


def test_a_circle_names_all_who_are_in_it() -> None:
    waits = Waits()
    waits.begin("1", A, B, ignore)
    waits.begin("2", B, C, ignore)

    assert waits.cycle(C, A) == (C, A, B)
    assert waits.cycle(C, B) == (C, B)
    assert waits.cycle(C, D) is None
    assert waits.cycle(D, A) is None  # a line that ends at C


def test_of_two_who_are_about_to_ask_each_other_one_may() -> None:
    waits = Waits()
    assert waits.reserve(A, B) is None
    assert waits.reserve(B, A) == (B, A)  # A does not wait yet
    waits.begin("1", A, B, ignore)
    assert waits.reserve(B, A) == (B, A)

    waits.release(A)  # a wait that has begun is none of that
    assert waits.reserve(B, A) == (B, A)
    waits.end("1")
    assert waits.reserve(B, A) is None


def test_whoever_does_not_ask_after_all_is_in_nobodys_way() -> None:
    waits = Waits()
    assert waits.reserve(A, B) is None
    waits.release(A)
    waits.release(A)
    assert waits.reserve(B, A) is None

    waits.answer("early", "x")
    waits.begin("early", B, A, ignore)
    assert waits.reserve(A, B) is None


def test_an_answer_that_is_forgotten_is_not_there_any_more() -> None:
    waits = Waits()
    waits.answer("w", "x")
    waits.forget("w")
    waits.forget("w")
    waits.begin("w", A, B, ignore)

    assert waits.is_waiting("w")


@pytest.mark.parametrize("how", ["answered", "ended"])
def test_a_wait_that_is_over_closes_no_circle(how: str) -> None:
    waits = Waits()
    waits.begin("1", A, B, ignore)
    assert waits.cycle(B, A) == (B, A)

    if how == "answered":
        waits.answer("1", None)
    else:
        waits.end("1")

    assert waits.cycle(B, A) is None


def test_whoever_is_woken_may_wait_again() -> None:
    waits = Waits()
    waits.begin("1", A, B, lambda _: waits.begin("2", A, C, ignore))

    assert waits.answer("1", None)

    assert waits.cycle(C, A) == (C, A)
    assert waits.cycle(B, A) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_waits_that_close_no_circle_never_make_one(pairs: list[tuple[int, int]]) -> None:
    waits = Waits()
    actors = [ActorId(f"{number:032x}") for number in range(6)]
    target: dict[int, int] = {}
    for asker, other in pairs:
        if asker in target:
            continue  # it is deaf
        line, current = [asker], other
        while current in target and current not in line:
            line.append(current)
            current = target[current]
        circle = waits.cycle(actors[asker], actors[other])

        assert (circle is not None) is (current in line)
        if circle is None:
            waits.begin(f"{asker}", actors[asker], actors[other], ignore)
            target[asker] = other
