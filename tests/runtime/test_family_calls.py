"""The capability ``supervisor`` on real actors: who is reached, what is refused, what a step sees of its children."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, Refused
from theater.testing.harness import Actor


def line(company: Troupe, depth: int) -> list[Actor]:
    """A root, its child, that one's child, and so on."""
    actors = [company.boss(name="d1")]
    while len(actors) < depth:
        actors.append(company.middle(actors[-1], f"d{len(actors) + 1}"))
    return actors


def listed(company: Troupe, actor: Actor, parent: str | None = None) -> list[list[str]]:
    """``[name, status, restart, restarts]`` of each child."""
    found = company.ask(actor, puppet.list_children(parent))
    rows = [row.split("/") for row in found.split(",")] if found else []
    return [[row[1], "/".join(row[3:-3]), *row[-2:]] for row in rows]


# -- descendants further down ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_descendant_two_levels_down_is_stopped_and_its_own_supervisor_hears_of_it(company: Troupe) -> None:
    root, middle, leaf = line(company, 3)

    assert company.ask(root, puppet.stop(leaf.id)) == "ok"
    company.rest()

    assert leaf.status == "stopped"
    assert company.heard(middle) == ["d3 shutdown left"]
    assert company.heard(root) == []
    assert listed(company, root, middle.id) == [["d3", f"exited:shutdown:{root.id}", "permanent", "0"]]


@pytest.mark.slow
def test_a_descendant_two_levels_down_is_restarted_as_its_own_specification_says(company: Troupe) -> None:
    root, middle = line(company, 2)
    leaf = company.child(middle, "leaf", params=puppet.Json("7"), restart_from="init", shutdown="brutal")
    leaf.request(puppet.count())
    sleeping = company.begin(leaf, puppet.sleep(10_000))
    company.stage.clock.wait_for_timers()

    assert company.ask(root, puppet.restart(leaf.id)) == "ok"
    with pytest.raises(Crashed, match="terminated"):
        sleeping.result()
    company.rest()

    assert (leaf.status, leaf.state) == ("running", "7")
    assert company.heard(middle) == []
    assert company.decisions(middle) == []


@pytest.mark.slow
def test_a_descendant_that_somebody_above_restarted_is_supervised_as_before(company: Troupe) -> None:
    root, middle, leaf = line(company, 3)
    company.ask(root, puppet.stop(leaf.id))
    company.rest()
    company.ask(root, puppet.restart(leaf.id))
    company.rest()
    assert leaf.status == "running"

    company.crash(leaf)

    assert leaf.status == "running"
    assert company.heard(middle) == ["d3 shutdown left", "d3 crashed:trap restarted"]


@pytest.mark.slow
def test_a_descendant_two_levels_down_that_ended_is_removed(company: Troupe) -> None:
    root, middle, leaf = line(company, 3)
    assert company.ask(root, puppet.remove(leaf.id)).startswith("err:still-running")
    company.ask(root, puppet.stop(leaf.id))
    company.rest()

    assert company.ask(root, puppet.remove(leaf.id)) == "ok"
    company.rest()

    assert listed(company, middle) == []
    company.stage.reopen()
    assert listed(company, company.find("d1"), middle.id) == []


@pytest.mark.slow
def test_a_descendant_in_its_pause_is_kept_from_its_restart_by_somebody_above(company: Troupe) -> None:
    root, middle = line(company, 2)
    leaf = company.child(middle, "leaf", backoff_ms=(1000, 1000))
    company.crash(leaf)
    assert listed(company, root, middle.id)[0][1].startswith("restarting:")

    assert company.ask(root, puppet.stop(leaf.id)) == "ok"
    company.rest()
    company.stage.clock.advance(2)
    company.rest()

    assert leaf.status == "crashed"
    assert company.heard(middle) == ["leaf crashed:trap restarted", "leaf shutdown left"]


# -- who is nobody's business ----------------------------------------------------------------------------------------

