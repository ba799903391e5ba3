"""Supervisors and their children, at a glance; ``test_otp_*`` and ``test_family_*`` look at each thing closely."""

from __future__ import annotations

from tests.guests import puppet
from tests.runtime.troupe import Troupe


def test_a_child_is_spawned_with_the_step_and_runs(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", params=puppet.Json("7"))

    assert (child.status, child.state) == ("running", "7")
    assert child.ref.record.parent == boss.id


def test_a_child_that_crashes_is_restarted_from_its_last_state_and_its_parent_hears_of_it(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna")
    child.request(puppet.count() + puppet.reply("ok"))

    company.crash(child)

    assert (child.status, child.state) == ("running", "1")
    assert child.kinds()[-2:] == ["crashed", "restarted"]
    assert puppet.log_of(boss.state or "") == [f"exited/{child.id}/anna/crashed:trap/restarted"]
    (decision,) = company.decisions(boss)
    closing = child.events()[-2]
    assert decision == {
        "child": child.id,
        "reason": {"kind": "crashed", "crash": "trap"},
        "seq": closing.header.seq,
        "hash": closing.hash,
        "decision": "restart",
        "targets": [child.id],
        "start-from": ["last-state"],
    }


def test_beyond_the_intensity_the_supervisor_gives_up(company: Troupe) -> None:
    boss = company.boss("intensity = 1")
    child, other = company.child(boss, "anna"), company.child(boss, "bert")
    for _ in range(2):
        company.crash(child)

    assert (boss.status, child.status, other.status) == ("stopped", "crashed", "stopped")
    boss.restart()
    company.rest()
    assert {boss.status, child.status, other.status} == {"running"}


def test_a_child_never_gets_more_than_its_parent(company: Troupe) -> None:
    boss = company.boss()
    order = puppet.child(company.manifest("anna", capabilities={"random": ""}))

    assert company.ask(boss, puppet.spawn(order)).startswith("err:grants-exceeded")
