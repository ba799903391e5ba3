import threading

import pytest

from tests.engine.guests import ACTOR, IMPORTING, MESSAGE, MISBEHAVIOURS, is_ask
from tests.engine.rig import LIMITS, RecordingHost, Rig, Running, suspends
from theater.errors import InternalError, InvalidInput
from theater.model.execution import Closed, ExecutionLimits, Resting, Waiting

ACTOR_INTERFACE = "theater:actor/actor"


def test_a_call_returns_its_result_and_fuel(rig: Rig) -> None:
    program = rig.load(ACTOR)
    closed = rig.run(program, "handle", '{"count":5}', MESSAGE, interface=ACTOR_INTERFACE)
    assert closed == Closed(("ok", {"state": '{"count":5}', "reply": '{"by":2}'}), closed.fuel_used)
    again = rig.run(program, "handle", '{"count":5}', MESSAGE, interface=ACTOR_INTERFACE)
    assert again == closed
    assert 0 < closed.fuel_used < 1000


def test_each_call_runs_in_a_fresh_instance(rig: Rig) -> None:
    program = rig.load(ACTOR)
    assert [rig.run(program, "count").result for _ in range(3)] == [1, 1, 1]


def test_a_kept_instance_keeps_its_memory_until_it_is_closed(rig: Rig) -> None:
    program = rig.load(ACTOR)
    instance = None
    for expected in (1, 2, 3):
        closed = rig.run(program, "count", instance=instance, keep=True)
        assert closed.result == expected
        instance = closed.instance
        assert instance is not None
    last = rig.run(program, "count", instance=instance)
    assert last.result == 4
    assert last.instance is None
    with pytest.raises(InternalError, match="closed"):
        rig.begin(program, "count", instance=instance)


def test_a_closed_instance_cannot_run_and_closes_twice(rig: Rig) -> None:
    program = rig.load(ACTOR)
    instance = rig.run(program, "count", keep=True).instance
    assert instance is not None
    instance.close()
    instance.close()
    with pytest.raises(InternalError, match="closed"):
        rig.begin(program, "count", instance=instance)


def test_two_calls_cannot_share_an_instance(rig: Rig) -> None:
    program = rig.load(IMPORTING, is_ask)
    host = suspends()
    instance = rig.run(program, "dig-and-log", 0, keep=True).instance
    first = rig.begin(program, "ask", 1, host=host, instance=instance)
    first.waiting()
    with pytest.raises(InternalError, match="another call"):
        rig.begin(program, "ask", 1, host=host, instance=instance)
    first.execution.resume("yes")
    assert first.closed().result == "yes"


def test_an_instance_belongs_to_its_program(rig: Rig) -> None:
    instance = rig.run(rig.load(ACTOR), "count", keep=True).instance
    with pytest.raises(InternalError, match="another program"):
        rig.begin(rig.load(ACTOR), "count", instance=instance)


def test_a_kept_instance_is_gone_after_a_crash(rig: Rig) -> None:
    program = rig.load(MISBEHAVIOURS)
    kept = rig.run(program, "fine", keep=True).instance
    crashed = rig.run(program, "unreachable", instance=kept, keep=True)
    assert crashed.crash is not None
    assert crashed.instance is None
    with pytest.raises(InternalError, match="closed"):
        rig.begin(program, "fine", instance=kept)


def test_a_suspended_guest_goes_on_with_the_answer(rig: Rig) -> None:
    program = rig.load(IMPORTING, is_ask)
    host = suspends()
    running = rig.begin(program, "ask", 7, host=host)
    running.waiting()
    assert host.calls == [("", "host-ask", (7,))]
    running.execution.resume("forty-two")
    assert running.closed().result == "forty-two"


def test_a_suspending_function_may_answer_at_once(rig: Rig) -> None:
    host = RecordingHost(lambda number: f"answer {number}")
    assert rig.run(rig.load(IMPORTING, is_ask), "ask", 3, host=host).result == "answer 3"


