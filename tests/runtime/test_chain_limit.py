"""A chain may take so much: an actor whose chain is full begins no further step, and says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.guests import puppet
from tests.guests.puppet import VERSION
from tests.guests.wat import COUNTER
from tests.runtime.stage import Stage
from tests.runtime.troupe import Troupe, text_of
from theater.errors import NotRunning
from theater.model.payload import Lifecycle
from theater.model.ports import LIVING
from theater.testing.harness import Actor

LIMIT = 64 * 1024
FULL = "chain has reached the limit of 64KiB"


def limited(company: Troupe, *, handlers: tuple[str, ...] = ()) -> Actor:
    """An actor whose chain may take 64 KiB."""
    return company.player("anna", handlers=handlers, limits='chain = "64KiB"')


def fill(company: Troupe, actor: Actor) -> None:
    """One step that goes beyond the limit."""
    actor.request(puppet.repeat(12, puppet.write_log("x" * 8000)))
    company.rest()


def last_stop(actor: Actor) -> Lifecycle:
    """What its last event says, which is that it stopped."""
    assert actor.events()[-1].header.name == "stopped"
    said = actor.payloads("lifecycle")[-1]
    assert isinstance(said, Lifecycle)
    return said


def test_the_step_that_goes_beyond_ends_and_then_the_actor_is_stopped(company: Troupe) -> None:
    anna = limited(company)
    anna.request(puppet.count())

    fill(company, anna)

    assert anna.status == "stopped"
    assert anna.kinds()[-2:] == ["state", "stopped"]
    said = last_stop(anna)
    assert said.by == "runtime"
    assert said.detail is not None
    assert (said.detail["reason"], said.detail["limit"]) == ("chain", LIMIT)
    taken = said.detail["bytes"]
    assert isinstance(taken, int)
    assert LIMIT <= taken <= sum(len(event.header_bytes) + len(event.payload or b"") for event in anna.events())


def test_new_messages_are_told_that_the_chain_is_full_and_what_to_do(company: Troupe) -> None:
    anna = limited(company, handlers=("channels",))
    fill(company, anna)

    asks: list[Callable[[], object]] = [
        lambda: anna.request(puppet.count()),
        lambda: anna.send(puppet.count()),
        anna.open_channel,
    ]
    for ask in asks:
        with pytest.raises(NotRunning, match=f"{FULL}.*start another actor"):
            ask()
    other = company.player("ben")
    assert company.ask(other, puppet.send(anna.id, "x")) == f"err:not-running:{anna.id}"


def test_what_waits_stays_and_who_asks_is_answered(company: Troupe) -> None:
    anna = limited(company)
    sleeping = company.begin(anna, puppet.sleep(1000) + puppet.repeat(12, puppet.write_log("x" * 8000)))
    company.stage.clock.wait_for_timers()
    anna.send(puppet.count())
    asking = company.begin(anna, puppet.count())
    company.stage.clock.advance(1)

    assert sleeping.result().text == "null"
    with pytest.raises(NotRunning, match=FULL):
        asking.result()
    company.rest()
    assert anna.status == "stopped"
    assert company.stage.runtime.store.size_entries("mailbox") == {anna.id: 1}


def test_a_restart_ends_at_once_for_the_same_reason(company: Troupe) -> None:
    anna = limited(company)
    fill(company, anna)

    anna.restart()
    company.rest()

    assert anna.kinds()[-2:] == ["restarted", "stopped"]
    assert (last_stop(anna).detail or {})["reason"] == "chain"
    assert anna.ref.record.restarts == 1


def test_it_is_so_after_a_restart_of_the_node_too(company: Troupe) -> None:
    anna = limited(company)
    fill(company, anna)
    company.stage.reopen()

    again = company.find(anna.id)
    with pytest.raises(NotRunning, match=FULL):
        again.request(puppet.count())
    again.restart()
    company.rest()
    assert again.status == "stopped"


def test_a_paused_actor_is_stopped_when_it_is_to_go_on(company: Troupe) -> None:
    anna = limited(company)
    sleeping = company.begin(anna, puppet.sleep(1000) + puppet.repeat(12, puppet.write_log("x" * 8000)))
    company.stage.clock.wait_for_timers()
    pausing = anna._start(anna.ref.pause())
    company.stage.clock.advance(1)
    sleeping.result()
    pausing.result()
    assert anna.kinds()[-1] == "paused"

    anna.resume()
    company.rest()

    assert anna.kinds()[-2:] == ["resumed", "stopped"]


def test_its_parent_hears_that_it_was_shut_down_and_leaves_it(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "kid", manifest=company.manifest("kid", limits='chain = "64KiB"'))

    fill(company, child)

    assert child.status == "stopped"
    assert company.heard(boss) == ["kid shutdown left"]


def test_a_supervisor_that_starts_all_its_children_again_does_not_do_so_for_ever(company: Troupe) -> None:
    boss = company.boss('strategy = "one-for-all"\nintensity = 5')
    full = company.child(boss, "full", manifest=company.manifest("full", limits='chain = "64KiB"'))
    other = company.child(boss, "other")
    fill(company, full)

    company.crash(other)

    assert (full.status, other.status, boss.status) == ("stopped", "running", "running")
    assert company.heard(boss) == ["full shutdown left", "other crashed:trap restarted", "full shutdown left"]


def test_its_children_end_before_it(company: Troupe) -> None:
    boss = company.boss(limits='chain = "64KiB"')
    child = company.child(boss, "kid")

    fill(company, boss)

    assert (child.status, boss.status) == ("stopped", "stopped")
    assert company.story("stopped") == ["kid stopped", "boss stopped"]
    assert (last_stop(boss).detail or {})["reason"] == "chain"


@pytest.mark.slow
def test_a_stop_that_a_death_interrupted_keeps_its_reason(company: Troupe) -> None:
    boss = company.boss(limits='chain = "64KiB"')
    child = company.child(boss, "kid")
    sleeping = company.begin(child, puppet.sleep(10_000))
    company.stage.clock.wait_for_timers()
    boss.request(puppet.repeat(12, puppet.write_log("x" * 8000)))
    company.stage.reopen()
    with pytest.raises(NotRunning):
        sleeping.result()
    company.stage.clock.wait_for_timers(2)  # the sleep that goes on, and its end
    company.stage.clock.advance(20)
    company.rest()

    boss = company.find(boss.id)
    assert boss.status == "stopped"
    assert (last_stop(boss).detail or {})["reason"] == "chain"


def test_an_actor_whose_first_event_is_too_much_never_begins(stage: Stage) -> None:
    with pytest.raises(NotRunning, match="limit of 100") as caught:
        stage.play(COUNTER, limits={"chain": 100})

    actor = stage.actor(str(caught.value.data["actor"]))
    assert actor.kinds() == ["genesis", "started", "stopped"]
    assert actor.verify().ok


def test_a_migration_is_a_step_too(company: Troupe) -> None:
    anna = limited(company)
    fill(company, anna)

    with pytest.raises(NotRunning, match=FULL):
        anna.upgrade(company.stage.workshop.file(text_of(version="2", migrate="ok")))
    anna.upgrade(company.stage.workshop.file(text_of(version="2")))  # that takes none

    assert anna.status == "stopped"


def test_below_the_limit_nothing_changes(company: Troupe) -> None:
    anna = company.player("anna")
    fill(company, anna)

    assert anna.request(puppet.reply(VERSION)) == "1"
    assert anna.status in LIVING
