"""Acts in the world: behind their intent, at most once where they change something, and never again in a replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import theater.runtime.opening
from tests.runtime.errands import ERRAND, PATIENCE_S, World, registry
from tests.runtime.inside import settle
from tests.runtime.played import INTERFACE, Chain, call
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.test_boundary import assert_diverges
from theater.errors import Crashed, InternalError, TheaterError
from theater.model.crash import StepCrash
from theater.model.execution import SUSPEND
from theater.model.header import format_time
from theater.model.limits import Limits
from theater.model.payload import CrashedPayload, HostCall, Intent, encode_payload
from theater.runtime.services import Interrupt, Services
from theater.runtime.system import SystemEntropy
from theater.testing.chains import START_US
from theater.testing.clock import MockClock
from theater.testing.harness import Actor

ERRANDS: dict[str, dict[str, object]] = {"errands": {}}

# -- at the boundary -------------------------------------------------------------------------------------------------


def acted(name: str, *, limits: Limits | None = None) -> Chain:
    """A step that acted, and was answered after half a millisecond."""
    chain = Chain(limits=limits)
    boundary = chain.live()
    assert call(boundary, name, "a") is SUSPEND
    assert boundary.wake(START_US + 500, ("ok", "done")) == ("ok", "done")
    return chain


def test_an_act_has_its_intent_and_then_its_answer() -> None:
    assert acted("post").said == [
        ("intent", Intent(arguments=["a"])),
        ("host", HostCall(answer={"ok": "done"}, now=format_time(START_US + 500), intent=1)),
    ]


def test_a_safe_act_is_one_event_with_arguments_and_time() -> None:
    assert acted("fetch").said == [
        ("host", HostCall(answer={"ok": "done"}, arguments=["a"], now=format_time(START_US + 500))),
    ]


@pytest.mark.parametrize("name", ["post", "fetch"])
def test_an_act_is_answered_from_the_record_and_nothing_is_pending(name: str) -> None:
    boundary, tape = acted(name).played()

    assert call(boundary, name, "a") == ("ok", "done")

    assert boundary.pending is None
    assert boundary.context.now_us == START_US + 500
    assert tape.finish() is None


def test_an_act_that_ends_behind_its_intent_is_pending_as_resumed_and_a_safe_one_as_new() -> None:
    boundary = acted("post").until(1).resumed()
    assert call(boundary, "post", "a") is SUSPEND
    assert boundary.pending is not None
    assert (boundary.pending.is_resumed, boundary.pending.intent_seq) == (True, 1)

    boundary = acted("fetch").until(0).resumed()
    assert call(boundary, "fetch", "a") is SUSPEND
    assert boundary.pending is not None
    assert (boundary.pending.is_resumed, boundary.pending.intent_seq) == (False, None)


def test_an_act_behind_another_one_is_new_where_only_the_first_is_recorded() -> None:
    boundary = acted("post").resumed()
    assert call(boundary, "post", "a") == ("ok", "done")

    assert call(boundary, "post", "b") is SUSPEND

    assert boundary.pending is not None
    assert not boundary.pending.is_resumed


@pytest.mark.parametrize("name", ["post", "fetch"])
def test_an_act_whose_time_is_over_is_answered_so_and_again_from_the_record(name: str) -> None:
    chain = Chain()
    boundary = chain.live()
    call(boundary, name, "brief")
    assert boundary.wake(0) == ("err", "timeout")

    again, tape = chain.played()

    assert call(again, name, "brief") == ("err", "timeout")
    assert again.context.now_us == START_US + 1000
    assert tape.finish() is None


@pytest.mark.parametrize("name", ["post", "fetch"])
def test_an_act_that_the_limit_of_the_step_ends_says_so_and_the_next_one_has_no_time_left(name: str) -> None:
    chain = Chain(limits=Limits(wait_s=0.0015))
    boundary = chain.live()
    for expected in ("timeout", "wait-exhausted", "wait-exhausted"):
        assert call(boundary, name, "brief") is SUSPEND
        assert boundary.wake(0) == ("err", expected)

    again, tape = chain.played()

    assert [call(again, name, "brief") for _ in range(3)][1:] == [("err", "wait-exhausted")] * 2
    assert tape.finish() is None


@pytest.mark.parametrize("name", ["post", "fetch"])
def test_an_act_beyond_the_grant_is_recorded_and_one_that_is_none_is_not(name: str) -> None:
    chain = Chain()
    boundary = chain.live()

    counted: list[str] = []
    boundary.count_denial = counted.append

    assert call(boundary, name, "forbidden") == ("err", "denied")
    assert call(boundary, name, "nothing") == ("ok", "nothing to do")

    assert len(counted) == 1
    assert chain.said == [("host", HostCall(answer={"err": "denied"}, arguments=["forbidden"]))]
    again, tape = chain.played()
    again.count_denial = counted.append
    assert call(again, name, "forbidden") == ("err", "denied")
    assert len(counted) == 1, "a replay counts nothing"
    assert call(again, name, "nothing") == ("ok", "nothing to do")
    assert tape.finish() is None


@pytest.mark.parametrize("name", ["post", "fetch"])
@pytest.mark.parametrize("limit", ["bytes", "events"])
def test_an_answer_too_large_to_record_ends_the_step_and_its_replay_in_the_same_way(name: str, limit: str) -> None:
    limits = Limits(bytes_per_step=500) if limit == "bytes" else Limits(events_per_step=1)
    chain = Chain(limits=limits)
    boundary = chain.live()
    if limit == "events" and name == "fetch":
        call(boundary, "peek", "first")
    assert call(boundary, name, "a") is SUSPEND
    with pytest.raises(StepCrash, match=limit):
        boundary.wake(START_US, ("ok", "x" * 1000))

    again, tape = chain.played(outgrew=limit == "bytes")
    if limit == "events" and name == "fetch":
        call(again, "peek", "first")
    with pytest.raises(StepCrash) as caught:
        call(again, name, "a")

    assert caught.value.crash.reason == limit
    assert tape.finish() is None


def test_a_tampered_record_of_an_act_is_a_divergence() -> None:
    at = format_time(START_US + 500)
    post, fetch = acted("post"), acted("fetch")

    assert_diverges(post, "post", "b", got='"b"')
    assert_diverges(fetch, "fetch", "b", got='"b"')
    assert_diverges(post.until(1), "post", "a", got="host")
    assert_diverges(post, "fetch", "a", got="host")
    assert_diverges(fetch, "post", "a", got="intent")
    assert_diverges(post.forged(2, arguments=None, now=at, intent=None), "post", "a")
    assert_diverges(post.forged(2, arguments=["a"], now=at, intent=1), "post", "a")
    assert_diverges(fetch.forged(1, arguments=["a"], now=at, intent=1), "fetch", "a")
    assert_diverges(fetch.forged(1, arguments=None, now=at), "fetch", "a")
    assert_diverges(fetch.forged(1, now=format_time(START_US - 1)), "fetch", "a", got="a wait that ended between")
    assert_diverges(fetch.forged(1, now="yesterday"), "fetch", "a", got="a wait that ended between")
    assert_diverges(fetch.forged(1, now=None), "fetch", "a", got="a wait that ended between")


def test_a_recorded_answer_that_cannot_be_one_and_a_yes_to_a_call_beyond_the_grant_are_divergences() -> None:
    at = format_time(START_US)
    odd = encode_payload(HostCall(answer=12, arguments=["a"], now=at))
    with pytest.raises(StepCrash, match="cannot be one"):
        call(Chain([("host", f"{INTERFACE}#fetch", odd)]).played()[0], "fetch", "a")

    yes = encode_payload(HostCall(answer={"ok": "done"}, arguments=["forbidden"], now=at))
    assert_diverges(Chain([("host", f"{INTERFACE}#fetch", yes)]), "fetch", "forbidden", got="denied")


# -- in a runtime ----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One that every node of the test has."""
    made = World()
    everything = registry(made)
    monkeypatch.setattr(theater.runtime.opening, "installed", lambda: everything)
    return made


