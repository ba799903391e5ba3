"""A message that comes twice with the same key is handled once, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.guests import puppet
from tests.runtime.camera import Camera, developed
from tests.runtime.inside import dispatcher_of
from tests.runtime.stage import Stage, Workshop
from tests.runtime.troupe import Troupe
from theater.errors import Busy, Crashed, IdempotencyMismatch, InvalidInput, NotFound, NotRunning, Refused, TheaterError
from theater.model.ids import ActorId
from theater.model.ports import Entry, EventStore, Space
from theater.runtime import forgetting, idempotency
from theater.runtime.key import KEPT_US, KeyRow
from theater.runtime.key_answers import recorded_answer
from theater.runtime.letter import Answer, Reply
from theater.runtime.python_values import to_json
from theater.runtime.removal import remove
from theater.runtime.runtime import ActorRef
from theater.testing.harness import Actor, Pending

DAY_S = KEPT_US / 1e6
COUNT = to_json(puppet.count() + puppet.reply(puppet.MESSAGE))
"""Counts, and answers with the message's id."""


def ask(actor: Actor, body: str = COUNT, *, key: str = "k", by: str = "local") -> Reply:
    return start(actor, body, key=key, by=by).result()


def start(actor: Actor, body: str = COUNT, *, key: str = "k", by: str = "local") -> Pending[Reply]:
    return actor._start(reference(actor, by).request_json(body, key=key))


def send(actor: Actor, body: str = COUNT, *, key: str = "k", by: str = "local") -> str:
    return actor._harness.run(reference(actor, by).send_json(body, key=key))


def reference(actor: Actor, by: str) -> ActorRef:
    return actor._harness.run(actor._harness.runtime.reach(actor.id, by=by))


def keys(actor: Actor) -> int:
    return len(actor._harness.runtime.store.entries(actor.id, "key"))


def messages(actor: Actor) -> int:
    return sum(event.header.kind == "message" and "handle" in event.header.name for event in actor.events())


@pytest.fixture
def anna(company: Troupe) -> Actor:
    return company.player("anna")


def test_a_request_that_comes_again_is_answered_as_the_first_was(anna: Actor) -> None:
    first = ask(anna)
    again = ask(anna)

    assert again == first
    assert first.text is not None
    assert anna.state == "1"
    assert anna.events()[first.receipt.seq].hash == again.receipt.hash


def test_a_send_that_comes_again_is_acknowledged_with_the_id_of_the_first(company: Troupe, anna: Actor) -> None:
    first = send(anna)
    assert send(anna) == first
    company.rest()
    assert send(anna) == first
    assert send(anna, key="another") != first
    company.rest()

    assert anna.state == "2"


def test_two_at_the_same_time_are_one(company: Troupe, anna: Actor) -> None:
    anna.pause()
    asked = [start(anna) for _ in range(5)]
    ref = anna.ref

    async def send_all() -> list[str]:
        return await asyncio.gather(*(ref.send_json(COUNT, key="s") for _ in range(5)))

    sent = company.stage.run(send_all())
    anna.resume()

    answers = [pending.result() for pending in asked]
    company.rest()
    assert len({(answer.text, answer.receipt) for answer in answers}) == 1
    assert len(set(sent)) == 1
    assert anna.state == "2"


@pytest.mark.slow
def test_another_body_under_the_same_key_is_refused(company: Troupe, anna: Actor) -> None:
    ask(anna)
    send(anna)
    company.rest()

    with pytest.raises(IdempotencyMismatch):
        ask(anna, to_json(puppet.count()))
    with pytest.raises(IdempotencyMismatch):
        send(anna, to_json(puppet.count()))
    assert anna.state == "2"


def test_a_key_counts_for_one_asker_one_actor_and_one_route(company: Troupe, anna: Actor) -> None:
    bert = company.player("bert")

    answers = [ask(anna), ask(anna, by="alice"), ask(bert)]
    sent = send(anna)
    company.rest()

    assert len({answer.text for answer in answers} | {f'"{sent}"'}) == 4
    assert ask(anna, by="alice") == answers[1]
    assert anna.state == "3"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "ä", "\x7f"])
def test_what_is_no_key_is_refused(anna: Actor, key: str) -> None:
    with pytest.raises(InvalidInput, match="idempotency key"):
        ask(anna, key=key)
    assert anna.state == "0"


