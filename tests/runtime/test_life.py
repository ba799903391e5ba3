"""From init to the end: pause, stop, restart, shutdown, commands, and what survives the process."""

from __future__ import annotations

import contextlib
import threading

import pytest

from tests.guests import wat
from tests.guests.component import command
from tests.guests.imports import LOG
from tests.runtime.guests import CHATTY, DIG, NAPS
from tests.runtime.inside import inner, kept_of, settle, step_of
from tests.runtime.stage import Stage
from theater.errors import Crashed, InvalidInput, NameTaken, NotFound, NotRunning, Refused, TheaterError
from theater.model.payload import CrashedPayload, Lifecycle, Message, State
from theater.runtime.orders import Stop

BY_ONE = '{"by":1}'

# -- init ------------------------------------------------------------------------------------------------------------


def test_init_makes_the_first_state(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, params='{"start":41}')

    assert actor.state == '{"count":41}'
    assert actor.ref.first is not None
    assert actor.ref.first.receipt.seq == 3
    assert actor.request({"by": 1}) == {"count": 42}


def test_an_init_that_refuses_leaves_a_stopped_actor_that_can_be_looked_at(stage: Stage) -> None:
    with pytest.raises(Refused, match="not at all") as caught:
        stage.play(wat.REFUSE_INIT)

    actor = stage.actor(str(caught.value.data["actor"]))
    assert actor.status == "stopped"
    assert actor.state is None
    assert actor.kinds() == ["genesis", "started", "message", "refused", "stopped"]
    last = actor.payloads("lifecycle")[-1]
    assert isinstance(last, Lifecycle)
    assert last.detail == {"reason": "refused-init"}
    with pytest.raises(NotRunning):
        actor.request_json("1")
    assert actor.verify().ok


@pytest.mark.parametrize("guest", [wat.TRAP_INIT, wat.GROW_INIT])
def test_an_init_that_crashes_leaves_a_crashed_actor_that_can_be_looked_at(stage: Stage, guest: str) -> None:
    with pytest.raises(Crashed) as caught:
        stage.play(guest)

    actor = stage.actor(str(caught.value.data["actor"]))
    assert actor.status == "crashed"
    with pytest.raises(NotRunning):
        actor.request_json("1")
    assert actor.verify().ok


@pytest.mark.parametrize("guest", [wat.LOOP_INIT, wat.LOOP_START])
def test_a_guest_that_loops_before_it_is_there_runs_out_of_fuel(stage: Stage, guest: str) -> None:
    with pytest.raises(Crashed) as caught:
        stage.play(guest, limits={"fuel": 100_000})

    assert caught.value.data["reason"] == "fuel"


def test_a_restart_of_an_actor_without_a_state_runs_init_again(stage: Stage) -> None:
    with pytest.raises(Crashed) as caught:
        stage.play(wat.TRAP_INIT)
    actor = stage.actor(str(caught.value.data["actor"]))

    actor.restart()
    settle(actor)

    assert actor.status == "crashed"
    ids = [message.id for message in actor.payloads("message") if isinstance(message, Message)]
    assert ids == ["init-0", "init-4"]  # named by the event that began it again
    assert actor.verify().ok


# -- pause, stop, restart --------------------------------------------------------------------------------------------


