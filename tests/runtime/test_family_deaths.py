"""The process dies at any moment of a supervisor's work: what was decided is done once, and by no half of a family.

Whatever the store has committed is what the next process finds. So an image of the disk is taken behind each commit
while a story plays, and each image is opened as after a death at that moment.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests import puppet
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.model.payload import Lifecycle
from theater.runtime.history import payload_of
from theater.runtime.orders import ExitSignal
from theater.store import committer
from theater.store.faults import FaultPoint
from theater.testing.harness import Actor

Story = Callable[[Troupe], None]


@pytest.fixture(autouse=True)
def each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transaction is committed alone, and not in a group: there are more moments to die at."""
    monkeypatch.setattr(committer, "GROUP_MAX", 1)


class Images:
    """A store's fault that keeps what is on the disk behind each commit, from when it is told to."""

    def __init__(self, data: Path, folder: Path) -> None:
        self._data = data
        self._folder = folder
        self.is_on = False
        self.taken: list[Path] = []

    def __call__(self, point: FaultPoint) -> None:
        if self.is_on and point == "after-commit":
            image = self._folder / f"image-{len(self.taken)}"
            shutil.copytree(self._data, image / "data")
            self.taken.append(image)


def deaths(workshop: Workshop, folder: Path, cast: Story, play: Story) -> list[Path]:
    """Images behind each commit of ``play``; the ``cast`` is there before."""
    images = Images(folder / "first" / "data", folder)
    with Stage(workshop, folder / "first", fault=images) as stage:
        company = Troupe(stage)
        cast(company)
        company.rest()
        images.is_on = True
        play(company)
        company.rest()
        images.is_on = False
    assert images.taken
    return images.taken


def done_once(company: Troupe) -> None:
    """Every chain is sound, nothing is owed, and each restart that was decided was made once."""
    company.rest()
    company.verify()
    store = company.stage.runtime.store
    assert store.holders("duty", "signal") == []
    made = [
        (event.header.actor, payload.detail["seq"], payload.detail["hash"])
        for _, event in store.events_by_index(start=0, limit=100_000)
        if event.header.name == "restarted"
        and isinstance(payload := payload_of(event), Lifecycle)
        and payload.detail is not None
    ]
    assert len(made) == len(set(made))


def status(company: Troupe) -> dict[str, str]:
    return {record.name: record.status for record in company.stage.runtime.store.records()}


def family(strategy: str) -> Story:
    def cast(company: Troupe) -> None:
        boss = company.boss(f'strategy = "{strategy}"\nintensity = 3')
        for name in "abc":
            company.child(boss, name).request(puppet.count())

    return cast