@pytest.fixture
def stage(world: World, workshop: Workshop, tmp_path: Path) -> Iterator[Stage]:
    with Stage(workshop, tmp_path) as made:
        yield made
    assert world.opened == world.closed


def play(stage: Stage, **options: object) -> Actor:
    return stage.play(ERRAND, capabilities=ERRANDS, **options)  # type: ignore[arg-type]  # passed on


def services_of(stage: Stage) -> Services:
    """Closing them early joins their threads."""
    assert stage.runtime.node.services is not None
    return stage.runtime.node.services


def arrived(world: World, times: int = 1) -> None:
    for _ in range(times):
        assert world.arrived.acquire(timeout=PATIENCE_S)


def test_an_errand_is_run_recorded_and_verified_without_running_it_again(stage: Stage, world: World) -> None:
    actor = play(stage)

    assert actor.request("post it") == "ok done"
    assert actor.request("get it") == "ok done"
    assert actor.request("get forbidden") == "err denied"

    safe = ["message", "host", "state"]
    assert actor.kinds()[4:] == ["message", "intent", "host", "state", *safe, *safe]
    assert world.begun == ['"post it"', '"get it"']
    assert actor.verify().ok
    assert len(world.begun) == 2
    assert world.opened == 1


def test_a_warm_actor_runs_errands_too(stage: Stage) -> None:
    actor = play(stage, instance="warm")

    assert [actor.request("post it"), actor.request("get it")] == ["ok done", "ok done"]

    assert actor.verify().ok


