"""In which order a tree starts and stops, and how long who is stopped may go on: as OTP's supervisors do it."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, NotRunning
from theater.model.payload import CrashedPayload
from theater.runtime.letter import Reply
from theater.testing.harness import Actor, Pending

LONG_MS = 50_000


def asleep(company: Troupe, actor: Actor) -> Pending[Reply]:
    """The actor is in the middle of a step that waits for longer than any test does."""
    timers = len(company.stage.clock.timers)
    pending = company.begin(actor, puppet.sleep(LONG_MS) + puppet.reply("awake"))
    company.stage.clock.wait_for_timers(timers + 1)
    return pending


def crash_of(actor: Actor) -> str:
    payload = actor.payloads("crashed")[-1]
    assert isinstance(payload, CrashedPayload)
    return payload.reason


def test_children_start_in_order_and_stop_the_other_way_round(company: Troupe) -> None:
    boss = company.boss('strategy = "one-for-all"\nintensity = 5')
    children = [company.child(boss, name) for name in ("a", "b", "c", "d")]

    company.crash(children[1])
    assert company.story("stopped", "restarted") == [
        *("d stopped", "c stopped", "a stopped"),
        *("a restarted", "b restarted", "c restarted", "d restarted"),
    ]

    boss.stop()
    company.rest()
    assert company.story("stopped", start=3) == ["d stopped", "c stopped", "b stopped", "a stopped", "boss stopped"]


def test_children_of_one_step_start_in_the_order_of_their_calls(company: Troupe) -> None:
    boss = company.boss()
    spawns = "".join(puppet.spawn(puppet.child(company.manifest(name))) for name in ("c", "a", "b"))
    boss.request(spawns)
    company.rest()

    assert company.story("started") == ["boss started", "c started", "a started", "b started"]


def test_a_tree_of_three_levels_stops_from_its_leaves_to_its_root(company: Troupe) -> None:
    boss = company.boss()
    left, right = company.middle(boss, "left"), company.middle(boss, "right")
    for parent, name in ((left, "l1"), (left, "l2"), (right, "r1"), (right, "r2")):
        company.child(parent, name)

    boss.stop()
    company.rest()

    order = ["r2", "r1", "right", "l2", "l1", "left", "boss"]
    assert company.story("stopped") == [f"{name} stopped" for name in order]


def test_a_tree_begins_again_as_it_was_from_its_root_to_its_leaves(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    leaf = company.child(middle, "leaf")
    leaf.request(puppet.count())
    boss.stop()
    company.rest()

    boss.restart()
    company.rest()

    assert company.story("restarted") == ["boss restarted", "middle restarted", "leaf restarted"]
    assert (middle.status, leaf.status, leaf.state) == ("running", "running", "1")


@pytest.mark.parametrize(("mode", "given_ms"), [(None, 5_000), (5_000, 5_000), (20_000, 20_000), (0, 0)])
def test_a_step_gets_the_time_of_its_childs_specification_and_is_terminated_then(
    company: Troupe, mode: int | None, given_ms: int
) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", shutdown=mode)
    pending = asleep(company, child)
    stopping = boss.start_stop()
    if given_ms:
        company.stage.clock.wait_for_timers(2)
        company.stage.clock.advance_us(given_ms * 1000 - 1)
        assert not stopping.is_done
        assert child.status == "running"

    company.stage.clock.advance_us(1)
    stopping.result()

    with pytest.raises(Crashed, match="terminated"):
        pending.result()
    company.rest()
    assert (child.status, boss.status, crash_of(child)) == ("stopped", "stopped", "terminated")


def test_a_step_that_ends_in_its_time_is_not_terminated(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna", shutdown=LONG_MS + 1)
    pending = asleep(company, child)
    stopping = boss.start_stop()
    company.stage.clock.wait_for_timers(2)

    company.stage.clock.advance(LONG_MS / 1000)
    stopping.result()

    assert pending.result().text == '"awake"'
    assert child.kinds()[-2:] == ["state", "stopped"]


def test_brutal_terminates_at_once_and_infinity_waits(company: Troupe) -> None:
    boss = company.boss()
    patient = company.child(boss, "patient", shutdown="infinity")
    brutal = company.child(boss, "brutal", shutdown="brutal")
    waiting, killed = asleep(company, patient), asleep(company, brutal)

    stopping = boss.start_stop()
    with pytest.raises(Crashed, match="terminated"):
        killed.result()
    assert not stopping.is_done
    company.stage.clock.advance(LONG_MS / 1000)
    stopping.result()

    assert waiting.result().text == '"awake"'
    assert company.story("stopped") == ["brutal stopped", "patient stopped", "boss stopped"]


@pytest.mark.slow
def test_one_with_children_waits_for_its_own_step_however_long_that_takes(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    company.child(middle, "leaf")
    pending = asleep(company, middle)

    stopping = boss.start_stop()
    company.stage.clock.advance(30)
    assert not stopping.is_done
    company.stage.clock.advance(20)
    stopping.result()

    assert pending.result().text == '"awake"'
    assert company.story("stopped") == ["leaf stopped", "middle stopped", "boss stopped"]


def test_terminating_a_tree_terminates_every_step_in_it(company: Troupe) -> None:
    boss = company.boss()
    middle = company.middle(boss, "middle")
    leaf = company.child(middle, "leaf", shutdown="infinity")
    sleeping = [asleep(company, actor) for actor in (boss, middle, leaf)]

    boss.terminate()
    company.rest()

    for pending in sleeping:
        with pytest.raises(Crashed, match="terminated"):
            pending.result()
    assert company.story("stopped") == ["leaf stopped", "middle stopped", "boss stopped"]


def test_a_tree_is_stopped_while_its_root_waits_for_the_answer_of_a_child(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "anna")
    question = puppet.request(child.id, puppet.sleep(LONG_MS) + puppet.reply("late"), 55_000) + puppet.reply(ANSWER)
    asked = company.begin(boss, question)
    company.stage.clock.wait_for_timers(2)

    stopping = boss.start_stop()
    assert not stopping.is_done
    company.stage.clock.advance(LONG_MS / 1000)
    stopping.result()

    assert asked.result().text == '"\\"late\\""'
    assert company.story("stopped") == ["anna stopped", "boss stopped"]


def test_what_waits_when_its_actor_is_stopped_is_refused_if_somebody_waits_for_it_and_kept_if_not(
    company: Troupe,
) -> None:
    boss = company.boss()
    child = company.child(boss, "anna")
    child.pause()
    child.send(puppet.count())
    waiting = company.begin(child, puppet.count())

    boss.stop()

    with pytest.raises(NotRunning):
        waiting.result()
    boss.restart()
    company.rest()
    assert child.state == "1"
