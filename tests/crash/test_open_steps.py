"""What is written of a step before it is closed is written only where what it rests on was; and it leaves nothing."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from tests.crash.hitch import Hitch
from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.errors import StoreError
from theater.model.ids import ActorId
from theater.testing.harness import Actor

BUSY = puppet.burn(20_000_000)
COUNTING = puppet.count() + puppet.reply("x")


def wait_ahead(troupe: Troupe, actor: Actor, seq: int) -> None:
    """Until its chain has gone on to there in memory. Nothing tells when that is."""

    async def ahead() -> None:
        while actor.head.seq < seq:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.001)

    troupe.stage.run(ahead(), timeout_s=10.0)


def durable(troupe: Troupe, actor: Actor) -> int:
    return troupe.stage.runtime.store.head(ActorId(actor.id)).seq


def test_a_message_that_was_never_sent_is_not_written_with_an_open_step(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert, carl = (troupe.player(name) for name in ("anna", "bert", "carl"))
    asking = BUSY + puppet.request(carl.id, COUNTING) + puppet.log("asked")
    troupe.rest()
    seq = durable(troupe, bert)

    with hitch.held():
        asked = troupe.begin(anna, puppet.send(bert.id, asking) + puppet.reply("ok"))
        assert hitch.arrived.wait(10.0)
        wait_ahead(troupe, bert, seq + 1)  # its message; what it is about to wait for comes behind the failure
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()

    assert durable(troupe, bert) == seq
    assert [troupe.find(name).state for name in ("bert", "carl")] == ["0", "0"]
    assert "ok" in str(troupe.find("anna").request(puppet.send(bert.id, asking) + puppet.reply("ok")))
    troupe.rest()
    assert [troupe.find(name).state for name in ("bert", "carl")] == ['"asked"', "1"]
    troupe.verify()


@pytest.mark.slow
def test_an_answer_that_was_never_given_is_not_written_with_an_open_step(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert, carl = (troupe.player(name) for name in ("anna", "bert", "carl"))
    answering = puppet.sleep(1000) + puppet.reply("one")
    anna.send(puppet.request(bert.id, answering) + BUSY + puppet.request(carl.id, COUNTING) + puppet.sleep(60_000))
    clock = troupe.stage.clock
    clock.wait_for_timers(2)
    troupe.rest()
    seq = anna.head.seq

    with hitch.held():
        advancing = threading.Thread(target=lambda: clock.advance(1))
        advancing.start()
        assert hitch.arrived.wait(10.0)
        wait_ahead(troupe, anna, seq + 1)  # the answer; what it is about to wait for next comes behind the failure
        hitch.fails_once.set()
    advancing.join()
    troupe.rest()

    events = troupe.stage.runtime.store.events(ActorId(anna.id), start=seq + 1)
    assert "host" not in [event.header.kind for event in events]
    assert troupe.find("carl").state == "0"
    troupe.verify()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the start that fails is reported
def test_an_end_that_never_was_is_not_decided_about(troupe: Troupe, hitch: Hitch) -> None:
    boss = troupe.boss()
    kid = troupe.child(boss, "kid", restart="permanent")
    troupe.rest()
    seq = boss.head.seq

    with hitch.held():
        asked = troupe.begin(kid, puppet.trap())
        assert hitch.arrived.wait(10.0)
        wait_ahead(troupe, boss, seq + 1)
        hitch.fails_once.set()
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()

    assert troupe.decisions(troupe.find("boss")) == []
    assert troupe.find("kid").status == "running"
    troupe.crash(troupe.find("kid"))
    assert len(troupe.decisions(troupe.find("boss"))) == 1
    troupe.verify()


@pytest.mark.slow
def test_a_wait_that_was_over_before_the_process_died_leaves_no_channel(troupe: Troupe) -> None:
    anna, bert = (troupe.player(name, handlers=("channels",)) for name in ("anna", "bert"))
    opening = puppet.open_channel(bert.id, puppet.defer() + puppet.sleep(60_000), 1000)
    anna.send(opening + puppet.log(puppet.ANSWER) + puppet.sleep(5000) + puppet.log("done"))
    for _ in range(6):
        troupe.rest()
        troupe.stage.clock.advance(0.3)
    troupe.rest()

    troupe.stage.reopen()
    for seconds in (6, 60, 60):
        troupe.rest()
        troupe.stage.clock.advance(seconds)
    troupe.rest()

    assert troupe.find("anna").state == '"err:timeout,done"'
    assert not troupe.stage.runtime.store.size_entries("channel")
    troupe.verify()


def test_a_step_that_is_ended_while_it_waits_leaves_no_alarm(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    for waiting in (puppet.sleep(20_000), puppet.request(bert.id, puppet.defer(), 20_000)):
        anna.send(waiting)
        troupe.stage.clock.wait_for_timers(1)
        anna.terminate()
        troupe.rest()
        assert troupe.stage.clock.timers == ()
        anna.restart()
        troupe.rest()


@pytest.mark.slow
def test_a_chain_that_fails_in_mid_step_leaves_no_place_and_no_name(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert", limits="mailbox = 1")
    bert.pause()
    spawning = puppet.spawn(puppet.child(troupe.manifest("kurt"), name="kurt"))
    sending = puppet.send(bert.id, puppet.log("x"))
    troupe.rest()

    hitch.is_full = True
    asked = troupe.begin(anna, spawning + sending + puppet.sleep(1000))
    with pytest.raises(StoreError):
        asked.result()
    troupe.rest()
    hitch.is_full = False

    assert "err" not in troupe.ask(troupe.find("anna"), spawning)
    assert "err" not in troupe.ask(troupe.find("anna"), sending)
    troupe.verify()


@pytest.mark.slow
def test_letters_that_wait_behind_a_transaction_that_fails_give_their_places_back(troupe: Troupe, hitch: Hitch) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert", limits="mailbox = 5")
    bert.pause()
    troupe.rest()
    sending = json.dumps(puppet.send(bert.id, puppet.log("x")))

    async def burst() -> list[object]:
        letters = [asyncio.ensure_future(anna.ref.send_and_wait_json(sending)) for _ in range(5)]
        await asyncio.to_thread(hitch.arrived.wait, 10.0)
        await asyncio.sleep(0.3)  # meanwhile the others happen in memory; how many of them makes no difference
        hitch.fails_once.set()
        hitch.release()
        return list(await asyncio.gather(*letters, return_exceptions=True))

    with hitch.held():
        results = troupe.stage.run(burst(), timeout_s=20.0)
    troupe.rest()

    assert all(isinstance(result, StoreError) for result in results)
    bert = troupe.find("bert")
    bert.resume()  # what it was given before that never was comes to nothing
    troupe.rest()
    bert = troupe.find("bert")
    if bert.status == "paused":
        bert.resume()
    troupe.rest()
    assert troupe.find("bert").state == "0"
    card = troupe.stage.runtime._dispatcher.surroundings.directory.card(ActorId(bert.id))
    assert card is not None
    assert card.places == 0
    troupe.verify()


def test_a_late_answer_is_not_kept_in_memory(troupe: Troupe) -> None:
    anna, bert = troupe.player("anna"), troupe.player("bert")
    for _ in range(3):
        asked = troupe.begin(anna, puppet.request(bert.id, puppet.remember(), 3_600_000))
        troupe.stage.clock.wait_for_timers(1)
        troupe.rest()
        anna.terminate()
        anna.restart()
        troupe.rest()
        with pytest.raises(Exception, match="terminated"):
            asked.result()
    for _ in range(3):
        bert.request(puppet.answer_first("late") + puppet.reply("ok"))
    troupe.rest()

    waits = troupe.stage.runtime._dispatcher.surroundings.waits
    assert not waits._early
    assert not troupe.stage.runtime.store.size_entries("answer")
