"""Each limit: what is within it passes, what goes beyond ends the step with its reason, and nothing else is harmed."""

from __future__ import annotations

import pytest

from tests.guests import wat
from tests.runtime.guests import DIG, NAPS
from tests.runtime.stage import Stage
from theater.errors import Crashed, InvalidJson, InvalidManifest
from theater.model.payload import CrashedPayload, Intent
from theater.testing.harness import Actor


def crash_of(actor: Actor, body: str) -> CrashedPayload:
    """How the step with this message crashes."""
    with pytest.raises(Crashed) as caught:
        actor.request_json(body)
    crashed = actor.payloads("crashed")[-1]
    assert isinstance(crashed, CrashedPayload)
    assert caught.value.data["reason"] == crashed.reason
    assert actor.status == "crashed"
    return crashed


def test_fuel(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 100_000})
    actor.request_json('{"by":1}')

    crashed = crash_of(actor, '"loop"')

    assert (crashed.reason, crashed.fuel) == ("fuel", 100_000)
    assert actor.verify().ok


def test_memory(stage: Stage) -> None:
    grown = stage.play(wat.BIG, limits={"memory": "1MiB"})
    grown.request_json('{"size":800000}')

    assert crash_of(grown, '{"size":1048000}').reason in ("trap", "memory")
    assert grown.verify().ok


def test_a_guest_that_needs_more_memory_than_allowed_to_begin_with(stage: Stage) -> None:
    with pytest.raises(Crashed) as caught:
        stage.play(wat.HUGE_MEMORY)

    assert caught.value.data["reason"] == "memory"
    actor = stage.actor(str(caught.value.data["actor"]))
    assert actor.status == "crashed"
    assert actor.verify().ok


def test_stack(stage: Stage) -> None:
    assert crash_of(stage.play(wat.DEEP), "1").reason == "stack"


def test_events(stage: Stage) -> None:
    actor = stage.play(wat.LOGGER, limits={"events-per-step": 3})
    actor.request_json('{"times":3}')

    crashed = crash_of(actor, '{"times":4}')

    assert crashed.reason == "events"
    assert [event.header.kind for event in actor.events()][-5:] == ["message", "log", "log", "log", "crashed"]
    assert actor.verify().ok


def test_bytes(stage: Stage) -> None:
    actor = stage.play(wat.LOGGER, limits={"bytes-per-step": 100})
    actor.request_json('{"times":2}')

    assert crash_of(actor, '{"times":10}').reason == "bytes"
    assert actor.verify().ok


def test_the_size_of_the_state(stage: Stage) -> None:
    actor = stage.play(wat.BIG_STATE, limits={"state": 100})
    actor.request_json('{"size":100}')

    assert crash_of(actor, '{"size":101}').reason == "state-size"
    assert actor.state == f'"{"x" * 98}"'
    assert actor.verify().ok


def test_the_state_is_measured_in_bytes_not_in_characters(stage: Stage) -> None:
    actor = stage.play(wat.REMEMBER, params="0", limits={"state": 100})
    actor.request_json(f'"{"é" * 49}"')

    assert crash_of(actor, f'"{"é" * 50}"').reason == "state-size"


def test_the_size_of_a_reply(stage: Stage) -> None:
    actor = stage.play(wat.BIG, limits={"reply": 100})
    assert len(actor.request_json('{"size":100}').text or "") == 100

    assert crash_of(actor, '{"size":101}').reason == "not-json"
    assert actor.verify().ok


@pytest.mark.parametrize(
    "guest", [wat.NOT_JSON, wat.NOT_JSON_STATE, wat.nested(1025), wat.answering("NaN"), wat.answering("[1,]")]
)
def test_what_is_no_json(stage: Stage, guest: str) -> None:
    actor = stage.play(guest)

    assert crash_of(actor, "1").reason == "not-json"
    assert actor.state == "{}"
    assert actor.verify().ok


def test_a_first_state_that_is_no_json(stage: Stage) -> None:
    with pytest.raises(Crashed) as caught:
        stage.play(wat.NOT_JSON_INIT)

    assert caught.value.data["reason"] == "not-json"


