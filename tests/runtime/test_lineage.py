"""Decisions made again: true chains of supervisors hold, and each thing that a forger may change in one is found."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.forgery import Forger
from tests.guests import puppet
from tests.guests.puppet import ANSWER
from tests.runtime.court import judged, truth
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, TheaterError
from theater.model.event import Event
from theater.model.payload import Lifecycle
from theater.testing.harness import Actor

OWN = "\n[supervision.self]\n"


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def boss_of(troupe: Troupe, supervision: str = "intensity = 5", name: str = "boss") -> Actor:
    return troupe.player(name, handlers=("supervisor",), supervision=supervision)


def spawn(troupe: Troupe, boss: Actor, name: str, *, own: str = "", **how: object) -> Actor:
    order = puppet.child(troupe.manifest(name, supervision=own), **how)  # type: ignore[arg-type]  # passed on
    answer = boss.request(puppet.spawn(order) + puppet.reply(ANSWER))
    troupe.rest()
    return troupe.find(str(answer))


def crash(troupe: Troupe, actor: Actor) -> None:
    with pytest.raises(Crashed):
        actor.request(puppet.trap())
    troupe.rest()


def decisions(boss: Actor) -> list[dict[str, Any]]:
    details = [each.detail for each in boss.payloads("lifecycle") if isinstance(each, Lifecycle)]
    return [detail for detail in details if detail is not None and "decision" in detail]


def assert_holds(troupe: Troupe, actor: Actor) -> None:
    troupe.rest()
    assert judged(troupe.stage, actor.events(), execute=False).ok
    troupe.verify()


# -- true ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["one-for-one", "one-for-all", "rest-for-one"])
@pytest.mark.slow
def test_what_a_supervisor_decided_is_decided_again(troupe: Troupe, strategy: str) -> None:
    boss = boss_of(troupe, f'strategy = "{strategy}"\nintensity = 3\nperiod = "10s"')
    children = [
        spawn(troupe, boss, "anna"),
        spawn(troupe, boss, "bert", own=OWN + 'restart = "transient"\nbackoff = { first = "1s", max = "2s" }'),
        spawn(troupe, boss, "carl", restart="temporary"),
        spawn(troupe, boss, "dora", restart_from="init", shutdown="brutal"),
    ]
    children[3].request(puppet.shutdown())
    troupe.rest()
    crash(troupe, children[1])
    troupe.stage.clock.advance(3)
    troupe.rest()
    crash(troupe, children[0])
    troupe.stage.clock.advance(11)
    crash(troupe, children[0])

    assert [detail["decision"] for detail in decisions(boss)].count("restart") >= 3
    assert any(detail.get("pause-ms") == 2000 for detail in decisions(boss))
    assert_holds(troupe, boss)


def test_calls_change_the_family_when_their_step_succeeds(troupe: Troupe) -> None:
    boss = boss_of(troupe, 'strategy = "one-for-all"\nintensity = 9')
    anna, bert = spawn(troupe, boss, "anna"), spawn(troupe, boss, "bert")
    order = puppet.child(troupe.manifest("carl"))
    with pytest.raises(TheaterError):
        boss.request(puppet.spawn(order) + puppet.refuse("no"))
    carl = troupe.find(str(boss.request(puppet.resume(order, puppet.Json("7")) + puppet.reply(ANSWER))))
    assert carl.state == "7"
    boss.request(puppet.stop(anna.id))
    troupe.rest()
    boss.request(puppet.remove(anna.id))
    boss.request(puppet.stop(bert.id))
    troupe.rest()
    boss.request(puppet.restart(bert.id, "init"))
    troupe.rest()
    crash(troupe, carl)

    assert decisions(boss)[-1]["targets"] == [bert.id, carl.id]
    assert_holds(troupe, boss)


def test_a_child_from_a_directory_is_known_by_what_was_read(troupe: Troupe, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    plain = {"messaging": "", "timing": "", "supervisor": ""}
    text = troupe.manifest("anna", supervision=OWN + 'restart = "temporary"', capabilities=plain)
    (home / "theater.toml").write_text(text)
    capabilities = {**plain, "supervisor": f'directories = ["{home}"]'}
    manifest = troupe.manifest("boss", handlers=("supervisor",), capabilities=capabilities)
    path = tmp_path / "boss.toml"
    path.write_text(manifest)
    boss = troupe.stage.spawn(path, name="boss", allowed=("messaging", "timing", "supervisor"))
    order = puppet.child(str(home), is_directory=True)
    anna = troupe.stage.actor(str(boss.request(puppet.spawn(order) + puppet.reply(ANSWER))), allowed=("supervisor",))
    (home / "theater.toml").unlink()
    crash(troupe, anna)

    assert decisions(boss)[-1]["decision"] == "left"
    assert_holds(troupe, boss)
    forged = truth(boss)
    forged.edit(
        forged.find("host"), lambda fields: fields["read"].update(manifest=text.replace("temporary", "permanent"))
    )
    assert_found(troupe.stage, forged, forged.find("supervised"), "decision is recorded as 'left'")


@pytest.mark.parametrize("how", ["stop", "crash"])
@pytest.mark.parametrize("from_init", [False, True])
def test_a_supervisor_that_begins_again_counts_anew(troupe: Troupe, how: str, from_init: bool) -> None:  # noqa: FBT001 - drawn
    boss = boss_of(troupe, "intensity = 1")
    anna = spawn(troupe, boss, "anna")
    crash(troupe, anna)
    if how == "stop":
        boss.stop()
    else:
        crash(troupe, boss)
    troupe.rest()
    troupe.stage.run(boss.ref.restart(from_init=from_init))
    troupe.rest()
    if from_init:
        anna = spawn(troupe, boss, "bert")
    crash(troupe, anna)

    assert [detail["decision"] for detail in decisions(boss)] == ["restart", "restart"]
    assert_holds(troupe, boss)


@pytest.mark.slow
def test_a_supervisor_that_gives_up_and_its_root_that_is_restarted(troupe: Troupe) -> None:
    boss = boss_of(troupe, "intensity = 0" + OWN + 'restart = "permanent"\nintensity = 2\nperiod = "10s"')
    anna = spawn(troupe, boss, "anna")
    for _ in range(2):
        crash(troupe, anna)
    assert boss.kinds().count("restarted") == 2
    crash(troupe, boss)
    assert boss.status == "crashed"
    troupe.stage.clock.advance(20)
    boss.restart()
    troupe.rest()
    crash(troupe, boss)

    assert boss.kinds().count("restarted") == 4
    assert_holds(troupe, boss)
    changes: tuple[dict[str, object], ...] = ({"start": "init"}, {"seq": 3}, {"hash": "ab" * 32})
    for change in changes:
        forged = truth(boss)
        at = forged.find("restarted")
        forged.edit(at, partial(_update, change=change))
        assert_found(troupe.stage, forged, at, "restarted as its manifest asks")


@pytest.mark.slow
def test_what_was_decided_holds_over_a_restart_of_the_process(troupe: Troupe) -> None:
    boss = boss_of(troupe, 'intensity = 1\nperiod = "1h"')
    anna = spawn(troupe, boss, "anna")
    crash(troupe, anna)
    boss.request(puppet.stop(anna.id))
    troupe.rest()
    boss.request(puppet.remove(anna.id))
    troupe.stage.reopen()
    boss = troupe.find("boss")
    crash(troupe, spawn(troupe, boss, "bert"))

    assert decisions(boss)[-1]["decision"] == "give-up"
    assert_holds(troupe, boss)


def test_a_child_that_somebody_else_started_again_ends_again(troupe: Troupe) -> None:
    boss = boss_of(troupe)
    anna = spawn(troupe, boss, "anna", restart="transient")
    anna.stop()
    troupe.rest()
    anna.restart()
    crash(troupe, anna)

    assert [detail["decision"] for detail in decisions(boss)] == ["left", "restart"]
    assert_holds(troupe, boss)


@pytest.mark.parametrize("is_reopened", [False, True])
@pytest.mark.slow
def test_a_child_that_somebody_above_removed_is_restarted_with_nobody(troupe: Troupe, is_reopened: bool) -> None:  # noqa: FBT001 - drawn
    top = boss_of(troupe, name="top")
    text = troupe.manifest("mid", handlers=("supervisor",), supervision='strategy = "one-for-all"\nintensity = 5')
    middle = troupe.find(str(top.request(puppet.spawn(puppet.child(text)) + puppet.reply(ANSWER))))
    troupe.rest()
    anna, bert = spawn(troupe, middle, "anna"), spawn(troupe, middle, "bert")
    top.request(puppet.stop(anna.id))
    troupe.rest()
    assert top.request(puppet.remove(anna.id) + puppet.reply(ANSWER)) == "ok"
    troupe.rest()
    if is_reopened:
        troupe.stage.reopen()
        middle, bert = troupe.find("mid"), troupe.find("bert")
    crash(troupe, bert)

    assert "child-removed" in middle.kinds()
    assert decisions(middle)[-1]["targets"] == [bert.id]
    assert anna.status == "stopped"
    assert_holds(troupe, middle)
    for child in ("ab" * 16, bert.id, 7):
        forged = truth(middle)
        at = forged.find("child-removed")
        forged.change(at, detail={"child": child})
        assert_found(troupe.stage, forged, at, "it does")


@pytest.mark.slow
def test_a_supervisor_that_was_upgraded_goes_on_with_its_family(troupe: Troupe) -> None:
    boss = boss_of(troupe, "intensity = 1")
    anna = spawn(troupe, boss, "anna")
    crash(troupe, anna)
    boss.upgrade(f"sha256:{troupe.digest(handlers=('supervisor',), migrate='ok', version='2')}")
    crash(troupe, anna)

    assert [detail["decision"] for detail in decisions(boss)] == ["restart", "give-up"]
    assert_holds(troupe, boss)


# -- forged ones -----------------------------------------------------------------------------------------------------


def assert_found(stage: Stage, forger: Forger, at: int, why: str) -> None:
    """It is found at that event (of the true chain's numbering), executed or not."""
    events = forger.sealed()
    place = forger.events.index(forger.at(at))
    for execute in (False, True):
        report = judged(stage, events, execute=execute)
        assert report.fault is not None, why
        assert (report.fault.seq, report.ok) == (place, False), report.fault
        assert why in report.fault.why, report.fault


@pytest.fixture
def forger(troupe: Troupe) -> Forger:
    """One-for-all: anna and bert are alive, a temporary carl ended; anna was restarted twice, of two."""
    boss = boss_of(troupe, 'strategy = "one-for-all"\nintensity = 2\nperiod = "10s"')
    anna = spawn(troupe, boss, "anna", backoff_ms=(100, 1000))
    spawn(troupe, boss, "bert", restart_from="init")
    carl = spawn(troupe, boss, "carl", restart="temporary")
    crash(troupe, carl)
    for _ in range(2):
        crash(troupe, anna)
        troupe.stage.clock.advance(1)
        troupe.rest()
    assert_holds(troupe, boss)
    return truth(boss)


@pytest.mark.parametrize("nth", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda detail: detail.update(decision="give-up" if detail["decision"] == "restart" else "restart"),
        lambda detail: detail.update(decision="left" if detail["decision"] == "restart" else "give-up"),
        lambda detail: detail.update({"targets": detail.get("targets", [])[1:] or [detail["child"]], "start-from": []}),
        lambda detail: detail.update(targets=detail.get("targets", ["ab" * 16, detail["child"]])[::-1]),
        lambda detail: detail.update({"start-from": ["init"] * 3}),
        lambda detail: detail.update(stop=[*detail.get("stop", []), "ab" * 16]),
        lambda detail: detail.update({"pause-ms": detail.get("pause-ms", 0) + 1}),
        lambda detail: detail.update(child="ab" * 16),
        lambda detail: detail.update(child="what"),
        lambda detail: detail.update(hash="what"),
        lambda detail: detail.update(seq=-1),
        lambda detail: detail.update(
            reason={"kind": "shutdown", "by": "x"} if "targets" in detail else {"kind": "what"}
        ),
        lambda detail: detail.clear(),
    ],
)
@pytest.mark.slow
def test_every_field_of_a_decision_has_to_follow(
    stage: Stage, forger: Forger, nth: int, change: Callable[[dict[str, Any]], None]
) -> None:
    at = forger.find("supervised", nth)
    forger.edit(at, lambda fields: change(fields["detail"]))

    assert_found(stage, forger, at, "")


