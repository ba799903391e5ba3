"""What nobody needs any more leaves the store, and what never was leaves memory."""

from __future__ import annotations

import json

import pytest

from tests.crash.hitch import Hitch
from tests.guests import puppet
from tests.runtime.inside import dispatcher_of
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, StoreError
from theater.model.ids import ActorId
from theater.runtime.python_values import to_json


def test_an_answer_that_comes_too_late_does_not_stay_in_the_store(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    asked = anna.start_request(to_json(puppet.request(bert.id, puppet.remember()) + puppet.reply("x")))
    troupe.rest()
    anna.terminate()
    with pytest.raises(Crashed):
        asked.result()
    bert.request(puppet.answer_first("late"))
    troupe.rest()

    assert not troupe.stage.runtime.store.entries(anna.id)
    assert not troupe.stage.runtime.store.entries(bert.id)
    troupe.verify()


def test_an_answer_to_who_is_not_in_memory_goes_when_it_is_woken(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    asked = anna.start_request(to_json(puppet.request(bert.id, puppet.remember()) + puppet.reply("x")))
    troupe.rest()
    anna.terminate()
    with pytest.raises(Crashed):
        asked.result()
    troupe.stage.reopen()
    bert = troupe.find("bert")
    bert.request(puppet.answer_first("late"))
    troupe.rest()

    anna = troupe.find("anna")
    troupe.rest()

    assert not troupe.stage.runtime.store.entries(anna.id)


def test_a_child_that_begins_with_a_state_and_whose_birth_never_was_leaves_its_name(
    troupe: Troupe, hitch: Hitch
) -> None:
    anna = troupe.player("anna", handlers=("supervisor",))
    program = puppet.resume(puppet.child(troupe.manifest("kurt")), "7") + puppet.reply(puppet.FULL_ANSWER)
    with hitch.held():
        asked = anna.start_request(to_json(program))
        assert hitch.arrived.wait(10.0)
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()

    assert "err" not in str(troupe.find("anna").request(program))
    troupe.rest()

    assert troupe.find("kurt").state == "7"
    troupe.verify()


def test_an_actor_that_could_not_be_recorded_goes_on_by_itself_when_there_is_room(troupe: Troupe, hitch: Hitch) -> None:
    anna = troupe.player("anna")
    anna.send(puppet.sleep(1000) + puppet.log("slept"))
    troupe.stage.clock.wait_for_timers(1)
    for token in "abc":
        anna.send(puppet.log(token))
    hitch.is_full = True
    troupe.stage.clock.advance(1)
    troupe.rest()
    assert troupe.stage.runtime.find(anna.id) is None
    hitch.is_full = False

    for _ in range(3):  # the first time it may have to wait for its sleep again
        troupe.stage.clock.advance(5)
        troupe.rest()

    assert puppet.log_of(anna.state or "") == ["slept", "a", "b", "c"]
    assert not troupe.stage.runtime.store.entries(anna.id)
    troupe.verify()


def test_an_end_that_could_not_be_recorded_is_none(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    with hitch.held():
        crashing = anna.start_request(to_json(puppet.trap()))
        assert hitch.arrived.wait(10.0)
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        crashing.result()
    troupe.rest()

    assert anna.status == "running"
    assert bert.request(puppet.request(anna.id, puppet.reply("here")) + puppet.reply(puppet.ANSWER)) == '"here"'
    troupe.verify()


def test_a_child_that_is_born_while_the_node_closes_begins_when_it_opens(troupe: Troupe) -> None:
    anna = troupe.player("anna", handlers=("supervisor",))
    program = puppet.sleep(10) + puppet.spawn(puppet.child(troupe.manifest("kurt"))) + puppet.reply(puppet.ANSWER)
    asked = anna.start_request(to_json(program))
    troupe.stage.clock.wait_for_timers(1)

    dispatcher_of(troupe.stage).shut()  # the first thing that closing does; what runs may go on
    troupe.stage.clock.advance(0.01)
    kurt = ActorId(json.loads(asked.result().text or ""))
    kinds = [event.header.kind for event in troupe.stage.runtime.store.events(kurt)]
    troupe.stage.reopen()
    troupe.rest()

    assert kinds == ["genesis", "lifecycle"]
    assert troupe.find(kurt).kinds() == ["genesis", "started", "message", "state"]
    troupe.verify()
