"""Warm instances: kept, numbered, sampled, and given up as soon as one remembers more than its state."""

from __future__ import annotations

import pytest

from tests.guests import wat
from tests.runtime.guests import DIG, DOZE, EAGER
from tests.runtime.inside import inner, kept_of
from tests.runtime.stage import Stage
from theater.errors import Crashed, Refused
from theater.model.payload import Intent, Lifecycle, Message, State
from theater.testing.harness import Actor

BY_ONE = '{"by":1}'


def numbers(actor: Actor) -> list[tuple[int | None, int | None]]:
    """Instance and place in it of every step but the first."""
    messages = [message for message in actor.payloads("message") if isinstance(message, Message)]
    return [(message.instance, message.nth) for message in messages[1:]]


def quiet(stage: Stage) -> None:
    """Wait until the sampler has said what it has to say."""
    assert stage.runtime._sampler.wait_quiet(10.0)


def test_a_fresh_actor_numbers_nothing(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request_json(BY_ONE)

    assert numbers(actor) == [(None, None)]


def test_a_warm_actor_numbers_instance_and_step(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, instance="warm")
    for _ in range(3):
        actor.request_json(BY_ONE)

    assert numbers(actor) == [(0, 0), (0, 1), (0, 2)]
    quiet(stage)
    assert actor.verify().ok


def test_a_kept_instance_takes_less_fuel_and_verifies_all_the_same(stage: Stage) -> None:
    actor = stage.play(EAGER, instance="warm")
    for _ in range(3):
        assert actor.request(0) == 1000

    fuel = [state.fuel for state in actor.payloads("state")[1:] if isinstance(state, State)]
    assert fuel[0] > fuel[1] == fuel[2]
    quiet(stage)
    assert "hidden-state" not in actor.kinds()
    assert actor.verify().ok


def test_a_refusal_keeps_the_instance(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, instance="warm")
    actor.request_json(BY_ONE)
    with pytest.raises(Refused):
        actor.request_json('"refuse"')
    actor.request_json(BY_ONE)

    assert numbers(actor) == [(0, 0), (0, 1), (0, 2)]


def test_a_crash_ends_the_instance_and_the_next_has_the_next_number(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, instance="warm")
    actor.request_json(BY_ONE)
    with pytest.raises(Crashed):
        actor.request_json('"trap"')
    actor.restart()
    actor.request_json(BY_ONE)
    actor.request_json(BY_ONE)

    assert numbers(actor) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert actor.state == '{"count":3}'
    quiet(stage)
    assert actor.verify().ok


def test_a_stop_ends_the_instance(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, instance="warm")
    actor.request_json(BY_ONE)
    actor.stop()
    actor.restart()
    actor.request_json(BY_ONE)

    assert numbers(actor) == [(0, 0), (1, 0)]
    quiet(stage)
    assert actor.verify().ok


def test_numbers_go_on_when_the_runtime_is_opened_again(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, instance="warm", name="w")
    actor.request_json(BY_ONE)
    actor.request_json(BY_ONE)
    quiet(stage)
    stage.reopen()
    again = stage.actor("w")
    again.request_json(BY_ONE)

    assert numbers(again) == [(0, 0), (0, 1), (1, 0)]
    quiet(stage)
    assert again.verify().ok


def test_an_instance_that_remembers_is_found_and_the_actor_goes_on_fresh(stage: Stage) -> None:
    actor = stage.play(wat.HIDDEN, instance="warm", name="hidden")
    assert actor.request(0) == 1
    quiet(stage)
    assert "hidden-state" not in actor.kinds()

    assert actor.request(0) == 2
    quiet(stage)

    assert actor.request(0) == 1
    assert actor.request(0) == 1
    assert numbers(actor) == [(0, 0), (0, 1), (None, None), (None, None)]
    assert actor.kinds().count("hidden-state") == 1
    said = [each for each in actor.payloads("lifecycle") if isinstance(each, Lifecycle) and each.detail]
    assert said[0].detail is not None
    assert (said[0].detail["expected"], said[0].detail["got"]) == ("state {} 2", "state {} 1")
    assert actor.ref.record.has_hidden_state
    assert actor.verify().ok


def test_hidden_state_is_remembered_when_the_runtime_is_opened_again(stage: Stage) -> None:
    actor = stage.play(wat.HIDDEN, instance="warm", name="hidden")
    actor.request(0)
    quiet(stage)
    actor.request(0)
    quiet(stage)
    actor.request(0)

    stage.reopen()

    again = stage.actor("hidden")
    assert again.ref.record.has_hidden_state
    assert [again.request(0), again.request(0)] == [1, 1]
    assert numbers(again)[-2:] == [(None, None), (None, None)]
    assert again.verify().ok


def test_sampling_a_step_that_sleeps_does_not_sleep(stage: Stage) -> None:
    actor = stage.play(wat.SLEEPER, instance="warm", capabilities={"timing": {}})
    pending = actor.start_request('{"by":1,"ms":1000}')
    stage.clock.wait_for_timers()
    stage.clock.advance(1)

    assert pending.result().text == '{"count":1}'
    quiet(stage)
    assert stage.clock.timers == ()
    assert "hidden-state" not in actor.kinds()
    assert actor.verify().ok


def doze(stage: Stage, actor: Actor) -> None:
    """One message for DOZE, which sleeps twice."""
    pending = actor.start_request("1")
    for _ in range(2):
        stage.clock.wait_for_timers()
        stage.clock.advance(1)
    assert pending.result().text == "1"


def test_a_resource_is_named_by_its_step_and_not_by_its_place_in_the_instance(stage: Stage) -> None:
    actor = stage.play(DOZE, instance="warm")
    for _ in range(3):
        doze(stage, actor)
        quiet(stage)

    assert numbers(actor) == [(0, 0), (0, 1), (0, 2)]
    assert actor.payloads("intent") == [Intent([[1]]), Intent([[2, 3]])] * 3
    assert "hidden-state" not in actor.kinds()
    assert actor.verify().ok


def test_sampling_says_nothing_of_a_step_that_was_ended_from_outside(stage: Stage) -> None:
    actor = stage.play(wat.SLEEPER, instance="warm", capabilities={"timing": {}})
    pending = actor.start_request('{"by":1,"ms":50000}')
    stage.clock.wait_for_timers()
    actor.terminate()
    with pytest.raises(Crashed):
        pending.result()
    quiet(stage)

    assert "hidden-state" not in actor.kinds()
    assert not actor.ref.record.has_hidden_state


@pytest.mark.slow
def test_sampling_says_nothing_of_a_step_that_ran_out_of_time(stage: Stage) -> None:
    actor = stage.play(DIG, instance="warm", limits={"fuel": 10**9, "deadline": "50ms"})
    with pytest.raises(Crashed):
        actor.request_json('{"times":100000000}')
    quiet(stage)

    assert "hidden-state" not in actor.kinds()
    assert actor.verify().ok


def test_an_instance_with_less_fuel_to_spare_than_a_fresh_one_is_no_hidden_state(stage: Stage) -> None:
    # the warm-up costs some 9,000: a fresh step has 1,000 left, a warm one has it all
    actor = stage.play(EAGER, instance="warm", limits={"fuel": 12_000}, params="0")
    actor.request(0)
    actor.request(0)
    quiet(stage)

    assert "hidden-state" not in actor.kinds()


def test_a_closed_runtime_leaves_no_instance(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, instance="warm", name="w")
    actor.request_json(BY_ONE)
    found = inner(actor)
    assert kept_of(found) is not None

    stage.reopen()

    assert kept_of(found) is None


def test_a_warm_actor_that_begins_anew_while_it_runs_begins_a_new_instance(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, instance="warm")
    actor.request_json(BY_ONE)
    stage.run(actor.ref.restart(from_init=True))
    actor.request_json(BY_ONE)

    messages = [message for message in actor.payloads("message") if isinstance(message, Message)]
    assert [(message.instance, message.nth) for message in messages] == [(None, None), (0, 0), (None, None), (1, 0)]
    quiet(stage)
    assert actor.verify().ok