def test_nothing_is_done_before_the_intent_is_durable(world: World, workshop: Workshop, tmp_path: Path) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        actor = play(stage)
        with gate.held():
            pending = actor.start_request('"post it"')
            assert gate.arrived.wait(PATIENCE_S)
            assert world.begun == []
        assert pending.result().text == '"ok done"'
        assert world.begun == ['"post it"']


def test_a_disk_that_does_not_take_the_intent_keeps_the_act_from_being_performed(
    world: World, workshop: Workshop, tmp_path: Path
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path, fault=gate) as stage:
        actor = play(stage)
        gate.is_full = True
        with pytest.raises(TheaterError):
            actor.request("post it")
        gate.is_full = False
        assert world.begun == []


def test_what_was_done_stands_when_the_step_fails(stage: Stage, world: World) -> None:
    actor = play(stage)

    with pytest.raises(TheaterError, match="no"):
        actor.request("post and refuse")

    assert world.begun == ['"post and refuse"']
    assert actor.kinds()[4:] == ["message", "intent", "host", "refused"]
    assert actor.verify().ok


def test_an_act_whose_time_is_over_is_interrupted(stage: Stage, world: World) -> None:
    actor = play(stage)
    pending = actor.start_request('"post slow"')
    arrived(world)
    stage.clock.wait_for_timers()

    stage.clock.advance(30)

    assert pending.result().text == '"err timeout"'
    assert actor.verify().ok
    services_of(stage).close()
    assert world.interrupted == ['"post slow"']


@pytest.mark.parametrize("errand", ["post slow", "get slow"])
def test_stopping_at_once_interrupts_the_act(stage: Stage, world: World, errand: str) -> None:
    actor = play(stage)
    pending = actor.start_request(json.dumps(errand))
    arrived(world)

    actor.terminate()

    with pytest.raises(TheaterError):
        pending.result()
    crashed = actor.payloads("crashed")[-1]
    assert isinstance(crashed, CrashedPayload)
    assert crashed.reason == "terminated"
    report = actor.verify()
    assert (report.ok, report.unreproducible) == (True, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("errand", "answer", "times"), [("post slow", {"err": "unknown"}, 1), ("get slow", {"ok": "done"}, 2)]
)
@pytest.mark.parametrize("instance", ["fresh", "warm"])
def test_closing_interrupts_the_act_and_leaves_the_step_open(
    stage: Stage, world: World, errand: str, answer: object, times: int, instance: str
) -> None:
    actor = play(stage, instance=instance)
    pending = actor.start_request(json.dumps(errand))
    arrived(world)

    stage.reopen()
    with pytest.raises(TheaterError, match="closed"):
        pending.result()
    assert world.interrupted == [json.dumps(errand)]
    world.open.set()
    again = stage.actor("actor")
    settle(again)
    stage.rest()

    hosts = [host.answer for host in again.payloads("host") if isinstance(host, HostCall)]
    assert hosts == [answer]
    assert len(world.begun) == times
    assert "resumed" in again.kinds()
    assert again.verify().ok