def test_the_longest_key_is_one(anna: Actor) -> None:
    assert ask(anna, key="~ " + "x" * 253) == ask(anna, key="~ " + "x" * 253)


def test_a_refusal_comes_again(anna: Actor) -> None:
    body = to_json(puppet.refuse("no"))
    told = [refusal(lambda: ask(anna, body)) for _ in range(2)]

    assert told[0].message == told[1].message == "no"
    assert told[0].data == told[1].data
    assert messages(anna) == 1


def refusal(call: object) -> Refused:
    with pytest.raises(Refused) as caught:
        call()  # type: ignore[operator]  # a lambda
    return caught.value


def test_a_crash_comes_again_also_behind_a_restart(company: Troupe, anna: Actor) -> None:
    body = to_json(puppet.trap())
    told: list[Crashed] = []
    for _ in range(2):
        with pytest.raises(Crashed) as caught:
            ask(anna, body)
        told.append(caught.value)
    company.rest()
    anna.restart()
    with pytest.raises(Crashed) as caught:
        ask(anna, body)
    told.append(caught.value)

    assert len({(error.message, error.data["receipt"]) for error in told}) == 1
    assert told[0].data["crash"] == told[2].data["crash"]
    assert messages(anna) == 1


def test_a_shutdown_with_a_value_comes_again(company: Troupe, anna: Actor) -> None:
    body = to_json(puppet.shutdown("bye"))
    first = ask(anna, body)
    company.rest()

    assert first.has_shutdown
    assert ask(anna, body) == first


def test_an_answer_within_the_step_by_messaging_comes_again(anna: Actor) -> None:
    body = to_json(puppet.count() + puppet.answer_request(puppet.MESSAGE, "by call") + puppet.reply("by return"))
    first = ask(anna, body)

    assert first.text == '"by call"'
    assert ask(anna, body) == first
    assert anna.state == "1"


@pytest.mark.parametrize("end", [puppet.trap(), puppet.refuse("no")])
def test_an_answer_within_a_step_that_fails_is_none_the_second_time_either(anna: Actor, end: str) -> None:
    body = to_json(puppet.answer_request(puppet.MESSAGE, "by call") + end)
    told: list[TheaterError] = []
    for _ in range(2):
        with pytest.raises((Crashed, Refused)) as caught:
            ask(anna, body)
        told.append(caught.value)

    assert type(told[0]) is type(told[1])
    assert [error.message for error in told] == [told[0].message] * 2
    assert messages(anna) == 1


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_deferred_answer_comes_again(company: Troupe, anna: Actor, *, is_cancelled: bool) -> None:
    body = to_json(puppet.defer())
    first, second = start(anna, body), start(anna, body)
    company.rest()
    waiting = anna._harness.runtime.store.entries(anna.id, "deferred")
    assert len(waiting) == 1
    own = waiting[0].key
    answering = puppet.cancel(own, "not today") if is_cancelled else puppet.answer_request(own, "later")
    ask(anna, to_json(answering), key="other")
    company.rest()

    def outcome(pending: Pending[Reply]) -> object:
        try:
            return pending.result()
        except Refused as refused:
            return refused.message, refused.data["receipt"]

    told = [outcome(pending) for pending in (first, second, start(anna, body))]
    assert told[0] == told[1] == told[2]
    if is_cancelled:
        assert told[0][0] == "not today"  # type: ignore[index]  # a pair
    assert messages(anna) == 2


@pytest.mark.slow
def test_a_deferred_request_outlives_its_asker_and_the_process(company: Troupe, anna: Actor) -> None:
    body = to_json(puppet.defer())
    asked = start(anna, body)
    company.rest()
    asked._task.cancel()
    company.rest()
    company.stage.reopen()
    anna = company.find("anna")
    again = start(anna, body)
    company.rest()
    assert not again.is_done
    own = company.stage.runtime.store.entries(anna.id, "deferred")[0].key
    anna.request(puppet.answer_request(own, "late") + puppet.reply("done"))

    assert again.result().text == '"late"'
    assert ask(anna, body).text == '"late"'
    assert messages(anna) == 2


def test_a_deferred_request_whose_actor_ended_is_not_handled_again(company: Troupe, anna: Actor) -> None:
    body = to_json(puppet.defer())
    asked = start(anna, body)
    company.rest()
    anna.stop()
    for pending in (asked, start(anna, body)):
        with pytest.raises(NotRunning):
            pending.result()
    anna.restart()
    with pytest.raises(NotRunning):
        ask(anna, body)
    assert messages(anna) == 1


