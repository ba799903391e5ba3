"""Which ends are followed by a restart, and from what a restarted child goes on."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, NotRunning
from theater.testing.harness import Actor, Pending

LONG_MS = 50_000
POLICIES = ("permanent", "transient", "temporary")
ENDS = ("normal", "shutdown by parent", "shutdown from outside", "trap", "fuel", "intensity")


def end(company: Troupe, boss: Actor, child: Actor, how: str) -> None:
    """Bring a child, which supervises one of its own, to its end."""
    match how:
        case "normal":
            child.request(puppet.shutdown("bye"))
        case "shutdown by parent":
            assert company.ask(boss, puppet.stop(child.id)) == "ok"
        case "shutdown from outside":
            child.stop()
        case "intensity":
            company.crash(company.find("leaf"))
        case _:
            with pytest.raises(Crashed, match=how):
                child.request(puppet.trap() if how == "trap" else puppet.loop())
    company.rest()


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_whether_a_child_is_restarted_depends_on_its_policy_and_on_its_end(
    company: Troupe, policy: str, how: str
) -> None:
    boss = company.boss()
    manifest = company.manifest("middle", supervision="intensity = 0", limits="fuel = 2_000_000")
    child = company.child(boss, "middle", manifest=manifest, restart=policy)
    company.child(child, "leaf")

    end(company, boss, child, how)

    is_failure = how in ("trap", "fuel", "intensity")
    is_restarted = not how.startswith("shutdown") and (policy == "permanent" or (policy == "transient" and is_failure))
    assert child.status == ("running" if is_restarted else "crashed" if how in ("trap", "fuel") else "stopped")
    said = how.partition(" ")[0] if not is_failure or how == "intensity" else f"crashed:{how}"
    assert company.heard(boss) == [f"middle {said} {'restarted' if is_restarted else 'left'}"]
    listed = company.ask(boss, puppet.list_children())
    assert (child.id in listed) == (policy != "temporary")


@pytest.mark.parametrize(("policy", "tries"), [("permanent", 3), ("transient", 3), ("temporary", 1)])
def test_an_init_that_refuses_is_an_end_and_each_restart_of_it_counts(company: Troupe, policy: str, tries: int) -> None:
    boss = company.boss("intensity = 2")
    child = company.child(boss, "anna", params=puppet.refuse("no"), restart=policy)

    assert child.kinds().count("refused") == tries
    assert child.status == "stopped"
    assert boss.status == ("running" if policy == "temporary" else "stopped")
    assert [decision["decision"] for decision in company.decisions(boss)] == (
        ["left"] if policy == "temporary" else ["restart", "restart", "give-up"]
    )


def test_a_restart_whose_init_crashes_is_another_end_and_counts_again(company: Troupe) -> None:
    boss = company.boss("intensity = 3")
    friend = company.player("friend")
    needs_friend = puppet.send(friend.id, "") + puppet.only_if("err:not-running") + puppet.trap()
    child = company.child(boss, "anna", restart_from="init", params=needs_friend)
    company.crash(child)
    assert (child.status, len(company.decisions(boss))) == ("running", 1)
    friend.stop()

    company.crash(child)

    assert [decision["decision"] for decision in company.decisions(boss)] == ["restart"] * 3 + ["give-up"]
    assert (child.status, boss.status) == ("crashed", "stopped")


def test_a_child_goes_on_from_its_last_state_or_from_init_as_its_specification_says(company: Troupe) -> None:
    boss = company.boss()
    last = company.child(boss, "last", params=puppet.Json("7"))
    init = company.child(boss, "init", params=puppet.Json("7"), restart_from="init")
    for child in (last, init):
        child.request(puppet.count())
        company.crash(child)

    assert (last.state, init.state) == ("8", "7")
    assert (last.kinds().count("state"), init.kinds().count("state")) == (2, 3)


def test_after_a_normal_end_a_child_begins_with_a_fresh_init(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", params=puppet.Json("7"), restart="permanent")
    child.request(puppet.count())

    child.request(puppet.shutdown("bye"))
    company.rest()

    assert (child.status, child.state) == ("running", "7")


def test_a_restarted_child_keeps_its_id_name_chain_and_what_was_sent_to_it(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna")
    before = (child.id, child.ref.record.name, child.events())
    pending = company.begin(child, puppet.sleep(10_000) + puppet.trap())
    company.stage.clock.wait_for_timers()
    child.send(puppet.count())
    waiting = company.begin(child, puppet.count())
    child.send(puppet.count())

    company.stage.clock.advance(10)
    with pytest.raises(Crashed):
        pending.result()
    with pytest.raises(NotRunning):
        waiting.result()
    company.rest()

    assert child.state == "2"  # what was sent is done, what was asked was refused
    assert (child.id, child.ref.record.name, child.events()[: len(before[2])]) == before


def test_a_child_that_was_stopped_before_it_had_a_state_begins_with_init(company: Troupe) -> None:
    boss, clock = company.boss(), company.stage.clock
    sleeper = puppet.child(company.manifest("anna"), params=puppet.sleep(LONG_MS) + puppet.log("begun"))
    company.ask(boss, puppet.spawn(sleeper))
    clock.wait_for_timers()
    child = company.find("anna")
    child.terminate()
    company.rest()
    assert (child.status, child.state) == ("stopped", None)

    timers = len(clock.timers)
    assert company.ask(boss, puppet.restart(child.id)) == "ok"
    clock.wait_for_timers(timers + 1)
    clock.advance(LONG_MS / 1000)
    company.rest()

    assert (child.status, child.state) == ("running", '"begun"')


def test_an_init_that_did_not_get_its_turn_is_not_run_beside_that_of_the_next_start(company: Troupe) -> None:
    child = company.player("anna", params=f'"{puppet.log("begun")}"')
    clock = company.stage.clock
    sleeping = company.begin(child, puppet.sleep(1000))
    clock.wait_for_timers()
    orders: list[Pending[None]] = [
        child.start_stop(),
        child._start(child.ref.restart(from_init=True)),
        child.start_stop(),  # before the init that was just put into the mailbox
        child._start(child.ref.restart(from_init=True)),
    ]
    clock.advance(1)
    sleeping.result()
    for pending in orders:
        pending.result()
    company.rest()

    assert child.kinds().count("restarted") == 2
    assert (child.status, child.state) == ("running", '"begun"')
    assert child.kinds().count("state") == 3  # the first init, the sleep, and one more init
