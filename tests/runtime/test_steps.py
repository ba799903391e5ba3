"""A step is atomic: it is committed before anybody hears of it, and what failed leaves nothing but its record."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.guests import CHATTY, LEAVE, NAPS, QUIT
from tests.runtime.inside import inner, settle
from tests.runtime.stage import Gate, Stage, Workshop
from theater.errors import Crashed, MailboxFull, NotRunning, Refused, StoreError
from theater.model.payload import CrashedPayload, Message, RefusedPayload, State
from theater.runtime.letter import Letter, nobody
from theater.runtime.loading import HANDLE

BY_ONE = '{"by":1}'


def test_a_step_is_a_message_and_its_closing_event(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)

    reply = actor.request_json('{"by":2}')

    assert actor.kinds() == ["genesis", "started", "message", "state", "message", "state"]
    assert reply.text == '{"count":2}'
    assert (reply.receipt.seq, reply.receipt.hash) == (5, actor.events()[5].hash)
    assert actor.verify().ok


def test_the_message_event_says_what_the_step_could_know(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, params='{"start":5}')

    actor.request_json('{"by":2}')

    init, message = actor.payloads("message")
    assert isinstance(init, Message)
    assert isinstance(message, Message)
    assert (init.id, init.export, init.arguments, init.state) == (
        "init-0",
        "theater:actor/actor#init",
        ['{"start":5}'],
        None,
    )
    body = {"id": message.id, "sender": None, "expects-reply": True, "body": '{"by":2}'}
    assert (message.export, message.arguments, message.state) == ("theater:actor/actor#handle", [body], 3)
    assert len(bytes.fromhex(message.seed)) == 32
    assert init.seed != message.seed


def test_the_state_is_left_out_where_it_did_not_change(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)

    actor.request_json('{"by":0}')
    actor.request_json('{"by":3}')

    _, same, other = actor.payloads("state")
    assert isinstance(same, State)
    assert isinstance(other, State)
    assert (same.state, same.reply) == (None, '{"count":0}')
    assert (other.state, other.reply) == ('{"count":3}', '{"count":3}')
    assert actor.ref.state() == (7, '{"count":3}')


def test_no_reply_is_no_text(stage: Stage) -> None:
    assert stage.play(wat.SILENT).start_send("1").result().text is None
    leaving = stage.play(LEAVE, name="leaving")
    assert leaving.request("anything") is None  # it ends with this, so nothing more will come
    assert leaving.status == "stopped"


def test_a_request_that_was_handled_without_a_reply_waits_for_one(stage: Stage) -> None:
    actor = stage.play(wat.SILENT)
    pending = actor.start_request("1")
    settle(actor)

    assert actor.kinds()[-2:] == ["message", "state"]
    assert not pending.is_done

    actor.stop()
    with pytest.raises(NotRunning):
        pending.result()
    assert actor.verify().ok
    last = actor.payloads("state")[-1]
    assert isinstance(last, State)
    assert last.reply is None


def test_a_refusal_leaves_the_state_and_the_actor_lives(stage: Stage) -> None:
    actor = stage.play(wat.MOODY)
    actor.request_json('{"by":3}')

    with pytest.raises(Refused, match=r"^not today$"):
        actor.request_json('"refuse"')

    assert actor.status == "running"
    assert actor.state == '{"count":3}'
    (refused,) = actor.payloads("refused")
    assert isinstance(refused, RefusedPayload)
    assert refused.text == "not today"
    assert refused.fuel > 0
    assert actor.request({"by": 1}) == {"count": 4}
    assert actor.verify().ok


@pytest.mark.parametrize(("word", "reason"), [("trap", "trap"), ("deep", "stack"), ("not-json", "not-json")])
def test_a_crash_leaves_the_last_state_and_the_actor_crashed(stage: Stage, word: str, reason: str) -> None:
    actor = stage.play(wat.MOODY)
    actor.request_json('{"by":3}')

    with pytest.raises(Crashed) as caught:
        actor.request_json(f'"{word}"')

    assert caught.value.data["reason"] == reason
    assert actor.status == "crashed"
    assert actor.state == '{"count":3}'
    (crashed,) = actor.payloads("crashed")
    assert isinstance(crashed, CrashedPayload)
    assert crashed.reason == reason
    with pytest.raises(NotRunning):
        actor.request_json(BY_ONE)
    assert actor.verify().ok


def test_an_actor_that_crashed_goes_on_from_its_last_committed_state(stage: Stage) -> None:
    actor = stage.play(wat.MOODY)
    actor.request_json('{"by":3}')
    with pytest.raises(Crashed):
        actor.request_json('"trap"')

    actor.restart()

    assert actor.request({"by": 4}) == {"count": 7}
    assert "restarted" in actor.kinds()
    assert actor.verify().ok


def test_what_a_step_logged_stays_recorded_when_it_crashes(stage: Stage) -> None:
    actor = stage.play(wat.LOG_THEN_TRAP)

    with pytest.raises(Crashed):
        actor.request_json("1")

    assert actor.kinds()[-3:] == ["message", "log", "crashed"]
    assert actor.verify().ok


def test_what_a_step_asked_for_does_not_happen_when_it_refuses(stage: Stage) -> None:
    actor = stage.play(QUIT)

    with pytest.raises(Refused):
        actor.request_json('"refuse"')

    assert actor.status == "running"
    assert actor.kinds()[-3:] == ["message", "host", "refused"]
    assert actor.verify().ok


def test_what_a_step_asked_for_does_not_happen_when_it_crashes(stage: Stage) -> None:
    actor = stage.play(QUIT)

    with pytest.raises(Crashed):
        actor.request_json('"trap"')

    assert actor.status == "crashed"
    assert actor.kinds()[-3:] == ["message", "host", "crashed"]
    assert actor.verify().ok


# -- commit before reply ---------------------------------------------------------------------------------------------


def test_nobody_hears_of_a_step_before_it_is_committed(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(CHATTY)
        with gate.held():
            first = actor.start_request("1")
            second = actor.start_request("2")
            third = actor.start_send("3")
            assert inner(actor).wait_idle(10.0)
            assert not any(each.is_done for each in (first, second, third))
            assert gate.arrived.wait(10.0)

            # all three have run; none is committed, none has been answered, and nobody is shown what they made
            assert actor.head.seq == 15
            assert not any(each.is_done for each in (first, second, third))
            assert len(actor.events()) == 4
            assert actor.state == "{}"

        assert first.result().text == "1"
        assert second.result().text == "2"
        assert third.result().receipt.seq == 15
        assert actor.state == '{"count":3}'
        assert actor.verify().ok


def test_steps_behind_an_uncommitted_one_come_behind_it_in_the_chain(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(wat.COUNTER)
        with gate.held():
            pending = [actor.start_request(BY_ONE) for _ in range(5)]
            assert inner(actor).wait_idle(10.0)
        texts = [each.result().text for each in pending]

    assert texts == [f'{{"count":{n}}}' for n in range(1, 6)]


def test_the_answers_come_in_the_order_of_the_chain(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    heard: list[int] = []
    done = threading.Event()

    def hear(number: int, last: int) -> None:
        heard.append(number)
        if number == last:
            done.set()

    message = {"id": "m", "sender": None, "expects-reply": True, "body": BY_ONE}
    for number in range(20):
        letter = Letter("m", "test", HANDLE, (message,), True, lambda _, n=number: hear(n, 19))  # type: ignore[misc]  # a default binds n
        inner(actor).submit(letter)

    assert done.wait(10.0)
    assert heard == list(range(20))


def test_a_full_disk_in_mid_step_is_the_askers_error_and_the_state_does_not_advance(
    workshop: Workshop, tmp_path: Path
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(wat.COUNTER, name="full")
        other = stage.play(wat.COUNTER, name="other")
        actor.request_json(BY_ONE)
        failing = inner(actor)
        gate.is_full = True
        for _ in range(2):  # the second one finds it anew
            with pytest.raises(StoreError, match="full") as caught:
                actor.request_json(BY_ONE)
            assert caught.value.code == "disk-full"
        gate.is_full = False

        assert failing.state[1] == actor.state == '{"count":1}'
        assert failing.failure is not None
        assert not failing.submit(Letter("m", "test", HANDLE, (), False, nobody, has_place=True))
        assert len(actor.events()) == 6
        assert other.request({"by": 1}) == {"count": 1}

        stage.reopen()
        again = stage.actor("full")
        assert again.state == '{"count":1}'
        assert again.request({"by": 1}) == {"count": 2}
        assert again.verify().ok


def test_everybody_who_waits_hears_of_a_full_disk(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(wat.COUNTER)
        with gate.held():
            pending = [actor.start_request(BY_ONE) for _ in range(3)]
            gate.is_full = True
        for each in pending:
            with pytest.raises(StoreError, match="full"):
                each.result()


def test_a_letter_behind_a_step_that_cannot_be_recorded_hears_of_it(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(NAPS, capabilities={"timing": {}})
        with gate.held():  # its intent cannot be committed, so it does not begin to wait
            pending = [actor.start_request("{}") for _ in range(3)]
            gate.is_full = True

        for each in pending:
            with pytest.raises(StoreError, match="full"):
                each.result(timeout_s=10.0)
        assert stage.clock.timers == ()


def test_a_letter_that_waits_in_a_paused_actor_hears_of_a_full_disk(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(wat.COUNTER)
        actor.pause()
        pending = actor.start_request(BY_ONE)
        gate.is_full = True
        with pytest.raises(StoreError, match="full"):
            actor.resume()

        with pytest.raises(StoreError, match="full"):
            pending.result(timeout_s=10.0)


def test_a_slow_commit_of_one_actor_holds_up_no_other(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, workers=2) as stage:
        slow = stage.play(wat.COUNTER, name="slow")
        other = stage.play(wat.COUNTER, name="other")
        with gate.held():
            first = slow.start_request(BY_ONE)
            assert gate.arrived.wait(10.0)
            second = other.start_request(BY_ONE)
            ran = inner(other).wait_idle(0.2)
        first.result()
        second.result()

        assert ran


# -- the mailbox -----------------------------------------------------------------------------------------------------


def test_a_full_mailbox_refuses_and_keeps_what_it_has(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER, limits={"mailbox": 2})
    actor.pause()
    waiting = [actor.start_request(BY_ONE) for _ in range(2)]

    with pytest.raises(MailboxFull):
        actor.request_json(BY_ONE)

    actor.resume()
    assert [each.result().text for each in waiting] == ['{"count":1}', '{"count":2}']
    assert actor.request({"by": 1}) == {"count": 3}


@pytest.mark.slow
def test_messages_are_taken_in_the_order_in_which_they_came(stage: Stage) -> None:
    actor = stage.play(wat.REMEMBER, params="0")
    actor.pause()
    waiting = [actor.start_request(str(n)) for n in range(1, 30)]
    actor.resume()

    assert [each.result().text for each in waiting] == [str(n) for n in range(29)]


def test_a_letter_for_nobody_is_taken_as_any_other(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    message = {"id": "m", "sender": None, "expects-reply": False, "body": BY_ONE}

    inner(actor).submit(Letter("m", "test", HANDLE, (message,), False, nobody))

    assert actor.request({"by": 1}) == {"count": 2}
