"""What is promised of families of actors, and of children that somebody waits for, beside what OTP's rules say."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.guests.puppet import FULL_ANSWER
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, Refused
from theater.runtime import offspring

LONG_MS = 50_000


# -- the supervisor ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "crash", "shutdown", "give up"])
@pytest.mark.slow
def test_no_child_outlives_its_supervisor(company: Troupe, how: str) -> None:
    boss = company.boss("intensity = 0")
    middle = company.middle(boss, "middle")
    leaf, other = company.child(middle, "leaf"), company.child(boss, "other", restart="temporary")
    match how:
        case "stop":
            boss.stop()
        case "crash":
            company.crash(boss)
        case "shutdown":
            boss.request(puppet.shutdown("bye"))
        case _:
            company.crash(middle)
    company.rest()

    ended = "crashed" if how == "crash" else "stopped"
    assert boss.status == ended
    assert middle.status == ("crashed" if how == "give up" else "stopped")
    assert (leaf.status, other.status) == ("stopped", "stopped")
    boss.restart()
    company.rest()
    assert {actor.status for actor in (boss, middle, leaf)} == {"running"}
    assert other.status == "stopped"  # it was temporary


@pytest.mark.slow
def test_a_tree_has_no_more_descendants_than_its_limit(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert offspring.DESCENDANTS_MAX == 1000
    monkeypatch.setattr(offspring, "DESCENDANTS_MAX", 3)
    boss = company.boss()
    middle = company.middle(boss, "middle")
    company.child(middle, "first")
    spawns = [puppet.spawn(puppet.child(company.manifest(name))) for name in ("second", "third")]

    assert company.ask(middle, spawns[0] + spawns[1]) == "err:too-many:3"
    company.rest()
    assert company.ask(boss, spawns[1]) == "err:too-many:3"
    other = company.boss(name="other")
    assert company.child(other, "third").status == "running"  # of another tree

    company.find("first").stop()
    company.rest()
    assert company.ask(boss, puppet.remove(company.find("first").id)) == "ok"
    company.rest()
    assert company.child(boss, "fourth").status == "running"


def test_a_restart_from_init_keeps_timers_and_messages_and_a_fresh_init_comes_first(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", params=puppet.log("init"), restart_from="init")
    child.request(puppet.schedule(1000, puppet.log("timer")) + puppet.reply("ok"))
    child.pause()
    child.send(puppet.trap())
    child.send(puppet.log("sent"))

    child.resume()
    company.rest()
    assert (child.status, puppet.log_of(child.state or "0")) == ("running", ["init", "sent"])
    company.stage.clock.advance(1)
    company.rest()

    assert puppet.log_of(child.state or "0") == ["init", "sent", "timer"]


# -- a child that somebody waits for ---------------------------------------------------------------------------------


def test_whoever_waits_for_a_child_gets_its_value_or_why_it_ended(company: Troupe) -> None:
    boss = company.boss()
    ends = {puppet.shutdown("done"): '"done"', puppet.refuse("no"): "err:exited:refused-init:no"}
    for number, (program, answer) in enumerate({**ends, puppet.trap(): "err:exited:crashed:trap"}.items()):
        order = puppet.child(company.manifest("job"), name=f"job-{number}", params=program, restart="permanent")
        assert company.ask(boss, puppet.spawn_and_wait(order)) == answer
        company.rest()
        assert company.find(f"job-{number}").kinds().count("restarted") == 0  # it is temporary, whatever is said of it

    assert company.ask(boss, puppet.list_children()) == ""
    assert company.heard(boss) == []
    assert company.decisions(boss) == []


def test_a_child_for_which_nobody_waits_any_more_is_stopped(company: Troupe) -> None:
    boss = company.boss()
    order = puppet.child(company.manifest("job"))
    asked = company.begin(boss, puppet.spawn_and_wait(order, 1000) + puppet.reply(FULL_ANSWER))
    company.rest()
    assert company.find("job").status == "running"

    company.stage.clock.advance(1)

    assert asked.result().text == '"err:timeout"'
    company.rest()
    assert company.find("job").status == "stopped"


@pytest.mark.parametrize("how", ["refuse", "crash"])
@pytest.mark.slow
def test_a_child_that_was_waited_for_stands_when_the_step_fails(company: Troupe, how: str) -> None:
    boss = company.boss()
    order = puppet.child(company.manifest("job"), params=puppet.log("lived") + puppet.shutdown("done"))
    failing = puppet.refuse("no") if how == "refuse" else puppet.trap()

    with pytest.raises((Refused, Crashed)):
        boss.request(puppet.spawn_and_wait(order) + failing)
    company.rest()

    assert (company.find("job").status, company.find("job").state) == ("stopped", '"lived"')


@pytest.mark.slow
def test_who_waits_for_a_child_goes_on_waiting_when_the_node_is_restarted(company: Troupe) -> None:
    boss = company.boss()
    order = puppet.child(company.manifest("job"))
    company.begin(boss, puppet.spawn_and_wait(order, LONG_MS) + puppet.log(puppet.ANSWER))
    company.rest()

    company.stage.reopen()
    company.find("job").request(puppet.shutdown("done"))
    company.rest()

    assert puppet.log_of(company.find("boss").state or "0") == ['"done"']