def test_an_act_that_raises_against_its_promise_is_answered_as_if_nobody_knew(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    actor = play(stage)

    assert actor.request("post raise") == "err unknown"

    assert [str(error) for error in reported] == ["the world is broken"]
    assert actor.verify().ok


def test_an_answer_of_another_shape_ends_the_step_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    actor = play(stage)

    with pytest.raises(InternalError):
        actor.request("post odd")

    crashed = actor.payloads("crashed")[-1]
    assert isinstance(crashed, CrashedPayload)
    assert crashed.reason == "internal"
    assert actor.verify().ok


@pytest.mark.parametrize("errand", ["post large", "get large"])
def test_an_answer_beyond_the_limit_of_the_step_crashes_it(stage: Stage, errand: str) -> None:
    actor = play(stage, limits={"bytes-per-step": 2000})

    with pytest.raises(Crashed, match="bytes"):
        actor.request(errand)

    assert actor.verify().ok


@pytest.mark.slow
def test_a_hundred_acts_at_once_are_all_performed_though_sixty_four_have_threads(stage: Stage, world: World) -> None:
    actors = [play(stage, name=f"actor-{number}") for number in range(100)]
    pending = [actor.start_request('"post slow"') for actor in actors]
    arrived(world, 64)
    assert not world.arrived.acquire(timeout=0.05)

    world.open.set()

    assert {each.result().text for each in pending} == {'"ok done"'}
    assert len(world.begun) == 100
    assert world.opened == 1


@pytest.mark.slow
def test_an_act_that_nobody_wants_any_more_when_its_turn_comes_is_never_performed(stage: Stage, world: World) -> None:
    first = [play(stage, name=f"actor-{number}").start_request('"post slow"') for number in range(64)]
    arrived(world, 64)
    late = play(stage, name="late")
    pending = late.start_request('"post late"')
    stage.rest()

    late.terminate()
    with pytest.raises(TheaterError):
        pending.result()
    world.open.set()

    assert {each.result().text for each in first} == {'"ok done"'}
    services_of(stage).close()
    assert '"post late"' not in world.begun


# -- when the process dies -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("errand", "answer", "times"), [("post die", "unknown", 0), ("get die", "done", 1)])
def test_a_process_that_dies_in_the_act_leaves_an_unknown_outcome_once(
    world: World, workshop: Workshop, tmp_path: Path, errand: str, answer: str, times: int
) -> None:
    path = tmp_path / "theater.toml"
    path.write_text(f'name = "actor"\ncomponent = "{workshop.file(ERRAND)}"\n[capabilities.errands]\n')
    root = Path(__file__).parents[2]
    task = {"data": str(tmp_path / "data"), "cache": str(workshop.cache), "manifest": str(path)}
    task |= {"bodies": [json.dumps(errand)], "real_clock": True}  # type: ignore[dict-item]  # JSON
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.mortal_errand", json.dumps(task)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])},
        cwd=root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (9, b"ack init\n"), done.stderr.decode()

    with Stage(workshop, tmp_path) as stage:
        actor = stage.actor("actor")
        settle(actor)
        hosts = [host.answer for host in actor.payloads("host") if isinstance(host, HostCall)]
        assert hosts == [{"err" if times == 0 else "ok": answer}]
        assert len(world.begun) == times
        assert actor.request("post it") == "ok done"
        assert actor.verify().ok


# -- services --------------------------------------------------------------------------------------------------------


def services(world: World, folder: Path) -> Services:
    return Services(registry(world), folder, clock=MockClock(), entropy=SystemEntropy())


def test_a_service_is_opened_once_and_closed_once(tmp_path: Path) -> None:
    world = World()
    made = services(world, tmp_path)

    assert made.of("errands") is made.of("errands")
    made.close()
    made.close()

    assert (world.opened, world.closed) == (1, 1)
    with pytest.raises(TheaterError):
        made.of("timing")


def test_a_closed_node_opens_no_service(tmp_path: Path) -> None:
    world = World()
    made = services(world, tmp_path)
    made.close()

    with pytest.raises(TheaterError):
        made.of("errands")
    assert world.opened == 0


def test_what_is_called_on_an_interruption_is_called_once_even_where_it_came_before() -> None:
    interrupt, called = Interrupt(), list[int]()
    interrupt.when_wanted(lambda: called.append(1))

    interrupt.want()
    interrupt.want()
    interrupt.when_wanted(lambda: called.append(2))

    assert interrupt.is_wanted
    assert called == [1, 2]
