"""Nobody lives whom nobody supervises, and nobody who is to begin again is lost: to no full disk, and to no name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, TheaterError
from theater.model.payload import Message
from theater.runtime import offspring as offspring_module
from theater.runtime.exports import CHILD_EVENTS
from theater.store.faults import FaultPoint
from theater.testing.harness import Actor

BACKOFF_MS = (1000, 1000)


class FullOnce:
    """The disk is full for one transaction."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self, point: FaultPoint) -> None:
        if self.left is None or point != "before-commit":
            return
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")


@pytest.fixture
def disk() -> FullOnce:
    return FullOnce()


@pytest.fixture
def troupe(workshop: Workshop, tmp_path: Path, disk: FullOnce) -> Iterator[Troupe]:
    with Stage(workshop, tmp_path, fault=disk) as stage:
        yield Troupe(stage)


def status(troupe: Troupe, actor: Actor) -> str:
    record = troupe.stage.runtime.store.record(actor.id)
    assert record is not None
    return record.status


def pass_time(troupe: Troupe, times: int = 3, seconds: float = 2) -> None:
    for _ in range(times):
        troupe.rest()
        troupe.stage.clock.advance(seconds)
    troupe.rest()


def left(troupe: Troupe, actor: Actor, space: str) -> int:
    return len(troupe.stage.runtime.store.entries(actor.id, space))  # type: ignore[arg-type]  # one of its words


# -- orders that could not be written --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.slow
def test_a_permanent_child_comes_back_whichever_transaction_finds_the_disk_full(
    troupe: Troupe, disk: FullOnce, number: int
) -> None:
    boss = troupe.boss()
    kid = troupe.child(boss, "kid", restart="permanent", backoff_ms=BACKOFF_MS)
    disk.left = number
    with pytest.raises(TheaterError):
        kid.request(puppet.trap())
    pass_time(troupe)
    disk.left = None
    pass_time(troupe)

    assert (status(troupe, boss), status(troupe, kid)) == ("running", "running")
    assert left(troupe, boss, "duty") == 0
    troupe.verify()


# -- orphans ---------------------------------------------------------------------------------------------------------


def test_nobody_is_started_again_below_a_parent_that_has_ended(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    kid = company.child(middle, "kid", restart="permanent")
    company.ask(boss, puppet.stop(middle.id))
    company.rest()

    assert company.ask(boss, puppet.restart(kid.id)).startswith("err:not-running")
    company.rest()
    assert (status(company, middle), status(company, kid)) == ("stopped", "stopped")

    company.ask(boss, puppet.restart(middle.id))
    company.rest()
    assert (status(company, middle), status(company, kid)) == ("running", "running")


@pytest.mark.slow
def test_a_parent_that_is_stopped_in_the_same_step_starts_nobody(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    kid = company.child(middle, "kid", restart="permanent")

    company.ask(boss, puppet.stop(middle.id) + puppet.restart(kid.id))
    company.rest()

    assert (status(company, middle), status(company, kid)) == ("stopped", "stopped")
    assert left(company, boss, "duty") == 0


@pytest.mark.parametrize("end", ["stop", "crash"])
@pytest.mark.slow
def test_who_lives_below_an_ended_child_ends_with_the_tree(company: Troupe, end: str) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    kid = company.child(middle, "kid", restart="permanent")
    company.ask(boss, puppet.stop(middle.id))
    company.rest()
    kid.restart()  # somebody outside may
    company.rest()
    assert status(company, kid) == "running"

    if end == "stop":
        boss.stop()
    else:
        company.crash(boss)
    company.rest()

    assert status(company, kid) == "stopped"


# -- names -----------------------------------------------------------------------------------------------------------


def crash(kid: Actor) -> None:
    with pytest.raises(Crashed):
        kid.request(puppet.trap())


@pytest.mark.slow
def test_the_name_of_a_child_that_waits_for_its_restart_is_kept(company: Troupe) -> None:
    stranger = company.player("stranger")
    boss = company.boss()
    kid = company.child(boss, "worker", restart="permanent", backoff_ms=BACKOFF_MS)
    crash(kid)
    company.rest()

    answer = company.ask(stranger, puppet.spawn(puppet.child(company.manifest("kid"), name="worker")))
    assert answer == "err:name-taken:worker"
    pass_time(company)

    assert (status(company, boss), status(company, kid)) == ("running", "running")


@pytest.mark.slow
def test_the_name_is_free_once_the_restart_is_taken_back(company: Troupe) -> None:
    stranger = company.player("stranger")
    boss = company.boss()
    kid = company.child(boss, "worker", restart="permanent", backoff_ms=BACKOFF_MS)
    crash(kid)
    company.rest()
    company.ask(boss, puppet.stop(kid.id))
    company.rest()

    other = company.child(stranger, "worker")
    assert status(company, other) == "running"
    assert status(company, kid) == "crashed"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.slow
def test_a_name_that_is_taken_is_waited_for_and_no_failure_of_the_child(company: Troupe) -> None:
    stranger = company.player("stranger")
    boss = company.boss("intensity = 1")
    kid = company.child(boss, "worker", restart="permanent", backoff_ms=BACKOFF_MS)
    crash(kid)
    company.rest()
    directory = company.stage.runtime._dispatcher.surroundings.directory
    directory.give_up_name("worker", kid.id)  # as if he had come before the decision
    other = company.child(stranger, "worker")
    pass_time(company, times=6)
    assert (status(company, boss), status(company, kid)) == ("running", "crashed")
    assert len(company.decisions(boss)) == 1

    other.stop()
    pass_time(company)
    assert (status(company, boss), status(company, kid)) == ("running", "running")


# -- what is left over ----------------------------------------------------------------------------------------------


def delivered(boss: Actor) -> list[int]:
    """The numbers of the events that it was given."""
    letters = [payload for payload in boss.payloads("message") if isinstance(payload, Message)]
    batches = [letter.arguments[0] for letter in letters if letter.export == CHILD_EVENTS]
    return [
        event["seq"] for batch in cast("list[dict[str, list[dict[str, int]]]]", batches) for event in batch["events"]
    ]


@pytest.mark.slow
def test_a_subscription_ends_with_a_child_that_has_left_the_list(company: Troupe) -> None:
    boss = company.player("boss", handlers=("events", "supervisor"))
    spawn = puppet.spawn(puppet.child(company.manifest("kid"), restart="temporary"))
    kid = company.find(str(boss.request(spawn + puppet.reply(ANSWER) + puppet.subscribe(ANSWER, 0))))
    company.rest()
    assert left(company, boss, "subscription") == 1

    crash(kid)
    company.rest()

    assert left(company, boss, "subscription") == 0
    assert delivered(boss) == list(range(len(kid.events())))
    found = company.stage.runtime.find(boss.id)
    assert found is not None
    assert not found.supervising._heard


@pytest.mark.slow
def test_an_actor_has_so_many_subscriptions_and_no_more(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offspring_module, "SUBSCRIPTIONS_MAX", 2)
    boss = company.player("boss", handlers=("events", "supervisor"))
    kids = [company.child(boss, f"kid-{number}") for number in range(3)]
    first, second, third = (puppet.subscribe(kid.id) for kid in kids)

    assert company.ask(boss, first + second + third) == "err:too-many:2"
    assert company.ask(boss, first) == "ok"
    assert company.ask(boss, puppet.unsubscribe(kids[1].id) + third) == "ok"
    assert company.ask(boss, second) == "err:too-many:2"
