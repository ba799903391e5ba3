"""What nobody needs any more leaves the store, and what never was leaves memory."""

from __future__ import annotations

import pytest

from tests.crash.hitch import Hitch
from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, StoreError
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
