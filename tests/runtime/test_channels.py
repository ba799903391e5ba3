"""Channels: opened by consent, in order, to the end; between actors, and from outside."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.guests.puppet import ABOUT, ANSWER, FIRST, FULL_ANSWER, HEAD, SENDER
from tests.runtime.stage import Stage
from tests.runtime.troupe import Troupe
from theater.errors import Busy, ChannelClosed, NoChannels, Refused
from theater.runtime.python_values import to_json
from theater.testing.harness import Actor

OPEN = ("channels",)


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def pair(troupe: Troupe, **kind: object) -> tuple[Actor, Actor]:
    return (
        troupe.player("anna", handlers=OPEN, **kind),  # type: ignore[arg-type]  # passed on
        troupe.player("bert", handlers=OPEN, **kind),  # type: ignore[arg-type]  # passed on
    )


def tokens(actor: Actor) -> list[str]:
    return puppet.log_of(actor.state or "")


def open_to(opener: Actor, other: Actor, opening: str = "", then: str = "") -> object:
    """The channel's id, or the error."""
    return opener.request(puppet.open_channel(other.id, opening) + puppet.reply(HEAD) + then)


def entries(troupe: Troupe) -> int:
    return sum(troupe.stage.runtime.store.size_entries("channel").values())


# -- between two actors ----------------------------------------------------------------------------------------------