def crash_b(company: Troupe) -> None:
    company.crash(company.find("b"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["one-for-one", "one-for-all", "rest-for-one"])
def test_a_decision_is_made_and_carried_out_once_wherever_the_process_dies(
    workshop: Workshop, tmp_path: Path, strategy: str
) -> None:
    has_crashed = []
    for image in deaths(workshop, tmp_path, family(strategy), crash_b):
        with Stage(workshop, image) as stage:
            company = Troupe(stage)
            company.rest()
            boss, b = company.find("boss"), company.find("b")
            done_once(company)
            has_crashed.append("crashed" in b.kinds())
            assert len(company.decisions(boss)) == has_crashed[-1]
            assert company.heard(boss) == ["b crashed:trap restarted"] * has_crashed[-1]
            assert status(company) == dict.fromkeys(("boss", "a", "b", "c"), "running")
            assert b.state == "1"
    assert has_crashed[-1]
    assert len(has_crashed) > 3


@pytest.mark.slow
def test_who_gives_up_gives_up_wherever_the_process_dies(workshop: Workshop, tmp_path: Path) -> None:
    def cast(company: Troupe) -> None:
        root = company.boss("intensity = 3", "root")
        middle = company.middle(root, "middle", "intensity = 0")
        for name in "ab":
            company.child(middle, name)

    def play(company: Troupe) -> None:
        company.crash(company.find("a"))

    for image in deaths(workshop, tmp_path, cast, play):
        with Stage(workshop, image) as stage:
            company = Troupe(stage)
            done_once(company)
            has_crashed = "crashed" in company.find("a").kinds()
            root, middle = company.find("root"), company.find("middle")
            assert [decision["decision"] for decision in company.decisions(middle)] == ["give-up"] * has_crashed
            assert [decision["decision"] for decision in company.decisions(root)] == ["restart"] * has_crashed
            assert set(status(company).values()) == {"running"}
            assert middle.kinds().count("restarted") == has_crashed


@pytest.mark.slow
@pytest.mark.parametrize("is_brutal", [False, True])
def test_a_tree_that_has_begun_to_stop_is_stopped_wherever_the_process_dies(
    workshop: Workshop, tmp_path: Path, *, is_brutal: bool
) -> None:
    def cast(company: Troupe) -> None:
        boss = company.boss()
        middle = company.middle(boss, "middle")
        company.child(middle, "leaf")
        company.child(boss, "other")

    def play(company: Troupe) -> None:
        boss = company.find("boss")
        boss.terminate() if is_brutal else boss.stop()

    for image in deaths(workshop, tmp_path, cast, play):
        with Stage(workshop, image) as stage:
            company = Troupe(stage)
            done_once(company)
            assert status(company) == dict.fromkeys(("boss", "middle", "leaf", "other"), "stopped")
            assert company.story("stopped") == ["other stopped", "leaf stopped", "middle stopped", "boss stopped"]
            stopped = company.find("boss").payloads("lifecycle")[-1]
            assert isinstance(stopped, Lifecycle)
            assert stopped.by == "local"


@pytest.mark.slow
@pytest.mark.parametrize("call", ["spawn", "stop", "restart", "remove"])
def test_what_a_step_does_to_its_children_is_done_once_wherever_the_process_dies(
    workshop: Workshop, tmp_path: Path, call: str
) -> None:
    def cast(company: Troupe) -> None:
        boss = company.boss()
        child = company.child(boss, "anna", params=puppet.Json("7"))
        if call == "remove":
            child.stop()

    def play(company: Troupe) -> None:
        boss, child = company.find("boss"), company.find("anna").id
        again = puppet.child(company.manifest("bert"), params=puppet.Json("8"))
        programs = {"spawn": puppet.spawn(again), "stop": puppet.stop(child), "restart": puppet.restart(child)}
        company.ask(boss, programs.get(call, puppet.remove(child)))

    for image in deaths(workshop, tmp_path, cast, play):
        with Stage(workshop, image) as stage:
            company = Troupe(stage)
            done_once(company)
            boss, anna = company.find("boss"), company.find("anna")
            if boss.kinds().count("state") < 2:  # the step was left open, or never begun: nobody was told that it was
                continue
            match call:
                case "spawn":
                    assert company.find("bert").state == "8"
                case "stop":
                    assert anna.status == "stopped"
                    assert company.heard(boss) == ["anna shutdown left"]
                case "restart":
                    assert (anna.status, anna.state) == ("running", "7")
                    assert anna.kinds()[-2:] == ["stopped", "restarted"]
                case _:
                    assert company.ask(boss, puppet.list_children()) == ""


@pytest.mark.slow
def test_a_root_that_asked_for_it_is_restarted_once_wherever_the_process_dies(
    workshop: Workshop, tmp_path: Path
) -> None:
    def cast(company: Troupe) -> None:
        root = company.root(company.manifest("root") + "[supervision.self]\nintensity = 3\n", "root")
        company.child(root, "leaf").request(puppet.count())

    def play(company: Troupe) -> None:
        company.crash(company.find("root"))

    for image in deaths(workshop, tmp_path, cast, play):
        with Stage(workshop, image) as stage:
            company = Troupe(stage)
            done_once(company)
            root, leaf = company.find("root"), company.find("leaf")
            assert (root.status, leaf.status, leaf.state) == ("running", "running", "1")
            assert root.kinds().count("restarted") == ("crashed" in root.kinds())


@pytest.mark.slow
def test_a_child_that_closes_before_its_supervisor_has_not_failed_by_that(company: Troupe) -> None:
    boss = company.boss("intensity = 1")
    child = company.child(boss, "anna", backoff_ms=(1000, 1000))
    company.crash(child)
    found = company.stage.runtime.find(child.id)
    assert found is not None
    found.shut()  # a runtime that closes does so with one after the other
    company.stage.clock.advance(1)

    company.stage.reopen()
    company.rest()

    assert company.find("anna").status == "running"
    assert [decision["decision"] for decision in company.decisions(company.find("boss"))] == ["restart"]


def test_an_end_that_is_heard_of_twice_is_decided_about_once(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", restart="transient")
    child.request(puppet.shutdown())
    company.rest()
    closing = child.events()[-1]
    supervisor = company.stage.runtime.find(boss.id)
    assert supervisor is not None
    signal = ExitSignal(child.id, "anna", {"kind": "normal"}, closing.header.seq, closing.hash)

    supervisor.child_ended(signal)  # it was read from the store, and was on the way at that moment, too
    company.rest()

    assert company.heard(boss) == ["anna normal left"]


@pytest.mark.slow
def test_a_node_that_is_closed_in_the_middle_of_a_restart_goes_on_with_it(company: Troupe) -> None:
    boss = company.boss('strategy = "one-for-all"\nintensity = 1')
    children: list[Actor] = [company.child(boss, name) for name in "abc"]
    asleep = company.begin(children[2], puppet.sleep(4000))
    company.stage.clock.wait_for_timers()
    crashed = company.begin(children[0], puppet.trap())
    with pytest.raises(Exception, match="trap"):
        crashed.result()
    company.stage.clock.wait_for_timers(2)  # the step of the last one gets its time, and all others wait for that

    company.stage.reopen()
    company.rest()
    company.stage.clock.advance(5)
    company.rest()

    with pytest.raises(Exception, match="closed"):
        asleep.result()
    boss = company.find("boss")
    assert set(status(company).values()) == {"running"}
    assert [decision["decision"] for decision in company.decisions(boss)] == ["restart"]
    assert [company.find(name).kinds().count("restarted") for name in "abc"] == [1, 1, 1]


@pytest.mark.slow
def test_a_node_that_is_closed_while_a_restart_waits_for_grandchildren_goes_on_with_it(company: Troupe) -> None:
    boss = company.boss("intensity = 1")
    middle = company.middle(boss, "middle")
    leaf = company.child(middle, "leaf", shutdown=2000)
    timers = len(company.stage.clock.timers)
    asleep = company.begin(leaf, puppet.sleep(40_000))
    company.stage.clock.wait_for_timers(timers + 1)
    crashed = company.begin(middle, puppet.trap())
    with pytest.raises(Exception, match="trap"):
        crashed.result()
    company.stage.clock.wait_for_timers(timers + 2)
    assert status(company) == {"boss": "running", "middle": "crashed", "leaf": "running"}

    company.stage.reopen()
    company.rest()
    company.stage.clock.advance(3)
    company.rest()

    with pytest.raises(Exception, match="closed"):
        asleep.result()
    assert set(status(company).values()) == {"running"}
    assert [decision["decision"] for decision in company.decisions(company.find("boss"))] == ["restart"]
    assert company.story("stopped", "restarted") == ["leaf stopped", "middle restarted", "leaf restarted"]


@pytest.mark.slow
def test_a_child_whose_name_was_taken_while_its_step_lay_open_is_born_under_one_like_it(company: Troupe) -> None:
    boss = company.boss()
    open_step = company.begin(boss, puppet.spawn(puppet.child(company.manifest("anna"))) + puppet.sleep(40_000))
    company.stage.clock.wait_for_timers()
    company.stage.reopen()
    company.rest()
    with pytest.raises(Exception, match="closed"):
        open_step.result()
    other = company.player("anna")

    company.stage.clock.advance(40)
    company.rest()

    boss, child = company.find("boss"), company.find("anna-2")
    assert (other.status, child.status, child.ref.record.parent) == ("running", "running", boss.id)
    company.crash(child)
    assert child.status == "running"
