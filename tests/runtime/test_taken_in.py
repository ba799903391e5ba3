"""Chains that are taken in elsewhere: upgraded ones verify and go on; an open step of one is never carried out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.forgery import Forger
from tests.guests import puppet
from tests.guests.puppet import ANSWER, VERSION
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe, text_of
from theater.errors import Crashed, InvalidInput, Refused, Unsound
from theater.model.event import Event, Head
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, Genesis
from theater.runtime import removal
from theater.runtime.bundle import components_in, write_bundle
from theater.runtime.examination import ChildOptions, examine_file
from theater.runtime.history import payload_of
from theater.runtime.importing import import_bundle
from theater.testing.harness import Actor

ALLOWED = ("messaging", "timing")


@pytest.fixture
def away(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    """Another node."""
    folder = tmp_path / "away"
    folder.mkdir()
    with Stage(workshop, folder, seed=1) as stage:
        yield stage


def bundle(stage: Stage, actor: ActorId, path: Path, events: Sequence[Event] | None = None) -> Path:
    """A bundle of an actor's chain, or of these events in place of it."""
    told = list(stage.runtime.store.events(actor)) if events is None else events
    genesis = payload_of(told[0])
    assert isinstance(genesis, Genesis)
    with path.open("wb") as file:
        write_bundle(
            file,
            head=Head(told[-1].header.seq, told[-1].hash),
            manifest=genesis.manifest,
            events=told,
            components={digest: stage.runtime.blobs.path(digest) for digest in components_in(told)},
        )
    return path


def taken_in(stage: Stage, path: Path) -> Actor:
    """The actor of a bundle, on this node, not looked at yet."""
    record = import_bundle(path, stage.runtime.store, stage.runtime.blobs)
    stage.reopen()
    actor = stage.actor(record.id, allowed=ALLOWED)
    stage.rest()
    return actor


def upgraded(stage: Stage) -> Actor:
    actor = Troupe(stage).player("anna")
    actor.request(puppet.count())
    actor.upgrade(stage.workshop.file(text_of(version="2")))
    with pytest.raises(Refused):
        actor.upgrade(stage.workshop.file(text_of(version="2", migrate="refuse")))
    actor.upgrade(stage.workshop.file(text_of(version="3", migrate="ok")))
    actor.request(puppet.keep("5") + puppet.reply(VERSION))
    return actor


@pytest.mark.slow
def test_a_node_that_runs_takes_an_actor_in(stage: Stage, away: Stage, tmp_path: Path) -> None:
    path = bundle(stage, Troupe(stage).player("anna").id, tmp_path / "a.theater")

    record = away.run(away.runtime.take_in(path))
    again = away.actor("anna", allowed=ALLOWED)
    again.restart()

    assert again.id == record.id
    assert again.request(puppet.count()) is None
    with pytest.raises(InvalidInput, match="here already"):
        away.run(away.runtime.take_in(path))


@pytest.mark.slow
def test_an_upgraded_chain_verifies_from_its_bundle_alone(stage: Stage, tmp_path: Path) -> None:
    actor = upgraded(stage)
    report = examine_file(bundle(stage, actor.id, tmp_path / "a.theater"), child=ChildOptions(cache=tmp_path / "cache"))

    assert (report.ok, report.steps, report.fault) == (True, 5, None)


@pytest.mark.slow
def test_an_upgraded_actor_goes_on_elsewhere_with_its_last_component(stage: Stage, away: Stage, tmp_path: Path) -> None:
    actor = upgraded(stage)
    again = taken_in(away, bundle(stage, actor.id, tmp_path / "a.theater"))
    again.restart()

    assert again.request(puppet.count() + puppet.reply(VERSION)) == "3"
    assert again.state == "6"
    again.upgrade(away.workshop.file(text_of(version="2")))
    assert again.request(puppet.reply(VERSION)) == "2"
    assert again.verify().ok


def test_an_open_step_that_was_taken_in_is_closed_and_never_run(stage: Stage, away: Stage, tmp_path: Path) -> None:
    victim = Troupe(away).player("victim")
    liar = Troupe(stage).player("liar")
    other = Troupe(stage).player("other")
    liar.request(puppet.send(other.id, puppet.log("x")) + puppet.sleep(0) + puppet.count())
    stage.rest()
    forged = Forger(liar.events())
    forged.edit(forged.find("host"), lambda fields: fields["arguments"].__setitem__(0, victim.id))
    forged.drop(*range(forged.find("state", -1), len(forged.true)))

    again = taken_in(away, bundle(stage, liar.id, tmp_path / "liar.theater", forged.sealed()))
    away.rest()

    assert again.kinds()[-1] == "crashed"
    (crashed,) = again.payloads("crashed")
    assert isinstance(crashed, CrashedPayload)
    assert (crashed.reason, crashed.message) == ("host-died", "the step was open when the chain was taken in")
    assert (again.status, again.state, victim.state) == ("crashed", "0", "0")
    away.reopen()
    again = away.actor(again.id, allowed=ALLOWED)
    away.rest()
    assert again.kinds().count("crashed") == 1
    again.restart()
    assert again.request(puppet.count() + puppet.reply("ok")) == "ok"


@pytest.mark.slow
def test_an_open_step_that_was_taken_in_honestly_is_unreproducible(stage: Stage, away: Stage, tmp_path: Path) -> None:
    actor = Troupe(stage).player("anna")
    actor.request(puppet.sleep(0) + puppet.count())
    events = actor.events()[:-1]

    again = taken_in(away, bundle(stage, actor.id, tmp_path / "a.theater", events))
    report = again.verify()

    assert again.kinds()[-1] == "crashed"
    assert (report.ok, report.unreproducible, report.fault) == (True, 1, None)


