"""Closing the runtime is no death: what was going on is left open, and goes on when it is opened again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.inside import inner, settle
from tests.runtime.stage import Gate, Stage, Workshop
from theater.errors import NotRunning
from theater.runtime.reference import ActorRef

GRACE = "theater.runtime.runtime.STOP_GRACE_S"


def close_in_mid_step(stage: Stage) -> None:
    """Begin a step that sleeps, and close the runtime while it does; another request waits behind it."""
    actor = stage.play(wat.SLEEPER, capabilities={"timing": {}})
    sleeping = actor.start_request('{"by":1,"ms":50000}')
    stage.clock.wait_for_timers()
    behind = actor.start_request('{"by":1,"ms":0}')
    stage.reopen()
    for pending in (sleeping, behind):
        with pytest.raises(NotRunning, match="closed"):
            pending.result()


def test_a_step_that_runs_when_the_runtime_closes_goes_on_when_it_opens(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GRACE, 0.01)
    close_in_mid_step(stage)

    actor = stage.actor("actor")
    assert actor.status == "running"
    stage.clock.wait_for_timers()
    stage.clock.advance(60)
    settle(actor)

    assert actor.kinds()[-1] == "state"
    assert "resumed" in actor.kinds()
    assert actor.verify().ok
    assert actor.state == '{"count":1}'  # what waited behind it was refused


@pytest.mark.slow
def test_a_close_does_not_count_as_a_death_of_the_step(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GRACE, 0.01)
    close_in_mid_step(stage)
    for _ in range(3):
        actor = stage.actor("actor")
        assert stage.runtime.store.attempt(actor.id) <= 1
        stage.clock.wait_for_timers()
        stage.reopen()

    assert stage.runtime.store.facts().unclean is False
    actor = stage.actor("actor")
    assert actor.status == "running"
    stage.clock.wait_for_timers()
    assert actor.kinds().count("resumed") == 4
    stage.clock.advance(60)


# -- who waits when it closes ----------------------------------------------------------------------------------------

BY_ONE = '{"by":1,"ms":0}'
LONG = '{"by":1,"ms":50000}'


def test_a_request_that_waits_at_a_paused_actor_is_answered_when_the_runtime_closes(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    actor.pause()
    request, send = actor.start_request('{"by":1}'), actor.start_send('{"by":1}')

    stage.reopen()

    for pending in (request, send):
        with pytest.raises(NotRunning, match="closed"):
            pending.result()
    assert stage.actor("actor").state == '{"count":0}'


@pytest.mark.slow
def test_whatever_waits_behind_a_step_is_answered_when_the_runtime_closes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GRACE, 0.01)
    actor = stage.play(wat.SLEEPER, capabilities={"timing": {}})
    actor.start_request(LONG)
    stage.clock.wait_for_timers()
    send, stop = actor.start_send(BY_ONE), actor.start_stop()

    stage.reopen()

    with pytest.raises(NotRunning, match="closed"):
        send.result()
    with pytest.raises(NotRunning, match="closed"):
        stop.result()


def test_whoever_waits_for_a_deferred_reply_is_answered_when_the_runtime_closes(stage: Stage) -> None:
    actor = stage.play(wat.SILENT)
    pending = actor.start_request("1")
    settle(actor)

    stage.reopen()

    with pytest.raises(NotRunning, match="closed"):
        pending.result()


def test_a_closed_actor_refuses_letters_and_controls(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)

    stage.reopen()

    for submit in (actor.ref.request_json, actor.ref.send_json):
        with pytest.raises(NotRunning, match="closed"):
            stage.run(submit('{"by":1}'))
    for control in (actor.stop, actor.pause, actor.terminate, actor.restart):
        with pytest.raises(NotRunning, match="closed"):
            control()
    again = stage.actor("actor")
    assert (again.status, again.state) == ("running", '{"count":0}')


@pytest.mark.slow
def test_what_comes_while_the_runtime_closes_is_refused_and_not_begun(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GRACE, 0.1)
    idle = stage.play(wat.SLEEPER, name="idle", capabilities={"timing": {}})
    busy = stage.play(wat.SLEEPER, name="busy", capabilities={"timing": {}})
    busy.start_request(LONG)
    stage.clock.wait_for_timers()
    manifest = stage.manifest(wat.COUNTER)

    async def close() -> list[object]:
        closing = asyncio.create_task(stage.runtime.__aexit__(None, None, None))
        await asyncio.sleep(0)
        runtime = stage.runtime
        late = (
            idle.ref.request_json(LONG),
            idle.ref.stop(),
            runtime.spawn(manifest, name="late"),
            runtime.actor("idle"),
        )
        answers: list[object] = list(await asyncio.gather(*late, return_exceptions=True))
        assert not closing.done()
        await closing
        return answers

    answers = stage.run(close())
    stage._open()

    assert [type(answer) for answer in answers] == [NotRunning] * 4
    assert {record.name for record in stage.runtime.store.records()} == {"idle", "busy"}
    assert stage.actor("idle").kinds()[-1] == "state"  # that of init


def test_a_spawn_that_is_under_way_when_the_runtime_closes_leaves_nothing_or_all_of_itself(stage: Stage) -> None:
    manifest = stage.manifest(wat.COUNTER)

    async def close() -> list[ActorRef | BaseException]:
        spawns = [asyncio.create_task(stage.runtime.spawn(manifest, name=f"a{number}")) for number in range(8)]
        await asyncio.wait(spawns, return_when=asyncio.FIRST_COMPLETED)
        await stage.runtime.__aexit__(None, None, None)
        return await asyncio.gather(*spawns, return_exceptions=True)

    answers = stage.run(close())
    stage._open()

    assert all(isinstance(answer, ActorRef | NotRunning) for answer in answers)
    records = stage.runtime.store.records()
    for answer in answers:
        if isinstance(answer, ActorRef):
            assert answer.id in {record.id for record in records}
    for record in records:
        assert inner(stage.actor(record.id)).wait_idle(10.0)


def test_what_was_executed_is_committed_before_the_store_is_closed(workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate, durability="power") as stage:
        actor = stage.play(wat.COUNTER)
        with gate.held():
            first = actor.start_request('{"by":1}')
            assert gate.arrived.wait(10.0)
            rest = [actor.start_request('{"by":1}') for _ in range(20)]
            assert inner(actor).wait_idle(10.0)

            async def close() -> None:
                closing = asyncio.create_task(stage.runtime.__aexit__(None, None, None))
                await asyncio.sleep(0)
                asyncio.get_running_loop().call_later(0.05, gate.release)
                await closing

            stage.run(close())
        stage._open()

        assert [each.result().text for each in (first, *rest)] == [f'{{"count":{n}}}' for n in range(1, 22)]
        assert stage.actor("actor").state == '{"count":21}'