@pytest.mark.slow
def test_the_order_in_which_children_are_stopped_and_started(stage: Stage, forger: Forger) -> None:
    at = forger.find("supervised", -1)
    detail = forger.at(at).fields["detail"]
    assert len(detail["targets"]) == 2
    forger.edit(at, lambda fields: fields["detail"].update(targets=detail["targets"][::-1]))

    assert_found(stage, forger, at, "targets is recorded as")


@pytest.mark.slow
def test_one_more_restart_than_the_intensity_allows(stage: Stage, forger: Forger) -> None:
    last = forger.find("supervised", -1)
    fields = forger.at(last).fields
    del fields["detail"]["pause-ms"]
    forger.insert(last + 1, "lifecycle", "supervised", fields)
    events = forger.sealed()

    report = judged(stage, events)
    assert report.fault is not None
    assert report.fault.seq == last + 1
    assert "decision is recorded as 'restart', but what came before makes it 'give-up'" in report.fault.why


def test_a_time_that_makes_restarts_count_no_longer(stage: Stage, forger: Forger) -> None:
    last = forger.find("supervised", -1)
    for event in forger.events[last:]:
        event.time_us += 60_000_000

    assert_found(stage, forger, last, "pause-ms")


@pytest.mark.slow
def test_a_decision_that_was_removed_is_missed_by_what_the_guest_was_told(stage: Stage, forger: Forger) -> None:
    told = _letters(forger)[1]
    forger.drop(forger.find("supervised", 1))

    assert_found(stage, forger, told, "a decision that is not in the chain")


