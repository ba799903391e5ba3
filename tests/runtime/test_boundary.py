"""The boundary: what is asked live, what is recorded of it, and what is done again from the record."""

from __future__ import annotations

import pytest

from tests.runtime.played import INTERFACE, OTHER, SECOND_US, Chain, World, call, own_id
from theater.model.crash import StepCrash
from theater.model.effects import Reply, Request, Send, Shutdown
from theater.model.execution import SUSPEND
from theater.model.header import format_time
from theater.model.limits import Limits
from theater.model.payload import HostCall, Intent, encode_payload
from theater.testing.chains import START_US


def assert_diverges(chain: Chain, name: str, argument: str, *, got: str = "") -> None:
    boundary, tape = chain.played()
    with pytest.raises(StepCrash) as caught:
        call(boundary, name, argument)
    assert caught.value.crash.reason == "diverged"
    assert tape.divergence is not None
    assert got in tape.divergence.got
    assert list(boundary.context.effects) == []


# -- buffered --------------------------------------------------------------------------------------------------------


def test_a_buffered_call_is_decided_live_recorded_and_then_done() -> None:
    chain, world = Chain(), World()
    boundary = chain.live(world)

    assert call(boundary, "send", "a") == ("ok", own_id(0))
    assert call(boundary, "send", "b") == ("ok", own_id(1))

    assert list(boundary.context.effects) == [Send(own_id(0), OTHER, "a"), Send(own_id(1), OTHER, "b")]
    assert chain.said == [
        ("host", HostCall(answer={"ok": own_id(0)}, arguments=["a"])),
        ("host", HostCall(answer={"ok": own_id(1)}, arguments=["b"])),
    ]
    assert world.asked == ["send a", "send b"]


def test_a_buffered_call_is_done_again_from_the_record_and_nobody_is_asked() -> None:
    chain = Chain()
    live = chain.live()
    answers = [call(live, "send", "a"), call(live, "spawn", "here")]

    again, tape = chain.played()

    assert [call(again, "send", "a"), call(again, "spawn", "here")] == answers
    assert list(again.context.effects) == list(live.context.effects)
    assert tape.finish() is None


def test_a_resumed_step_does_again_what_is_recorded_and_decides_the_rest() -> None:
    chain, world = Chain(), World()
    call(chain.live(), "send", "a")

    boundary = chain.resumed(world)

    assert call(boundary, "send", "a") == ("ok", own_id(0))
    assert call(boundary, "send", "b") == ("ok", own_id(1))
    assert world.asked == ["send b"]
    assert list(boundary.context.effects) == [Send(own_id(0), OTHER, "a"), Send(own_id(1), OTHER, "b")]
    assert len(chain.events) == 2


def test_a_denied_call_is_recorded_does_nothing_and_takes_an_id_all_the_same() -> None:
    chain = Chain()
    boundary = chain.live(World(refuses=True))

    assert call(boundary, "send", "a") == ("err", "nobody there")

    assert chain.said == [("host", HostCall(answer={"err": "nobody there"}, arguments=["a"]))]
    again = chain.resumed()
    assert call(again, "send", "a") == ("err", "nobody there")
    assert call(again, "send", "b") == ("ok", own_id(1))
    assert list(again.context.effects) == [Send(own_id(1), OTHER, "b")]


def test_other_arguments_than_the_recorded_ones_are_a_divergence() -> None:
    chain = Chain()
    call(chain.live(), "send", "a")

    assert_diverges(chain, "send", "b", got='"b"')


# -- what was read to decide -----------------------------------------------------------------------------------------


def test_what_was_read_to_decide_is_recorded_and_there_when_the_call_is_done_again() -> None:
    chain = Chain()
    live = chain.live()

    assert call(live, "spawn", "here") == ("ok", own_id(0))

    assert chain.said == [
        ("host", HostCall(answer={"ok": own_id(0)}, arguments=["here"], read={"manifest": "of here"}))
    ]
    again, _ = chain.played()
    call(again, "spawn", "here")
    assert list(again.context.effects) == [Reply(own_id(0), "here: of here")] == list(live.context.effects)
    assert again.context.note is None


def test_a_record_without_what_was_read_cannot_be_done_again() -> None:
    chain = Chain()
    call(chain.live(), "spawn", "here")
    boundary, _ = chain.forged(1, read=None).played()

    with pytest.raises(StepCrash, match="does not say what was read") as caught:
        call(boundary, "spawn", "here")

    assert caught.value.crash.reason == "diverged"


