"""Actors that send each other messages, and ask each other."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER, FULL_ANSWER
from tests.runtime.stage import Stage
from tests.runtime.troupe import Troupe
from theater.runtime.python_values import to_json


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def test_what_is_sent_arrives_once_and_in_order(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")

    program = "".join(puppet.send(bert.id, puppet.log(str(number))) for number in range(20))
    anna.request(program + puppet.reply(ANSWER))
    troupe.rest()

    assert puppet.log_of(bert.state or "") == [str(number) for number in range(20)]
    troupe.verify()


def test_a_request_is_answered(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")

    assert anna.request(puppet.request(bert.id, puppet.reply("pong")) + puppet.reply(ANSWER)) == '"pong"'
    troupe.rest()
    troupe.verify()


def test_a_request_that_is_refused_crashes_or_finds_nobody_is_an_error_value(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")

    def ask(body: str, to: str = bert.id) -> object:
        return anna.request(puppet.request(to, body) + puppet.reply(FULL_ANSWER))

    assert ask(puppet.refuse("no")) == "err:refused:no"
    assert ask("", "f" * 32) == f"err:not-found:{'f' * 32}"
    assert ask(puppet.trap()) == "err:crashed:trap"
    assert ask("") == f"err:not-running:{bert.id}"
    troupe.rest()
    troupe.verify()


@pytest.mark.slow
def test_a_deferred_reply_reaches_the_asker(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    program = puppet.request(bert.id, puppet.remember()) + puppet.reply(ANSWER)
    asked = anna.start_request(to_json(program))
    troupe.rest()

    bert.request(puppet.answer_first("late"))

    assert asked.result().text == '"\\"late\\""'
    troupe.rest()
    troupe.verify()


def test_a_circle_of_requests_is_refused_and_named(troupe: Troupe) -> None:
    anna, bert, carl = (troupe.player(name) for name in ("anna", "bert", "carl"))
    back = puppet.request(anna.id, "") + puppet.reply(FULL_ANSWER)
    through = puppet.request(carl.id, back) + puppet.reply(ANSWER)

    answer = anna.request(puppet.request(bert.id, through) + puppet.reply(ANSWER))

    assert f"err:cycle:{carl.id},{anna.id},{bert.id}" in str(answer)
    assert anna.request(puppet.request(anna.id, "") + puppet.reply(FULL_ANSWER)) == f"err:cycle:{anna.id}"
    troupe.rest()
    troupe.verify()


def test_a_full_mailbox_answers_so_at_the_call(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    bert = troupe.player("bert", limits="mailbox = 2")
    bert.pause()

    sends = puppet.send(bert.id, puppet.log("x"))
    answer = anna.request(sends + sends + sends + puppet.reply(FULL_ANSWER))

    assert answer == "err:mailbox-full:2"
    bert.resume()
    troupe.rest()
    assert puppet.log_of(bert.state or "") == ["x", "x"]
    troupe.verify()


def test_a_step_that_fails_sends_nothing(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert", limits="mailbox = 1")
    with pytest.raises(Exception, match="no"):
        anna.request(puppet.send(bert.id, puppet.log("x")) + puppet.refuse("no"))
    troupe.rest()

    assert bert.state == "0"
    anna.request(puppet.send(bert.id, puppet.log("y")) + puppet.reply("ok"))  # its place is free again
    troupe.rest()
    assert puppet.log_of(bert.state or "") == ["y"]


@pytest.mark.slow
def test_what_waits_in_a_mailbox_survives_a_restart_of_the_node(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    bert.pause()
    anna.request("".join(puppet.send(bert.id, puppet.log(str(n))) for n in range(5)) + puppet.reply("ok"))
    bert.send(puppet.log("out"))
    troupe.stage.reopen()

    bert = troupe.find("bert")
    bert.resume()
    troupe.rest()

    assert puppet.log_of(bert.state or "") == ["0", "1", "2", "3", "4", "out"]
    troupe.verify()
