"""One actor for one chain, however many ask for it at once; who leaves memory; and letters on their way to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import cast

import pytest

from tests.guests import wat
from tests.runtime.inside import dispatcher_of, inner
from tests.runtime.stage import Gate, Stage, Workshop
from theater.errors import Denied, DiskFull, NameTaken, NotRunning, TheaterError
from theater.model.ids import ActorId, Digest
from theater.model.payload import Message
from theater.model.ports import ActorRecord, Append, Appended, Entry
from theater.runtime import dispatcher as module
from theater.runtime.actor import Actor
from theater.runtime.birth import Woken, wake_up
from theater.runtime.dispatcher import Dispatcher
from theater.runtime.letter import Answer, Letter, encode_letter, nobody
from theater.runtime.loading import HANDLE
from theater.runtime.node import Node
from theater.runtime.performer import Sampler
from theater.runtime.posting import message
from theater.runtime.reference import ActorRef
from theater.runtime.surroundings import Surroundings
from theater.store import MemoryEventStore
from theater.testing.harness import Actor as Played

BY_ONE = '{"by":1}'


def evict(stage: Stage, actor: Played) -> None:
    """It leaves memory, as when there are too many."""
    stage.rest()
    found = inner(actor)
    assert found.go()
    dispatcher_of(stage).left(found)
    assert stage.runtime.find(actor.id) is None


def posted(stage: Stage, actor: Played, name: str) -> Letter:
    """A letter that is in the store, and has not been handed over yet."""
    directory = dispatcher_of(stage).surroundings.directory
    card = directory.card(actor.id)
    assert card is not None
    directory.take_place(card, most=None)
    letter = Letter(
        id=name,
        source="test",
        export=HANDLE,
        arguments=(message(name, BY_ONE, sender=None, expects_reply=False),),
        expects_reply=False,
        done=nobody,
        is_durable=True,
        has_place=True,
    )
    heard: SimpleQueue[object] = SimpleQueue()
    entry = Entry(actor.id, "mailbox", name, encode_letter(letter), once=True)
    stage.runtime.store.append(Append(actor.id, None, (), puts=(entry,)), heard.put)
    assert isinstance(heard.get(timeout=10.0), Appended)
    return letter


def handled(actor: Played) -> list[str]:
    """The ids of its messages, but for the first one."""
    return [each.id for each in actor.payloads("message") if isinstance(each, Message)][1:]


def places(stage: Stage, actor: Played) -> int:
    card = dispatcher_of(stage).surroundings.directory.card(actor.id)
    assert card is not None
    return card.places


# -- one of each -----------------------------------------------------------------------------------------------------


def test_two_that_wake_an_actor_at_once_get_the_same(stage: Stage) -> None:
    stage.play(wat.COUNTER)
    stage.reopen()

    async def both() -> list[str | None]:
        references = await asyncio.gather(*(stage.runtime.actor("actor") for _ in range(4)))
        assert len({id(inner(reference)) for reference in references}) == 1
        replies = await asyncio.gather(*(reference.request_json(BY_ONE) for reference in references))
        return [reply.text for reply in replies]

    assert stage.run(both()) == [f'{{"count":{n}}}' for n in range(1, 5)]


@pytest.mark.slow
def test_who_may_not_wake_an_actor_does_not_keep_another_one_from_it(stage: Stage) -> None:
    asked = "environment=HOME"
    stage.play(wat.COUNTER, capabilities={"environment": {"allow": ["HOME"]}}, allowed=(asked,))
    stage.reopen()

    async def both() -> tuple[ActorRef | BaseException, ActorRef | BaseException]:
        waking = (stage.runtime.actor("actor"), stage.runtime.actor("actor", allowed=(asked,)))
        return await asyncio.gather(*waking, return_exceptions=True)

    denied, woken = stage.run(both())
    assert isinstance(denied, Denied)
    assert isinstance(woken, ActorRef)


def test_an_actor_that_is_being_born_is_found(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        manifest = stage.manifest(wat.COUNTER)

        async def born_and_woken() -> tuple[ActorRef, ActorRef]:
            spawning = asyncio.create_task(stage.runtime.spawn(manifest, name="a"))
            while not stage.runtime.store.find("a"):  # noqa: ASYNC110 - nobody tells when a row appears
                await asyncio.sleep(0)
            return await stage.runtime.actor("a"), await spawning

        woken, born = stage.run(born_and_woken())
        assert inner(woken) is inner(born)
        assert stage.actor("a").kinds() == ["genesis", "started", "message", "state"]


@pytest.mark.slow
def test_a_wake_up_that_nobody_waits_for_any_more_is_finished_all_the_same(stage: Stage) -> None:
    stage.play(wat.COUNTER)
    stage.reopen()

    async def given_up() -> None:
        waking = asyncio.create_task(stage.runtime.actor("actor"))
        await asyncio.sleep(0)
        waking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waking
        first, second = await asyncio.gather(stage.runtime.actor("actor"), stage.runtime.actor("actor"))
        assert inner(first) is inner(second)
        assert len(dispatcher_of(stage).everybody()) == 1

    stage.run(given_up())


@pytest.mark.parametrize("rename", [False, True])
def test_of_two_spawns_of_one_name_one_is_told_that_it_is_taken(
    workshop: Workshop,
    tmp_path: Path,
    rename: bool,  # noqa: FBT001 - a parameter
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        manifest = stage.manifest(wat.COUNTER)

        async def both() -> list[ActorRef | BaseException]:
            spawns = [asyncio.create_task(stage.runtime.spawn(manifest, name="a", rename=rename)) for _ in range(2)]
            while len(dispatcher_of(stage)) < (2 if rename else 1):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            gate.release()
            return await asyncio.gather(*spawns, return_exceptions=True)

        with gate.held():
            answers = stage.run(both())

        refused = [answer for answer in answers if isinstance(answer, NameTaken)]
        assert len(refused) == (0 if rename else 1)
        assert all("actor" not in error.data for error in refused)
        assert {record.name for record in stage.runtime.store.records()} == ({"a", "a-2"} if rename else {"a"})
        assert len(dispatcher_of(stage)) == (2 if rename else 1)


def test_an_actor_that_could_not_be_recorded_is_woken_anew_when_there_is_room(
    workshop: Workshop, tmp_path: Path
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        actor = stage.play(wat.COUNTER)
        gate.is_full = True
        errors = []
        for _ in range(2):
            with pytest.raises(DiskFull) as caught:
                actor.request_json(BY_ONE)
            errors.append(caught.value)
        assert errors[0] is not errors[1]
        gate.is_full = False

        again = stage.actor("actor")
        assert again.request({"by": 1}) == {"count": 1}
        assert again.verify().ok


def test_a_second_stop_waits_until_the_first_is_durable(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        actor = stage.play(wat.COUNTER)
        with gate.held():
            stops = [actor.start_stop(), actor.start_stop()]
            assert gate.arrived.wait(10.0)
            assert not any(stop.is_done for stop in stops)
        for stop in stops:
            stop.result()
        assert actor.kinds()[-2:] == ["state", "stopped"]


# -- who leaves memory -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_those_with_whom_nothing_goes_on_leave_when_there_are_too_many_and_come_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_MEMORY_MAX", 4)
    monkeypatch.setattr(module, "ARRIVALS", 0)
    actors = [stage.play(wat.COUNTER, name=f"c{number}") for number in range(10)]
    for actor in actors:
        stage.rest()
        assert actor.request({"by": 1}) == {"count": 1}
    stage.rest()

    assert len(dispatcher_of(stage)) <= 6  # each is spared once after it was used
    assert [actor.state for actor in actors] == ['{"count":1}'] * 10  # looking wakes nobody
    assert len(dispatcher_of(stage)) <= 6
    for actor in actors:
        stage.rest()
        assert actor.request({"by": 1}) == {"count": 2}
    assert len(dispatcher_of(stage)) <= 6
    assert all(actor.verify().ok for actor in actors)


def test_an_actor_with_which_something_goes_on_stays(stage: Stage) -> None:
    actor = stage.play(wat.SILENT)
    pending = actor.start_request("1")
    stage.rest()

    assert not inner(actor).go()  # whoever asks from outside waits for it here

    actor.stop()
    with pytest.raises(NotRunning):
        pending.result()
    stage.rest()
    assert inner(actor).go()


def test_what_is_sent_to_an_actor_that_has_left_memory_wakes_it(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    evict(stage, actor)

    dispatcher_of(stage).deliver(actor.id, posted(stage, actor, "m"))
    stage.rest()

    assert actor.state == '{"count":1}'
    assert stage.runtime.find(actor.id) is not None
    assert (handled(actor), places(stage, actor)) == (["m"], 0)


def test_a_request_to_an_ended_actor_that_has_left_memory_is_answered(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.stop()
    evict(stage, actor)
    heard: SimpleQueue[Answer] = SimpleQueue()
    arguments = (message("m", BY_ONE, sender=None, expects_reply=True),)

    dispatcher_of(stage).deliver(actor.id, Letter("m", "test", HANDLE, arguments, True, heard.put))

    assert isinstance(heard.get(timeout=10.0), NotRunning)


# -- letters on the way ----------------------------------------------------------------------------------------------


class Reading:
    """Reads actors from the store as ever, and stops before and behind that until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.done = threading.Event(), threading.Event()
        self.may_begin, self.may_return = threading.Event(), threading.Event()
        monkeypatch.setattr("theater.runtime.dispatcher.wake_up", self)

    def __call__(self, surroundings: Surroundings, record: ActorRecord, *, attempts: int | None = None) -> Woken:
        self.begun.set()
        assert self.may_begin.wait(10.0)
        woken = wake_up(surroundings, record, attempts=attempts)
        self.done.set()
        assert self.may_return.wait(10.0)
        return woken