def test_a_message_that_is_too_large_is_not_sent(stage: Stage) -> None:
    actor = stage.play(wat.ECHO, limits={"message": 10})
    actor.request_json('"12345678"')

    with pytest.raises(InvalidJson, match="10"):
        actor.request_json('"123456789"')

    assert len(actor.payloads("message")) == 2


def test_a_message_that_is_no_json_is_not_sent(stage: Stage) -> None:
    actor = stage.play(wat.ECHO)

    with pytest.raises(InvalidJson):
        actor.request_json("{")

    assert actor.kinds()[-1] == "state"
    assert len(actor.payloads("message")) == 1


@pytest.mark.parametrize("guest", [wat.OUT_OF_BOUNDS, wat.BAD_UTF8, wat.BAD_UTF8_STATE, wat.BAD_UTF8_REFUSAL])
def test_an_answer_that_cannot_be_read_is_a_trap(stage: Stage, guest: str) -> None:
    actor = stage.play(guest)

    assert crash_of(actor, "1").reason == "trap"
    assert actor.verify().ok


@pytest.mark.slow
def test_the_deadline_stops_a_guest_that_has_fuel_to_burn(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 10**15, "deadline": "50ms"})
    actor.request_json('{"by":1}')

    crashed = crash_of(actor, '"loop"')

    assert crashed.reason == "deadline"
    assert actor.state == '{"count":1}'
    report = actor.verify()
    assert (report.ok, report.unreproducible) == (True, 1)


@pytest.mark.slow
@pytest.mark.parametrize("instance", ["fresh", "warm"])
@pytest.mark.parametrize("body", ["1", '"first"'])
def test_a_step_that_ran_out_of_time_verifies_up_to_its_last_event(stage: Stage, instance: str, body: str) -> None:
    actor = stage.play(DIG, instance=instance, limits={"fuel": 10**15, "deadline": "50ms"})

    assert crash_of(actor, body).reason == "deadline"

    report = actor.verify()
    assert (report.ok, report.unreproducible, report.fault) == (True, 1, None)


def test_waits_are_bounded_by_the_sum_of_a_step(stage: Stage) -> None:
    actor = stage.play(NAPS, limits={"wait": "2.5s"}, capabilities={"timing": {}})

    pending = actor.start_request('{"naps":4}')
    for wait_s in (1.0, 1.0, 0.5, 0.0):
        stage.clock.wait_for_timers()
        stage.clock.advance(wait_s)

    # two naps in full, half of the third, nothing of the fourth
    assert pending.result().text == "2"
    assert len(actor.payloads("intent")) == 4
    assert actor.verify().ok


def test_a_wait_at_the_limit_is_no_failure(stage: Stage) -> None:
    actor = stage.play(NAPS, limits={"wait": "2s"}, capabilities={"timing": {}})

    pending = actor.start_request('{"naps":2}')
    for _ in range(2):
        stage.clock.wait_for_timers()
        stage.clock.advance(1.0)

    assert pending.result().text == "0"
    assert actor.verify().ok


def test_time_that_a_step_waits_does_not_count_against_its_deadline(stage: Stage) -> None:
    actor = stage.play(NAPS, limits={"deadline": "900ms"}, capabilities={"timing": {}})

    pending = actor.start_request('{"naps":3}')
    for _ in range(3):
        stage.clock.wait_for_timers()
        stage.clock.advance(1.0)

    assert pending.result().text == "0"


def test_the_intent_of_a_wait_is_durable_before_it_begins(stage: Stage) -> None:
    actor = stage.play(NAPS, capabilities={"timing": {}})

    pending = actor.start_request("{}")
    stage.clock.wait_for_timers()

    assert actor.kinds()[-2:] == ["message", "intent"]
    (intent,) = actor.payloads("intent")
    assert isinstance(intent, Intent)
    assert intent.arguments == [1000]
    stage.clock.advance(1.0)
    pending.result()


def test_a_limit_that_no_one_knows_is_refused(stage: Stage) -> None:
    with pytest.raises(InvalidManifest, match="fuel"):
        stage.play(wat.ECHO, limits={"fule": 1})
