"""A fork goes on from where another actor once was: with the state as of there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.forgery import Forger
from tests.guests import puppet, wat
from tests.guests.puppet import VERSION
from tests.runtime.court import judged
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.test_taken_in import bundle, taken_in
from tests.runtime.troupe import Troupe
from tests.runtime.upgrades import file
from theater.errors import (
    Crashed,
    Damaged,
    Denied,
    DiskFull,
    InvalidComponent,
    InvalidInput,
    NameTaken,
    NotFound,
    Refused,
    StoreError,
    Unsound,
)
from theater.model.ids import Digest
from theater.model.payload import Forked, Genesis, Lifecycle, Message
from theater.runtime.exports import INIT, MIGRATE
from theater.runtime.history import payload_of
from theater.testing.harness import Actor

WHICH = puppet.reply(VERSION)
MODEST = {"messaging": "", "supervisor": "", "timing": ""}


@pytest.fixture
def away(workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    """Another node."""
    folder = tmp_path / "away"
    folder.mkdir()
    with Stage(workshop, folder, seed=1) as stage:
        yield stage


def counter(stage: Stage, *, counts: int = 2, **options: object) -> Actor:
    """It counted so many times by one: events 0 to 3, and two for each."""
    actor = stage.play(wat.COUNTER, name="counter", **options)  # type: ignore[arg-type]  # passed on
    for _ in range(counts):
        actor.request({"by": 1})
    return actor


def puppet_of(stage: Stage, name: str, **kind: object) -> Actor:
    """A puppet that wants no more than any node allows."""
    return Troupe(stage).player(name, capabilities=MODEST, **kind)  # type: ignore[arg-type]  # passed on


def fork(stage: Stage, source: str | Actor, at: int, **options: object) -> Actor:
    text = source if isinstance(source, str) else source.id
    return Actor(stage, stage.run(stage.runtime.fork(text, at=at, **options)))  # type: ignore[arg-type]  # passed on


def genesis_of(actor: Actor) -> Genesis:
    genesis = payload_of(actor.events()[0])
    assert isinstance(genesis, Genesis)
    return genesis


def put(stage: Stage, component: Path) -> Digest:
    return stage.runtime.blobs.put(component.read_bytes())


# -- where it goes on from -------------------------------------------------------------------------------------------


def test_neither_the_event_it_is_forked_at_nor_anything_behind_it_has_happened(stage: Stage) -> None:
    source = counter(stage)

    states = [fork(stage, source, at, rename=True).state for at in range(4, 9)]

    assert [event.header.kind for event in source.events()[3:]] == ["state", "message", "state", "message", "state"]
    assert states == ['{"count":0}', '{"count":0}', '{"count":1}', '{"count":1}', '{"count":2}']


def test_its_first_event_has_the_state_and_says_where_it_comes_from(stage: Stage) -> None:
    source = counter(stage)

    forked = fork(stage, source, 6)

    genesis = genesis_of(forked)
    assert genesis.state == '{"count":1}'
    assert genesis.forked == Forked(actor=source.id, seq=5, hash=source.events()[5].hash)
    assert (genesis.parent, genesis.name) == (None, "counter-fork")
    assert forked.kinds() == ["genesis", "started"]
    assert forked.status == "running"


@pytest.mark.parametrize("at", [-1, 0, 1, 2, 3])
def test_before_its_init_was_closed_there_is_nothing_to_go_on_from(stage: Stage, at: int) -> None:
    counter(stage)

    with pytest.raises(InvalidInput, match=r"no state before|nothing before it"):
        fork(stage, "counter", at)
    assert len(stage.runtime.store.records()) == 1


def test_beyond_the_end_of_the_chain_there_is_no_place(stage: Stage) -> None:
    source = counter(stage)

    with pytest.raises(NotFound, match="fork it at 8 at most"):
        fork(stage, source, 9)
    with pytest.raises(NotFound):
        fork(stage, source, 2**70)


def test_where_the_actor_was_begun_anew_there_is_no_state_until_its_init_is_closed(stage: Stage) -> None:
    source = counter(stage)
    stage.run(source.ref.restart(from_init=True))
    stage.rest()
    anew = source.kinds().index("restarted")

    with pytest.raises(InvalidInput, match="no state"):
        fork(stage, source, anew + 1)
    assert fork(stage, source, anew).state == '{"count":2}'
    assert fork(stage, source, anew + 3, rename=True).state == '{"count":0}'


def test_steps_that_left_no_new_state_leave_the_one_before(stage: Stage) -> None:
    source = stage.play(wat.MOODY)
    source.request({"by": 2})
    with pytest.raises(Refused):
        source.request("refuse")
    with pytest.raises(Crashed):
        source.request("trap")

    forked = fork(stage, source, source.head.seq + 1)

    assert forked.state == source.state
    assert (source.status, forked.status) == ("crashed", "running")
    assert forked.verify().ok


def test_a_step_that_is_open_there_has_not_happened(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    source.request(puppet.count())
    waiting = Troupe(stage).begin(source, puppet.count() + puppet.sleep(1) + puppet.reply("late"))
    stage.clock.wait_for_timers(1)
    last = source.events()[-1]
    assert last.header.kind == "intent"

    forked = fork(stage, source, last.header.seq + 1)
    stage.clock.advance(1)

    assert waiting.result().text == '"late"'
    assert (forked.state, source.state) == ("1", "2")
    assert forked.verify().ok


def test_a_command_has_no_state(stage: Stage) -> None:
    source = stage.play(wat.COMMAND)

    with pytest.raises(InvalidInput, match="a command's never is"):
        fork(stage, source, source.head.seq + 1)


# -- what it is ------------------------------------------------------------------------------------------------------


def test_it_goes_on_by_itself_and_its_source_hears_nothing_of_it(stage: Stage) -> None:
    source = counter(stage)
    before = source.head

    forked = fork(stage, source, 6)

    assert forked.request({"by": 5}) == {"count": 6}
    assert source.request({"by": 5}) == {"count": 7}
    assert source.head.seq == before.seq + 2
    assert forked.verify().ok
    assert source.verify().ok


def test_everything_else_is_as_its_source_was_begun_with(stage: Stage) -> None:
    path = stage.folder / "theater.toml"
    component = stage.workshop.file(wat.COUNTER)
    path.write_text(
        f'name = "c"\ncomponent = "{component}"\nparams = {{ start = "${{FROM:-1}}" }}\ninstance = "warm"\n'
    )
    source = stage.run(
        stage.runtime.spawn(path, settings={"FROM": 7}, params=None, arguments=["--fast"], name="other", by="anna")
    )

    forked = fork(stage, source.id, source.head.seq + 1, by="berta")

    ours, theirs = genesis_of(forked), genesis_of(Actor(stage, source))
    for field in ("program", "manifest", "settings", "params", "arguments", "limits", "instance", "asked", "effective"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert ours.settings == {"FROM": 7}
    assert forked.payloads("lifecycle") == [Lifecycle(by="berta")]
    forked.request({"by": 1})
    assert forked.verify().ok


def test_variables_are_those_of_its_source_and_not_those_of_now(workshop: Workshop, tmp_path: Path) -> None:
    config = tmp_path / "theater" / "config.toml"
    config.parent.mkdir()
    config.write_text('[ceiling.environment]\nallow = ["LANG"]\n')
    with Stage(workshop, tmp_path, environ={"LANG": "tlh", "XDG_CONFIG_HOME": str(tmp_path)}) as stage:
        counter(stage, capabilities={"environment": {"allow": ["LANG"]}})
    with Stage(workshop, tmp_path, environ={"LANG": "en", "XDG_CONFIG_HOME": str(tmp_path)}, seed=1) as stage:
        forked = fork(stage, "counter", 4)

        assert genesis_of(forked).environment == [("LANG", "tlh")]
        assert forked.verify().ok


def test_what_it_may_is_decided_anew(stage: Stage) -> None:
    source = counter(stage, capabilities={"environment": {"allow": ["LANG"]}}, allowed=["environment"])

    with pytest.raises(Denied) as denied:
        fork(stage, source, 4)

    assert denied.value.data["asked"] == ["[capabilities.environment]", 'allow = ["LANG"]']
    assert len(stage.runtime.store.records()) == 1


def test_what_is_allowed_is_allowed_to_a_fork_as_to_any_other(stage: Stage) -> None:
    source = counter(stage, capabilities={"environment": {"allow": ["LANG"]}}, allowed=["environment"])

    forked = fork(stage, source, 4, allowed=["environment=LANG"])

    assert genesis_of(forked).allowed == ["environment=LANG"]
    assert forked.verify().ok


@pytest.mark.slow
def test_nothing_that_its_source_holds_comes_along(stage: Stage) -> None:
    troupe = Troupe(stage)
    boss = puppet_of(stage, "boss", handlers=("supervisor", "channels"))
    troupe.child(boss, "anna", manifest=troupe.manifest("anna", capabilities=MODEST))
    boss.request(puppet.schedule(60_000, puppet.count()))
    boss.open_channel(puppet.reply("welcome"))
    boss.pause()
    boss.send(puppet.count())
    store = stage.runtime.store

    forked = fork(stage, boss, boss.head.seq + 1)

    assert {entry.space for entry in store.entries(boss.id)} == {"mailbox", "child", "timer", "channel"}
    assert store.entries(forked.id) == []
    assert (forked.status, boss.status) == ("running", "paused")
    assert troupe.ask(forked, puppet.list_children()) == ""
    troupe.rest()
    troupe.verify()


# -- its name --------------------------------------------------------------------------------------------------------


def test_it_is_called_as_its_source_and_fork_or_as_it_is_told(stage: Stage) -> None:
    long = stage.play(wat.COUNTER, name="a" * 63)
    source = counter(stage)

    assert fork(stage, source, 4).ref.record.name == "counter-fork"
    assert fork(stage, source, 4, name="mine").ref.record.name == "mine"
    assert fork(stage, long, 4).ref.record.name == f"{'a' * 58}-fork"
    assert fork(stage, source, 4, rename=True).ref.record.name == "counter-fork-2"
    with pytest.raises(InvalidInput):
        fork(stage, source, 4, name="No Name")


def test_a_name_that_is_taken_is_refused_and_another_try_finds_it_free(stage: Stage) -> None:
    source = counter(stage)
    first = fork(stage, source, 4)

    with pytest.raises(NameTaken):
        fork(stage, source, 4)

    first.stop()
    assert fork(stage, source, 4).ref.record.name == "counter-fork"


def test_what_could_not_be_written_never_was_and_leaves_its_name_free(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        source = counter(stage)
        gate.is_full = True
        with pytest.raises(StoreError):
            fork(stage, source, 4)
        gate.is_full = False

        assert len(stage.runtime.store.records()) == 1
        assert fork(stage, source, 4).ref.record.name == "counter-fork"


def test_it_needs_room_as_everything_new(workshop: Workshop, tmp_path: Path) -> None:
    with Stage(workshop, tmp_path) as stage:
        counter(stage)
    with Stage(workshop, tmp_path, reserve_bytes=2**62) as stage, pytest.raises(DiskFull):
        fork(stage, "counter", 4)


# -- components ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_has_the_component_that_its_source_had_there(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    source.request(puppet.count())
    before = source.head.seq + 1
    source.upgrade(file(stage, "2"))
    source.request(puppet.count())
    source.upgrade(file(stage, "3", "ok"))
    migrated = source.head.seq + 1

    told = [fork(stage, source, at, rename=True) for at in (before, before + 1, migrated - 1, migrated)]

    assert source.kinds()[migrated - 3 :] == ["message", "state", "upgraded"]
    assert [(one.request(WHICH), one.state) for one in told] == [
        ("1", "1"),
        ("2", "1"),
        ("3", '"migrated:2"'),  # its state is that of the new one already
        ("3", '"migrated:2"'),
    ]
    assert all(one.verify().ok for one in told)


@pytest.mark.slow
def test_a_migration_that_failed_or_is_not_closed_changes_nothing(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    with pytest.raises(Refused):
        source.upgrade(file(stage, "2", "refuse"))
    end = source.head.seq + 1
    assert source.kinds()[-2:] == ["message", "refused"]

    assert [fork(stage, source, at, rename=True).request(WHICH) for at in (end - 1, end)] == ["1", "1"]


def test_another_component_may_take_over_and_its_chain_is_sound_whatever_the_manifest_names(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    source.request(puppet.count())
    assert "sha256:" in genesis_of(source).manifest
    digest = put(stage, file(stage, "2"))

    forked = fork(stage, source, source.head.seq + 1, component=digest)

    assert forked.kinds() == ["genesis", "started"]
    assert genesis_of(forked).program == digest
    assert (forked.request(WHICH), forked.state) == ("2", "1")
    assert forked.verify().ok


def test_a_component_that_migrates_is_given_the_state_as_in_an_upgrade(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    source.request(puppet.count())
    digest = put(stage, file(stage, "2", "ok"))

    forked = fork(stage, source, source.head.seq + 1, component=digest)

    assert forked.kinds() == ["genesis", "started", "message", "state", "upgraded"]
    message = forked.payloads("message")[0]
    assert isinstance(message, Message)
    assert (message.export, message.state) == (MIGRATE, 0)
    assert (forked.request(WHICH), forked.state) == ("2", '"migrated:1"')
    assert forked.verify().ok


def test_a_migration_that_fails_leaves_a_fork_to_look_at(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    digest = put(stage, file(stage, "2", "refuse"))

    with pytest.raises(Refused) as refused:
        fork(stage, source, source.head.seq + 1, component=digest)

    forked = stage.actor(str(refused.value.data["actor"]))
    assert (forked.request(WHICH), forked.status, forked.ref.record.name) == ("1", "running", "anna-fork")
    assert forked.verify().ok


def test_what_it_already_had_is_no_other_component(stage: Stage) -> None:
    source = puppet_of(stage, "anna")
    source.upgrade(file(stage, "2", "ok"))

    forked = fork(stage, source, source.head.seq + 1, component=put(stage, file(stage, "2", "ok")))

    assert forked.kinds() == ["genesis", "started"]
    assert forked.verify().ok


@pytest.mark.parametrize("guest", [wat.COMMAND, wat.STRANGER, wat.EMPTY])
def test_with_a_component_that_cannot_go_on_from_a_state_nothing_is_made(stage: Stage, guest: str) -> None:
    source = counter(stage)
    digest = put(stage, stage.workshop.file(guest))

    with pytest.raises(InvalidComponent):
        fork(stage, source, 4, component=digest)
    assert len(stage.runtime.store.records()) == 1


def test_with_a_component_that_is_not_here_nothing_is_made(stage: Stage) -> None:
    source = counter(stage)

    with pytest.raises(NotFound):
        fork(stage, source, 4, component=Digest("0" * 64))
    assert len(stage.runtime.store.records()) == 1


# -- whatever the source is ------------------------------------------------------------------------------------------


def test_it_can_be_forked_though_it_was_stopped_or_is_itself_a_fork(stage: Stage) -> None:
    source = counter(stage)
    source.stop()
    first = fork(stage, source, 6)
    first.request({"by": 1})

    second = fork(stage, first, 2)
    third = fork(stage, first, 1, rename=True)

    assert [one.state for one in (first, second, third)] == ['{"count":2}', '{"count":1}', '{"count":1}']
    assert genesis_of(third).forked == Forked(actor=first.id, seq=0, hash=first.events()[0].hash)
    assert second.ref.record.name == "counter-fork-fork"
    assert all(one.verify().ok for one in (first, second, third))


def test_a_child_becomes_a_root_actor(stage: Stage) -> None:
    troupe = Troupe(stage)
    boss = puppet_of(stage, "boss", handlers=("supervisor",))
    child = troupe.child(boss, "anna", manifest=troupe.manifest("anna", capabilities=MODEST))
    child.request(puppet.count())

    forked = fork(stage, child, child.head.seq + 1)

    assert (forked.ref.record.parent, forked.state) == (None, "1")
    assert genesis_of(forked).parent is None
    assert forked.verify().ok


def test_what_was_taken_in_from_elsewhere_can_be_forked_here(stage: Stage, away: Stage, tmp_path: Path) -> None:
    source = counter(stage)
    record = away.run(away.runtime.take_in(bundle(stage, source.id, tmp_path / "a.theater")))

    forked = fork(away, record.id, 6)

    assert forked.request({"by": 5}) == {"count": 6}
    assert forked.verify().ok


def test_of_an_actor_that_was_removed_nothing_is_left_to_go_on_from(stage: Stage) -> None:
    source = counter(stage)
    source.stop()
    stage.run(stage.runtime.remove(source.id))

    with pytest.raises(NotFound, match="what it recorded is erased"):
        fork(stage, source.id, 4)
    with pytest.raises(NotFound, match="no actor 'counter'"):
        fork(stage, "counter", 4)
    with pytest.raises(NotFound, match="no actor"):
        fork(stage, "0" * 32, 4)


def test_a_fork_outlives_its_source(stage: Stage) -> None:
    source = counter(stage)
    forked = fork(stage, source, 6)
    source.stop()
    stage.run(stage.runtime.remove(source.id))
    stage.rest()

    assert stage.actor("counter-fork").request({"by": 1}) == {"count": 2}
    assert forked.verify().ok


# -- afterwards ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_it_survives_the_process(stage: Stage) -> None:
    fork(stage, counter(stage), 6)
    stage.reopen()

    forked = stage.actor("counter-fork")

    assert forked.state == '{"count":1}'
    assert forked.request({"by": 1}) == {"count": 2}
    assert forked.verify().ok


def test_it_is_durable_where_that_takes_the_disk(workshop: Workshop, tmp_path: Path) -> None:
    with Stage(workshop, tmp_path, durability="power") as stage:
        forked = fork(stage, counter(stage), 6)

        assert stage.runtime.store.head(forked.id).seq == 1


@pytest.mark.parametrize(("from_init", "count"), [(False, 3), (True, 1)])
def test_it_is_restarted_from_its_last_state_or_from_init(stage: Stage, from_init: bool, count: int) -> None:  # noqa: FBT001 - a parameter
    forked = fork(stage, counter(stage), 8)
    forked.stop()

    stage.run(forked.ref.restart(from_init=from_init))

    assert forked.request({"by": 1}) == {"count": count}
    first = forked.payloads("message")[0]
    assert isinstance(first, Message)
    assert (first.export == INIT) is from_init
    assert forked.verify().ok


def test_a_warm_one_begins_with_an_instance_of_its_own(stage: Stage) -> None:
    source = counter(stage, counts=3, instance="warm")

    forked = fork(stage, source, 6)
    forked.request({"by": 1})
    forked.request({"by": 1})

    assert [(one.instance, one.nth) for one in forked.payloads("message") if isinstance(one, Message)] == [
        (0, 0),
        (0, 1),
    ]
    assert forked.verify().ok


@pytest.mark.slow
def test_it_is_exported_and_taken_in_like_any_other(stage: Stage, away: Stage, tmp_path: Path) -> None:
    source = puppet_of(stage, "anna")
    source.request(puppet.count())
    forked = fork(stage, source, source.head.seq + 1, component=put(stage, file(stage, "2", "ok")))
    path = bundle(stage, forked.id, tmp_path / "f.theater")

    there = taken_in(away, path)
    there.restart()

    assert (there.request(WHICH), there.state) == ("2", '"migrated:1"')
    assert there.verify().ok


def test_a_large_state_is_kept_beside_like_any_large_payload(stage: Stage) -> None:
    source = stage.play(wat.BIG_STATE)
    source.request({"size": 100_000})

    forked = fork(stage, source, source.head.seq + 1)
    stage.reopen()

    forked = stage.actor(forked.id)
    assert forked.state == source.state
    assert len(forked.state or "") > 65_536
    assert forked.verify().ok


# -- what a stranger may write ---------------------------------------------------------------------------------------

SOUND = {"actor": "a" * 32, "seq": 5, "hash": "b" * 64}


@pytest.mark.parametrize(
    ("origin", "state"),
    [
        ({**SOUND, "actor": "../../x"}, "1"),
        ({**SOUND, "seq": -1}, "1"),
        ({**SOUND, "seq": "5"}, "1"),
        ({**SOUND, "hash": "B" * 64}, "1"),
        ({**SOUND, "hash": ""}, "1"),
        ({"actor": "a" * 32}, "1"),
        ("somewhere", "1"),
        ([], "1"),
        (SOUND, None),
        (SOUND, "{"),
        (SOUND, 7),
    ],
)
def test_a_forged_origin_is_found_and_breaks_nothing(stage: Stage, origin: object, state: object) -> None:
    forger = Forger(counter(stage).events())
    forger.events = forger.events[:2]
    forger.change(0, forked=origin, state=state)

    report = judged(stage, forger.sealed())

    assert report.fault is not None
    assert report.fault.seq == 0


def test_a_child_that_is_a_fork_is_none(stage: Stage) -> None:
    forger = Forger(counter(stage).events())
    forger.events = forger.events[:2]
    forger.change(0, forked=SOUND, state="1", parent="c" * 32)

    assert "child of another" in str(judged(stage, forger.sealed()).fault)


def test_an_origin_that_could_be_is_believed_and_the_state_is_what_counts(stage: Stage) -> None:
    true = fork(stage, counter(stage), 6)
    true.request({"by": 1})
    forger = Forger(true.events())
    forger.change(0, forked=SOUND)
    assert judged(stage, forger.sealed()).ok

    forger.change(0, state='{"count":7}')

    report = judged(stage, forger.sealed())
    assert report.fault is not None
    assert report.fault.seq == 3


@pytest.mark.slow
def test_what_a_stranger_withheld_cannot_be_gone_on_from(stage: Stage, away: Stage, tmp_path: Path) -> None:
    source = counter(stage)
    events = source.events()
    events[5] = msgspec.structs.replace(events[5], payload=None, salt=None)
    record = away.run(away.runtime.take_in(bundle(stage, source.id, tmp_path / "a.theater", events)))

    with pytest.raises(Damaged, match="erased"):
        fork(away, record.id, 6)
    assert fork(away, record.id, 8).state == '{"count":2}'


@pytest.mark.slow
def test_a_state_beyond_the_limits_of_its_manifest_is_refused(stage: Stage, away: Stage, tmp_path: Path) -> None:
    source = counter(stage, limits={"state": "64B"})
    forger = Forger(source.events())
    forger.change(7, state='"' + "x" * 100 + '"')
    record = away.run(away.runtime.take_in(bundle(stage, source.id, tmp_path / "a.theater", forger.sealed())))

    with pytest.raises(InvalidInput):
        fork(away, record.id, 8)
    assert fork(away, record.id, 6).state == '{"count":1}'


def test_a_migration_that_names_no_component_is_refused(stage: Stage, away: Stage, tmp_path: Path) -> None:
    source = counter(stage)
    forger = Forger(source.events())
    for seq in (6, 7):
        forger.at(seq).name = MIGRATE
    record = away.run(away.runtime.take_in(bundle(stage, source.id, tmp_path / "a.theater", forger.sealed())))

    with pytest.raises(Unsound, match="event 6 names no component"):
        fork(away, record.id, 8)