def test_fuel_is_the_same_whether_a_guest_waited_or_not(rig: Rig) -> None:
    program = rig.load(IMPORTING, is_ask)
    at_once = rig.run(program, "ask-often", 3, host=RecordingHost(lambda *_: "x"))
    running = rig.begin(program, "ask-often", 3, host=suspends())
    for _ in range(3):
        running.waiting()
        running.execution.resume("x")
    waited = running.closed()
    plain = rig.run(rig.load(IMPORTING), "ask-often", 3, host=RecordingHost(lambda *_: "x"))
    assert at_once.fuel_used == waited.fuel_used == plain.fuel_used


def test_resume_may_be_called_from_within_the_report(rig: Rig) -> None:
    def hear(running: Running, rest: Resting) -> None:
        if isinstance(rest, Waiting):
            running.execution.resume("go on")

    host = suspends()
    running = rig.begin(rig.load(IMPORTING, is_ask), "ask-often", 5, host=host, hear=hear)
    for _ in range(5):
        running.waiting()
    assert running.closed().crash is None


def test_a_wrong_answer_to_a_wait_ends_the_call_as_our_bug(rig: Rig) -> None:
    running = rig.begin(rig.load(IMPORTING, is_ask), "ask", 1, host=suspends())
    running.waiting()
    running.execution.resume(5)
    crash = running.closed().crash
    assert crash is not None
    assert crash.reason == "internal"
    assert "expected str for string, got int 5" in crash.message


def test_resume_of_a_running_call_is_refused(rig: Rig) -> None:
    running = rig.begin(rig.load(MISBEHAVIOURS), "loop")
    with pytest.raises(InternalError, match="not waiting"):
        running.execution.resume("x")
    running.execution.kill("terminated", "enough")
    assert running.closed().crash is not None


def test_wrong_arguments_close_the_call_and_say_where(rig: Rig) -> None:
    program = rig.load(ACTOR)
    for args, message in (
        (("{}",), "expected 2 arguments, got 1"),
        ((5, MESSAGE), "state: expected str for string, got int 5"),
        (("{}", MESSAGE | {"body": "\ud800"}), "message.body: a lone surrogate at position 0, which UTF-8 cannot hold"),
        (("{}", {**MESSAGE, "sneder": None}), "message: field 'sneder' is unknown"),
    ):
        crash = rig.run(program, "handle", *args, interface=ACTOR_INTERFACE).crash
        assert crash is not None
        assert (crash.reason, crash.code, crash.message) == ("internal", "invalid-input", message)


def test_an_unknown_export_is_refused_at_once(rig: Rig) -> None:
    with pytest.raises(InvalidInput, match="exports no function #nothing"):
        rig.begin(rig.load(ACTOR), "nothing")


def test_runaway_guests_share_the_workers_and_a_short_call_gets_through(rig: Rig) -> None:
    program = rig.load(MISBEHAVIOURS)
    hosts = [RecordingHost() for _ in range(6)]
    loops = [rig.begin(program, "loop", host=host) for host in hosts]
    for _ in range(5):
        assert rig.run(program, "fine").result == 42
    while min(host.ticks for host in hosts) < 2:  # each had its slices
        assert rig.run(program, "fine").result == 42
    for loop in loops:
        loop.execution.kill("terminated", "enough")
    for loop in loops:
        crash = loop.closed().crash
        assert crash is not None
        assert (crash.reason, crash.message) == ("terminated", "enough")


def test_the_deadline_counts_running_time_only(rig: Rig) -> None:
    limits = ExecutionLimits(fuel=LIMITS.fuel, memory_bytes=LIMITS.memory_bytes, deadline_s=0.03)
    program = rig.load(IMPORTING, is_ask)
    running = rig.begin(program, "ask-then-loop", host=suspends(), limits=limits)
    running.waiting()
    threading.Event().wait(0.05)  # longer than the deadline, while it waits
    assert not running.has_more
    running.execution.resume("now loop")
    crash = running.closed().crash
    assert crash is not None
    assert crash.reason == "deadline"