# -- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["send", "spawn"])
def test_a_record_that_gave_another_id_out_is_a_divergence(name: str) -> None:
    chain = Chain()
    call(chain.live(), name, "a")

    assert_diverges(chain.forged(1, answer={"ok": "f" * 32}), name, "a", got=own_id(0))


def test_a_channel_under_another_id_is_a_divergence_and_a_reply_is_no_id() -> None:
    chain = Chain()
    boundary = chain.live()
    assert call(boundary, "open", "a") is SUSPEND
    answer = ("ok", {"id": own_id(0), "reply": "yes"})
    assert boundary.wake(START_US + 500, answer) == answer

    again, _ = chain.played()
    assert call(again, "open", "a") == answer

    said = {"arguments": None, "now": format_time(START_US + 500), "intent": 1}
    forged = chain.forged(2, answer={"ok": {"id": "f" * 32, "reply": "yes"}}, **said)
    assert_diverges(forged, "open", "a", got=own_id(0))


def test_a_function_that_gives_no_id_has_none() -> None:
    boundary = Chain().live()

    with pytest.raises(AssertionError):
        _ = boundary.context.call_id


# -- reads -----------------------------------------------------------------------------------------------------------


def test_a_read_is_answered_from_the_record() -> None:
    chain = Chain()
    call(chain.live(), "peek", "a")
    boundary, tape = chain.played()

    assert call(boundary, "peek", "a") == ("ok", "a")
    with pytest.raises(StepCrash):
        call(boundary, "peek", "a")

    assert tape.divergence is not None
    assert (tape.divergence.seq, tape.divergence.expected) == (2, "the end of the step")


@pytest.mark.parametrize("name", ["peek", "send", "request"])
@pytest.mark.parametrize(("limits", "reason"), [(Limits(events_per_step=1), "events"), (Limits(), "bytes")])
def test_an_answer_that_was_not_recorded_since_a_limit_struck(name: str, limits: Limits, reason: str) -> None:
    chain = Chain(limits=limits)
    call(chain.live(), "peek", "a")
    boundary, tape = chain.played(outgrew=reason == "bytes")
    call(boundary, "peek", "a")

    with pytest.raises(StepCrash) as caught:
        call(boundary, name, "b")

    assert caught.value.crash.reason == reason
    assert tape.finish() is None


# -- waiting for others ----------------------------------------------------------------------------------------------


def answered(at_us: int = START_US + 500, answer: tuple[str, str] = ("ok", "hello")) -> Chain:
    """A chain with a request that was answered."""
    chain = Chain()
    boundary = chain.live()
    assert call(boundary, "request", "hi") is SUSPEND
    assert boundary.wake(at_us, answer) == answer
    return chain


def test_a_request_has_an_intent_and_shows_what_is_to_be_sent() -> None:
    chain, world = Chain(), World()
    boundary = chain.live(world)

    assert call(boundary, "request", "hi") is SUSPEND

    pending = boundary.pending
    assert pending is not None
    assert pending.wait.effect == Request(own_id(0), OTHER, "hi", START_US + 30 * SECOND_US)
    assert (pending.intent_seq, pending.is_resumed) == (1, False)
    assert chain.said == [("intent", Intent(arguments=["hi"]))]
    assert world.asked == ["request hi"]
    assert list(boundary.context.effects) == []


def test_an_answer_is_recorded_with_its_time_and_given() -> None:
    chain = answered(START_US + 500)

    assert chain.said[1:] == [
        ("host", HostCall(answer={"ok": "hello"}, now=format_time(START_US + 500), intent=1)),
    ]
    again, tape = chain.played()
    assert call(again, "request", "hi") == ("ok", "hello")
    assert again.context.now_us == START_US + 500
    assert tape.finish() is None


def test_an_answer_that_never_came_is_a_timeout_at_its_time() -> None:
    boundary = Chain().live()
    call(boundary, "request", "hi")

    assert boundary.wake(START_US) == ("err", "timeout")
    assert boundary.context.now_us == START_US + 30 * SECOND_US


def test_an_answer_is_never_earlier_than_the_question() -> None:
    boundary = Chain().live()
    call(boundary, "request", "hi")

    boundary.wake(START_US - 500, ("ok", "hello"))

    assert boundary.context.now_us == START_US


