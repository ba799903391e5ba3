"""One actor for one chain, however many ask for it at once; and what is forgotten."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.stage import Gate, Stage, Workshop
from theater.errors import Denied, DiskFull, NameTaken
from theater.runtime.reference import ActorRef

BY_ONE = '{"by":1}'


def test_two_that_wake_an_actor_at_once_get_the_same(stage: Stage) -> None:
    stage.play(wat.COUNTER)
    stage.reopen()

    async def both() -> list[str | None]:
        references = await asyncio.gather(*(stage.runtime.actor("actor") for _ in range(4)))
        assert len({id(reference._actor) for reference in references}) == 1
        replies = await asyncio.gather(*(reference.request_json(BY_ONE) for reference in references))
        return [reply.text for reply in replies]

    assert stage.run(both()) == [f'{{"count":{n}}}' for n in range(1, 5)]


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
        assert woken._actor is born._actor
        assert stage.actor("a").kinds() == ["genesis", "started", "message", "state"]


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
        assert first._actor is second._actor
        assert len(stage.runtime._roster.everybody()) == 1

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
            while len(stage.runtime._roster.everybody()) < 2:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            gate.release()
            return await asyncio.gather(*spawns, return_exceptions=True)

        with gate.held():
            answers = stage.run(both())

        refused = [answer for answer in answers if isinstance(answer, NameTaken)]
        assert len(refused) == (0 if rename else 1)
        assert all("actor" not in error.data for error in refused)
        assert {record.name for record in stage.runtime.store.records()} == ({"a", "a-2"} if rename else {"a"})
        assert len(stage.runtime._roster) == (2 if rename else 1)


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


def test_what_has_ended_is_forgotten_when_nobody_holds_it(stage: Stage) -> None:
    for number in range(3):
        stage.play(wat.COMMAND, name=f"command{number}")
    living = stage.play(wat.COUNTER, name="living")
    stopped = stage.play(wat.COUNTER, name="stopped")
    stopped.stop()
    assert len(stage.runtime._roster) == 1
    gc.collect()
    assert len(stage.runtime._roster.everybody()) < 5  # the thread that ran the last of them may hold it yet

    assert stage.actor("stopped").ref._actor is stopped.ref._actor  # whoever holds it may restart it
    stopped.restart()
    assert len(stage.runtime._roster) == 2
    assert living.request({"by": 1}) == stopped.request({"by": 1}) == {"count": 1}
