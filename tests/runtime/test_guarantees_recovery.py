"""After an unclean stop those that had work to do go on one at a time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.model.ids import ActorId
from theater.runtime.recovery import Recovery

ANNA, BERT, CARL = (ActorId(letter * 32) for letter in "abc")
NAMES = ("anna", "bert", "carl")


class Line:
    """Suspects, and which of them were let go on."""

    def __init__(self) -> None:
        self.recovery = Recovery([ANNA, BERT, CARL])
        self.begun: list[str] = []
        self.rested: dict[str, Callable[[], None]] = {}

    def admit(self, name: str) -> None:
        def go(rested: Callable[[], None]) -> None:
            self.begun.append(name)
            self.rested[name] = rested

        self.recovery.admit(go)


def test_suspects_go_on_one_at_a_time_and_in_turn() -> None:
    line = Line()
    for name in NAMES:
        line.admit(name)
    assert line.begun == ["anna"]

    line.rested["anna"]()
    assert line.begun == ["anna", "bert"]
    line.rested["bert"]()
    assert not line.recovery.is_over
    line.rested["carl"]()

    assert line.begun == list(NAMES)
    assert line.recovery.is_over


def test_who_comes_to_rest_twice_lets_one_other_go_on() -> None:
    line = Line()
    for name in NAMES:
        line.admit(name)

    line.rested["anna"]()
    line.rested["anna"]()

    assert line.begun == ["anna", "bert"]


def test_one_that_rests_at_once_lets_the_next_one_go_on() -> None:
    recovery = Recovery([])
    begun: list[int] = []
    for number in range(3):

        def go(rested: Callable[[], None], number: int = number) -> None:
            begun.append(number)
            rested()

        recovery.admit(go)

    assert begun == [0, 1, 2]
    assert recovery.is_over


def test_an_actor_is_a_suspect_once_and_only_where_it_had_work() -> None:
    recovery = Recovery([ANNA])

    assert [recovery.is_suspect(actor) for actor in (ANNA, ANNA, BERT)] == [True, False, False]


@pytest.mark.slow
def test_after_an_unclean_stop_everybody_who_had_work_does_it_once_and_leaves_no_mark(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theater.runtime.runtime.STOP_GRACE_S", 0.01)
    work = puppet.log("begun") + puppet.sleep(1000) + puppet.log("done")
    with Stage(workshop, tmp_path / "first") as stage:
        troupe = Troupe(stage)
        actors = [troupe.player(name) for name in NAMES]
        for actor in actors:
            actor.send(work)
            actor.send(puppet.log("next"))
        stage.rest()
        shutil.copytree(tmp_path / "first" / "data", tmp_path / "second" / "data")

    with Stage(workshop, tmp_path / "second") as stage:
        assert stage.runtime.store.facts().unclean
        troupe = Troupe(stage)
        stage.rest()
        assert [troupe.find(name).kinds()[-1] for name in NAMES] == ["resumed"] * 3  # all wait, each in its step
        stage.clock.advance(1)
        stage.rest()

        for name in NAMES:
            assert puppet.log_of(troupe.find(name).state or "0") == ["begun", "done", "next"]
        assert [stage.runtime.store.attempt(actor.id) for actor in actors] == [0, 0, 0]
        assert stage.runtime.store.holders("mailbox") == []
        troupe.verify()


def test_thousands_who_have_nothing_to_begin_with_are_let_go_on() -> None:
    recovery = Recovery([])
    let_go: list[int] = []

    def go_of(number: int) -> Callable[[Callable[[], None]], None]:
        def go(rested: Callable[[], None]) -> None:
            let_go.append(number)
            rested()

        return go

    first: list[Callable[[], None]] = []
    recovery.admit(first.append)
    for number in range(5_000):
        recovery.admit(go_of(number))
    first[0]()

    assert let_go == list(range(5_000))
    assert recovery.is_over


def test_one_that_cannot_be_let_go_on_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    recovery = Recovery([])

    def broken(rested: Callable[[], None]) -> None:
        del rested
        raise ValueError

    recovery.admit(broken)

    assert recovery.is_over
    assert len(reported) == 1
