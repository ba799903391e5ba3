"""Upgrades survive: the death of the process in a migration, a full disk, and a stream of messages."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guests import puppet
from tests.guests.puppet import ANSWER, VERSION
from tests.runtime.planting import plant
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.troupe import Troupe
from tests.runtime.upgrades import Migration, asleep, file, told, watched
from theater.errors import Crashed, NotRunning, Refused, StoreError
from theater.model.ids import Digest
from theater.model.payload import CrashedPayload
from theater.runtime.exports import HANDLE

WHICH = puppet.reply(VERSION)
COMPONENT = puppet.call("runtime.component") + puppet.reply(ANSWER)
NAP = puppet.sleep(1000)


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


# -- the process ends ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_runtime_that_closes_leaves_a_migration_open_and_it_goes_on(
    stage: Stage, troupe: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("theater.runtime.runtime.STOP_GRACE_S", 0.01)
    actor = troupe.player("anna")
    upgrade = actor.start_upgrade(file(stage, "2", "ok", program=NAP))
    asleep(stage)
    stage.reopen()
    with pytest.raises(NotRunning):
        upgrade.result()
    actor = troupe.find("anna")
    asleep(stage)
    assert actor.ref.record.program == file(stage, "1").stem
    stage.clock.advance(1)
    stage.rest()

    assert actor.kinds()[-5:] == ["intent", "resumed", "host", "state", "upgraded"]
    assert (actor.request(WHICH), actor.state) == ("2", '"migrated:0"')
    assert actor.verify().ok


def replanted(workshop: Workshop, folder: Path, *, kept: Sequence[str], attempt: int = 0) -> Stage:
    """A store as the process left it when it died in the migration, behind the events ``kept`` of it."""
    (folder / "true").mkdir()
    with Stage(workshop, folder / "true") as stage:
        actor = Troupe(stage).player("anna")
        record = stage.runtime.store.record(actor.id)
        assert record is not None
        upgrade = actor.start_upgrade(file(stage, "2", "ok", program=NAP))
        asleep(stage)
        stage.clock.advance(1)
        upgrade.result()
        assert actor.kinds()[-5:] == ["message", "intent", "host", "state", "upgraded"]
        events = actor.events()
    again = folder / "again"
    again.mkdir()
    kept_events = events[: len(events) - 5 + len(kept)]
    plant(again / "data", kept_events, dataclasses.replace(record, status="running"), attempt=attempt)
    shutil.copytree(folder / "true/data/components", again / "data/components", dirs_exist_ok=True)
    return Stage(workshop, again)


@pytest.mark.parametrize("kept", [["message"], ["message", "intent"], ["message", "intent", "host"]])
@pytest.mark.slow
def test_killed_in_a_migration_it_goes_on_under_the_new_component(
    workshop: Workshop, tmp_path: Path, kept: list[str]
) -> None:
    with replanted(workshop, tmp_path, kept=kept) as stage:
        actor = Troupe(stage).find("anna")
        if "host" not in kept:
            asleep(stage)
            stage.clock.advance(2)
        stage.rest()

        assert actor.kinds()[-2:] == ["state", "upgraded"]
        assert (actor.request(WHICH), actor.state) == ("2", '"migrated:0"')
        assert actor.ref.record.program == file(stage, "2", "ok", program=NAP).stem
        assert actor.verify().ok


def test_killed_twice_in_a_migration_it_is_not_run_a_third_time(workshop: Workshop, tmp_path: Path) -> None:
    with replanted(workshop, tmp_path, kept=["message", "intent"], attempt=1) as stage:
        actor = Troupe(stage).find("anna")
        stage.rest()

        (crashed,) = actor.payloads("crashed")
        assert isinstance(crashed, CrashedPayload)
        assert crashed.reason == "host-died"
        assert (actor.request(WHICH), actor.status, actor.state) == ("1", "running", "0")
        assert actor.verify().ok


@pytest.mark.slow
def test_a_migration_whose_component_is_gone_is_given_up(workshop: Workshop, tmp_path: Path) -> None:
    with replanted(workshop, tmp_path, kept=["message"]) as stage:
        found = stage.runtime.node.blobs.path(Digest(file(stage, "2", "ok", program=NAP).stem))
    found.unlink()
    with Stage(workshop, tmp_path / "again") as stage:
        actor = Troupe(stage).find("anna")
        stage.rest()

        (crashed,) = actor.payloads("crashed")
        assert isinstance(crashed, CrashedPayload)
        assert crashed.reason == "internal"
        assert (actor.request(WHICH), actor.status) == ("1", "running")


@pytest.mark.parametrize("migrate", [None, "ok"])
@pytest.mark.slow
def test_an_upgrade_that_cannot_be_written_has_not_happened(
    workshop: Workshop, tmp_path: Path, migrate: Migration | None
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        troupe = Troupe(stage)
        actor = troupe.player("anna")
        inner = actor.ref._actor
        gate.is_full = True
        with pytest.raises(StoreError):
            actor.upgrade(file(stage, "2", migrate))
        assert inner.anatomy.facts.component == file(stage, "1").stem
        gate.is_full = False
        stage.reopen()
        actor = troupe.find("anna")
        assert "upgraded" not in actor.kinds()
        assert (actor.ref.record.program, actor.request(WHICH)) == (file(stage, "1").stem, "1")
        actor.upgrade(file(stage, "2", migrate))
        assert actor.request(WHICH) == "2"
        assert actor.verify().ok


@pytest.mark.slow
def test_it_wakes_up_with_the_component_that_it_was_upgraded_to(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    actor.upgrade(file(stage, "2"))
    actor.upgrade(file(stage, "3", "ok"))
    stage.reopen()
    actor = troupe.find("anna")

    assert (actor.request(WHICH), actor.request(COMPONENT)) == ("3", file(stage, "3", "ok").stem)
    actor.stop()
    stage.run(actor.ref.restart(from_init=True))
    assert (actor.request(WHICH), actor.state) == ("3", "0")
    assert [version for export, version in told(stage, actor) if export != HANDLE] == ["1", "3", "3"]
    assert actor.verify().ok


# -- under load ------------------------------------------------------------------------------------------------------


def test_an_actor_that_sleeps_in_the_store_is_upgraded(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    stage.rest()
    inner = actor.ref._actor
    assert inner.go()
    stage.runtime._dispatcher.left(inner)
    actor.upgrade(file(stage, "2", "ok"))

    assert actor.request(WHICH) == "2"
    assert actor.verify().ok


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(0, 30),
    between=st.integers(0, 30),
    after=st.integers(0, 6),
    migrates=st.tuples(*(st.sampled_from([None, "ok", "refuse", "trap"]) for _ in range(2))),
    instance=st.sampled_from(["fresh", "warm"]),
)
def test_an_upgrade_anywhere_in_a_stream_loses_nothing_and_each_message_has_one_component(
    workshop: Workshop,
    tmp_path_factory: pytest.TempPathFactory,
    before: int,
    between: int,
    after: int,
    migrates: tuple[Migration | None, Migration | None],
    instance: str,
) -> None:
    with watched() as watch, Stage(workshop, tmp_path_factory.mktemp("stream")) as stage:
        troupe = Troupe(stage)
        actor = troupe.player("anna", instance=instance)
        pending = [actor.start_request(f'"{WHICH}"') for _ in range(before)]
        upgrades = []
        expected = "1"
        for version, migrate, count in (("2", migrates[0], between), ("3", migrates[1], after)):
            upgrades.append(watch.start(stage, actor, file(stage, version, migrate)))
            pending += [actor.start_request(f'"{WHICH}"') for _ in range(count)]
            expected = version if migrate in (None, "ok") else expected
        for upgrade, migrate in zip(upgrades, migrates, strict=True):
            if migrate in (None, "ok"):
                upgrade.result()
            else:
                with pytest.raises((Refused, Crashed)):
                    upgrade.result()
        answers = [(one.result().text or "").strip('"') for one in pending]
        steps = told(stage, actor)

        assert answers == sorted(answers)
        assert answers == [version for export, version in steps if export == HANDLE]
        assert actor.request(WHICH) == expected
        assert stage.runtime._sampler.wait_quiet(10.0)
        assert "hidden-state" not in actor.kinds()
        assert actor.verify().ok