@pytest.mark.slow
def test_a_decision_that_the_guest_is_told_twice_or_otherwise(stage: Stage, forger: Forger) -> None:
    first, second, *_ = _letters(forger)
    twice = dataclasses.replace(forger)
    twice.change(second, id=twice.at(first).fields["id"])
    assert_found(stage, twice, second, "was told before")
    for change in ({"child": "ab" * 16}, {"seq": 1}, {"hash": "ab" * 32}, {"decision": {"left": None}}):
        lie = dataclasses.replace(forger)
        said = lie.at(second).fields["arguments"][0]
        lie.change(second, arguments=[{**said, **change}])
        assert_found(stage, lie, second, "something other than what event")


def _update(fields: dict[str, Any], change: dict[str, object]) -> None:
    fields["detail"].update(change)


def _letters(forger: Forger) -> list[int]:
    return [at for at, event in enumerate(forger.true) if event.header.name.endswith("#child-exited")][::2]


def test_who_gives_up_has_decided_so(stage: Stage, troupe: Troupe) -> None:
    boss = boss_of(troupe)
    boss.stop()
    forged = truth(boss)
    at = forged.find("stopped")
    forged.change(at, detail={"reason": "intensity"})

    assert_found(stage, forged, at, "it gives up, and none of its decisions says so")