def test_a_paused_actor_accepts_and_waits(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.pause()

    pending = actor.start_request(BY_ONE)
    assert not pending.is_done
    assert actor.kinds()[-1] == "paused"

    actor.resume()
    assert pending.result().text == '{"count":1}'
    assert actor.kinds()[-4:] == ["paused", "resumed", "message", "state"]
    assert actor.verify().ok


def test_a_pause_survives_the_process(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, name="c")
    actor.pause()

    stage.reopen()

    again = stage.actor("c")
    assert again.status == "paused"
    pending = again.start_request(BY_ONE)
    assert not pending.is_done
    again.resume()
    assert pending.result().text == '{"count":1}'


def test_a_stopped_actor_refuses_and_answers_those_who_wait(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.pause()
    request, send = actor.start_request(BY_ONE), actor.start_send('{"by":10}')

    actor.stop()

    with pytest.raises(NotRunning):
        request.result()
    with pytest.raises(NotRunning):
        actor.request_json(BY_ONE)
    with pytest.raises(NotRunning):
        send.result()

    actor.restart()
    assert actor.request({"by": 1}) == {"count": 1}
    assert actor.verify().ok


def test_what_was_accepted_for_good_waits_for_a_restart(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, name="c")
    actor.pause()
    actor.send({"by": 1})
    actor.stop()
    actor.restart()
    settle(actor)
    assert actor.state == '{"count":1}'

    actor.pause()
    actor.send({"by": 10})
    actor.stop()
    stage.reopen()
    again = stage.actor("c")
    assert again.state == '{"count":1}'
    again.restart()
    settle(again)

    assert again.state == '{"count":11}'
    assert again.verify().ok


def test_a_stop_takes_effect_between_two_steps(stage: Stage) -> None:
    actor = stage.play(NAPS, capabilities={"timing": {}})
    running, waiting = actor.start_request("{}"), actor.start_request("{}")
    stage.clock.wait_for_timers()

    stop = actor.start_stop()
    assert not stop.is_done

    stage.clock.advance(1)
    assert running.result().text == "0"
    stop.result()
    with pytest.raises(NotRunning):
        waiting.result()
    assert actor.kinds()[-3:] == ["host", "state", "stopped"]


@pytest.mark.parametrize("action", ["pause", "resume"])
@pytest.mark.parametrize("end", ["stopped", "crashed"])
def test_what_has_ended_can_be_restarted_and_nothing_else(stage: Stage, action: str, end: str) -> None:
    actor = stage.play(wat.MOODY)
    if end == "stopped":
        actor.stop()
    else:
        with pytest.raises(Crashed):
            actor.request_json('"trap"')
    before = actor.kinds()

    with pytest.raises(NotRunning, match="restart"):
        getattr(actor, action)()

    assert actor.status == end
    assert actor.kinds() == before
    with pytest.raises(NotRunning):
        actor.request_json(BY_ONE)


@pytest.mark.parametrize(("first", "again"), [("pause", "pause"), ("resume", "resume"), ("stop", "stop")])
def test_what_it_is_already_leaves_no_event(stage: Stage, first: str, again: str) -> None:
    actor = stage.play(wat.COUNTER)
    getattr(actor, first)()
    before = actor.kinds()

    getattr(actor, again)()

    assert actor.kinds() == before


def test_a_name_that_another_one_took_keeps_an_actor_from_living_again(stage: Stage) -> None:
    first = stage.play(wat.COUNTER, name="a")
    first.stop()
    second = stage.play(wat.COUNTER, name="a")

    with pytest.raises(NameTaken):
        first.restart()

    assert (first.status, second.status) == ("stopped", "running")
    second.stop()
    first.restart()
    assert first.request({"by": 1}) == {"count": 1}


@pytest.mark.slow
def test_a_stop_survives_the_process_and_so_does_the_state(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, name="c")
    actor.request_json(BY_ONE)
    actor.stop()

    stage.reopen()

    again = stage.actor("c")
    assert again.status == "stopped"
    with pytest.raises(NotRunning):
        again.request_json(BY_ONE)
    again.restart()
    assert again.request({"by": 1}) == {"count": 2}
    assert again.verify().ok


def test_a_crash_survives_the_process(stage: Stage) -> None:
    actor = stage.play(wat.MOODY, name="m")
    actor.request_json('{"by":3}')
    with pytest.raises(Crashed):
        actor.request_json('"trap"')

    stage.reopen()

    again = stage.actor("m")
    assert (again.status, again.state) == ("crashed", '{"count":3}')
    again.restart()
    assert again.request({"by": 1}) == {"count": 4}


def test_a_step_that_sleeps_can_be_terminated(stage: Stage) -> None:
    actor = stage.play(wat.SLEEPER, capabilities={"timing": {}})
    actor.start_request('{"by":1,"ms":0}').result()
    pending = actor.start_request('{"by":1,"ms":50000}')
    stage.clock.wait_for_timers()

    actor.terminate()

    with pytest.raises(Crashed) as caught:
        pending.result()
    assert caught.value.data["reason"] == "terminated"
    assert actor.state == '{"count":1}'
    assert actor.status == "stopped"
    stage.clock.advance(60)  # its timer finds nobody
    assert actor.kinds()[-4:] == ["log", "intent", "crashed", "stopped"]
    report = actor.verify()
    assert (report.ok, report.unreproducible) == (True, 1)


@pytest.mark.slow
@pytest.mark.parametrize("instance", ["fresh", "warm"])
def test_a_step_that_computes_can_be_terminated(stage: Stage, instance: str) -> None:
    actor = stage.play(DIG, instance=instance, limits={"fuel": 10**15})
    actor.start_request('{"times":1}').result()
    pending = actor.start_request('{"times":200000000}')

    actor.terminate()

    with pytest.raises(Crashed) as caught:
        pending.result()
    assert caught.value.data["reason"] == "terminated"
    report = actor.verify()
    assert (report.ok, report.unreproducible, report.fault) == (True, 1, None)


def test_an_answer_that_comes_as_the_step_is_terminated_is_not_recorded_behind_its_end(stage: Stage) -> None:
    actor = stage.play(NAPS, capabilities={"timing": {}})
    pending = actor.start_request("{}")
    stage.clock.wait_for_timers()
    found = inner(actor)
    now_us = stage.clock.now_us

    def unheard(failure: TheaterError | None) -> None:
        del failure

    def now_us_during_a_termination() -> int:
        # the timer has fired; while it looks at the clock, somebody ends the step
        stage.clock.now_us = now_us  # type: ignore[method-assign]  # once
        killer = threading.Thread(target=lambda: found.stop(Stop("test", "brutal", unheard)))
        killer.start()
        for _ in range(50):  # it has to wait for the timer to be done; if it need not, the step is over in no time
            killer.join(0.001)
            if step_of(found) is None:
                break
        killers.append(killer)
        return now_us()

    killers: list[threading.Thread] = []
    stage.clock.now_us = now_us_during_a_termination  # type: ignore[method-assign]  # once
    stage.clock.advance(1)
    for killer in killers:
        killer.join()

    with contextlib.suppress(Crashed):  # whichever comes first now, the answer or the end
        pending.result()
    report = actor.verify()
    assert (report.ok, report.fault) == (True, None)


def test_terminate_of_an_idle_actor_stops_it(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)

    actor.terminate()

    assert actor.status == "stopped"
    assert "crashed" not in actor.kinds()


def test_two_actors_run_side_by_side_while_one_sleeps(stage: Stage) -> None:
    sleeper = stage.play(NAPS, name="sleeper", capabilities={"timing": {}})
    counter = stage.play(wat.COUNTER, name="counter")
    pending = sleeper.start_request("{}")
    stage.clock.wait_for_timers()

    assert counter.request({"by": 1}) == {"count": 1}
    assert not pending.is_done
    stage.clock.advance(1)
    assert pending.result().text == "0"


def test_an_actor_never_has_two_steps_at_once(stage: Stage) -> None:
    actor = stage.play(NAPS, capabilities={"timing": {}})
    pending = [actor.start_request("{}") for _ in range(3)]
    for _ in range(3):
        stage.clock.wait_for_timers()
        assert len(stage.clock.timers) == 1
        stage.clock.advance(1)

    assert [each.result().text for each in pending] == ["0", "0", "0"]
    assert actor.kinds()[4:] == ["message", "intent", "host", "state"] * 3


# -- shutdown and commands -------------------------------------------------------------------------------------------


def test_a_shutdown_stops_the_actor_with_its_value(stage: Stage) -> None:
    actor = stage.play(wat.LAST_WORDS)

    reply = actor.request_json('{"last":"words"}')

    assert (reply.text, reply.has_shutdown, reply.shutdown) == ('"bye"', True, '{"last":"words"}')
    assert actor.status == "stopped"
    last = actor.payloads("lifecycle")[-1]
    assert isinstance(last, Lifecycle)
    assert last.detail == {"reason": "normal", "value": '{"last":"words"}'}
    with pytest.raises(NotRunning):
        actor.request_json("1")
    assert actor.verify().ok


def test_a_command_runs_once_and_is_done(stage: Stage) -> None:
    actor = stage.play(wat.COMMAND)

    assert actor.ref.role == "command"
    assert actor.status == "stopped"
    assert actor.kinds() == ["genesis", "started", "message", "state", "stopped"]
    (state,) = actor.payloads("state")
    assert isinstance(state, State)
    assert state.state is None
    assert actor.verify().ok


def test_a_command_that_fails_is_a_refusal(stage: Stage) -> None:
    with pytest.raises(Refused, match="status 1") as caught:
        stage.play(wat.FAILING_COMMAND)

    actor = stage.actor(str(caught.value.data["actor"]))
    assert actor.status == "stopped"
    assert actor.verify().ok


def test_a_command_that_loops_runs_out_of_fuel(stage: Stage) -> None:
    with pytest.raises(Crashed) as caught:
        stage.play(wat.LOOPING_COMMAND, limits={"fuel": 100_000})

    assert caught.value.data["reason"] == "fuel"


@pytest.mark.slow
def test_a_command_that_was_restarted_runs_again(stage: Stage) -> None:
    actor = stage.play(command('(call $log (i32.const 2) @"hello") (i32.const 0)', imports=[LOG]))

    actor.restart()
    settle(actor)

    assert actor.status == "stopped"
    assert actor.kinds().count("log") == 2
    assert actor.verify().ok


def test_a_command_takes_no_messages(stage: Stage) -> None:
    actor = stage.play(wat.COMMAND)

    with pytest.raises(InvalidInput):
        actor.request_json("1")


# -- the node --------------------------------------------------------------------------------------------------------


def own_threads() -> set[str]:
    """But for asyncio's pool for blocking calls, which grows as it likes, up to a bound of its own."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio")}


@pytest.mark.slow
def test_an_idle_actor_holds_no_thread(stage: Stage) -> None:
    first = stage.play(wat.COUNTER, name="first")
    first.request_json(BY_ONE)
    before = own_threads()
    for number in range(20):
        stage.play(wat.COUNTER, name=f"c{number}").request_json(BY_ONE)

    assert own_threads() == before


def test_an_idle_fresh_actor_holds_no_instance(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.request_json(BY_ONE)

    assert step_of(inner(actor)) is None
    assert kept_of(inner(actor)) is None


def test_a_reopened_runtime_has_every_actor_where_it_was(stage: Stage) -> None:
    for number in range(3):
        stage.play(CHATTY, name=f"c{number}").request_json("1")
    heads = {record.name: stage.runtime.store.head(record.id) for record in stage.runtime.store.records()}

    stage.reopen()

    for name, head in heads.items():
        actor = stage.actor(name)
        assert actor.state == '{"count":1}'
        assert stage.runtime.store.head(actor.id) == head  # looking changes nothing


def test_an_actor_that_does_not_exist_is_not_found(stage: Stage) -> None:
    stage.play(wat.COUNTER, name="counter")

    with pytest.raises(NotFound, match="counter"):
        stage.actor("countre")


def test_a_crash_says_what_the_guest_did(stage: Stage) -> None:
    actor = stage.play(wat.TRAP)

    with pytest.raises(Crashed, match="unreachable"):
        actor.request_json("1")

    (crashed,) = actor.payloads("crashed")
    assert isinstance(crashed, CrashedPayload)
    assert (crashed.reason, crashed.code) == ("trap", "unreachable")
    assert crashed.message
