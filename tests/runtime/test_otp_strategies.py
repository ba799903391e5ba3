"""Who is restarted with whom: one-for-one, one-for-all and rest-for-one, on five children."""

from __future__ import annotations

from typing import Any

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.testing.harness import Actor

NAMES = "abcde"


def family(company: Troupe, strategy: str, **how: dict[str, Any]) -> tuple[Actor, dict[str, Actor]]:
    """A supervisor and its five children, each spawned as ``how`` says of it."""
    boss = company.boss(f'strategy = "{strategy}"\nintensity = 20')
    return boss, {name: company.child(boss, name, **how.get(name, {})) for name in NAMES}


def restarts(children: dict[str, Actor]) -> str:
    return "".join(name for name, child in children.items() for kind in child.kinds() if kind == "restarted")


def reach(strategy: str, failed: str) -> str:
    return {"one-for-one": failed, "one-for-all": NAMES, "rest-for-one": NAMES[NAMES.index(failed) :]}[strategy]


@pytest.mark.parametrize("failed", NAMES)
@pytest.mark.parametrize("strategy", ["one-for-one", "one-for-all", "rest-for-one"])
@pytest.mark.slow
def test_each_strategy_restarts_its_own_part_of_the_family(company: Troupe, strategy: str, failed: str) -> None:
    boss, children = family(company, strategy)
    for number, child in enumerate(children.values()):
        child.request(puppet.keep(str(number)))

    company.crash(children[failed])

    affected = reach(strategy, failed)
    others = affected.replace(failed, "")
    assert restarts(children) == affected
    assert [child.state for child in children.values()] == list("01234")
    assert {child.status for child in children.values()} == {"running"}
    assert company.story("stopped", "restarted") == [
        *(f"{name} stopped" for name in reversed(others)),
        *(f"{name} restarted" for name in affected),
    ]
    assert company.heard(boss) == [f"{failed} crashed:trap restarted"]  # of the end that it did not bring about itself


@pytest.mark.parametrize("strategy", ["one-for-all", "rest-for-one"])
@pytest.mark.slow
def test_a_temporary_child_that_goes_with_the_others_does_not_come_back(company: Troupe, strategy: str) -> None:
    boss, children = family(company, strategy, d={"restart": "temporary"})

    company.crash(children["b"])

    assert restarts(children) == reach(strategy, "b").replace("d", "")
    assert children["d"].status == "stopped"
    assert children["d"].id not in company.ask(boss, puppet.list_children())
    assert company.child(boss, "d").status == "running"  # the name is free again


@pytest.mark.parametrize("strategy", ["one-for-all", "rest-for-one"])
def test_a_temporary_child_that_fails_takes_nobody_along(company: Troupe, strategy: str) -> None:
    _, children = family(company, strategy, b={"restart": "temporary"})

    company.crash(children["b"])

    assert restarts(children) == ""
    assert [child.status for child in children.values()] == ["running", "crashed", "running", "running", "running"]


@pytest.mark.parametrize("strategy", ["one-for-all", "rest-for-one"])
@pytest.mark.slow
def test_children_that_had_ended_come_back_with_the_others_as_in_otp(company: Troupe, strategy: str) -> None:
    boss, children = family(company, strategy, c={"restart": "transient", "params": puppet.Json("7")})
    children["c"].request(puppet.count() + puppet.shutdown("done"))
    children["d"].request(puppet.count())
    company.ask(boss, puppet.stop(children["d"].id))
    company.rest()
    assert (children["c"].status, children["d"].status) == ("stopped", "stopped")

    company.crash(children["b"])

    assert restarts(children) == reach(strategy, "b")
    assert (children["c"].state, children["d"].state) == ("7", "1")  # who had ended normally begins afresh


@pytest.mark.parametrize("strategy", ["one-for-all", "rest-for-one"])
def test_children_that_fail_at_the_same_time_all_run_in_the_end(company: Troupe, strategy: str) -> None:
    boss, children = family(company, strategy)

    company.crash_together(children["b"], children["d"])

    assert {child.status for child in children.values()} == {"running"}
    assert 1 <= len(company.decisions(boss)) <= 2


@pytest.mark.slow
def test_a_pause_of_one_for_all_is_waited_for_by_all(company: Troupe) -> None:
    boss, children = family(company, "one-for-all", b={"backoff_ms": (1000, 1000)})

    company.crash(children["b"])
    assert {child.status for child in children.values()} == {"stopped", "crashed"}
    assert company.ask(boss, puppet.stop(children["d"].id)) == "ok"
    company.rest()
    company.stage.clock.advance(1)
    company.rest()

    assert restarts(children) == "abce"
    assert children["d"].status == "stopped"
    assert company.heard(boss) == ["b crashed:trap restarted", "d shutdown left"]


@pytest.mark.slow
def test_a_child_that_is_paused_is_running_after_a_restart(company: Troupe) -> None:
    _, children = family(company, "one-for-all")
    children["c"].pause()

    company.crash(children["a"])

    assert children["c"].status == "running"


@pytest.mark.slow
def test_nothing_is_decided_about_a_child_that_ends_while_its_supervisor_stops(company: Troupe) -> None:
    boss, children = family(company, "one-for-all", e={"shutdown": "infinity"})
    sleeping = company.begin(children["e"], puppet.sleep(10_000))
    company.stage.clock.wait_for_timers()
    stopping = boss.start_stop()
    assert not stopping.is_done

    company.crash(children["a"])
    company.stage.clock.advance(10)
    stopping.result()
    sleeping.result()
    company.rest()

    assert company.decisions(boss) == []
    assert [child.status for child in children.values()] == ["crashed", "stopped", "stopped", "stopped", "stopped"]
    boss.restart()
    company.rest()
    assert {child.status for child in children.values()} == {"running"}


@pytest.mark.slow
def test_a_child_that_crashes_while_it_is_being_stopped_stays_as_it_ended(company: Troupe) -> None:
    boss, children = family(company, "one-for-one")
    crashing = company.begin(children["c"], puppet.sleep(1000) + puppet.trap())
    company.stage.clock.wait_for_timers()

    stopping = boss.start_stop()
    company.stage.clock.wait_for_timers(2)
    company.stage.clock.advance(1)
    stopping.result()
    with pytest.raises(Exception, match="trap"):
        crashing.result()
    company.rest()

    assert [child.status for child in children.values()] == ["stopped", "stopped", "crashed", "stopped", "stopped"]
    assert company.decisions(boss) == []


@pytest.mark.slow
def test_a_hundred_children_are_restarted_together(company: Troupe) -> None:
    boss = company.boss('strategy = "one-for-all"\nintensity = 5')
    manifest = company.manifest("child")
    for first in range(0, 100, 10):
        names = [f"child-{number}" for number in range(first, first + 10)]
        company.ask(boss, "".join(puppet.spawn(puppet.child(manifest, name=name)) for name in names))
    company.rest()

    company.crash(company.find("child-50"))

    order = [f"child-{number}" for number in range(100)]
    assert company.story("restarted") == [f"{name} restarted" for name in order]
    others = [name for name in reversed(order) if name != "child-50"]
    assert company.story("stopped") == [f"{name} stopped" for name in others]
