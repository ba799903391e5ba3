"""A step that was interrupted goes on as if nothing had happened, wherever it was interrupted."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.forgery import Forger
from tests.guests import wat
from tests.runtime.guests import CHATTY, DOZE, DREAM, EAGER
from tests.runtime.inside import commit, inner, kill_step, settle
from tests.runtime.planting import plant
from tests.runtime.stage import Gate, Stage, Workshop
from theater.errors import Crashed
from theater.model.event import Event
from theater.model.payload import CrashedPayload, Intent, Message, Payload
from theater.model.ports import ActorRecord
from theater.runtime.history import payload_of
from theater.testing.harness import Actor

TIMING: dict[str, dict[str, object]] = {"timing": {}}


@dataclasses.dataclass
class Past:
    """A true history, from which a part is planted."""

    events: list[Event]
    record: ActorRecord
    components: Path


def past(workshop: Workshop, folder: Path, text: str, bodies: Sequence[str], **options: object) -> Past:
    """What really happens when an actor gets these messages; each may sleep for a second."""
    folder.mkdir()
    with Stage(workshop, folder) as stage:
        actor = stage.play(text, **options)  # type: ignore[arg-type]  # passed on
        for body in bodies:
            pending = actor.start_request(body)
            for _ in range({DREAM: 1, DOZE: 2}.get(text, 0)):
                stage.clock.wait_for_timers()
                stage.clock.advance(1)
            pending.result()
        assert stage.runtime._sampler.wait_quiet(10.0)
        record = stage.runtime.store.record(actor.id)
        assert record is not None
        return Past(actor.events(), record, folder / "data" / "components")


def replant(there: Past, folder: Path, events: Sequence[Event], *, attempt: int = 0) -> None:
    """Leave a data directory behind as if the process had died with these events committed."""
    folder.mkdir()
    plant(folder / "data", events, dataclasses.replace(there.record, status="running"), attempt=attempt)
    shutil.copytree(there.components, folder / "data" / "components", dirs_exist_ok=True)


def woken(stage: Stage) -> Actor:
    """The actor, once its interrupted step is done. It may sleep once."""
    actor = stage.actor("actor")
    found = inner(actor)
    for _ in range(50):
        if found.wait_idle(0.1):
            break
        stage.clock.advance(2)
    assert found.wait_idle(5.0)
    assert found.wait_durable(5.0)
    committed = threading.Event()
    commit(found, lambda *_: committed.set())
    assert committed.wait(10.0)
    return actor


def told(events: Sequence[Event]) -> list[tuple[str, str, bytes | None]]:
    """What a chain tells of its steps; lifecycle events are told by others."""
    return [
        (event.header.kind, event.header.name, event.payload) for event in events if event.header.kind != "lifecycle"
    ]


@pytest.mark.slow
def test_a_step_interrupted_between_any_two_events_comes_to_the_same(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", DREAM, ['{"a":1}', '{"a":2}'], capabilities=TIMING)
    kinds = [event.header.kind for event in there.events]
    step = ["message", "log", "intent", "host", "log", "state"]
    assert kinds == ["genesis", "lifecycle", "message", "state", *step, *step]

    for cut in range(5, len(there.events)):
        folder = tmp_path / f"cut-{cut}"
        replant(there, folder, there.events[:cut])
        with Stage(workshop, folder) as stage:
            stage.clock.advance_us(there.events[-1].header.time_us - stage.clock.now_us())
            actor = woken(stage)
            report = actor.verify()

            is_open = kinds[cut - 1] != "state"
            assert (report.ok, report.open, report.fault) == (True, None, None), (cut, report)
            assert ("resumed" in actor.kinds()) is is_open
            messages = [event for event in actor.events() if event.header.kind == "message"]
            assert len(messages) == kinds[:cut].count("message")
            # every event before the cut is as it was; what came after it is as it would have been
            assert actor.events()[:cut] == there.events[:cut]
            assert _without_seqs(actor.events()) == _without_seqs(there.events[: _end_of_step(kinds, cut)])


def test_an_interrupted_step_keeps_its_ids_its_random_numbers_and_its_log(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", DREAM, ['{"a":1}'], capabilities=TIMING)
    replant(there, tmp_path / "cut", there.events[:7])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        assert actor.kinds()[4:] == ["message", "log", "intent", "resumed", "host", "log", "state"]
        assert _texts(actor.payloads("log")) == _texts(_decoded(there.events, "log"))
        assert actor.state == '{"a":1}'
        assert actor.verify().ok
        assert stage.runtime.store.attempt(actor.id) == 0


def test_an_interrupted_init_goes_on(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", wat.COUNTER, [], params='{"start":7}')
    replant(there, tmp_path / "cut", there.events[:3])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        assert actor.kinds() == ["genesis", "started", "message", "resumed", "state"]
        assert actor.request({"by": 1}) == {"count": 8}
        assert actor.verify().ok


def test_an_init_that_was_never_begun_is_begun(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", wat.COUNTER, [], params='{"start":7}')
    replant(there, tmp_path / "cut", there.events[:2])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        assert actor.kinds() == ["genesis", "started", "message", "state"]
        assert actor.request({"by": 1}) == {"count": 8}
        assert actor.verify().ok


def test_a_step_can_be_terminated_before_it_is_begun_again(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", DREAM, ["1"], capabilities=TIMING)
    replant(there, tmp_path / "cut", there.events[:7])
    gate = Gate()

    with Stage(workshop, tmp_path / "cut", fault=gate, durability="power") as stage:
        with gate.held():  # its attempt cannot be marked, so it waits
            actor = stage.actor("actor")
            kill_step(inner(actor))

        settle(actor)
        assert actor.status == "crashed"
        assert stage.clock.timers == ()


def test_requests_queue_behind_a_step_that_is_resumed(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", DREAM, ["1"], capabilities=TIMING)
    replant(there, tmp_path / "cut", there.events[:7])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = stage.actor("actor")
        pending = actor.start_request("2")
        for _ in range(2):
            stage.clock.wait_for_timers()
            stage.clock.advance(1)
        pending.result()

        assert actor.state == "2"
        assert actor.kinds()[-6:] == ["message", "log", "intent", "host", "log", "state"]
        assert actor.verify().ok


def test_a_step_that_took_the_process_down_twice_is_not_run_a_third_time(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", DREAM, ["1", "2"], capabilities=TIMING)
    replant(there, tmp_path / "cut", there.events[:12], attempt=1)

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        (crashed,) = actor.payloads("crashed")
        assert isinstance(crashed, CrashedPayload)
        assert crashed.reason == "host-died"
        assert (actor.status, actor.state) == ("crashed", "1")
        assert stage.runtime.store.attempt(actor.id) == 0
        report = actor.verify()
        assert (report.ok, report.unreproducible) == (True, 1)

        stage.clock.advance_us(actor.events()[-1].header.time_us - stage.clock.now_us())
        actor.restart()
        pending = actor.start_request("3")
        stage.clock.wait_for_timers()
        stage.clock.advance(1)
        pending.result()
        assert actor.state == "3"
        assert actor.verify().ok


@pytest.mark.parametrize("cut", [6, 7])
def test_a_rerun_that_says_something_else_closes_as_diverged(workshop: Workshop, tmp_path: Path, cut: int) -> None:
    there = past(workshop, tmp_path / "true", CHATTY, ["1"])
    forger = Forger(there.events[:cut])
    forger.change(cut - 1, text="what it never said")
    replant(there, tmp_path / "cut", forger.sealed())

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        (crashed,) = actor.payloads("crashed")
        assert isinstance(crashed, CrashedPayload)
        assert crashed.reason == "diverged"
        assert crashed.message is not None
        assert "what it never said" in crashed.message
        assert (actor.status, actor.state) == ("crashed", "{}")


def test_a_rerun_that_does_less_than_is_recorded_closes_as_diverged(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", CHATTY, ["1"])
    forger = Forger(there.events[:7])
    log = forger.at(6).fields
    forger.insert(6, "log", "log", log)
    forger.insert(6, "log", "log", log)
    replant(there, tmp_path / "cut", forger.sealed())

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        (crashed,) = actor.payloads("crashed")
        assert isinstance(crashed, CrashedPayload)
        assert crashed.reason == "diverged"
        assert actor.state == "{}"


def test_a_warm_step_that_is_resumed_verifies_as_the_fresh_one_that_it_was(workshop: Workshop, tmp_path: Path) -> None:
    # the kept instance died with the process; the start-up costs fuel, so it shows in which one a step was run
    there = past(workshop, tmp_path / "true", EAGER, ["1", "2", "3"], instance="warm")
    replant(there, tmp_path / "cut", there.events[:7])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)
        actor.request_json("4")
        actor.request_json("5")
        assert stage.runtime._sampler.wait_quiet(10.0)

        numbers = [(each.instance, each.nth) for each in actor.payloads("message") if isinstance(each, Message)]
        assert numbers == [(None, None), (0, 0), (0, 1), (1, 0), (1, 1)]
        report = actor.verify()
        assert (report.ok, report.fault) == (True, None)


@pytest.mark.parametrize("left", range(6))
@pytest.mark.slow
def test_a_warm_step_that_mentions_resources_is_resumed(workshop: Workshop, tmp_path: Path, left: int) -> None:
    # message, intent, host, log, intent, host, state: each time; the third step is left with its first ones
    there = past(workshop, tmp_path / "true", DOZE, ["1", "2", "3"], instance="warm")
    begun = [event.header.seq for event in there.events if event.header.kind == "message"]
    replant(there, tmp_path / "cut", there.events[: begun[3] + 1 + left])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)

        assert actor.status == "running"
        assert actor.kinds()[-1] == "state"
        assert actor.payloads("intent") == [Intent([[1]]), Intent([[2, 3]])] * 3
        report = actor.verify()
        assert (report.ok, report.fault) == (True, None)


@pytest.mark.slow
def test_a_step_that_is_resumed_twice_but_did_not_kill_is_run(workshop: Workshop, tmp_path: Path) -> None:
    there = past(workshop, tmp_path / "true", DREAM, ["1"], capabilities=TIMING)
    replant(there, tmp_path / "cut", there.events[:7])

    with Stage(workshop, tmp_path / "cut") as stage:
        actor = woken(stage)
        stage.reopen()
        again = stage.actor("actor")

        assert again.status == "running"
        assert again.kinds() == actor.kinds()


def _without_seqs(events: Sequence[Event]) -> list[tuple[str, str, object]]:
    """What is told, but for places in the chain, which a ``resumed`` in between moves, and the time of an answer."""
    forger = Forger(events)
    return [
        (
            event.kind,
            event.name,
            {key: value for key, value in event.fields.items() if key not in ("state", "intent", "now")}
            if event.kind in ("message", "host")
            else event.payload,
        )
        for event in forger.events
        if event.kind not in ("lifecycle", "genesis")
        and not (event.kind == "message" and event.fields["seed"] not in _seeds(events))
    ]


def test_a_process_that_died_before_it_stopped_what_it_had_terminated(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    with Stage(workshop, tmp_path / "true") as stage:
        actor = stage.play(wat.SLEEPER, capabilities=TIMING)
        record = stage.runtime.store.record(actor.id)
        assert record is not None
        asked = actor.start_request('{"ms":5}')
        stage.clock.wait_for_timers()
        actor.terminate()
        with pytest.raises(Crashed):
            asked.result()
        events = actor.events()
    assert [event.header.name for event in events[-1:]] == ["stopped"]
    replant(Past(events, record, tmp_path / "true/data/components"), tmp_path / "again", events[:-1])

    with Stage(workshop, tmp_path / "again") as stage:
        actor = woken(stage)
        assert (actor.status, actor.kinds()[-1]) == ("running", "crashed")  # nobody was told that it had stopped
        asked = actor.start_request('{"ms":5}')
        stage.clock.wait_for_timers()
        stage.clock.advance(1)
        asked.result()
        report = actor.verify()
        assert (report.ok, report.unreproducible, report.fault) == (True, 1, None)


def _seeds(events: Sequence[Event]) -> set[str]:
    return {event.fields["seed"] for event in Forger(events).events if event.kind == "message"}


def _end_of_step(kinds: Sequence[str], cut: int) -> int:
    return cut if kinds[cut - 1] == "state" else kinds.index("state", cut) + 1


def _texts(payloads: Sequence[Payload]) -> list[object]:
    return [getattr(payload, "text", None) for payload in payloads]


def _decoded(events: Sequence[Event], kind: str) -> list[Payload]:
    return [payload_of(event) for event in events if event.header.kind == kind]