@pytest.mark.slow
def test_what_a_host_function_takes_is_none_of_the_guests_time(rig: Rig) -> None:
    def compiles_for_a_while(*_: object) -> str:
        threading.Event().wait(0.7)
        return "now loop"

    limits = ExecutionLimits(fuel=5_000_000, memory_bytes=LIMITS.memory_bytes, deadline_s=0.5)
    closed = rig.run(
        rig.load(IMPORTING, is_ask), "ask-then-loop", host=RecordingHost(compiles_for_a_while), limits=limits
    )

    assert closed.crash is not None
    assert closed.crash.reason == "fuel"


def test_killing_works_while_queued_running_waiting_and_after(rig: Rig) -> None:
    program = rig.load(IMPORTING, is_ask)
    host = suspends()
    for _ in range(20):  # killed at once: queued or running, whichever it is by then
        running = rig.begin(program, "ask-then-loop", host=host)
        running.execution.kill("terminated", "at once")
        rest = running.rest()
        closed = running.closed() if isinstance(rest, Waiting) else rest
        assert closed.crash is not None
        assert closed.crash.message == "at once"
        running.execution.kill("terminated", "again")
        running.execution.resume("too late")
        assert not running.has_more
    waiting = rig.begin(program, "ask", 1, host=host)
    waiting.waiting()
    waiting.execution.kill("deadline", "waited too long")
    crash = waiting.closed().crash
    assert crash is not None
    assert (crash.reason, crash.message) == ("deadline", "waited too long")


def test_a_call_killed_from_within_its_own_report_closes_after_it(rig: Rig) -> None:
    order: list[str] = []

    def hear(running: Running, rest: Resting) -> None:
        order.append(type(rest).__name__)
        if isinstance(rest, Waiting):
            running.execution.kill("terminated", "while it reports")
            order.append("reported")

    host = suspends()
    running = rig.begin(rig.load(IMPORTING, is_ask), "ask", 1, host=host, hear=hear)
    running.waiting()
    assert running.closed().crash is not None
    assert order == ["Waiting", "reported", "Closed"]


def test_closing_ends_every_call_and_joins_the_threads(tmp_path_factory: pytest.TempPathFactory) -> None:
    rig = Rig(tmp_path_factory.mktemp("closing"))
    program = rig.load(IMPORTING, is_ask)
    suspended = [rig.begin(program, "ask", 1, host=suspends()) for _ in range(100)]
    for running in suspended:
        running.waiting()
    loop = rig.begin(rig.load(MISBEHAVIOURS), "loop")
    rig.close()
    for running in [*suspended, loop]:
        crash = running.closed().crash
        assert crash is not None
        assert crash.reason == "terminated"
    assert not set(threading.enumerate()) & set(rig.engine._workers._threads)
    with pytest.raises(InternalError, match="closed"):
        rig.begin(program, "ask", 1)
    rig.close()


def test_a_report_that_raises_does_not_take_its_worker_down(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    raised = threading.Event()

    def hook(args: threading.ExceptHookArgs) -> None:
        seen.append(str(args.exc_value))
        raised.set()

    def hear(_running: Running, _rest: Resting) -> None:
        raise ValueError("nobody takes the answer")

    monkeypatch.setattr(threading, "excepthook", hook)
    program = rig.load(ACTOR)
    rig.begin(program, "count", hear=hear)
    assert raised.wait(10)
    assert seen == ["nobody takes the answer"]
    assert rig.run(program, "count").result == 1


SPIN = """(component
  (core module $m (func (export "spin") (param i32)
    (loop $more (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $more (local.get 0)))))
  (core instance $i (instantiate $m))
  (func (export "spin") (param "n" u32) (canon lift (core func $i "spin"))))"""


@pytest.mark.slow
def test_fuel_is_the_same_however_often_a_guest_was_interrupted(rig: Rig) -> None:
    program = rig.load(SPIN)
    rig.run(program, "spin", 1)
    for turns in (1_000, 100_000, 1_000_000, 3_000_000):
        runs = [rig.begin(program, "spin", turns) for _ in range(8)]  # they share two workers, and take turns
        used = {run.closed().fuel_used for run in runs}
        assert len(used) == 1
        assert used.pop() - rig.run(program, "spin", 1).fuel_used == (turns - 1) * 6
