"""What a call costs does not grow with what the step has done before it, or with what the actor holds."""

from __future__ import annotations

import json

import pytest

from tests.guests import puppet
from tests.guests.puppet import ANSWER, FIRST
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, MailboxFull, TimedOut
from theater.model.effects import Cancel, CancelTimer, Effect, Schedule
from theater.model.ids import ActorId
from theater.model.payload import Cause
from theater.runtime import dispatcher as dispatcher_module
from theater.runtime.actor import Actor as RuntimeActor
from theater.runtime.channels import Channels
from theater.runtime.deeds import Deeds
from theater.runtime.holdings import Holdings
from theater.runtime.offspring import Offspring
from theater.runtime.timers import Timer, Timers
from theater.testing.harness import Actor

CALLS = 60
YEAR_MS = 365 * 86_400_000


class Count:
    """How often a method was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.calls = 0
        original = getattr(owner, name)

        def counted(*arguments: object, **named: object) -> object:
            self.calls += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)


def timers_of(company: Troupe) -> Timers:
    return company.stage.runtime._dispatcher.surroundings.timers


def deferred(company: Troupe, actor: Actor) -> int:
    company.rest()
    return len(company.stage.runtime.store.entries(actor.id, "deferred"))


# -- in one step -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_step_looks_at_each_of_its_own_calls_once(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, bert = company.player("anna"), company.player("bert")
    looked_at = Count(monkeypatch, Deeds, "_add")
    program = puppet.send(bert.id, "") + puppet.schedule(YEAR_MS, "") + puppet.cancel_timer("0" * 32)

    anna.request(puppet.repeat(CALLS, program + puppet.answer_request("0" * 32, "x")) + puppet.reply("ok"))
    company.rest()

    assert CALLS < looked_at.calls <= 2 * CALLS + 2  # the sends, the timers, and the answer


@pytest.mark.slow
def test_a_call_that_asks_for_one_thing_does_not_list_them_all(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = company.player("anna")
    lists = [
        Count(monkeypatch, Timers, "of"),
        Count(monkeypatch, Channels, "of"),
        Count(monkeypatch, Holdings, "all_deferred"),
    ]
    anna.request(puppet.reply("ok"))
    company.rest()
    before = [each.calls for each in lists]
    nobody = "0" * 32
    calls = (
        puppet.schedule(YEAR_MS, ""),
        puppet.cancel_timer(nobody),
        puppet.answer_request(nobody, "x"),
        puppet.close_channel(nobody),
    )
    anna.request(puppet.repeat(CALLS, "".join(calls)) + puppet.reply("ok"))
    company.rest()

    assert all(each.calls - was < CALLS // 4 for each, was in zip(lists, before, strict=True))


@pytest.mark.slow
def test_what_a_step_takes_back_is_weighed_once(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = company.player("anna", limits=f"timers = {CALLS}")
    anna.request(puppet.repeat(CALLS, puppet.schedule(YEAR_MS, "old") + puppet.log(ANSWER)))
    weighed = Count(monkeypatch, Timers, "size_of")

    step = puppet.cancel_timer(FIRST) + puppet.drop_first() + puppet.schedule(YEAR_MS, "new")
    assert anna.request(puppet.repeat(CALLS, step) + puppet.reply(ANSWER)) != f"err:too-many:{CALLS}"
    company.rest()

    assert weighed.calls <= 3 * CALLS
    assert len(timers_of(company).of(anna.id)) == CALLS
    assert anna.request(puppet.schedule(YEAR_MS, "one more") + puppet.reply(ANSWER)) == "err:too-many"


@pytest.mark.slow
def test_whoever_has_too_many_requests_is_not_looked_through_for_each(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, carl = company.player("anna"), company.player("carl")
    bert = company.player("bert", limits="outstanding = 1")
    asked = company.begin(anna, puppet.request(bert.id, puppet.remember()) + puppet.reply(ANSWER))
    company.rest()
    looked_through = Count(monkeypatch, Holdings, "all_deferred")

    refused = puppet.repeat(CALLS, puppet.request(bert.id, "")) + puppet.reply(ANSWER)
    assert carl.request(refused) == "err:too-many"
    assert looked_through.calls < CALLS // 4

    bert.request(puppet.answer_first("x"))
    asked.result()


def test_what_a_step_has_done_is_known_by_id() -> None:
    effects: list[Effect] = []
    done = Deeds(effects)
    effects += [Schedule("a", "xx", 1, None), Schedule("b", "xyz", 1, None)]
    assert (set(done.up_to_now().scheduled), done.scheduled_bytes) == ({"a", "b"}, 5)

    effects += [CancelTimer("a"), CancelTimer("c"), Cancel("d", "no")]
    done.up_to_now()

    assert (set(done.scheduled), done.scheduled_bytes, done.taken_back) == ({"b"}, 3, ["c"])
    assert done.answered == done.closed == {"d"}


def test_timers_that_could_not_be_recorded_are_not_put_together(
    company: Troupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = company.player("anna", limits='bytes-per-step = "100KiB"')
    for _ in range(3):
        anna.request(puppet.schedule(YEAR_MS, puppet.filled(40_000)))
    listed = Count(monkeypatch, Timers, "of")

    with pytest.raises(Crashed, match="bytes"):
        anna.request(puppet.list_timers())
    company.rest()

    assert listed.calls == 0


@pytest.mark.slow
def test_the_bodies_of_all_timers_are_bounded_together(company: Troupe) -> None:
    anna = company.player("anna")
    timers = timers_of(company)
    timers.put(anna.id, "large", Timer(2**62, "x" * (64 * 2**20 - 10)))

    assert anna.request(puppet.schedule(YEAR_MS, "x" * 20) + puppet.reply(ANSWER)) == "err:too-many"
    timers.remove(anna.id, "large")
    assert timers.measure(anna.id) == (0, 0)


# -- what is over leaves ---------------------------------------------------------------------------------------------


def test_timers_that_were_taken_back_do_not_stay_in_the_queue(company: Troupe) -> None:
    timers, actor = timers_of(company), ActorId("1" * 32)
    for number in range(1000):
        timers.put(actor, str(number), Timer(2**62, "", cause=Cause(actor=actor, seq=0, hash="0" * 64)))
        timers.arm(actor, str(number))
        timers.remove(actor, str(number))

    assert len(timers._queue) <= 200
    timers.put(actor, "kept", Timer(2**62, ""))
    timers.arm(actor, "kept")
    for _ in range(1000):
        timers.arm(actor, "kept")
    assert 1 <= len(timers._queue) <= 200
    timers.remove(actor, "kept")


@pytest.mark.slow
def test_those_who_cannot_leave_are_not_asked_at_every_birth(company: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = company.stage.runtime._dispatcher
    for number in range(5):
        actor = company.player(f"busy{number}")
        company.begin(actor, puppet.defer())
    company.rest()
    monkeypatch.setattr(dispatcher_module, "IN_MEMORY_MAX", 4)
    monkeypatch.setattr(dispatcher_module, "ARRIVALS", 100)
    dispatcher.make_room()
    asked = Count(monkeypatch, RuntimeActor, "go")

    for _ in range(90):
        dispatcher.make_room()
    assert asked.calls <= 5
    for _ in range(20):
        dispatcher.make_room()
    assert asked.calls >= 5


@pytest.mark.slow
def test_a_request_ends_when_who_asked_from_outside_stops_waiting(company: Troupe) -> None:
    anna = company.player("anna", limits="outstanding = 2")
    for _ in range(4):
        with pytest.raises(TimedOut):
            company.stage.run(anna.ref.request_json(json.dumps(puppet.defer()), timeout_s=0.2))
    assert deferred(company, anna) == 0
    inner = company.stage.runtime.find(anna.id)
    assert inner is not None
    assert inner.go()
    company.stage.runtime._dispatcher.left(inner)


def test_from_outside_no_more_is_put_off_than_the_limit(company: Troupe) -> None:
    anna = company.player("anna", limits="outstanding = 2")
    asked = [company.begin(anna, puppet.remember()) for _ in range(2)]
    assert deferred(company, anna) == 2

    with pytest.raises(MailboxFull, match="put off"):
        anna.request(puppet.reply("ok"))

    anna.send(puppet.answer_first("x"))
    assert asked[0].result().text == '"x"'
    anna.request(puppet.answer_first("y"))
    assert asked[1].result().text == '"y"'


@pytest.mark.slow
def test_a_request_from_outside_ends_with_the_process(company: Troupe) -> None:
    anna = company.player("anna")
    pending = company.begin(anna, puppet.defer())
    assert deferred(company, anna) == 1

    company.stage.reopen()
    with pytest.raises(Exception, match="closed"):
        pending.result()
    company.find("anna")

    assert deferred(company, anna) == 0


@pytest.mark.slow
def test_events_of_a_child_are_looked_up_as_far_as_they_fit(company: Troupe) -> None:
    boss = company.boss()
    child = company.child(boss, "child")
    for _ in range(4):
        child.request(puppet.send("0" * 32, puppet.filled(400_000)) + puppet.reply("ok"))
    company.rest()
    inner = company.stage.runtime.find(boss.id)
    assert inner is not None

    found = Offspring(inner._being, ()).events(child.id, 0, 100)

    assert isinstance(found, list)
    assert 0 < len(found) < child.head.seq
    again = Offspring(inner._being, ()).events(child.id, found[-1].header.seq + 1, 100)
    assert isinstance(again, list)
    assert again[0].header.seq == len(found)
