"""A step that did not become durable never was, and neither was anything that others made of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.crash.hitch import Hitch
from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.errors import StoreError


@pytest.mark.slow
def test_who_consumed_what_was_never_sent_comes_back_from_the_store(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert, carl = (troupe.player(name) for name in ("anna", "bert", "carl"))
    bert.request(puppet.log("before") + puppet.reply("ok"))
    troupe.rest()
    heads = [actor.head for actor in (bert, carl)]
    passing_on = puppet.log("x") + puppet.send(carl.id, puppet.log("xx"))

    troupe.rest()  # so that what is held back is what is done now
    with hitch.held():
        asked = anna.start_request(f'"{puppet.send(bert.id, passing_on) + puppet.reply("ok")}"')
        assert hitch.arrived.wait(10.0)
        _wait_ahead(troupe, "carl", heads[1].seq)  # both have handled in memory what never becomes durable
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()

    assert [actor.head for actor in (bert, carl)] == heads
    found = {name: troupe.find(name) for name in ("anna", "bert", "carl")}
    assert [found[name].state for name in ("bert", "carl")] == ['"before"', "0"]
    found["anna"].request(puppet.send(bert.id, puppet.log("y")) + puppet.reply("ok"))
    found["carl"].request(puppet.log("z") + puppet.reply("ok"))
    troupe.rest()
    assert [found[name].state for name in ("anna", "bert", "carl")] == ["0", '"before,y"', '"z"']
    assert all(not troupe.stage.runtime.store.entries(each.id, "mailbox") for each in found.values())
    troupe.verify()


@pytest.mark.slow
def test_a_child_whose_birth_never_was_is_not_found(troupe: Troupe, hitch: Hitch) -> None:
    anna = troupe.player("anna", handlers=("supervisor",))
    program = puppet.spawn(puppet.child(troupe.manifest("kurt"))) + puppet.reply(puppet.FULL_ANSWER)

    troupe.rest()  # so that what is held back is what is done now
    with hitch.held():
        asked = anna.start_request(f'"{program}"')
        assert hitch.arrived.wait(10.0)
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()

    assert [record.name for record in troupe.stage.runtime.store.records()] == ["anna"]
    assert "err" not in str(troupe.find("anna").request(program))  # the name is free
    troupe.rest()
    assert troupe.find("kurt").status == "running"
    troupe.verify()


@pytest.mark.slow
def test_a_request_that_was_never_made_is_not_answered(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    seq = bert.head.seq
    asking = puppet.request(bert.id, puppet.log("x") + puppet.reply("ok")) + puppet.reply(puppet.ANSWER)

    troupe.rest()  # so that what is held back is what is done now
    with hitch.held():
        asked = anna.start_request(f'"{asking}"')
        assert hitch.arrived.wait(10.0)
        _wait_ahead(troupe, "bert", seq)
        hitch.fails_once.set()
    with pytest.raises(Exception, match=r"full|crashed|not durable|room"):
        asked.result()
    troupe.rest()

    assert troupe.find("bert").state == "0"
    assert troupe.find("anna").request(asking) == '"ok"'
    troupe.rest()
    assert troupe.find("bert").state == '"x"'
    assert not troupe.stage.runtime.store.entries(anna.id, "answer")
    troupe.verify()


def _wait_ahead(troupe: Troupe, name: str, seq: int) -> None:
    """Until it has recorded a step in memory. Nothing tells when that is: it is looked at while the loop runs."""
    actor = troupe.find(name)

    async def ahead() -> None:
        while actor.head.seq < seq + 2:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.001)

    troupe.stage.run(ahead(), timeout_s=10.0)


def test_an_end_that_never_was_keeps_nobody_from_being_reached(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")

    troupe.rest()  # so that what is held back is what is done now
    with hitch.held():
        asked = bert.start_request(f'"{puppet.trap()}"')
        assert hitch.arrived.wait(10.0)
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()

    assert bert.status == "running"
    anna.request(puppet.send(bert.id, puppet.log("x")) + puppet.reply(puppet.FULL_ANSWER))
    troupe.rest()
    assert troupe.find("bert").state == '"x"'
    troupe.verify()