def test_a_channel_is_accepted_with_a_reply_and_both_sides_have_it(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    opening = puppet.log(SENDER) + puppet.reply("welcome")

    answer = anna.request(puppet.open_channel(bert.id, opening) + puppet.log(HEAD) + puppet.reply(ANSWER))

    (channel,) = tokens(anna)
    assert answer == f'{channel}/"welcome"'
    assert tokens(bert) == [anna.id]
    listed = puppet.list_channels() + puppet.reply(FULL_ANSWER)
    assert anna.request(listed) == f"{channel}/{bert.id}/true"
    assert bert.request(listed) == f"{channel}/{anna.id}/false"
    troupe.rest()
    troupe.verify()


def test_a_channel_is_refused_with_a_text(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    opening = puppet.open_channel(bert.id, puppet.refuse("not now")) + puppet.reply(FULL_ANSWER)

    assert anna.request(opening) == "err:refused:not now"
    troupe.rest()
    assert (entries(troupe), bert.status) == (0, "running")
    troupe.verify()


def test_a_crash_while_it_is_opened_is_told_and_opens_nothing(troupe: Troupe) -> None:
    anna, bert = pair(troupe)

    assert anna.request(puppet.open_channel(bert.id, puppet.trap()) + puppet.reply(FULL_ANSWER)) == "err:crashed:trap"
    troupe.rest()
    assert entries(troupe) == 0
    assert anna.request(puppet.open_channel(bert.id, "") + puppet.reply(ANSWER)) == "err:not-running"
    troupe.verify()


def test_what_is_said_arrives_in_order_and_before_the_end(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    said = "".join(puppet.send_on_channel(FIRST, puppet.log(str(number))) for number in range(20))
    anna.request(puppet.open_channel(bert.id, "") + puppet.log(HEAD))
    anna.request(said + puppet.close_channel(FIRST))
    troupe.rest()

    assert tokens(bert) == [*(str(number) for number in range(20)), "closed"]
    assert entries(troupe) == 0
    assert anna.request(puppet.send_on_channel(FIRST, "") + puppet.reply(ANSWER)) == "err:unknown-channel"
    assert anna.request(puppet.close_channel(FIRST) + puppet.reply(ANSWER)) == "err:unknown-channel"
    troupe.verify()


def test_it_can_be_used_and_closed_in_the_very_step_that_accepts_it(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    opening = puppet.send_on_channel(ABOUT, puppet.log("hello")) + puppet.list_channels() + puppet.log(HEAD)
    channel = open_to(anna, bert, opening)
    troupe.rest()
    assert (tokens(anna), tokens(bert)) == (["hello"], [channel])

    closing = puppet.send_on_channel(ABOUT, puppet.log("bye")) + puppet.close_channel(ABOUT)
    closing += puppet.send_on_channel(ABOUT, "") + puppet.log(ANSWER)
    open_to(anna, bert, closing)
    troupe.rest()
    assert (tokens(anna), tokens(bert)) == (["hello", "bye", "closed"], [channel, "err:unknown-channel"])
    assert entries(troupe) == 2
    troupe.verify()


def test_both_sides_may_speak(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    open_to(anna, bert, then=puppet.send_on_channel(HEAD, puppet.send_on_channel(ABOUT, puppet.log("back"))))
    troupe.rest()

    assert tokens(anna) == ["back"]
    troupe.verify()


def test_a_refused_message_leaves_the_channel_open(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    anna.request(puppet.open_channel(bert.id, "") + puppet.log(HEAD))
    anna.request(puppet.send_on_channel(FIRST, puppet.log("lost") + puppet.refuse("no")))
    anna.request(puppet.send_on_channel(FIRST, puppet.log("heard")))
    troupe.rest()

    assert tokens(bert) == ["heard"]
    troupe.verify()


@pytest.mark.parametrize("end", ["stop", "crash", "shutdown"])
def test_the_end_of_an_actor_closes_its_channels(troupe: Troupe, end: str) -> None:
    anna, bert = pair(troupe)
    open_to(anna, bert)
    open_to(bert, anna)
    match end:
        case "stop":
            bert.stop()
        case "crash":
            bert.start_send(to_json(puppet.trap()))
        case _:
            bert.request(puppet.shutdown())
    troupe.rest()

    assert tokens(anna) == ["closed", "closed"]
    assert entries(troupe) == 0
    bert.restart()
    assert bert.request(puppet.list_channels() + puppet.reply(ANSWER)) == ""
    troupe.verify()


def test_a_step_that_fails_says_and_closes_nothing_but_what_it_opened_stands(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    program = puppet.open_channel(bert.id, "") + puppet.send_on_channel(HEAD, puppet.log("x"))
    with pytest.raises(Refused):
        anna.request(program + puppet.refuse("no"))
    troupe.rest()

    assert tokens(bert) == []
    assert entries(troupe) == 2
    troupe.verify()


def test_an_opening_that_nobody_answers_in_time_leaves_no_channel(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    bert.pause()
    asked = anna.start_request(to_json(puppet.open_channel(bert.id, "", 1000) + puppet.reply(ANSWER)))
    troupe.rest()
    troupe.stage.clock.advance(1)
    assert asked.result().text == '"err:timeout"'
    bert.resume()
    troupe.rest()

    assert tokens(bert) == ["closed"]  # it accepted what nobody waited for any more
    assert entries(troupe) == 0
    troupe.verify()


def test_an_opener_that_is_stopped_while_it_waits_leaves_no_channel(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    bert.pause()
    anna.start_request(to_json(puppet.open_channel(bert.id, "")))
    troupe.rest()
    anna.terminate()
    bert.resume()
    troupe.rest()

    assert tokens(bert) == ["closed"]
    assert entries(troupe) == 0
    troupe.verify()


def test_waiting_for_a_channel_counts_in_a_circle(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    back = puppet.open_channel(anna.id, "") + puppet.reply(FULL_ANSWER)

    answer = anna.request(puppet.open_channel(bert.id, back) + puppet.reply(ANSWER))

    assert f"err:cycle:{bert.id},{anna.id}" in str(answer)
    assert anna.request(puppet.open_channel(anna.id, "") + puppet.reply(ANSWER)) == "err:cycle"
    troupe.verify()


def test_one_that_takes_no_channels_is_told_apart(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna", handlers=OPEN), troupe.player("bert")

    asked = puppet.open_channel(bert.id, "") + puppet.reply(FULL_ANSWER)
    assert anna.request(asked) == f"err:no-channels:{bert.id}"
    back = puppet.open_channel(anna.id, "") + puppet.reply(FULL_ANSWER)
    assert bert.request(back) == f"err:no-channels:{bert.id}"  # what would be said to it could not be heard
    troupe.stage.reopen()
    anna = troupe.find("anna")
    assert troupe.stage.runtime.find(bert.id) is None
    assert anna.request(asked) == f"err:no-channels:{bert.id}"  # which it said itself
    troupe.rest()
    assert entries(troupe) == 0
    troupe.verify()


def test_both_sides_have_at_most_as_many_as_their_manifests_allow(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN, limits="channels = 2")
    bert = troupe.player("bert", handlers=OPEN, limits="channels = 1")
    carl = troupe.player("carl", handlers=OPEN)
    answer = puppet.reply(FULL_ANSWER)

    open_to(anna, bert)
    assert carl.request(puppet.open_channel(bert.id, "") + answer) == "err:too-many:1"
    open_to(carl, anna)
    assert anna.request(puppet.open_channel(carl.id, "") + answer) == "err:too-many:2"
    with pytest.raises(Busy, match="2 channels"):
        anna.open_channel("")
    anna.request(puppet.open_channel(bert.id, "") + answer)
    bert.request(puppet.list_channels() + puppet.close_channel(HEAD))
    troupe.rest()
    assert carl.request(puppet.open_channel(bert.id, "") + puppet.reply("ok") + puppet.only_if("err")) == "ok"
    troupe.verify()


def test_a_full_mailbox_answers_so_at_the_call(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    bert = troupe.player("bert", handlers=OPEN, limits="mailbox = 2")
    anna.request(puppet.open_channel(bert.id, "") + puppet.log(HEAD))
    bert.pause()

    said = puppet.send_on_channel(FIRST, puppet.log("x"))
    assert anna.request(said * 3 + puppet.reply(FULL_ANSWER)) == "err:mailbox-full:2"
    anna.request(puppet.close_channel(FIRST))  # an end needs no room
    bert.resume()
    troupe.rest()

    assert tokens(bert) == ["x", "x", "closed"]
    troupe.verify()


def test_a_channel_survives_a_restart_of_the_node(troupe: Troupe) -> None:
    anna, bert = pair(troupe)
    anna.request(puppet.open_channel(bert.id, "") + puppet.log(HEAD))
    bert.pause()
    anna.request(puppet.send_on_channel(FIRST, puppet.log("before")))
    troupe.stage.reopen()

    anna, bert = troupe.find("anna"), troupe.find("bert")
    anna.request(puppet.send_on_channel(FIRST, puppet.log("after")) + puppet.close_channel(FIRST))
    bert.resume()
    troupe.rest()

    assert tokens(bert) == ["before", "after", "closed"]
    assert entries(troupe) == 0
    troupe.verify()


def test_an_opening_that_waits_survives_a_restart_of_the_node(troupe: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theater.runtime.runtime.STOP_GRACE_S", 0.01)
    anna, bert = pair(troupe)
    bert.pause()
    program = puppet.open_channel(bert.id, "") + puppet.log(HEAD) + puppet.send_on_channel(HEAD, puppet.log("hello"))
    anna.start_request(to_json(program))
    troupe.rest()
    troupe.stage.reopen()

    anna, bert = troupe.find("anna"), troupe.find("bert")
    troupe.rest()
    assert anna.state == "0"
    bert.resume()
    troupe.rest()

    assert tokens(bert) == ["hello"]
    assert entries(troupe) == 2
    troupe.verify()


# -- from outside ----------------------------------------------------------------------------------------------------


def test_a_channel_from_outside_goes_both_ways(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    channel = anna.open_channel(puppet.send_on_channel(ABOUT, "first") + puppet.reply("welcome"))

    assert channel.reply == '"welcome"'
    assert anna.request(puppet.list_channels() + puppet.reply(FULL_ANSWER)) == f"{channel.id}/none/false"
    channel.send(puppet.log("heard") + puppet.send_on_channel(ABOUT, puppet.Json('{"n":2}')))
    assert [channel.receive(), channel.receive()] == ["first", {"n": 2}]
    channel.close()
    troupe.rest()

    assert tokens(anna) == ["heard", "closed"]
    with pytest.raises(ChannelClosed, match="closed here"):
        channel.send("")
    assert entries(troupe) == 0
    troupe.verify()


def test_it_is_refused_and_has_to_be_one_that_takes_channels(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna", handlers=OPEN), troupe.player("bert")
    with pytest.raises(Refused, match="not now"):
        anna.open_channel(puppet.refuse("not now"))
    with pytest.raises(NoChannels):
        bert.open_channel("")
    assert entries(troupe) == 0


def test_what_the_actor_said_before_it_closed_is_read(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    channel = anna.open_channel("")
    channel.send("".join(puppet.send_on_channel(ABOUT, str(n)) for n in range(3)) + puppet.close_channel(ABOUT))

    assert channel.receive_all() == ["0", "1", "2"]
    with pytest.raises(ChannelClosed, match="the actor closed"):
        channel.send("")
    troupe.rest()
    assert tokens(anna) == []  # nobody else closed it
    assert entries(troupe) == 0


def test_the_end_of_the_actor_is_the_end_of_the_channel(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    channel = anna.open_channel("")
    anna.stop()

    assert channel.receive_all() == []
    with pytest.raises(ChannelClosed):
        channel.send("")


def test_a_reader_that_is_too_slow_loses_the_channel(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    channel = anna.open_channel("")
    anna.request(puppet.list_channels() + puppet.repeat(1000, puppet.send_on_channel(channel.id, "x")))
    troupe.rest()
    assert channel.end.is_open
    anna.request(puppet.send_on_channel(channel.id, "one too many"))
    troupe.rest()

    assert tokens(anna) == ["closed"]
    assert channel.receive_all() == ["x"] * 1000
    with pytest.raises(ChannelClosed, match="1000 messages waited"):
        channel.receive()
    troupe.verify()


def test_nothing_of_it_survives_a_restart_of_the_node(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    channel = anna.open_channel("")
    troupe.stage.reopen()
    troupe.rest()

    assert tokens(troupe.find("anna")) == ["closed"]
    assert channel.receive_all() == []
    assert entries(troupe) == 0
    troupe.verify()


def test_what_leaves_the_node_is_durable(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=OPEN)
    channel = anna.open_channel("")
    with pytest.raises(Refused):
        anna.request(puppet.send_on_channel(channel.id, "never") + puppet.refuse("no"))
    anna.request(puppet.send_on_channel(channel.id, "said"))

    assert channel.receive() == "said"
