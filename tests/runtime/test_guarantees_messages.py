"""What is promised of messages and requests between actors, each promise looked at for itself."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER, FULL_ANSWER
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, NotRunning, Refused
from theater.model.ids import derived_id
from theater.model.payload import Message
from theater.runtime.python_values import to_json

KEPT = puppet.log("kept")


def tokens(company: Troupe, name: str) -> list[str]:
    return puppet.log_of(company.find(name).state or "0")


def asking(to: str, body: str, timeout_ms: int | None = None) -> str:
    """Asks, and replies what came of it."""
    return puppet.request(to, body, timeout_ms) + puppet.reply(FULL_ANSWER)


# -- order, and ids --------------------------------------------------------------------------------------------------


def test_a_request_overtakes_the_sends_of_its_own_step(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    program = puppet.send(bert.id, puppet.log("sent")) + puppet.request(bert.id, puppet.log("asked"))

    anna.request(program + puppet.send(bert.id, puppet.log("later")) + puppet.reply("ok"))
    company.rest()

    assert tokens(company, "bert") == ["asked", "sent", "later"]


def test_requests_of_one_actor_arrive_in_the_order_in_which_they_were_made(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    bert.pause()
    asked = company.begin(anna, "".join(asking(bert.id, puppet.log(str(number)), 1000) for number in range(3)))
    for _ in range(3):
        company.rest()
        company.stage.clock.advance(1)
    assert asked.result().text == '"err:timeout"'

    bert.resume()
    company.rest()

    assert tokens(company, "bert") == ["0", "1", "2"]


def test_the_ids_that_a_step_gives_out_follow_from_its_message_and_their_number(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    manifest = company.manifest("carl")
    calls = (
        puppet.send(bert.id, ""),
        puppet.send("0" * 32, ""),  # it fails, and takes an id all the same
        puppet.spawn(puppet.child(manifest)),
        puppet.schedule(1000, ""),
        puppet.send(bert.id, ""),
    )
    anna.request("".join(call + puppet.log(ANSWER) for call in calls) + puppet.reply("ok"))
    company.rest()

    message = anna.payloads("message")[-1]
    assert isinstance(message, Message)
    expected = [derived_id(anna.id, message.id, index) for index in range(len(calls))]
    assert tokens(company, "anna") == [expected[0], "err:not-found", *expected[2:]]
    assert len(set(expected)) == len(calls)


# -- what becomes of a message ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refuse", "crash"])
@pytest.mark.slow
def test_a_message_over_which_an_actor_failed_is_not_handled_again(company: Troupe, how: str) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    failing = puppet.log("begun") + (puppet.refuse("no") if how == "refuse" else puppet.trap())
    anna.request(puppet.send(bert.id, failing) + puppet.reply("ok"))
    company.rest()

    company.stage.reopen()
    bert = company.find("bert")
    if how == "crash":
        assert bert.status == "crashed"
        bert.restart()
    company.rest()

    assert (bert.status, bert.state) == ("running", "0")
    assert bert.kinds().count("message") == 2
    assert not company.stage.runtime.store.entries(bert.id, "mailbox")


@pytest.mark.parametrize("how", ["stop", "crash", "shutdown", "restart"])
@pytest.mark.slow
def test_requests_that_wait_or_were_deferred_are_answered_when_their_actor_ends(company: Troupe, how: str) -> None:
    boss, anna, carl = company.boss(), company.player("anna"), company.player("carl")
    bert = company.child(boss, "bert", restart="permanent" if how == "restart" else "temporary")
    deferred = company.begin(anna, asking(bert.id, puppet.remember()))
    outside = company.begin(bert, puppet.defer())
    company.rest()
    ends = {"crash": puppet.trap(), "restart": puppet.trap(), "shutdown": puppet.shutdown("bye")}
    last = company.begin(bert, puppet.sleep(1000) + ends.get(how, ""))
    company.stage.clock.wait_for_timers(2)
    waiting = company.begin(carl, asking(bert.id, ""))
    bert.send(KEPT)
    company.rest()

    stopping = bert.start_stop() if how == "stop" else None
    company.stage.clock.advance(1)
    if how in ("crash", "restart"):
        with pytest.raises(Crashed):
            last.result()
    else:
        last.result()
    if stopping is not None:
        stopping.result()

    assert deferred.result().text == waiting.result().text == f'"err:not-running:{bert.id}"'
    with pytest.raises(NotRunning):
        outside.result()
    company.rest()
    assert not company.stage.runtime.store.entries(bert.id, "deferred")
    if how == "restart":
        assert (bert.status, tokens(company, "bert")[-1]) == ("running", "kept")  # what was only sent is handled


# -- waiting for an answer -------------------------------------------------------------------------------------------


def test_a_deferred_answer_closes_a_circle_as_any_other_does(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    asked = company.begin(anna, asking(bert.id, puppet.remember()))
    company.rest()

    assert bert.request(asking(anna.id, "")) == f"err:cycle:{bert.id},{anna.id}"
    bert.request(puppet.answer_first("late"))

    assert asked.result().text == '"\\"late\\""'
    assert bert.request(asking(anna.id, puppet.reply("pong"))) == '"pong"'


@pytest.mark.parametrize(("wait", "problem"), [("60s", "timeout"), ("1s", "wait-exhausted")])
@pytest.mark.slow
def test_a_wait_ends_at_its_own_time_or_when_the_step_has_waited_enough(
    company: Troupe, wait: str, problem: str
) -> None:
    anna, bert = company.player("anna", limits=f'wait = "{wait}"'), company.player("bert")
    bert.pause()
    asked = company.begin(anna, asking(bert.id, puppet.log("handled") + puppet.reply("too late"), 2000))
    company.rest()
    company.stage.clock.advance(1 if problem == "wait-exhausted" else 2)
    assert asked.result().text == f'"err:{problem}"'

    bert.resume()
    company.rest()

    assert tokens(company, "bert") == ["handled"]  # whose answer is for nobody
    assert not company.stage.runtime.store.entries(anna.id, "answer")
    assert anna.request(asking(bert.id, puppet.reply("in time"))) == '"in time"'


@pytest.mark.slow
def test_an_actor_defers_no_more_requests_than_its_limit(company: Troupe) -> None:
    anna, carl = company.player("anna"), company.player("carl")
    bert = company.player("bert", limits="outstanding = 1")
    asked = company.begin(anna, asking(bert.id, puppet.remember()))
    company.rest()

    assert carl.request(asking(bert.id, "")) == "err:too-many:1"
    bert.request(puppet.answer_first("done"))

    assert asked.result().text == '"\\"done\\""'
    assert carl.request(asking(bert.id, puppet.reply("pong"))) == '"pong"'


@pytest.mark.slow
def test_a_deferred_request_can_be_refused(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    asked = company.begin(anna, asking(bert.id, puppet.remember()))
    company.rest()

    bert.request(puppet.cancel(puppet.FIRST, "not today") + puppet.drop_first())

    assert asked.result().text == '"err:refused:not today"'
    company.rest()
    assert tokens(company, "bert") == []
    assert not company.stage.runtime.store.entries(bert.id, "deferred")


@pytest.mark.slow
def test_an_answer_that_was_given_in_a_step_that_failed_was_not_given(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    asked = company.begin(anna, asking(bert.id, puppet.remember()))
    company.rest()
    with pytest.raises(Refused):
        bert.request(puppet.answer_first("wrong") + puppet.refuse("no"))
    company.rest()
    assert not asked.is_done

    bert.request(puppet.answer_first("right"))

    assert asked.result().text == '"\\"right\\""'


def test_an_answer_to_one_whose_step_was_terminated_leaves_nothing_behind(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    asked = company.begin(anna, asking(bert.id, puppet.remember()))
    company.rest()
    anna.terminate()
    with pytest.raises(Crashed, match="terminated"):
        asked.result()

    bert.request(puppet.answer_first("late"))
    company.rest()

    assert company.stage.runtime.store.holders("answer", "deferred", "mailbox") == []


@pytest.mark.slow
@pytest.mark.parametrize("when", ["in the mailbox", "deferred", "answered while nobody runs"])
def test_a_request_between_actors_survives_a_restart_of_the_node(company: Troupe, when: str) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    if when == "in the mailbox":
        bert.pause()
    asked = company.begin(anna, puppet.request(bert.id, puppet.remember(), 50_000) + puppet.log(ANSWER))
    company.rest()

    company.stage.reopen()
    with pytest.raises(NotRunning, match="closed"):
        asked.result()
    bert = company.find("bert")
    if when == "in the mailbox":
        bert.resume()
    company.rest()
    assert tokens(company, "anna") == []
    bert.request(puppet.answer_first("late"))
    if when == "answered while nobody runs":
        company.stage.reopen()
    company.rest()

    assert tokens(company, "anna") == ['"late"']
    assert tokens(company, "bert") == []
    assert company.stage.runtime.store.holders("answer", "deferred", "mailbox") == []


@pytest.mark.slow
def test_a_deferred_request_is_answered_when_its_actor_begins_anew_while_it_runs(company: Troupe) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    asked = anna.start_request(to_json(puppet.request(bert.id, puppet.defer()) + puppet.reply(FULL_ANSWER)))
    company.rest()

    company.stage.run(bert.ref.restart(from_init=True))

    assert asked.result().text == f'"err:not-running:{bert.id}"'
    company.rest()
    company.verify()
