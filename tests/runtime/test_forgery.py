"""Histories that were rewritten as a whole, with every salt, commitment and hash made anew.

Their structure is sound: only running them again tells them from the truth. What cannot be told even so stands at the
end, where it can be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.forgery import Forger
from tests.guests import wat
from tests.runtime.court import assert_found, judged, truth
from tests.runtime.guests import CHATTY, NAPS, VARIABLE, WATCH
from tests.runtime.stage import Stage, Workshop
from theater.errors import Crashed, Refused
from theater.model.header import format_time, parse_time
from theater.testing.harness import Actor, Harness

TIMING: dict[str, dict[str, object]] = {"timing": {}}


def counted(stage: Stage, *bodies: str, **options: object) -> Actor:
    """A counter with some history."""
    actor = stage.play(wat.COUNTER, **options)  # type: ignore[arg-type]  # passed on
    for body in bodies or ('{"by":2}', '{"by":3}'):
        actor.request_json(body)
    return actor


def slept(stage: Stage, text: str = wat.SLEEPER) -> Actor:
    """An actor that has slept for a second."""
    actor = stage.play(text, capabilities=TIMING)
    pending = actor.start_request('{"by":1,"ms":1000}')
    stage.clock.wait_for_timers()
    stage.clock.advance(1)
    pending.result()
    return actor


def test_the_truth_under_new_salts_is_still_the_truth(stage: Stage) -> None:
    actor = counted(stage)

    events = truth(actor).sealed()

    assert judged(stage, events).ok
    assert events[-1].hash != actor.events()[-1].hash


# -- results ---------------------------------------------------------------------------------------------------------


def test_a_changed_reply(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(5, reply='{"count":99}')

    report = assert_found(stage, forger, at=5)

    assert report.fault is not None
    assert report.fault.is_divergence
    assert '\\"count\\":99' in str(report.fault.expected)
    assert '\\"count\\":2' in str(report.fault.got)


def test_a_reply_that_was_taken_out(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(5, reply=None)

    assert_found(stage, forger, at=5)


def test_a_changed_state(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(7, state='{"count":6}')

    assert_found(stage, forger, at=7)


def test_a_changed_state_that_the_later_ones_build_on(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(5, state='{"count":4}', reply='{"count":4}')
    forger.change(7, state='{"count":7}', reply='{"count":7}')

    assert_found(stage, forger, at=5)


def test_a_changed_first_state(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":2}'))
    forger.change(3, state='{"count":1}')
    forger.change(5, state='{"count":3}', reply='{"count":3}')

    assert_found(stage, forger, at=3)


def test_of_several_changes_the_first_is_named(stage: Stage) -> None:
    for instance in ("fresh", "warm"):
        forger = truth(counted(stage, '{"by":2}', '{"by":2}', instance=instance))
        forger.change(3, state='{"count":1}')
        forger.change(7, reply='{"count":0}')
        forger.change(6, seed="x")

        assert_found(stage, forger, at=3)


def test_a_state_that_is_repeated_where_it_did_not_change(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":0}'))
    forger.change(5, fuel=forger.at(5).fields["fuel"], state='{"count":0}')

    assert_found(stage, forger, at=5)


@pytest.mark.parametrize("by", [-1, 1])
def test_a_changed_fuel(stage: Stage, by: int) -> None:
    forger = truth(counted(stage))
    forger.change(5, fuel=forger.at(5).fields["fuel"] + by)

    assert_found(stage, forger, at=5)


def test_a_field_that_nobody_knows(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(5, approved_by="the board")

    assert_found(stage, forger, at=5)


def test_a_changed_refusal(stage: Stage) -> None:
    actor = stage.play(wat.REFUSE)
    with pytest.raises(Refused):
        actor.request_json("1")
    forger = truth(actor)
    forger.change(5, text="another day")

    assert_found(stage, forger, at=5)


def test_a_refusal_in_place_of_a_reply(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":2}'))
    closing = forger.at(5)
    closing.kind = "refused"
    closing.say({"text": "no", "fuel": closing.fields["fuel"]})

    assert_found(stage, forger, at=5)


@pytest.mark.parametrize("reason", ["stack", "fuel", "memory", "not-json"])
def test_another_reason_of_a_crash(stage: Stage, reason: str) -> None:
    actor = stage.play(wat.TRAP)
    with pytest.raises(Crashed):
        actor.request_json("1")
    forger = truth(actor)
    forger.change(5, reason=reason)

    assert_found(stage, forger, at=5)


@pytest.mark.slow
def test_another_code_of_a_trap(stage: Stage) -> None:
    actor = stage.play(wat.TRAP)
    with pytest.raises(Crashed):
        actor.request_json("1")
    forger = truth(actor)
    forger.change(5, code="integer-overflow")

    assert_found(stage, forger, at=5)


def test_a_crash_in_place_of_a_reply(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":2}'))
    closing = forger.at(5)
    closing.kind = "crashed"
    closing.say({"reason": "trap", "fuel": closing.fields["fuel"], "code": "unreachable"})

    assert_found(stage, forger, at=5)


# -- what the guest said and asked -----------------------------------------------------------------------------------


def test_a_changed_log_line(stage: Stage) -> None:
    actor = stage.play(CHATTY)
    actor.request_json("1")
    forger = truth(actor)
    forger.change(6, text="three")

    assert_found(stage, forger, at=6)


def test_a_changed_level_of_a_log_line(stage: Stage) -> None:
    actor = stage.play(CHATTY)
    actor.request_json("1")
    forger = truth(actor)
    forger.change(6, level="error")

    assert_found(stage, forger, at=6)


@pytest.mark.parametrize("seq", [5, 6])
def test_a_dropped_log_line(stage: Stage, seq: int) -> None:
    actor = stage.play(CHATTY)
    actor.request_json("1")
    forger = truth(actor)
    forger.drop(seq)

    assert_found(stage, forger)


def test_an_added_log_line(stage: Stage) -> None:
    actor = stage.play(CHATTY)
    actor.request_json("1")
    forger = truth(actor)
    forger.insert(7, "log", "log", {"text": "three", "level": "info"})

    assert_found(stage, forger, at=7)


def test_exchanged_log_lines(stage: Stage) -> None:
    actor = stage.play(CHATTY)
    actor.request_json("1")
    forger = truth(actor)
    forger.swap([5], [6])

    assert_found(stage, forger, at=5)


def test_a_host_call_that_was_taken_out(stage: Stage) -> None:
    forger = truth(slept(stage, NAPS))
    forger.drop(forger.find("intent"), forger.find("host"))

    assert_found(stage, forger)


def test_an_answer_that_was_taken_out(stage: Stage) -> None:
    forger = truth(slept(stage, NAPS))
    forger.drop(forger.find("host"))

    assert_found(stage, forger)


def test_a_host_call_that_never_was(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":2}'))
    forger.insert(5, "host", "theater:actor/runtime#shutdown", {"answer": {"ok": None}, "arguments": ['"bye"']})

    assert_found(stage, forger)


def test_another_argument_of_a_call(stage: Stage) -> None:
    forger = truth(slept(stage))
    forger.change(forger.find("intent"), arguments=[500])

    assert_found(stage, forger, at=forger.find("intent"))


def test_another_answer_of_a_call(stage: Stage) -> None:
    forger = truth(slept(stage))
    forger.change(forger.find("host"), answer={"err": {"wait-exhausted": None}})

    assert_found(stage, forger, at=forger.find("host"))


def test_another_value_of_a_shutdown(stage: Stage) -> None:
    actor = stage.play(wat.LAST_WORDS)
    actor.request_json('"good"')
    forger = truth(actor)
    forger.edit(5, lambda fields: fields.update(arguments=['"bad"']))

    assert_found(stage, forger, at=5)


# -- what the step was given -----------------------------------------------------------------------------------------


def test_a_changed_message_body(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.edit(4, lambda fields: fields["arguments"][0].update(body='{"by":20}'))

    assert_found(stage, forger, at=5)


@pytest.mark.slow
def test_a_changed_id_of_a_message(stage: Stage) -> None:
    actor = stage.play(wat.WHO)
    actor.request_json("1")

    def change(fields: dict[str, Any]) -> None:
        fields["id"] = fields["arguments"][0]["id"] = "0" * 32

    forger = truth(actor)
    forger.edit(4, change)
    assert_found(stage, forger, at=5)

    forger = truth(actor)
    forger.edit(4, lambda fields: fields.update(id="0" * 32))  # and forgotten in the arguments
    assert_found(stage, forger, at=4)


def test_a_message_that_expected_a_reply(stage: Stage) -> None:
    actor = stage.play(wat.WHO)
    actor.request_json("1")
    forger = truth(actor)
    forger.edit(4, lambda fields: fields["arguments"][0].update({"expects-reply": False}))

    assert_found(stage, forger, at=5)


@pytest.mark.parametrize("guest", [wat.RANDOM, wat.RANDOM_HEX])
def test_a_changed_seed(stage: Stage, guest: str) -> None:
    actor = stage.play(guest, capabilities={"random": {}})
    actor.request_json("1")
    forger = truth(actor)
    forger.change(4, seed="00" * 32)

    assert_found(stage, forger, at=5)


@pytest.mark.parametrize("seed", ["", "00", "AB" * 32, "zz" * 32, "00" * 33])
def test_a_seed_that_is_none(stage: Stage, seed: str) -> None:
    forger = truth(counted(stage))
    forger.change(4, seed=seed)

    assert_found(stage, forger, at=4, why="seed")


def test_a_changed_time(stage: Stage) -> None:
    actor = stage.play(wat.CLOCK)
    actor.request_json("1")
    forger = truth(actor)
    for seq in (4, 5):
        forger.at(seq).time_us += 1

    assert_found(stage, forger, at=5)


def test_a_changed_time_of_genesis(stage: Stage) -> None:
    # the monotonic clock begins there; a guest that does not look at it cannot tell
    actor = stage.play(WATCH, capabilities=TIMING)
    assert judged(stage, truth(actor).sealed()).ok


def test_changed_params(stage: Stage) -> None:
    forger = truth(counted(stage, params='{"start":1}'))
    forger.change(0, params='{"start":2}')
    assert_found(stage, forger, at=2)

    forger.change(2, arguments=['{"start":2}'])
    assert_found(stage, forger, at=3)


@pytest.mark.slow
def test_a_changed_environment_variable(workshop: Workshop, stage: Stage) -> None:
    with Harness(cache=workshop.cache, environ={"LANG": "C"}) as harness:
        path = stage.manifest(VARIABLE, capabilities={"environment": {"allow": ["LANG"]}})
        actor = harness.spawn(path, allowed=["environment"])
        actor.request_json("1")
        stage.runtime.blobs.put(workshop.file(VARIABLE).read_bytes())

        forger = truth(actor)
        forger.change(0, environment=[["LANG", "D"]])
        assert_found(stage, forger, at=5)

        forger = truth(actor)
        forger.change(0, environment=[["LANG", "C"], ["SECRET", "x"]])
        assert_found(stage, forger, at=0, why="SECRET")


# -- time that passed ------------------------------------------------------------------------------------------------


def test_another_time_at_which_a_wait_ended(stage: Stage) -> None:
    forger = truth(slept(stage, WATCH))
    host = forger.find("host")
    now_us = parse_time(forger.at(host).fields["now"])
    forger.change(host, now=format_time(now_us + 1_000_000))
    for seq in (host, host + 1):
        forger.at(seq).time_us += 1_000_000

    assert_found(stage, forger, at=host + 1)


@pytest.mark.slow
def test_a_wait_that_ended_before_it_could(stage: Stage) -> None:
    # the guest does not look at the clock, and is told that it could not wait
    forger = truth(slept(stage, NAPS))
    host = forger.find("host")
    now_us = parse_time(forger.at(host).fields["now"])
    forger.change(host, now=format_time(now_us - 1), answer={"err": {"wait-exhausted": None}})
    forger.change(host + 1, reply="1")

    report = assert_found(stage, forger, at=host)
    assert report.fault is not None
    assert "a wait that ended between" in str(report.fault.got)


def test_a_wait_that_ended_after_it_was_recorded(stage: Stage) -> None:
    forger = truth(slept(stage, NAPS))
    host = forger.find("host")
    now_us = parse_time(forger.at(host).fields["now"])
    forger.change(host, now=format_time(now_us + 1))

    report = assert_found(stage, forger, at=host)
    assert report.fault is not None
    assert "a wait that ended between" in str(report.fault.got)


@pytest.mark.parametrize("now", [None, "", "yesterday", "2026-01-01T00:00:01Z"])
def test_a_wait_that_ended_at_no_time(stage: Stage, now: str | None) -> None:
    forger = truth(slept(stage, NAPS))
    forger.change(forger.find("host"), now=now)

    assert_found(stage, forger)


# -- what the actor was ----------------------------------------------------------------------------------------------


def test_a_swapped_component(stage: Stage) -> None:
    actor = counted(stage)
    other = stage.play(wat.ECHO)
    forger = truth(actor)
    forger.change(0, program=other.ref.record.program)

    assert_found(stage, forger, at=3)


def test_a_component_that_nobody_has(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(0, program="ab" * 32)

    assert_found(stage, forger, at=0, why="not at hand")


def test_a_component_that_is_none(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(0, program="../../etc/passwd")

    assert_found(stage, forger, at=0)


def widened(fields: dict[str, Any], *where: str) -> None:
    """Grant longer sleeps than were granted: in these tables, and in the manifest where that is one of them."""
    for name in where:
        if name == "manifest":
            fields["manifest"] = fields["manifest"].replace('sleep = "1s"', 'sleep = "1h"')
        else:
            fields[name]["timing"]["sleep"] = "3600s"


def test_a_grant_that_was_widened_in_effect_only(stage: Stage) -> None:
    forger = truth(counted(stage, capabilities={"timing": {"sleep": "1s"}}))
    forger.edit(0, lambda fields: widened(fields, "effective"))

    assert_found(stage, forger, at=0, why="effective")


def test_a_grant_that_was_widened_and_asked_for(stage: Stage) -> None:
    forger = truth(counted(stage, capabilities={"timing": {"sleep": "1s"}}))
    forger.edit(0, lambda fields: widened(fields, "effective", "asked"))

    assert_found(stage, forger, at=0, why="manifest")


def test_a_grant_that_was_widened_in_the_manifest_where_the_ceiling_forbids_it(stage: Stage) -> None:
    forger = truth(counted(stage, capabilities={"timing": {"sleep": "1s"}}))
    forger.edit(0, lambda fields: widened(fields, "effective", "asked", "manifest"))

    assert_found(stage, forger, at=0, why="sleep")


def test_a_grant_that_was_widened_everywhere_where_a_call_was_denied(stage: Stage) -> None:
    actor = stage.play(wat.SLEEPER, capabilities={"timing": {"sleep": "1s"}})
    with pytest.raises(Refused):
        actor.request_json('{"ms":2000}')
    forger = truth(actor)
    forger.edit(0, lambda fields: widened(fields, "effective", "asked", "manifest", "ceiling"))

    assert_found(stage, forger, at=forger.find("host"))


def test_a_grant_that_was_narrowed_below_what_was_done(stage: Stage) -> None:
    forger = truth(slept(stage))

    def narrow(fields: dict[str, Any]) -> None:
        fields["manifest"] = fields["manifest"].replace(
            "[capabilities.timing]", '[capabilities.timing]\nsleep = "100ms"'
        )
        fields["effective"]["timing"] = fields["asked"]["timing"] = {"sleep": "100ms"}

    forger.edit(0, narrow)
    assert_found(stage, forger, at=forger.find("intent"))


def test_a_capability_that_was_added(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.edit(0, lambda fields: fields["effective"].update(random={"call": "64KiB"}))

    assert_found(stage, forger, at=0)


def test_a_capability_that_does_not_exist(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.edit(0, lambda fields: fields["effective"].update(everything={}))

    assert_found(stage, forger, at=0)


def test_a_capability_that_was_taken_away(stage: Stage) -> None:
    forger = truth(slept(stage))

    def take(fields: dict[str, Any]) -> None:
        fields["manifest"] = fields["manifest"].replace("[capabilities.timing]", "")
        del fields["effective"]["timing"]
        del fields["asked"]["timing"]

    forger.edit(0, take)
    assert_found(stage, forger, at=0, why="timing")


def raised(value: int) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields["limits"].update(fuel=value)


def test_a_raised_limit(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.edit(0, raised(2_000_000_000))

    assert_found(stage, forger, at=0, why="limits")


def test_a_limit_that_was_raised_in_the_manifest_too_where_it_struck(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, limits={"fuel": 100_000})
    with pytest.raises(Crashed):
        actor.request_json('"loop"')
    forger = truth(actor)

    def change(fields: dict[str, Any]) -> None:
        raised(200_000)(fields)
        fields["manifest"] = fields["manifest"].replace("100000", "200000")

    forger.edit(0, change)
    assert_found(stage, forger, at=5)


def test_a_manifest_that_is_none(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(0, manifest="= nothing")

    assert_found(stage, forger, at=0)


@pytest.mark.parametrize("boundary", [0, 2, 99])
def test_another_boundary(stage: Stage, boundary: int) -> None:
    forger = truth(counted(stage))
    forger.change(0, boundary=boundary)

    assert_found(stage, forger, at=0, why="boundary")


def test_another_kind_of_instance(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(0, instance="warm")

    assert_found(stage, forger, at=0, why="instance")


def test_steps_of_a_fresh_actor_that_are_told_as_those_of_one_instance(stage: Stage) -> None:
    # in one instance HIDDEN counts its calls, which in fresh ones it cannot
    actor = stage.play(wat.HIDDEN)
    actor.request_json("0")
    actor.request_json("0")
    forger = truth(actor)
    forger.change(4, instance=0, nth=0)
    forger.change(6, instance=0, nth=1)
    forger.change(7, reply="2")

    assert_found(stage, forger, at=4, why="instance")


def test_steps_of_a_warm_actor_that_are_told_as_fresh_ones(stage: Stage) -> None:
    forger = truth(counted(stage, instance="warm"))
    forger.change(4, instance=None, nth=None)

    assert_found(stage, forger, at=4, why="instance")


@pytest.mark.parametrize(("instance", "nth"), [(0, 0), (0, 2), (1, 1), (-1, 1), (0, -1)])
def test_a_warm_step_that_does_not_follow_the_one_before(stage: Stage, instance: int, nth: int) -> None:
    forger = truth(counted(stage, instance="warm"))
    forger.change(6, instance=instance, nth=nth)

    assert_found(stage, forger, at=6)


# -- the order of things ---------------------------------------------------------------------------------------------


def test_a_dropped_step(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.drop(*forger.step(1))

    assert_found(stage, forger)


def test_a_dropped_step_whose_successor_names_the_state_before(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(6, state=3)
    forger.drop(*forger.step(1))

    assert_found(stage, forger, at=5)


def test_reordered_steps(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.swap(forger.step(1), forger.step(2))

    assert_found(stage, forger)


def test_reordered_steps_that_name_the_right_states(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.change(6, state=3)
    forger.change(4, state=7)
    forger.swap(forger.step(1), forger.step(2))

    assert_found(stage, forger, at=5)


def test_a_step_without_init(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.drop(*forger.step(0))

    assert_found(stage, forger)


def test_a_second_init(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":2}', '{"by":3}', params='{"start":1}'))
    first, last = forger.step(0), forger.step(2)
    for seq, fields in zip(last, [forger.at(seq).fields for seq in first], strict=True):
        forger.at(seq).say(fields)
        forger.at(seq).name = forger.at(first[0]).name

    assert_found(stage, forger, at=6)


def test_an_export_that_begins_no_step(stage: Stage) -> None:
    forger = truth(counted(stage))
    for seq in (4, 5):
        forger.at(seq).name = "theater:actor/actor#migrate"
    forger.change(4, export="theater:actor/actor#migrate")

    assert_found(stage, forger, at=4)


# -- what running it again cannot tell -------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["deadline", "terminated", "host-died", "internal"])
def test_an_end_from_outside_in_place_of_a_reply_is_counted_apart(stage: Stage, reason: str) -> None:
    """Nobody can tell whether a step was ended from outside. What can be told is how many are said to have been."""
    forger = truth(counted(stage, '{"by":2}'))
    closing = forger.at(5)
    closing.kind = "crashed"
    closing.say({"reason": reason, "fuel": 0})

    report = judged(stage, forger.sealed())

    assert (report.ok, report.unreproducible) == (True, 1)


def test_an_end_from_outside_does_not_hide_what_was_recorded_before_it(stage: Stage) -> None:
    actor = stage.play(CHATTY)
    actor.request_json("1")
    forger = truth(actor)
    forger.at(7).kind = "crashed"
    forger.at(7).say({"reason": "terminated", "fuel": 0})
    forger.change(6, text="three")

    assert_found(stage, forger, at=6)


def test_an_end_from_outside_carries_no_state(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.at(5).kind = "crashed"
    forger.at(5).say({"reason": "terminated", "fuel": 0, "state": '{"count":2}'})

    assert_found(stage, forger, at=6)


def test_another_engine_in_genesis_leaves_only_the_fuel_uncompared(stage: Stage) -> None:
    forger = truth(counted(stage))
    forger.edit(0, lambda fields: fields["engine"].update(version="1.0"))
    forger.change(5, fuel=1)
    assert judged(stage, forger.sealed()).ok

    forger.change(5, reply='{"count":99}')
    assert_found(stage, forger, at=5)


def test_a_crash_for_want_of_fuel_under_another_engine_is_counted_apart(stage: Stage) -> None:
    forger = truth(counted(stage, '{"by":2}'))
    forger.edit(0, lambda fields: fields["engine"].update(version="1.0"))
    forger.at(5).kind = "crashed"
    forger.at(5).say({"reason": "fuel", "fuel": 1_000_000_000, "code": "fuel"})

    report = judged(stage, forger.sealed())

    assert (report.ok, report.not_compared) == (True, 1)


def test_a_true_message_that_was_never_sent_is_a_true_history(stage: Stage) -> None:
    """Who sent a message is what the node says; only a signature over the head can vouch for that."""
    forger = truth(counted(stage))
    forger.edit(4, lambda fields: fields.update(source="the queen"))

    assert judged(stage, forger.sealed()).ok


def test_a_cut_tail_is_sound_unless_the_head_is_vouched_for(stage: Stage) -> None:
    actor = counted(stage)
    events = actor.events()[:-2]

    assert judged(stage, events).ok
    forger = Forger(events)
    assert judged(stage, forger.sealed()).ok