def test_what_was_never_begun_is_handled_when_it_comes_again(company: Troupe, anna: Actor) -> None:
    anna.pause()
    asked = start(anna)
    company.rest()
    assert keys(anna) == 1
    anna.stop()
    with pytest.raises(NotRunning):
        asked.result()
    company.rest()
    assert keys(anna) == 0
    with pytest.raises(NotRunning):
        ask(anna)
    anna.restart()

    assert ask(anna) == ask(anna)
    assert anna.state == "1"


def test_the_answer_is_the_same_behind_a_restart_of_the_process(company: Troupe, anna: Actor) -> None:
    first, sent = ask(anna), send(anna)
    company.rest()
    company.stage.reopen()
    anna = company.find("anna")

    assert ask(anna) == first
    assert send(anna) == sent
    assert anna.state == "2"


@pytest.mark.slow
def test_a_request_that_waits_when_the_process_ends_in_good_order_is_joined_by_the_next(
    company: Troupe, anna: Actor
) -> None:
    anna.pause()
    asked = start(anna)
    company.rest()
    company.stage.reopen()
    with pytest.raises(NotRunning):
        asked.result()
    anna = company.find("anna")
    again = start(anna)
    company.rest()
    assert not again.is_done
    anna.resume()

    assert again.result() == ask(anna)
    assert anna.state == "1"


@pytest.mark.slow
def test_a_key_is_forgotten_after_a_day(company: Troupe, anna: Actor) -> None:
    first = ask(anna)
    company.stage.clock.advance(DAY_S - 1)
    assert ask(anna) == first
    company.stage.clock.advance(1)

    second = ask(anna)
    assert second.text != first.text
    assert ask(anna) == second
    assert anna.state == "2"


def test_forgotten_keys_leave_the_store_within_an_hour(company: Troupe, anna: Actor) -> None:
    ask(anna)
    send(anna)
    company.stage.clock.advance(3600)
    company.rest()
    assert keys(anna) == 2
    company.stage.clock.advance(DAY_S)
    settle(company)
    company.stage.clock.advance(3600)
    settle(company)

    assert keys(anna) == 0


def settle(company: Troupe) -> None:
    """Until the look for old keys that is under way is over."""
    task = company.stage.runtime._idempotency._forgetting

    async def looked() -> None:
        await asyncio.sleep(0)
        while task._task is not None:
            await asyncio.wait([task._task])

    company.stage.run(looked())


@pytest.mark.slow
def test_forgotten_keys_leave_the_store_when_it_is_opened(company: Troupe, anna: Actor) -> None:
    ask(anna)
    company.stage.clock.advance(DAY_S / 2)
    ask(anna, key="younger")
    company.stage.clock.advance(DAY_S / 2)
    company.stage.reopen()
    settle(company)

    assert keys(anna) == 1


def test_a_deferred_request_expires_with_its_key(company: Troupe, anna: Actor) -> None:
    body = to_json(puppet.count() + puppet.defer())
    start(anna, body)
    company.rest()
    company.stage.clock.advance(DAY_S)
    anna.request(puppet.reply("hello"))
    company.rest()

    assert not company.stage.runtime.store.entries(anna.id, "deferred")


def test_a_message_that_waits_longer_than_its_key_is_kept_is_not_accepted_twice(company: Troupe, anna: Actor) -> None:
    anna.pause()
    sent, asked = send(anna), start(anna)
    company.rest()
    company.stage.clock.advance(DAY_S * 2)
    settle(company)
    assert send(anna) == sent
    again = start(anna)
    company.rest()
    anna.resume()

    assert asked.result() == again.result()
    company.rest()
    assert anna.state == "2"


def test_an_actor_remembers_only_so_many_keys(company: Troupe, anna: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "KEYS_MAX", 3)
    first = ask(anna, key="0")
    for number in range(1, 3):
        ask(anna, key=str(number))
    with pytest.raises(Busy):
        ask(anna, key="3")
    settle(company)
    assert ask(anna, key="0") == first
    company.stage.clock.advance(DAY_S)
    settle(company)
    assert ask(anna, key="3").text != first.text


