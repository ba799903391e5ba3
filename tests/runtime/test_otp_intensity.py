"""How many restarts are too many, how long the pauses between them are, and where a failure goes that nobody mends."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.testing.harness import Actor


def kinds_of(company: Troupe, boss: Actor) -> list[object]:
    return [decision["decision"] for decision in company.decisions(boss)]


@pytest.mark.parametrize(("late_us", "last"), [(0, "give-up"), (1, "restart")])
@pytest.mark.slow
def test_a_restart_counts_up_to_and_at_the_end_of_the_period_and_not_a_microsecond_later(
    company: Troupe, late_us: int, last: str
) -> None:
    boss = company.boss('intensity = 2\nperiod = "10s"')
    child = company.child(boss, "anna")
    company.crash(child)
    company.stage.clock.advance(4)
    company.crash(child)

    company.stage.clock.advance_us(6_000_000 + late_us)
    company.crash(child)

    assert kinds_of(company, boss) == ["restart", "restart", last]
    assert (boss.status, child.status) == (("stopped", "crashed") if last == "give-up" else ("running", "running"))


@pytest.mark.slow
def test_with_an_intensity_of_none_the_first_failure_is_too_much(company: Troupe) -> None:
    boss = company.boss("intensity = 0")
    child, other = company.child(boss, "anna"), company.child(boss, "bert")

    company.crash(child)

    assert kinds_of(company, boss) == ["give-up"]
    assert (boss.status, child.status, other.status) == ("stopped", "crashed", "stopped")


@pytest.mark.parametrize("strategy", ["one-for-all", "rest-for-one"])
@pytest.mark.slow
def test_a_restart_of_several_children_counts_once(company: Troupe, strategy: str) -> None:
    boss = company.boss(f'strategy = "{strategy}"\nintensity = 2')
    children = [company.child(boss, name) for name in "abc"]

    company.crash(children[0])
    company.crash(children[0])
    assert boss.status == "running"
    company.crash(children[0])

    assert kinds_of(company, boss) == ["restart", "restart", "give-up"]
    assert [child.status for child in children] == ["crashed", "stopped", "stopped"]


@pytest.mark.slow
def test_each_of_several_children_that_fail_at_once_counts(company: Troupe) -> None:
    boss = company.boss("intensity = 3")
    children = [company.child(boss, name) for name in "abcd"]

    company.crash_together(*children[:3])
    assert (boss.status, {child.status for child in children}) == ("running", {"running"})
    company.crash(children[3])

    assert sorted(map(str, kinds_of(company, boss))) == ["give-up", "restart", "restart", "restart"]
    assert boss.status == "stopped"


@pytest.mark.slow
def test_restarts_that_were_asked_for_do_not_count(company: Troupe) -> None:
    boss = company.boss("intensity = 1")
    child = company.child(boss, "anna")
    for _ in range(3):
        assert company.ask(boss, puppet.restart(child.id)) == "ok"
        company.rest()

    company.crash(child)

    assert (boss.status, child.status) == ("running", "running")
    assert kinds_of(company, boss) == ["restart"]
    assert child.kinds().count("restarted") == 4


@pytest.mark.slow
def test_restarts_count_though_the_children_are_others_by_now_and_the_node_was_restarted(company: Troupe) -> None:
    boss = company.boss("intensity = 1")
    child = company.child(boss, "anna")
    company.crash(child)
    child.stop()
    company.rest()
    assert company.ask(boss, puppet.remove(child.id)) == "ok"

    company.stage.reopen()
    boss = company.find("boss")
    company.crash(company.child(boss, "bert"))

    assert kinds_of(company, boss) == ["restart", "left", "give-up"]


@pytest.mark.slow
def test_a_failure_climbs_from_supervisor_to_supervisor_up_to_the_root(company: Troupe) -> None:
    root = company.boss("intensity = 1", "root")
    middle = company.middle(root, "middle", "intensity = 1")
    lower = company.middle(middle, "lower", "intensity = 1")
    leaf = company.child(lower, "leaf")
    leaf.request(puppet.count())

    for round_ in range(1, 8):
        company.crash(leaf)
        assert root.status == "running", round_
        assert {middle.status, lower.status, leaf.status} == {"running"}, round_
        assert leaf.state == "1"
    company.crash(leaf)

    assert [actor.status for actor in (root, middle, lower, leaf)] == ["stopped", "stopped", "stopped", "crashed"]
    assert kinds_of(company, lower) == ["restart", "give-up"] * 4
    assert kinds_of(company, middle) == ["restart", "give-up"] * 2
    assert kinds_of(company, root) == ["restart", "give-up"]
    reasons = [decision["reason"] for decision in company.decisions(root)]
    assert reasons == [{"kind": "intensity"}, {"kind": "intensity"}]
    assert leaf.state == "1"  # ended, and to be read all the same
    assert company.story("stopped")[-3:] == ["lower stopped", "middle stopped", "root stopped"]


@pytest.mark.slow
def test_a_supervisor_that_gives_up_stops_its_other_children_the_last_one_first(company: Troupe) -> None:
    boss = company.boss("intensity = 0")
    children = [company.child(boss, name) for name in "abc"]

    company.crash(children[1])

    assert company.story("stopped") == ["c stopped", "a stopped", "boss stopped"]


@pytest.mark.slow
def test_a_supervisor_that_was_restarted_counts_anew(company: Troupe) -> None:
    root = company.boss("intensity = 5", "root")
    middle = company.middle(root, "middle", "intensity = 1")
    leaf = company.child(middle, "leaf")
    company.crash(leaf)
    company.crash(leaf)
    assert (middle.status, leaf.status) == ("running", "running")

    company.crash(leaf)

    assert kinds_of(company, middle) == ["restart", "give-up", "restart"]
    assert kinds_of(company, root) == ["restart"]


def status_after(company: Troupe, child: Actor, time_us: int) -> str:
    company.stage.clock.advance_us(time_us)
    company.rest()
    return child.status


# -- pauses ----------------------------------------------------------------------------------------------------------


def test_the_pause_before_a_restart_doubles_with_each_that_counts_up_to_the_longest(company: Troupe) -> None:
    boss = company.boss('intensity = 10\nperiod = "60s"')
    child = company.child(boss, "anna", backoff_ms=(100, 350))
    for pause_ms in (100, 200, 350, 350):
        company.crash(child)
        assert status_after(company, child, pause_ms * 1000 - 1) == "crashed"
        assert status_after(company, child, 1) == "running"

    company.stage.clock.advance(61)
    company.crash(child)
    assert company.decisions(boss)[-1]["pause-ms"] == 100


def test_the_pause_of_one_child_holds_nobody_else_up(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    slow, quick = company.child(boss, "slow", backoff_ms=(60_000, 60_000)), company.child(boss, "quick")
    company.crash(slow)

    company.crash(quick)
    assert (slow.status, quick.status) == ("crashed", "running")
    assert company.ask(boss, puppet.stop(quick.id)) == "ok"
    company.rest()
    assert (slow.status, quick.status) == ("crashed", "stopped")

    company.stage.clock.advance(60)
    company.rest()
    assert (slow.status, quick.status) == ("running", "stopped")


def test_who_waits_for_his_restart_is_listed_so_and_can_be_kept_from_it(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    child = company.child(boss, "anna", backoff_ms=(60_000, 60_000))
    company.crash(child)
    assert "/restarting:" in company.ask(boss, puppet.list_children())
    assert company.ask(boss, puppet.remove(child.id)).startswith("err:still-running")

    assert company.ask(boss, puppet.stop(child.id)) == "ok"
    company.rest()
    company.stage.clock.advance(61)
    company.rest()

    assert child.status == "crashed"
    assert company.heard(boss) == ["anna crashed:trap restarted", "anna shutdown left"]
    assert company.ask(boss, puppet.remove(child.id)) == "ok"


def test_who_is_stopped_by_a_person_while_it_waits_for_its_restart_stays_stopped(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    child = company.child(boss, "anna", backoff_ms=(60_000, 60_000))
    company.crash(child)

    child.stop()
    company.rest()
    company.stage.clock.advance(61)
    company.rest()

    assert child.status == "stopped"
    assert company.heard(boss) == ["anna crashed:trap restarted", "anna shutdown left"]


def test_a_restart_that_is_asked_for_in_a_pause_ends_the_pause(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    child = company.child(boss, "anna", backoff_ms=(60_000, 60_000))
    company.crash(child)

    assert company.ask(boss, puppet.restart(child.id)) == "ok"
    company.rest()
    assert child.status == "running"
    company.stage.clock.advance(61)
    company.rest()
    assert child.kinds().count("restarted") == 1


def test_a_supervisor_that_is_stopped_in_a_pause_does_not_wait_for_it(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    child = company.child(boss, "anna", backoff_ms=(60_000, 60_000))
    company.crash(child)

    boss.stop()
    company.rest()
    company.stage.clock.advance(61)
    company.rest()

    assert (boss.status, child.status) == ("stopped", "crashed")


def test_a_supervisor_that_crashed_restarts_nobody_whose_pause_ends_then(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    child = company.child(boss, "anna", backoff_ms=(60_000, 60_000))
    company.crash(child)
    company.crash(boss)

    assert status_after(company, child, 61_000_000) == "crashed"
    boss.restart()
    company.rest()
    assert (boss.status, child.kinds().count("restarted")) == ("running", 1)


def test_a_pause_goes_on_when_the_node_is_restarted_in_it(company: Troupe) -> None:
    boss = company.boss("intensity = 10")
    child = company.child(boss, "anna", backoff_ms=(60_000, 60_000))
    company.crash(child)
    company.stage.clock.advance(20)

    company.stage.reopen()
    company.rest()
    child = company.find("anna")
    assert status_after(company, child, 39_999_999) == "crashed"
    assert status_after(company, child, 1) == "running"
    assert child.kinds().count("restarted") == 1