def test_a_request_that_cannot_be_made_has_no_intent_and_is_refused_again_from_the_record() -> None:
    chain = Chain()
    refused = ("err", "not running")

    assert call(chain.live(World(refuses=True)), "request", "hi") == refused

    assert chain.said == [("host", HostCall(answer={"err": "not running"}, arguments=["hi"]))]
    world = World()
    again = chain.resumed(world)
    assert call(again, "request", "hi") == refused
    assert world.asked == []
    assert call(again, "request", "hi") is SUSPEND
    assert again.pending is not None
    assert again.pending.wait.effect == Request(own_id(1), OTHER, "hi", START_US + 30 * SECOND_US)


def test_an_answer_without_a_question_is_a_divergence() -> None:
    chain = Chain([("host", f"{INTERFACE}#request", encode_payload(HostCall(answer={"ok": "yes"}, arguments=["hi"])))])

    assert_diverges(chain, "request", "hi", got="intent")


def test_a_question_that_was_refused_in_the_record_of_another_one_is_a_divergence() -> None:
    refusal = encode_payload(HostCall(answer={"err": "no"}, arguments=["other"]))

    assert_diverges(Chain([("host", f"{INTERFACE}#request", refusal)]), "request", "hi")
    assert_diverges(Chain([("host", f"{INTERFACE}#peek", refusal)]), "request", "hi")


def test_an_interrupted_wait_is_joined() -> None:
    chain, world = answered().until(1), World(refuses=True)
    boundary = chain.resumed(world)

    assert call(boundary, "request", "hi") is SUSPEND

    assert boundary.pending is not None
    assert boundary.pending.is_resumed
    assert boundary.pending.wait.effect == Request(own_id(0), OTHER, "hi", START_US + 30 * SECOND_US)
    assert world.asked == [], "whether it could be asked was decided before"
    assert boundary.wake(START_US + 700, ("ok", "late")) == ("ok", "late")
    assert chain.said[1] == ("host", HostCall(answer={"ok": "late"}, now=format_time(START_US + 700), intent=1))


def test_an_answer_that_came_before_the_interruption_is_given_at_once() -> None:
    chain = answered()
    boundary = chain.resumed()

    assert call(boundary, "request", "hi") == ("ok", "hello")
    assert boundary.pending is None
    assert len(chain.events) == 2


def test_a_question_whose_answer_the_record_lacks_is_a_divergence() -> None:
    assert_diverges(answered().until(1), "request", "hi", got="host")


@pytest.mark.parametrize("now_us", [START_US - 1, START_US + 2001])
def test_an_answer_from_before_the_question_or_behind_its_own_event_is_a_divergence(now_us: int) -> None:
    forged = answered().forged(2, answer={"ok": "x"}, arguments=None, now=format_time(now_us), intent=1)

    assert_diverges(forged, "request", "hi", got="a wait that ended between")


def test_an_answer_without_its_intent_is_a_divergence() -> None:
    forged = answered().forged(2, answer={"ok": "x"}, arguments=None, now=format_time(START_US), intent=None)

    assert_diverges(forged, "request", "hi")


# -- what waiting costs ----------------------------------------------------------------------------------------------


def test_a_wait_costs_what_it_took_and_no_more() -> None:
    chain = Chain(limits=Limits(wait_s=31))
    boundary = chain.live()
    call(boundary, "request", "hi")
    boundary.wake(START_US + 2 * SECOND_US, ("ok", "hello"))

    call(boundary, "request", "hi")

    assert boundary.pending is not None
    assert boundary.pending.until_us == START_US + 31 * SECOND_US
    assert boundary.wake(START_US + 99 * SECOND_US) == ("err", "wait-exhausted")
    assert call(boundary, "sleep", "1") is SUSPEND
    assert boundary.wake(0) == ("err", "wait-exhausted")


def test_a_wait_that_was_woken_late_costs_no_more_than_it_was_to_take() -> None:
    boundary = Chain(limits=Limits(wait_s=10)).live()
    call(boundary, "sleep", "1")
    boundary.wake(START_US + 50 * SECOND_US)

    call(boundary, "sleep", "9")

    assert boundary.pending is not None
    assert boundary.pending.until_us == START_US + 59 * SECOND_US
    assert boundary.wake(0) == ("ok", "")


# -- the context -----------------------------------------------------------------------------------------------------


def test_nobody_can_be_asked_in_a_step_that_is_run_again() -> None:
    boundary, _ = Chain().played()

    with pytest.raises(AssertionError):
        _ = boundary.context.system


def test_the_last_shutdown_counts() -> None:
    context = Chain().live().context
    assert (context.has_shutdown, context.value) == (False, None)

    context.act(Shutdown("1"))
    context.act(Send("x", OTHER, "1"))
    context.act(Shutdown("2"))

    assert (context.has_shutdown, context.value) == (True, "2")