ABOUT_ONE: dict[str, Callable[[str], str]] = {
    "stop": puppet.stop,
    "restart": puppet.restart,
    "remove": puppet.remove,
    "list-children": puppet.list_children,
    "child-state": puppet.child_state,
    "child-events": puppet.child_events,
}


@pytest.mark.parametrize("function", ABOUT_ONE)
@pytest.mark.slow
def test_nobody_is_found_but_descendants(company: Troupe, function: str) -> None:
    root, middle, leaf = line(company, 3)
    stranger = company.player("stranger")
    call = ABOUT_ONE[function]

    for actor, other in (
        (root, stranger),
        (leaf, middle),
        (leaf, root),
        (middle, middle),
        (root, "0" * 32),
        (root, ""),
    ):
        found = other if isinstance(other, str) else other.id
        assert company.ask(actor, call(found)) == f"err:not-found:{found}"
    assert {actor.status for actor in (root, middle, leaf, stranger)} == {"running"}


@pytest.mark.slow
def test_a_child_that_was_removed_can_be_read_and_nothing_else(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", params=puppet.Json("7"))
    company.ask(boss, puppet.stop(child.id))
    company.rest()
    both = puppet.remove(child.id) + puppet.remove(child.id)
    assert company.ask(boss, both) == f"err:not-found:{child.id}"  # the first one of this very step counts

    company.rest()
    for again in (False, True):
        if again:
            company.stage.reopen()
            boss = company.find("boss")
        for function in ("stop", "restart", "remove"):
            assert company.ask(boss, ABOUT_ONE[function](child.id)) == f"err:not-found:{child.id}"
        assert company.ask(boss, puppet.child_state(child.id)) == "7/3"
        assert len(company.ask(boss, puppet.child_events(child.id)).split(",")) == 5
        assert listed(company, boss) == []


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_limit_of_children_counts_those_that_ended_until_they_are_removed(company: Troupe) -> None:
    boss = company.boss(limits="children = 2")
    first = company.child(boss, "a")
    spawn = puppet.spawn(puppet.child(company.manifest("b")))
    third = puppet.spawn(puppet.child(company.manifest("c")))
    assert company.ask(boss, spawn + third) == "err:too-many:2"
    company.rest()
    company.ask(boss, puppet.stop(first.id))
    company.rest()
    assert company.ask(boss, third) == "err:too-many:2"

    company.ask(boss, puppet.remove(first.id))

    assert not company.ask(boss, third).startswith("err")


@pytest.mark.slow
def test_a_temporary_child_that_ended_counts_no_longer(company: Troupe) -> None:
    boss = company.boss(limits="children = 1")
    for _ in range(3):
        child = company.child(boss, "anna", restart="temporary")
        child.request(puppet.shutdown())
        company.rest()
    company.stage.reopen()
    company.child(company.find("boss"), "anna")


@pytest.mark.slow
def test_a_tree_is_sixteen_levels_deep_and_no_deeper(company: Troupe) -> None:
    lowest = line(company, 16)[-1]
    deeper = puppet.spawn(puppet.child(company.manifest("d17")))

    assert company.ask(lowest, deeper) == "err:too-deep:16"


@pytest.mark.slow
def test_a_name_is_taken_by_the_living_and_by_who_was_spawned_in_the_same_step(company: Troupe) -> None:
    boss = company.boss()
    spawn = puppet.spawn(puppet.child(company.manifest("anna")))
    assert company.ask(boss, spawn + spawn) == "err:name-taken:anna"
    company.rest()
    assert company.ask(boss, spawn) == "err:name-taken:anna"

    company.find("anna").stop()
    company.rest()
    assert not company.ask(boss, spawn).startswith("err")
    company.rest()
    old = listed(company, boss)[0]
    assert old[:2] == ["anna", "exited:shutdown:local"]
    first = company.ask(boss, puppet.list_children()).split("/")[0]
    assert company.ask(boss, puppet.restart(first)) == "err:name-taken:anna"


def test_what_is_wrong_with_a_child_is_said_at_once_and_nothing_is_spawned(company: Troupe) -> None:
    boss = company.boss()
    good = company.manifest("anna")
    absent = "ab" * 32
    wrong = {
        good.replace("sha256:", "sha256:x"): "err:invalid-manifest",
        "name = ": "err:invalid-manifest",
        good.replace(company.digest(), absent): f"err:component-not-found:{absent}",
        company.manifest("anna", capabilities={"messaging": 'to = ["any"]', "random": ""}): "err:grants-exceeded",
        company.manifest("anna", capabilities={"supervisor": ""}): "err:component-refused",
    }
    for manifest, problem in wrong.items():
        assert company.ask(boss, puppet.spawn(puppet.child(manifest))).startswith(problem), manifest
    bad_params = puppet.child(good, params=puppet.Json("{"))
    assert company.ask(boss, puppet.spawn(bad_params)).startswith("err:not-json")
    company.rest()

    assert listed(company, boss) == []
    assert company.child(boss, "anna").status == "running"


# -- one step --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_child_can_be_sent_to_in_the_step_that_spawns_it_and_not_asked(company: Troupe) -> None:
    boss = company.boss()
    order = puppet.child(company.manifest("anna"), params=puppet.log("begun"))
    ask = puppet.spawn(order) + puppet.send(ANSWER, puppet.log("first"))
    assert not company.ask(boss, ask).startswith("err")
    company.rest()
    anna = company.find("anna")
    assert puppet.log_of(anna.state or "0") == ["begun", "first"]

    order = puppet.child(company.manifest("bert"))
    for number, (call, problem) in enumerate(
        (
            (puppet.request(ANSWER, ""), "err:not-started"),
            (puppet.stop(ANSWER), "err:not-running"),
            (puppet.restart(ANSWER), "err:not-running"),
            (puppet.child_state(ANSWER), "err:not-"),
        )
    ):
        answer = company.ask(boss, puppet.spawn({**order, "name": f"bert-{number}"}) + call)
        assert answer.startswith(problem), call
        company.rest()


@pytest.mark.slow
def test_a_step_sees_its_own_children_as_not_started(company: Troupe) -> None:
    boss = company.boss()
    first = puppet.spawn(puppet.child(company.manifest("anna"), restart="transient"))

    seen = company.ask(boss, first + puppet.list_children())

    assert seen.split("/")[1:4:2] == ["anna", "not-started"]
    assert seen.endswith("/transient/0")


@pytest.mark.parametrize("how", ["refuse", "trap"])
def test_a_step_that_fails_spawns_nothing_and_the_name_is_free_again(company: Troupe, how: str) -> None:
    boss = company.boss()
    child = puppet.spawn(puppet.child(company.manifest("anna")))
    with pytest.raises((Refused, Crashed)):
        boss.request(child + (puppet.refuse("no") if how == "refuse" else puppet.trap()))
    company.rest()
    if how == "trap":
        boss.restart()

    assert listed(company, boss) == []
    assert len(company.stage.runtime.store.records()) == 1
    assert company.child(boss, "anna").status == "running"


def test_an_init_that_fails_arrives_as_an_exit(company: Troupe) -> None:
    boss = company.boss()
    refused = company.child(boss, "refused", params=puppet.refuse("no"), restart="temporary")
    crashed = company.child(boss, "crashed", params=puppet.trap(), restart="temporary")

    assert company.heard(boss) == ["refused refused-init left", "crashed crashed:trap left"]
    assert (refused.status, crashed.status) == ("stopped", "crashed")
    assert company.ask(boss, puppet.child_state(refused.id)).startswith("err:not-running")


def test_a_child_is_resumed_with_a_state_and_without_an_init(company: Troupe) -> None:
    boss = company.boss()
    order = puppet.child(company.manifest("anna"), params=puppet.Json("7"), restart_from="init")
    company.ask(boss, puppet.resume(order, "41"))
    company.rest()
    anna = company.find("anna")

    assert (anna.kinds(), anna.state) == (["genesis", "started"], "41")
    assert company.ask(boss, puppet.child_state(anna.id)) == "41/0"
    anna.request(puppet.count())
    assert anna.state == "42"
    company.crash(anna)
    assert anna.state == "7"  # what the parameters are for


def test_a_stop_and_a_restart_of_one_step_are_carried_out_in_their_order(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna")
    child.request(puppet.count())

    assert company.ask(boss, puppet.stop(child.id) + puppet.restart(child.id)) == "ok"
    company.rest()
    assert (child.status, child.state, child.kinds()[-2:]) == ("running", "1", ["stopped", "restarted"])

    assert company.ask(boss, puppet.restart(child.id) + puppet.stop(child.id)) == "ok"
    company.rest()
    assert child.status == "stopped"
    assert company.heard(boss)[-1] == "anna shutdown left"


@pytest.mark.slow
def test_a_supervisor_that_ends_with_a_spawn_takes_the_child_along(company: Troupe) -> None:
    boss = company.boss()
    boss.request(puppet.spawn(puppet.child(company.manifest("anna"))) + puppet.shutdown("bye"))
    company.rest()

    assert (boss.status, company.find("anna").status) == ("stopped", "stopped")


# -- what is listed --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_children_are_listed_in_the_order_of_their_start_with_what_became_of_them(company: Troupe) -> None:
    boss = company.boss("intensity = 9")
    order = ["crashed", "normal", "stopped", "refused", "paused", "again"]
    how: dict[str, dict[str, Any]] = {
        "crashed": {"restart": "transient", "backoff_ms": (60_000, 60_000)},
        "normal": {"restart": "transient"},
        "refused": {"restart": "transient", "params": puppet.refuse("no"), "backoff_ms": (60_000, 60_000)},
    }
    children = {name: company.child(boss, name, **how.get(name, {})) for name in order}
    company.crash(children["crashed"])
    company.crash(children["again"])
    children["normal"].request(puppet.shutdown())
    children["stopped"].stop()
    children["paused"].pause()
    company.rest()
    for name in ("crashed", "refused"):
        company.ask(boss, puppet.stop(children[name].id))
    company.rest()
    before = listed(company, boss)
    assert before == [
        ["crashed", "exited:crashed:trap", "transient", "1"],
        ["normal", "exited:normal:none", "transient", "0"],
        ["stopped", "exited:shutdown:local", "permanent", "0"],
        ["refused", "exited:refused-init:no", "transient", "1"],
        ["paused", "paused", "permanent", "0"],
        ["again", "running", "permanent", "1"],
    ]
    company.stage.reopen()
    assert listed(company, company.find("boss")) == before


# -- supervising while something else goes on ------------------------------------------------------------------------


def test_a_supervisor_that_is_paused_or_in_the_middle_of_a_step_still_supervises(company: Troupe) -> None:
    boss = company.boss("intensity = 5")
    child = company.child(boss, "anna")
    boss.pause()
    company.crash(child)
    assert (child.status, boss.status) == ("running", "paused")
    assert company.heard(boss) == []

    boss.resume()
    company.rest()
    sleeping = company.begin(boss, puppet.sleep(10_000) + puppet.reply("awake"))
    company.stage.clock.wait_for_timers()
    company.crash(child)
    assert child.status == "running"
    company.stage.clock.advance(10)

    assert json.loads(sleeping.result().text or "") == "awake"
    company.rest()
    assert company.heard(boss) == ["anna crashed:trap restarted"] * 2


def test_a_supervisor_without_a_handler_supervises_all_the_same(company: Troupe) -> None:
    boss = company.player("boss", supervision="intensity = 5")
    child = company.child(boss, "anna")

    company.crash(child)

    assert (child.status, boss.state) == ("running", "0")
    assert len(company.decisions(boss)) == 1