@pytest.mark.slow
def test_an_open_migration_that_was_taken_in_leaves_the_older_component(
    stage: Stage, away: Stage, tmp_path: Path
) -> None:
    actor = Troupe(stage).player("anna")
    actor.upgrade(stage.workshop.file(text_of(version="2", migrate="ok")))
    events = actor.events()[:-2]

    again = taken_in(away, bundle(stage, actor.id, tmp_path / "a.theater", events))

    assert (again.status, again.state) == ("stopped", "0")
    again.restart()
    assert again.request(puppet.reply(VERSION)) == "1"
    assert again.verify().ok


def test_nobody_starts_an_actor_because_its_open_step_was_closed(stage: Stage, away: Stage, tmp_path: Path) -> None:
    actor = Troupe(stage).player("anna", supervision='[supervision.self]\nrestart = "permanent"')
    actor.request(puppet.count())
    again = taken_in(away, bundle(stage, actor.id, tmp_path / "a.theater", actor.events()[:-1]))
    away.rest()

    assert again.status == "crashed"
    assert "restarted" not in again.kinds()


def test_what_has_been_looked_at_is_taken_in_no_longer(stage: Stage, away: Stage, tmp_path: Path) -> None:
    actor = Troupe(stage).player("anna")
    again = taken_in(away, bundle(stage, actor.id, tmp_path / "a.theater"))
    away.rest()
    again.ref._actor.wait_durable(10.0)

    record = away.runtime.store.record(again.id)
    assert record is not None
    assert record.engine != ""
    assert again.kinds() == actor.kinds()


@pytest.mark.parametrize("strategy", ["one-for-one", "one-for-all"])
@pytest.mark.parametrize("is_stopped", [False, True])
@pytest.mark.slow
def test_a_supervisor_that_was_taken_in_left_its_children_behind(
    stage: Stage,
    away: Stage,
    tmp_path: Path,
    strategy: str,
    is_stopped: bool,  # noqa: FBT001 - drawn
) -> None:
    troupe, elsewhere = Troupe(stage), Troupe(away)
    lines = f'strategy = "{strategy}"\nintensity = 1\nperiod = "1h"'
    boss = troupe.player("boss", handlers=("supervisor",), supervision=lines)
    child = str(boss.request(puppet.spawn(puppet.child(troupe.manifest("anna"))) + puppet.reply(ANSWER)))
    stage.rest()
    with pytest.raises(Crashed):
        stage.actor(child, allowed=ALLOWED).request(puppet.trap())
    stage.rest()
    if is_stopped:
        boss.stop()
        stage.rest()

    again = taken_in(away, bundle(stage, boss.id, tmp_path / "boss.theater"))
    assert again.kinds()[-1] == "taken-in"
    again.restart()
    away.rest()
    manifest = elsewhere.manifest("bert")
    child = str(again.request(puppet.spawn(puppet.child(manifest)) + puppet.reply(ANSWER)))
    away.rest()
    with pytest.raises(Crashed):
        away.actor(child, allowed=ALLOWED).request(puppet.trap())
    away.rest()

    assert again.status == "running"
    assert away.actor(child, allowed=ALLOWED).status == "running"
    assert again.kinds().count("supervised") == 2
    assert again.kinds().count("taken-in") == 1
    assert again.verify().ok


def test_a_supervisor_whose_own_supervisor_is_elsewhere_has_children_and_the_node_opens_again(
    stage: Stage, away: Stage, tmp_path: Path
) -> None:
    troupe, there = Troupe(stage), Troupe(away)
    middle = there.middle(there.boss(), "middle")
    there.rest()
    record = stage.run(stage.runtime.take_in(bundle(away, middle.id, tmp_path / "a.theater")))
    middle = troupe.find(record.id)
    middle.restart()
    kid = troupe.child(middle, "kid")

    stage.reopen()

    middle, kid = troupe.find("middle"), troupe.find(kid.id)
    middle.stop()
    troupe.rest()
    assert kid.status == "stopped"
    assert stage.run(stage.runtime.remove(middle.id, tree=True)) == [kid.id, middle.id]


def test_nobody_is_taken_in_that_says_to_be_its_own_child(stage: Stage, away: Stage, tmp_path: Path) -> None:
    forged = Forger(list(Troupe(away).player("anna").events()))
    forged.change(0, parent=forged.true[0].header.actor)
    path = bundle(away, forged.true[0].header.actor, tmp_path / "a.theater", forged.sealed())

    with pytest.raises(Unsound, match="its parent is no actor"):
        import_bundle(path, stage.runtime.store, stage.runtime.blobs)


@pytest.mark.parametrize("first", [0, 1])
def test_two_that_say_to_be_children_of_each_other_are_removed_together(
    stage: Stage, away: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    monkeypatch.setattr(removal, "PATIENCE_S", 1.0)
    players = [Troupe(away).player(name) for name in ("anna", "bert")]
    for player, parent in zip(players, reversed(players), strict=True):
        forged = Forger(list(player.events()))
        forged.change(0, parent=parent.id)
        path = bundle(away, player.id, tmp_path / "a.theater", forged.sealed())
        stage.run(stage.runtime.take_in(path))

    removed = stage.run(stage.runtime.remove(players[first].id, tree=True))

    assert removed == [players[1 - first].id, players[first].id]