@pytest.mark.slow
def test_a_specification_that_was_changed_changes_what_follows(stage: Stage, forger: Forger) -> None:
    at = forger.find("host", 2)
    forger.edit(at, lambda fields: fields["arguments"][0].update(restart="permanent"))

    report = judged(stage, forger.sealed(), execute=False)
    assert report.fault is not None
    assert report.fault.seq == forger.find("supervised")
    assert "decision is recorded as 'left'" in report.fault.why
    report = judged(stage, forger.sealed())
    assert report.fault is not None
    assert report.fault.seq == at  # where the component did something else


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["arguments"][0].update(restart="sometimes"),
        lambda fields: fields["arguments"][0].update(source={"manifest": "what"}),
        lambda fields: fields["arguments"][0].update(source={"directory": "/x"}),
        lambda fields: fields["arguments"].clear(),
        lambda fields: fields.update(answer={"ok": "what"}),
        lambda fields: fields.update(answer="what"),
    ],
)
@pytest.mark.slow
def test_a_call_that_nobody_can_have_made(
    stage: Stage, forger: Forger, change: Callable[[dict[str, Any]], None]
) -> None:
    at = forger.find("host", 0)
    forger.edit(at, change)

    assert_found(stage, forger, at, "cannot have been carried out")


@pytest.mark.slow
def test_behind_a_withheld_event_nothing_is_said(stage: Stage, forger: Forger) -> None:
    at = forger.find("host", 1)
    events = [_withheld(event) if event.header.seq == at else event for event in forger.sealed()]
    report = judged(stage, events, execute=False)

    assert report.ok
    assert any(
        f"3 decisions of the supervisor were not made again: the payload of event {at}" in n for n in report.notes
    )


