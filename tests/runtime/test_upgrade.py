"""Live upgrades: an actor goes on with another component between two steps, with or without a migration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guests import puppet, wat
from tests.guests.puppet import ANSWER, VERSION, puppet_wat
from tests.runtime.stage import Stage
from tests.runtime.troupe import Troupe
from tests.runtime.upgrades import Migration, asleep, file, watched
from theater.errors import CompileFailed, Crashed, InvalidComponent, InvalidInput, NotFound, Refused, TheaterError
from theater.model.ids import Digest
from theater.model.payload import Lifecycle, Message
from theater.runtime.exports import HANDLE, MIGRATE

WHICH = puppet.reply(VERSION)
COMPONENT = puppet.call("runtime.component") + puppet.reply(ANSWER)
NAP = puppet.sleep(1000)
MIGRATION = ["message", "state", "upgraded"]


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def test_without_a_migration_the_state_is_kept(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    actor.request(puppet.count())
    digest = actor.upgrade(file(stage, "2"))

    assert actor.kinds()[-1] == "upgraded"
    assert (actor.request(WHICH), actor.request(COMPONENT), actor.state) == ("2", digest, "1")
    assert actor.ref.record.program == digest
    assert actor.status == "running"
    assert actor.verify().ok


def test_with_a_migration_the_state_is_made_anew_and_both_are_one_transaction(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    old = actor.ref.record.program
    actor.request(puppet.count())
    digest = actor.upgrade(file(stage, "2", "ok"))

    assert actor.kinds()[-3:] == MIGRATION
    assert actor.state == '"migrated:1"'
    message = actor.payloads("message")[-1]
    assert isinstance(message, Message)
    assert (message.export, message.arguments, message.component, message.instance) == (MIGRATE, [old], digest, None)
    assert message.id == f"migrate-{actor.head.seq - 2}"
    upgraded = actor.payloads("lifecycle")[-1]
    assert upgraded == Lifecycle(by="local", detail={"from": old, "to": digest})
    assert actor.request(WHICH) == "2"
    assert actor.verify().ok


def test_before_there_is_a_state_nothing_is_migrated(stage: Stage, troupe: Troupe) -> None:
    with pytest.raises(Refused):
        troupe.player("anna", params=puppet.refuse("no").join(('"', '"')))
    actor = troupe.find("anna")
    actor.upgrade(file(stage, "2", "trap"))

    assert actor.kinds()[-1] == "upgraded"
    assert actor.status == "stopped"
    assert actor.verify().ok


@pytest.mark.parametrize(("migrate", "error", "kind"), [("refuse", Refused, "refused"), ("trap", Crashed, "crashed")])
def test_a_migration_that_fails_leaves_the_older_component_in_place(
    stage: Stage, troupe: Troupe, migrate: Migration, error: type[TheaterError], kind: str
) -> None:
    actor = troupe.player("anna")
    old = actor.ref.record.program
    actor.request(puppet.count())
    with pytest.raises(error):
        actor.upgrade(file(stage, "2", migrate))

    assert actor.kinds()[-2:] == ["message", kind]
    assert (actor.status, actor.state, actor.ref.record.program) == ("running", "1", old)
    assert (actor.request(WHICH), actor.request(COMPONENT)) == ("1", old)
    stage.reopen()
    actor = troupe.find("anna")
    assert (actor.request(WHICH), actor.status) == ("1", "running")
    assert actor.verify().ok


@pytest.mark.slow
def test_the_supervisor_hears_nothing_of_a_migration_that_crashed(stage: Stage, troupe: Troupe) -> None:
    boss = troupe.player("boss", handlers=("supervisor",))
    order = puppet.child(troupe.manifest("anna"))
    child = troupe.find(str(boss.request(puppet.spawn(order) + puppet.reply(ANSWER))))
    with pytest.raises(Crashed):
        child.upgrade(file(stage, "2", "trap"))
    troupe.rest()

    assert "supervised" not in boss.kinds()
    assert child.upgrade(file(stage, "3", "ok")) == child.ref.record.program
    troupe.verify()


@pytest.mark.slow
def test_what_a_migration_asked_for_is_done_with_it_or_not_at_all(stage: Stage, troupe: Troupe) -> None:
    other = troupe.player("other")
    actor = troupe.player("anna")
    said = puppet.send(other.id, puppet.log("moved"))
    with pytest.raises(Refused):
        actor.upgrade(file(stage, "2", "ok", program=said + puppet.refuse("no")))
    actor.upgrade(file(stage, "3", "ok", program=said))
    troupe.rest()

    assert puppet.log_of(other.state or "") == ["moved"]
    troupe.verify()


def test_an_actor_that_ends_in_its_migration_ends_behind_it(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    digest = actor.upgrade(file(stage, "2", "ok", program=puppet.shutdown("bye")))

    assert actor.kinds()[-5:] == ["message", "host", "state", "upgraded", "stopped"]
    assert (actor.status, actor.ref.record.program) == ("stopped", digest)
    assert actor.verify().ok


@pytest.mark.parametrize("migrate", [None, "ok", "refuse", "trap"])
@pytest.mark.parametrize("status", ["paused", "stopped", "crashed"])
@pytest.mark.slow
def test_the_status_stays(stage: Stage, troupe: Troupe, status: str, migrate: Migration | None) -> None:
    actor = troupe.player("anna")
    match status:
        case "paused":
            actor.pause()
        case "stopped":
            actor.stop()
        case "crashed":
            with pytest.raises(Crashed):
                actor.request(puppet.trap())
    is_upgraded = migrate in (None, "ok")
    if is_upgraded:
        actor.upgrade(file(stage, "2", migrate))
    else:
        with pytest.raises((Refused, Crashed)):
            actor.upgrade(file(stage, "2", migrate))

    assert actor.status == status
    stage.reopen()
    actor = troupe.find("anna")
    assert actor.status == status
    if status == "paused":
        actor.resume()
    else:
        actor.restart()
    assert actor.request(WHICH) == ("2" if is_upgraded else "1")
    assert actor.state == ('"migrated:0"' if migrate == "ok" else "0")
    assert actor.verify().ok


def test_a_component_that_cannot_take_the_place_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    actor = stage.play(puppet_wat(imports=["messaging", "runtime"], version="1"), capabilities={"messaging": {}})
    before = actor.kinds()
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(b"\0asm\x0d\0\x01\0broken")
    for wrong, error, why in (
        (file(stage, "2"), InvalidComponent, r"\[capabilities.timing\]"),
        (stage.workshop.file(wat.COMMAND), InvalidComponent, "role command"),
        (broken, (InvalidComponent, CompileFailed), "cut off"),
        (b"what", InvalidComponent, "component"),
        (tmp_path / "nothing.wasm", NotFound, "no component"),
        ("sha256:" + "0" * 64, NotFound, "content store"),
        ("latest", InvalidInput, "no digest"),
    ):
        with pytest.raises(error, match=why):
            actor.upgrade(wrong)

    assert actor.kinds() == before
    assert actor.request(WHICH) == "1"


@pytest.mark.slow
def test_a_component_may_be_given_in_any_form(stage: Stage, troupe: Troupe, tmp_path: Path) -> None:
    actor = troupe.player("anna")
    bytes_of = file(stage, "2").read_bytes()
    assert actor.upgrade(bytes_of) == file(stage, "2").stem
    known = troupe.digest(version="3")
    assert actor.upgrade(Digest(known)) == known
    assert actor.upgrade(f"sha256:{file(stage, '2').stem}") == file(stage, "2").stem
    source = tmp_path / "puppet.wat"
    source.write_text(wat.COUNTER)
    assert actor.upgrade(source) == actor.ref.record.program


def test_what_it_has_already_is_nothing_to_do(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    actor.upgrade(file(stage, "2", "ok"))
    before = actor.kinds()
    actor.upgrade(file(stage, "2", "ok"))

    assert actor.kinds() == before
    assert actor.state == '"migrated:0"'


def test_it_waits_for_the_step_that_is_running(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    step = actor.start_request(f'"{NAP + WHICH}"')
    asleep(stage)
    later = actor.start_request(f'"{WHICH}"')
    with watched() as upgrades:
        upgrade = upgrades.start(stage, actor, file(stage, "2", "ok"))
    assert actor.ref.record.program == file(stage, "1").stem
    stage.clock.advance(1)
    upgrade.result()

    assert step.result().text == '"1"'
    assert later.result().text == '"2"'  # it had waited, and an upgrade never waits behind letters
    assert actor.verify().ok


@pytest.mark.slow
def test_upgrades_of_one_actor_come_one_after_the_other(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    second = actor.start_upgrade(file(stage, "2", "ok", program=NAP))
    asleep(stage)
    with watched() as upgrades:
        third = upgrades.start(stage, actor, file(stage, "3", "ok"))
    failing = actor.start_upgrade(file(stage, "1", "refuse"))
    stage.clock.advance(1)

    assert second.result() == file(stage, "2", "ok", program=NAP).stem
    assert third.result() == actor.ref.record.program
    with pytest.raises(Refused):
        failing.result()
    assert actor.request(WHICH) == "3"
    assert actor.state == '"migrated:migrated:0"'
    ids = [message.id for message in actor.payloads("message") if isinstance(message, Message)]
    assert len(ids) == len(set(ids))
    assert actor.verify().ok


@pytest.mark.slow
def test_a_warm_instance_does_not_outlive_the_component(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna", instance="warm")
    assert actor.request(WHICH) == "1"
    actor.upgrade(file(stage, "2"))
    assert [actor.request(WHICH) for _ in range(2)] == ["2", "2"]
    with pytest.raises(Refused):
        actor.upgrade(file(stage, "3", "refuse"))
    assert actor.request(WHICH) == "2"
    actor.upgrade(file(stage, "3", "ok"))
    assert actor.request(WHICH) == "3"

    messages = [each for each in actor.payloads("message") if isinstance(each, Message) and each.export == HANDLE]
    assert [(each.instance, each.nth) for each in messages] == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
    assert stage.runtime._sampler.wait_quiet(10.0)
    assert actor.verify().ok


@pytest.mark.slow
def test_letters_for_a_handler_that_is_gone_are_passed_over(stage: Stage, troupe: Troupe) -> None:
    boss = troupe.player("boss", handlers=("supervisor",))
    child = str(boss.request(puppet.spawn(puppet.child(troupe.manifest("anna"))) + puppet.reply(ANSWER)))
    boss.pause()
    with pytest.raises(Crashed):
        troupe.find(child).request(puppet.trap())
    troupe.rest()
    boss.upgrade(file(stage, "2"))
    boss.resume()

    assert boss.request(WHICH) == "2"
    assert (boss.state, boss.status) == ("0", "running")
    assert not stage.runtime.store.entries(boss.id) or all(
        entry.space != "mailbox" for entry in stage.runtime.store.entries(boss.id)
    )
    troupe.verify()


def test_stopping_ends_a_migration_and_the_older_component_stays(stage: Stage, troupe: Troupe) -> None:
    actor = troupe.player("anna")
    upgrade = actor.start_upgrade(file(stage, "2", "ok", program=NAP))
    asleep(stage)
    actor.terminate()

    with pytest.raises(Crashed):
        upgrade.result()
    assert actor.kinds()[-2:] == ["crashed", "stopped"]
    assert actor.ref.record.program == file(stage, "1").stem
    report = actor.verify()
    assert (report.ok, report.unreproducible) == (True, 1)
