"""How often an actor was started again stands in its row, whoever wanted that, and wherever its chain came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.test_taken_in import bundle, taken_in
from tests.runtime.troupe import Troupe
from theater.errors import DiskFull


@pytest.fixture
def away(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    """Another node."""
    folder = tmp_path / "away"
    folder.mkdir()
    with Stage(workshop, folder, seed=1) as stage:
        yield stage


@pytest.mark.slow
def test_restarts_are_counted_whoever_asked_for_them(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")
    assert child.ref.record.restarts == 0

    company.crash(child)
    company.ask(boss, puppet.restart(child.id))
    company.rest()
    child.stop()
    company.rest()
    child.restart()

    assert child.ref.record.restarts == 3
    assert child.kinds().count("restarted") == 3
    stored = company.stage.runtime.store.record(child.id)
    assert stored is not None
    assert stored.restarts == 3
    company.stage.reopen()
    assert company.find(child.id).ref.record.restarts == 3


@pytest.mark.slow
def test_those_of_a_chain_that_was_taken_in_are_counted_when_it_is_first_woken(
    company: Troupe, away: Stage, tmp_path: Path
) -> None:
    anna = company.player("anna")
    for _ in range(2):
        anna.stop()
        anna.restart()

    again = taken_in(away, bundle(company.stage, anna.id, tmp_path / "anna.theater"))

    assert again.ref.record.restarts == 2
    again.restart()
    assert again.ref.record.restarts == 3
    away.reopen()
    assert away.actor(anna.id, allowed=("messaging", "supervisor", "timing")).ref.record.restarts == 3


def test_a_restart_that_could_not_be_recorded_does_not_count(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        anna = Troupe(stage).player("anna")
        anna.stop()
        gate.is_full = True
        with pytest.raises(DiskFull):
            anna.restart()
        gate.is_full = False
        stage.rest()

        assert anna.ref.record.restarts == 0
        anna.restart()
        assert anna.ref.record.restarts == 1