def _withheld(event: Event) -> Event:
    return Event(event.header, event.header_bytes, event.hash, None, None)


# -- whatever happens ------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")
ACTIONS = (
    *("spawn", "crash", "end", "stop", "restart", "remove", "stop from outside", "restart from init", "wait", "reopen"),
    *("stop boss", "restart boss", "crash boss"),
)


def act(troupe: Troupe, boss: Actor, child: str, action: str, number: int) -> None:
    """One thing that happens. What cannot be done is not done."""
    stage = troupe.stage
    match action:
        case "spawn":
            boss.request(puppet.spawn(puppet.child(troupe.manifest(f"more-{boss.head.seq}"))))
        case "crash" | "end":
            troupe.find(child).request(puppet.trap() if action == "crash" else puppet.shutdown())
        case "stop":
            boss.request(puppet.stop(child))
        case "restart":
            boss.request(puppet.restart(child))
        case "remove":
            boss.request(puppet.remove(child))
        case "stop from outside":
            troupe.find(child).stop()
        case "restart from init":
            stage.run(troupe.find(child).ref.restart(from_init=True))
        case "wait":
            stage.clock.advance(0.15 if number else 6)
        case "reopen":
            stage.reopen()
        case "stop boss":
            boss.stop()
        case "restart boss":
            boss.restart()
        case "crash boss":
            boss.request(puppet.trap())


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategy=st.sampled_from(["one-for-one", "one-for-all", "rest-for-one"]),
    policies=st.tuples(*(st.sampled_from(["permanent", "transient", "temporary"]) for _ in NAMES)),
    backoff=st.booleans(),
    script=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2)), max_size=14),
)
def test_whatever_happens_to_a_family_its_chain_holds(
    workshop: Workshop,
    tmp_path_factory: pytest.TempPathFactory,
    strategy: str,
    policies: tuple[str, ...],
    backoff: bool,  # noqa: FBT001 - drawn
    script: list[tuple[str, int]],
) -> None:
    with Stage(workshop, tmp_path_factory.mktemp("family")) as stage:
        troupe = Troupe(stage)
        boss = boss_of(troupe, f'strategy = "{strategy}"\nintensity = 3\nperiod = "10s"')
        pauses = (100, 300) if backoff else None
        children = [
            spawn(troupe, boss, name, restart=policy, backoff_ms=pauses).id
            for name, policy in zip(NAMES, policies, strict=True)
        ]
        for action, number in script:
            with contextlib.suppress(TheaterError):
                act(troupe, boss, children[number], action, number)
            troupe.rest()
            boss = troupe.find(boss.id)
        stage.clock.advance(1)
        assert_holds(troupe, boss)