def test_letters_that_come_while_an_actor_is_read_are_neither_lost_nor_doubled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = stage.play(wat.COUNTER)
    evict(stage, actor)
    reading, dispatcher = Reading(monkeypatch), dispatcher_of(stage)

    dispatcher.deliver(actor.id, posted(stage, actor, "a"))
    assert reading.begun.wait(10.0)
    dispatcher.deliver(actor.id, posted(stage, actor, "b"))
    slow = posted(stage, actor, "c")  # it is found, and handed over when all is over
    reading.may_begin.set()
    assert reading.done.wait(10.0)
    dispatcher.deliver(actor.id, posted(stage, actor, "d"))  # it was not found
    reading.may_return.set()
    stage.rest()
    dispatcher.deliver(actor.id, slow)
    dispatcher.deliver(actor.id, posted(stage, actor, "e"))
    stage.rest()

    assert handled(actor) == ["a", "b", "c", "d", "e"]
    assert places(stage, actor) == 0
    assert actor.verify().ok


def test_letters_of_a_chain_that_failed_are_there_for_the_next_who_wakes_it(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        actor = stage.play(wat.COUNTER)
        actor.pause()
        letter = posted(stage, actor, "m")
        dispatcher_of(stage).deliver(actor.id, letter)
        gate.is_full = True
        with pytest.raises(DiskFull):
            actor.resume()
        gate.is_full = False
        stage.rest()  # whoever hears of it first, it leaves memory a moment later

        actor.resume()
        stage.rest()

        assert (handled(actor), places(stage, actor)) == (["m"], 0)
        assert actor.verify().ok


# -- with fakes ------------------------------------------------------------------------------------------------------

ACTOR = ActorId("a" * 32)


class Extra:
    """Stands in for an actor: it is there, and takes letters."""

    def __init__(self) -> None:
        self.record = SimpleNamespace(id=ACTOR)
        self.received: list[str] = []

    def receive(self, letter: Letter) -> bool:
        self.received.append(letter.id)
        return True


def letters(*names: str) -> list[Letter]:
    return [Letter(name, "test", HANDLE, (), False, nobody, is_durable=True) for name in names]


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    """One with an actor that nobody wakes up."""
    store = MemoryEventStore()
    made = Dispatcher(cast("Node", SimpleNamespace(store=store, services=None)), cast("Sampler", None))
    made.surroundings.directory.put(ActorRecord(ACTOR, "extra", "stopped", None, 0, Digest("0" * 64)))
    yield made
    made.shut()
    store.close()


def test_what_comes_for_an_actor_before_it_is_found_is_handed_to_it(dispatcher: Dispatcher) -> None:
    extra = Extra()
    for letter in letters("a", "b"):
        dispatcher.deliver(ACTOR, letter)

    dispatcher.enter(cast("Actor", extra))
    dispatcher.deliver(ACTOR, letters("c")[0])

    assert extra.received == ["a", "b", "c"]


def test_letters_of_one_that_left_come_before_those_that_came_since(dispatcher: Dispatcher) -> None:
    first, second = Extra(), Extra()
    dispatcher.enter(cast("Actor", first))
    dispatcher.left(cast("Actor", first))
    dispatcher.deliver(ACTOR, letters("b")[0])

    dispatcher.left(cast("Actor", first), letters("a"))
    dispatcher.enter(cast("Actor", second))

    assert (first.received, second.received) == ([], ["a", "b"])


def test_who_left_does_not_take_the_next_one_along(dispatcher: Dispatcher) -> None:
    first, second = Extra(), Extra()
    dispatcher.enter(cast("Actor", first))
    dispatcher.enter(cast("Actor", second))

    dispatcher.left(cast("Actor", first), letters("a"))

    assert dispatcher.find(ACTOR) is cast("Actor", second)
    assert second.received == ["a"]


def test_whoever_waits_for_a_wake_up_hears_when_the_runtime_closes(dispatcher: Dispatcher) -> None:
    go_on = threading.Event()
    for _ in range(module.WAKERS):
        dispatcher._wakers.submit(go_on.wait, 10.0)
    heard: list[TheaterError | None] = []
    dispatcher.awake(ACTOR, lambda _: True, heard.append)
    assert heard == []

    closing = threading.Thread(target=dispatcher.shut)
    closing.start()
    go_on.set()
    closing.join()
    dispatcher.awake(ACTOR, lambda _: True, heard.append)

    assert [type(error) for error in heard] == [NotRunning, NotRunning]