def test_whoever_has_used_up_all_keys_does_not_have_them_counted_each_time(
    company: Troupe, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "KEYS_MAX", 1)
    store, counted = company.stage.runtime.store, list[Space]()
    count = store.size_entries

    def watched(space: Space) -> dict[ActorId, int]:
        counted.append(space)
        return count(space)

    monkeypatch.setattr(store, "size_entries", watched)
    ask(anna)
    for number in range(5):
        with pytest.raises(Busy):
            ask(anna, key=str(number))
        settle(company)

    assert len(counted) == 1


def test_keys_that_come_while_old_ones_are_looked_for_are_counted(
    company: Troupe, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(anna)
    task, store = company.stage.runtime._idempotency._forgetting, company.stage.runtime.store
    has_read, may_go_on = threading.Event(), threading.Event()
    entries = store.entries

    def held(actor: ActorId, space: Space | None = None) -> list[Entry]:
        found = entries(actor, space)
        if space == "key":
            has_read.set()
            assert may_go_on.wait(10)
        return found

    monkeypatch.setattr(store, "entries", held)
    company.stage.clock.advance(3600)
    while not has_read.is_set():
        company.stage.run(asyncio.sleep(0))
    ask(anna, key="meanwhile")
    may_go_on.set()
    settle(company)

    assert task._counts == {anna.id: 2}


def test_the_keys_of_an_actor_that_was_removed_are_counted_no_longer(company: Troupe, anna: Actor) -> None:
    ask(anna)
    anna.stop()
    company.rest()
    company.stage.run(company.stage.runtime.remove(anna.id))
    company.stage.clock.advance(3600)
    settle(company)

    assert company.stage.runtime._idempotency._forgetting._counts == {}
    assert company.stage.clock.timers == ()


def test_who_asks_again_while_the_actor_is_removed_hears_that_it_is_gone(
    company: Troupe, anna: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(anna)
    again = anna.ref
    anna.stop()
    company.rest()
    dispatcher = dispatcher_of(company.stage)

    def removed_first(store: EventStore, actor: ActorId, row: KeyRow) -> Answer:
        remove(dispatcher, actor, tree=False, by="somebody")
        store.wipe()
        return recorded_answer(store, actor, row)

    monkeypatch.setattr(idempotency, "recorded_answer", removed_first)
    with pytest.raises(NotFound, match="was removed"):
        company.stage.run(again.request_json(COUNT, key="k"))
    company.rest()


def test_the_bound_of_the_mailbox_holds_for_messages_with_keys(company: Troupe) -> None:
    anna = company.player("anna", limits="mailbox = 2")
    anna.pause()
    send(anna)
    asked = start(anna)
    company.rest()
    with pytest.raises(TheaterError) as caught:
        send(anna, key="more")
    assert caught.value.code == "mailbox-full"
    assert send(anna) is not None  # no place is needed for what is there
    assert keys(anna) == 2
    anna.resume()
    assert asked.result().text is not None


def test_a_message_with_a_key_is_verified_like_any_other(anna: Actor) -> None:
    ask(anna, by="alice")
    [_, message] = anna.payloads("message")
    assert message.source == "alice"  # type: ignore[attr-defined]  # a message
    assert anna.verify().ok


@pytest.fixture
def filmed(workshop: Workshop, tmp_path: Path) -> Iterator[tuple[Troupe, Camera]]:
    (tmp_path / "true").mkdir()
    (tmp_path / "pictures").mkdir()
    camera = Camera(tmp_path / "true" / "data", tmp_path / "pictures")
    with Stage(workshop, tmp_path / "true", fault=camera) as stage:
        try:
            yield Troupe(stage), camera
        finally:
            camera.is_on = False


@pytest.mark.slow
def test_whenever_the_process_dies_the_same_key_again_is_handled_once(
    filmed: tuple[Troupe, Camera], workshop: Workshop, tmp_path: Path
) -> None:
    troupe, camera = filmed
    anna = troupe.player("anna")
    deferring = to_json(puppet.count() + puppet.defer())
    camera.is_on = True
    for number in range(3):
        ask(anna, key=str(number))
        send(anna, key=str(number))
        troupe.rest()
    start(anna, deferring, key="d")
    troupe.rest()
    camera.is_on = False

    seen = 0
    for troupe in developed(workshop, tmp_path / "pictures", seed=1):
        seen += 1
        anna = troupe.find("anna")
        for number in range(3):
            assert ask(anna, key=str(number)) == ask(anna, key=str(number))
            assert send(anna, key=str(number)) == send(anna, key=str(number))
        start(anna, deferring, key="d")
        troupe.rest()
        assert anna.state == "7"
        assert len(troupe.stage.runtime.store.entries(anna.id, "deferred")) == 1
    assert seen > 6


@pytest.mark.slow
def test_a_process_that_dies_within_the_step_goes_on_with_it_and_answers_who_asks_again(
    filmed: tuple[Troupe, Camera], workshop: Workshop, tmp_path: Path
) -> None:
    troupe, camera = filmed
    anna = troupe.player("anna")
    sleeping = to_json(puppet.sleep(1000) + puppet.count() + puppet.reply(puppet.MESSAGE))
    camera.is_on = True
    asked = start(anna, sleeping)
    troupe.stage.clock.wait_for_timers(2)  # the sleep, and the look for old keys
    troupe.stage.clock.advance(1)
    first = asked.result()
    camera.is_on = False

    seen = 0
    for troupe in developed(workshop, tmp_path / "pictures", later_s=2, seed=1):
        seen += 1
        anna = troupe.find("anna")
        again = start(anna, sleeping)
        troupe.rest()
        troupe.stage.clock.advance(2)
        assert again.result().text == first.text
        assert anna.state == "1"
        assert messages(anna) == 1
    assert seen > 1  # as few as that where commits come together


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from theater.runtime.opening import Options
from theater.runtime.runtime import Runtime
from theater.testing.clock import MockClock

async def main() -> None:
    options = Options(data_dir=Path(sys.argv[1]), cache=Path(sys.argv[2]), clock=MockClock())
    async with Runtime.with_options(options, {}) as runtime:
        anna = await runtime.actor("anna", allowed=("messaging", "supervisor", "timing"))
        asked = asyncio.ensure_future(anna.request_json(sys.argv[3], key="k"))
        while runtime.store.head(anna.id).seq < int(sys.argv[4]):
            await asyncio.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_request_that_was_accepted_by_a_process_that_was_killed_is_answered_by_the_next(
    workshop: Workshop, tmp_path: Path
) -> None:
    sleeping = to_json(puppet.sleep(30_000) + puppet.count() + puppet.reply(puppet.MESSAGE))
    with Stage(workshop, tmp_path) as stage:
        intent = Troupe(stage).player("anna").head.seq + 2
    arguments = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(workshop.cache), sleeping, str(intent)]
    died = subprocess.run(arguments, capture_output=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()

    with Stage(workshop, tmp_path) as stage:
        troupe = Troupe(stage)
        anna = troupe.find("anna")
        assert messages(anna) == 1
        asked = [start(anna, sleeping) for _ in range(2)]
        stage.clock.wait_for_timers(1)
        troupe.rest()
        stage.clock.advance(60)
        answers = [pending.result() for pending in asked]
        assert answers[0] == answers[1]
        assert anna.state == "1"
        assert messages(anna) == 1
        troupe.verify()


@pytest.mark.slow
@settings(max_examples=20)
@given(data=st.data())
def test_however_often_it_comes_it_is_handled_once(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    acts = st.sampled_from(["ask", "send", "ask", "send", "reopen", "pause", "resume", "give up"])
    script = data.draw(st.lists(st.tuples(acts, st.sampled_from("abc")), max_size=14))
    with Stage(workshop, tmp_path_factory.mktemp("script")) as stage:
        troupe = Troupe(stage)
        anna = troupe.player("anna")
        used: set[tuple[str, str]] = set()
        waiting: list[Pending[Reply]] = []
        for act, key in script:
            if act in ("ask", "give up"):
                waiting.append(start(anna, key=key))
                used.add(("ask", key))
                troupe.rest()
                if act == "give up":
                    waiting.pop()._task.cancel()
            elif act == "send":
                send(anna, key=key)
                used.add(("send", key))
            elif act == "reopen":
                stage.reopen()
                anna = troupe.find("anna")
                for pending in waiting:
                    with contextlib.suppress(NotRunning):
                        pending.result()
                waiting = []
            elif act == "pause":
                anna.pause()
            else:
                if anna.status == "paused":
                    anna.resume()
                troupe.rest()
        if anna.status == "paused":
            anna.resume()
        for pending in waiting:
            assert pending.result() in [ask(anna, key=key) for key in "abc" if ("ask", key) in used]
        troupe.rest()
        assert anna.state == str(len(used))
        assert messages(anna) == len(used)
        troupe.verify()
