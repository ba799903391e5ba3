"""Timers: messages that an actor sends itself later, whatever happens to it and to the node meanwhile."""

from __future__ import annotations

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER, FIRST, FULL_ANSWER, LAST, MESSAGE, SENDER
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.model.payload import Message
from theater.testing.harness import Actor

TICK = puppet.log("tick")


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def later(troupe: Troupe, seconds: float) -> None:
    """That much later, once everything has been done that falls due."""
    troupe.rest()
    troupe.stage.clock.advance(seconds)
    troupe.rest()


def tokens(actor: Actor) -> list[str]:
    return puppet.log_of(actor.state or "")


def test_a_timer_fires_once_when_it_is_due(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    anna.request(puppet.schedule(1500, TICK))

    later(troupe, 1.4)
    assert tokens(anna) == []
    later(troupe, 0.1)
    assert tokens(anna) == ["tick"]
    later(troupe, 100)
    assert tokens(anna) == ["tick"]
    troupe.verify()


def test_its_message_comes_from_the_actor_itself_and_has_the_timers_id(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    timer = anna.request(puppet.schedule(0, puppet.log(SENDER) + puppet.log(MESSAGE)) + puppet.reply(ANSWER))

    later(troupe, 0)

    assert tokens(anna) == [anna.id, timer]
    fired = anna.payloads("message")[-1]
    assert isinstance(fired, Message)
    set_by = anna.events()[fired.cause.seq] if fired.cause is not None else None
    assert (fired.source, set_by and set_by.header.kind) == ("timer", "state")
    troupe.verify()


def test_timers_fire_in_the_order_of_their_times(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    program = "".join(puppet.schedule(after_ms, puppet.log(str(after_ms))) for after_ms in (300, 100, 200, 100))
    anna.request(program)

    later(troupe, 1)

    assert tokens(anna) == ["100", "100", "200", "300"]


@pytest.mark.slow
def test_a_repeating_timer_keeps_its_rhythm_and_makes_up_for_nothing(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    timer = anna.request(puppet.schedule(1000, puppet.log(MESSAGE), 2000) + puppet.reply(ANSWER))

    later(troupe, 1)
    later(troupe, 2)
    assert tokens(anna) == [f"{timer}-0", f"{timer}-1"]
    anna.pause()
    troupe.stage.reopen()
    troupe.stage.clock.advance(7)  # it was due 2 s, 4 s and 6 s after the second
    later(troupe, 0)
    anna = troupe.find("anna")
    anna.resume()
    troupe.rest()
    assert tokens(anna)[2:] == [f"{timer}-{number}" for number in range(2, len(tokens(anna)))]
    before = len(tokens(anna))
    later(troupe, 0.9)
    assert len(tokens(anna)) == before
    later(troupe, 0.1)
    assert len(tokens(anna)) == before + 1
    troupe.verify()


@pytest.mark.slow
def test_what_fell_due_while_the_node_was_down_fires_once_when_it_starts(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    anna.request(puppet.schedule(1000, puppet.log("once")) + puppet.schedule(1000, puppet.log("again"), 1000))
    runtime = troupe.stage.runtime
    troupe.stage.run(runtime.__aexit__(None, None, None))
    troupe.stage.clock.advance(10.5)
    troupe.stage._open()

    later(troupe, 0)
    anna = troupe.find("anna")
    assert tokens(anna) == ["once", "again"]
    later(troupe, 0.5)
    assert tokens(anna) == ["once", "again", "again"]
    troupe.verify()


def test_nobody_is_woken_up_for_a_timer_that_is_not_due(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    anna.request(puppet.schedule(1000, TICK))
    troupe.stage.reopen()
    troupe.rest()

    assert troupe.stage.runtime.find(anna.id) is None
    later(troupe, 1)
    assert troupe.stage.runtime.find(anna.id) is not None


def test_a_step_sees_the_timers_that_it_sets_and_not_those_that_it_takes_back(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    first = anna.request(puppet.schedule(9000, "", 5000) + puppet.reply(ANSWER))

    listed = anna.request(
        puppet.schedule(1000, "") + puppet.log(ANSWER) + puppet.list_timers() + puppet.reply(FULL_ANSWER)
    )
    assert [part[:32] for part in str(listed).split(",")] == [*tokens(anna), first]
    assert anna.request(puppet.cancel_timer(str(first)) + puppet.list_timers() + puppet.reply(ANSWER)) == next(
        part for part in str(listed).split(",") if part.startswith(tokens(anna)[0])
    )
    assert anna.request(puppet.cancel_timer(str(first)) + puppet.reply(ANSWER)) == "err:unknown-timer"
    troupe.verify()


def test_a_timer_that_was_taken_back_does_not_fire(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    anna.request(puppet.schedule(1000, TICK) + puppet.log(ANSWER) + puppet.schedule(2000, TICK, 1000))
    anna.request(puppet.cancel_timer(FIRST) + puppet.log("cancelled"))
    anna.request(puppet.schedule(1000, TICK) + puppet.cancel_timer(ANSWER))

    later(troupe, 1)
    assert "tick" not in tokens(anna)
    later(troupe, 1)
    assert tokens(anna)[1:] == ["cancelled", "tick"]
    assert troupe.stage.runtime.store.size_entries("timer") == {anna.id: 1}
    troupe.verify()


def test_there_are_at_most_as_many_as_the_manifest_allows(troupe: Troupe) -> None:
    anna = troupe.player("anna", limits="timers = 2")

    set_timer = puppet.schedule(1000, "")
    assert anna.request(set_timer + set_timer + puppet.reply(ANSWER)) != "err:too-many"
    assert anna.request(set_timer + puppet.reply(FULL_ANSWER)) == "err:too-many:2"
    later(troupe, 1)
    assert anna.request(set_timer + set_timer + set_timer + puppet.reply(FULL_ANSWER)) == "err:too-many:2"


def test_a_step_that_fails_sets_no_timer(troupe: Troupe) -> None:
    anna = troupe.player("anna")
    with pytest.raises(Exception, match="no"):
        anna.request(puppet.schedule(1000, TICK) + puppet.refuse("no"))

    assert anna.request(puppet.list_timers() + puppet.reply(ANSWER)) == ""
    later(troupe, 2)
    assert tokens(anna) == []


def test_a_firing_that_finds_the_mailbox_full_waits_for_room(troupe: Troupe) -> None:
    anna = troupe.player("anna", limits="mailbox = 2")
    anna.request(puppet.schedule(1000, TICK))
    anna.pause()
    for number in range(2):
        anna.send(puppet.log(str(number)))

    later(troupe, 1)
    later(troupe, 5)
    assert troupe.stage.runtime.store.size_entries("mailbox") == {anna.id: 2}
    anna.resume()
    later(troupe, 1)

    assert tokens(anna) == ["0", "1", "tick"]
    troupe.verify()


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_timers_of_an_actor_that_has_ended_wait_until_it_runs_again(troupe: Troupe, end: str) -> None:
    anna = troupe.player("anna")
    anna.request(puppet.schedule(1000, puppet.log("once")) + puppet.schedule(1000, puppet.log("again"), 1000))
    if end == "stop":
        anna.stop()
    else:
        anna.start_send(f'"{puppet.trap()}"')
    later(troupe, 5)
    assert tokens(anna) == []
    troupe.stage.reopen()
    later(troupe, 0.5)
    anna = troupe.find(anna.id)
    anna.restart()

    later(troupe, 0)
    assert sorted(tokens(anna)) == ["again", "once"]
    later(troupe, 0.5)
    assert tokens(anna).count("again") == 2
    troupe.verify()


def test_a_timer_is_not_lost_on_a_full_disk(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path_factory.mktemp("full"), fault=gate) as stage:
        troupe = Troupe(stage)
        anna = troupe.player("anna")
        anna.request(puppet.schedule(1000, TICK) + puppet.schedule(1000, TICK, 5000))
        stage.rest()

        gate.is_full = True
        later(troupe, 1)
        gate.is_full = False
        later(troupe, 1)

        assert tokens(troupe.find("anna")) == ["tick", "tick"]
        later(troupe, 4)
        assert tokens(troupe.find("anna")) == ["tick", "tick", "tick"]
        troupe.verify()


def test_a_timer_that_is_taken_back_while_it_fires_leaves_one_message_at_most(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path_factory.mktemp("race"), fault=gate) as stage:
        troupe = Troupe(stage)
        anna = troupe.player("anna")
        anna.request(puppet.schedule(1000, TICK, 1000) + puppet.log(ANSWER))
        stage.rest()
        with gate.held():
            asked = anna.start_request(f'"{puppet.cancel_timer(LAST)}"')
            assert gate.arrived.wait(10)
            stage.clock.advance(1)
        asked.result()
        later(troupe, 3)

        assert "tick" not in tokens(anna)
        assert stage.runtime.store.size_entries("timer") == {}
        assert stage.runtime.store.size_entries("mailbox") == {}
        troupe.verify()
