"""Forgeries that aim at what verification lets off: another engine, and what stands between the steps."""

import json

import pytest

from tests.guests import wat
from tests.runtime.court import assert_found, judged, truth
from tests.runtime.stage import Stage
from theater.errors import Crashed

OTHER_ENGINE = "49.0.0"


def of_another_engine(genesis: dict[str, object]) -> None:
    engine = genesis["engine"]
    assert isinstance(engine, dict)
    engine["version"] = OTHER_ENGINE


def test_another_engine_and_hardly_any_fuel_do_not_make_everything_true(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, limits={"fuel": 1_000_000})
    actor.request({"by": 1})
    forger = truth(actor)

    def claim(genesis: dict[str, object]) -> None:
        of_another_engine(genesis)
        genesis["manifest"] = str(genesis["manifest"]).replace("fuel = 1000000", "fuel = 1")
        limits = genesis["limits"]
        assert isinstance(limits, dict)
        limits["fuel"] = 1

    forger.edit(0, claim)
    forger.at(forger.find("state", 0)).say({"fuel": 1, "state": '{"count":0}'})
    forger.at(forger.find("state", 1)).say({"fuel": 1, "state": '{"count":99}', "reply": '"I owe you"'})

    assert_found(stage, forger, at=forger.find("state", 1))


def test_another_engine_does_not_hide_a_reply_behind_an_endless_loop(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 100_000})
    with pytest.raises(Crashed):
        actor.request("loop")
    forger = truth(actor)
    forger.edit(0, of_another_engine)
    closing = forger.at(forger.find("crashed", 0))
    closing.kind = "state"
    closing.say({"fuel": 5, "state": json.dumps({"count": 10**6}), "reply": '"I owe you"'})

    assert_found(stage, forger, why="not confirmed")


def test_fuel_that_was_not_compared_is_told(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request({"by": 1})
    forger = truth(actor)
    forger.edit(0, of_another_engine)
    forger.change(forger.find("state", 1), fuel=1)

    report = judged(stage, forger.sealed())

    assert (report.ok, report.steps, report.fuel_not_compared) == (True, 2, 2)
    assert "the fuel of 2 steps was not compared" in report.notes[-1]


def test_a_stop_after_which_it_goes_on_without_a_restart(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request({"by": 1})
    forger = truth(actor)
    forger.insert(forger.find("message", 1), "lifecycle", "stopped", {"by": "runtime"})

    assert_found(stage, forger, why="has not been restarted")


def test_a_restart_that_was_taken_out(stage: Stage) -> None:
    actor = stage.play(wat.MOODY)
    with pytest.raises(Crashed):
        actor.request("trap")
    actor.restart()
    actor.request({"by": 1})
    forger = truth(actor)
    names = [event.header.name for event in actor.events()]
    forger.drop(names.index("restarted"))

    assert_found(stage, forger, why="has not been restarted")


@pytest.mark.slow
def test_a_lifecycle_event_that_nobody_knows(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    forger = truth(actor)
    forger.insert(2, "lifecycle", "blessed", {"by": "runtime"})

    assert_found(stage, forger, at=2, why="no lifecycle event 'blessed'")


def test_a_step_that_is_closed_under_another_name(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request({"by": 1})
    forger = truth(actor)
    seq = forger.find("state", 1)
    forger.at(seq).name = "theater:actor/actor#init"

    report = judged(stage, forger.sealed(), execute=False)

    assert not report.ok
    assert report.fault is not None
    assert report.fault.seq == seq


def test_a_limit_that_strikes_while_an_answer_is_recorded_strikes_again(stage: Stage) -> None:
    actor = stage.play(wat.SLEEPER, limits={"events-per-step": 2}, capabilities={"timing": {}})
    pending = actor.start_request('{"by":1,"ms":10}')
    stage.clock.wait_for_timers()
    stage.clock.advance(1)
    with pytest.raises(Crashed) as caught:
        pending.result()

    assert caught.value.data["reason"] == "events"
    assert actor.verify().ok
