"""A part of the disk is kept free: with less, nothing new is begun, and whoever would begin a step is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.guests.wat import COUNTER
from tests.runtime.stage import Stage, Workshop
from tests.runtime.test_taken_in import bundle
from tests.runtime.troupe import Troupe
from theater.errors import Damaged, DiskFull, NotRunning
from theater.model.payload import Lifecycle
from theater.runtime.thrift import LOOK_US
from theater.testing.harness import Actor

RESERVE = 1000


class Disk:
    """What the system says of it."""

    def __init__(self) -> None:
        self.free_bytes = 10 * RESERVE
        self.looks = 0

    def look(self) -> int:
        self.looks += 1
        return self.free_bytes


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def company(workshop: Workshop, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Troupe]:
    """A troupe on that disk, every chain of which has to be sound in the end."""
    with Stage(workshop, tmp_path, reserve_bytes=RESERVE) as stage:
        monkeypatch.setattr(stage.runtime.store, "free_bytes", disk.look)
        made = Troupe(stage)
        yield made
        made.rest()
        made.verify()


def run_short(company: Troupe, disk: Disk, free_bytes: int = RESERVE - 1) -> None:
    """From now on there is so much room."""
    disk.free_bytes = free_bytes
    company.stage.clock.advance(LOOK_US / 1_000_000)


def last_stop(actor: Actor) -> Lifecycle:
    assert actor.events()[-1].header.name == "stopped"
    said = actor.payloads("lifecycle")[-1]
    assert isinstance(said, Lifecycle)
    return said


def test_work_from_outside_is_refused_while_there_is_less_than_the_reserve(
    company: Troupe, disk: Disk, tmp_path: Path
) -> None:
    anna = company.player("anna", handlers=("channels",))
    channel = anna.open_channel(puppet.log("opened"))
    stage, path = company.stage, bundle(company.stage, anna.id, tmp_path / "anna.theater")
    manifest = stage.manifest(COUNTER)
    run_short(company, disk)

    works: list[Callable[[], object]] = [
        lambda: anna.request(puppet.count()),
        lambda: anna.send(puppet.count()),
        lambda: anna.open_channel(""),
        lambda: anna.upgrade(b""),
        lambda: stage.spawn(manifest),
        lambda: stage.run(stage.runtime.put_component(b"")),
        lambda: stage.run(stage.runtime.take_in(path)),
        lambda: channel.send(""),
    ]
    for work in works:
        with pytest.raises(DiskFull, match="999 of the disk are free, less than the reserve of 1000") as caught:
            work()
        assert caught.value.data == {"free_bytes": 999, "reserve_bytes": 1000}
    assert anna.status == "running"

    run_short(company, disk, RESERVE)
    assert anna.request(puppet.reply("yes")) == "yes"


def test_an_actor_that_would_begin_a_step_is_stopped(company: Troupe, disk: Disk) -> None:
    anna, ben = company.player("anna"), company.player("ben")
    sleeping = company.begin(anna, puppet.sleep(1000))
    company.stage.clock.wait_for_timers()
    asking = company.begin(anna, puppet.count())
    disk.free_bytes = 10
    company.stage.clock.advance(1)

    assert sleeping.result().text == "null"
    with pytest.raises(NotRunning, match=r"Less of the disk is free than the reserve, 1000: make room"):
        asking.result()
    company.rest()

    assert (anna.status, ben.status) == ("stopped", "running")  # who has nothing to do is left in peace
    said = last_stop(anna)
    assert (said.by, said.detail) == ("runtime", {"reason": "reserve", "limit": RESERVE, "bytes": 10})


def test_it_can_be_started_again_when_there_is_room(company: Troupe, disk: Disk) -> None:
    anna = company.player("anna")
    anna.pause()
    anna.send(puppet.count())
    run_short(company, disk)
    anna.resume()
    company.rest()
    assert anna.status == "stopped"

    anna.restart()
    company.rest()
    assert anna.status == "stopped"
    run_short(company, disk, RESERVE)
    anna.restart()
    company.rest()

    assert (anna.status, anna.state) == ("running", "1")


def test_looking_and_stopping_and_removing_need_no_room(company: Troupe, disk: Disk) -> None:
    anna = company.player("anna")
    run_short(company, disk, 0)

    anna.stop()
    removed = company.stage.run(company.stage.runtime.remove("anna"))

    assert removed == [anna.id]
    assert company.stage.run(company.stage.runtime.collect()).components == 0


def test_a_parent_hears_that_its_child_was_shut_down(company: Troupe, disk: Disk) -> None:
    boss = company.boss()
    child = company.child(boss, "kid")
    boss.pause()
    child.pause()
    child.send(puppet.count())
    run_short(company, disk)
    child.resume()
    company.rest()
    run_short(company, disk, RESERVE)
    boss.resume()
    company.rest()

    assert child.status == "stopped"
    assert company.heard(boss) == ["kid shutdown left"]


# -- how it looks ----------------------------------------------------------------------------------------------------


def test_the_system_is_asked_at_most_twice_a_second(company: Troupe, disk: Disk) -> None:
    anna = company.player("anna")
    before = disk.looks

    for _ in range(20):
        anna.request(puppet.count())
    assert disk.looks == before
    company.stage.clock.advance(LOOK_US / 1_000_000)
    for _ in range(20):
        anna.request(puppet.count())
    assert disk.looks == before + 1


def test_without_a_reserve_the_disk_is_never_looked_at(
    stage: Stage, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.runtime.store, "free_bytes", disk.look)
    disk.free_bytes = 0

    stage.play(COUNTER).request({})

    assert disk.looks == 0


def test_a_disk_of_which_the_system_says_nothing_is_not_short(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise Damaged("it does not say")

    monkeypatch.setattr(company.stage.runtime.store, "free_bytes", fail)

    assert company.player("anna").request(puppet.reply("yes")) == "yes"
