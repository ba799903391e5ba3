"""What becomes of actors is told, with the event that says it."""

import asyncio
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.stage import Stage, Workshop
from theater.errors import Crashed
from theater.model.ports import Written
from theater.server import life_log
from theater.server.life_log import LifeLog
from theater.server.log import Log


@dataclass
class Told:
    """A stage, and what is told of its actors."""

    stage: Stage
    stream: io.StringIO
    life: LifeLog

    def lines(self) -> list[dict[str, object]]:
        """Everything that was told, when everything has been."""
        self.stage.rest()
        self.stage.run(asyncio.sleep(0))
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def messages(self) -> list[object]:
        return [line["message"] for line in self.lines()]


@pytest.fixture
def told(workshop: Workshop, tmp_path: Path) -> Iterator[Told]:
    stream = io.StringIO()
    with Log(stream, "json") as log, Stage(workshop, tmp_path) as stage:

        async def observing() -> LifeLog:
            return LifeLog(stage.runtime, log)

        life = stage.run(observing())
        yield Told(stage, stream, life)
        life.close()


def test_an_actors_life_is_told_with_its_id_its_name_and_the_event(told: Told) -> None:
    counter = told.stage.play(wat.COUNTER, name="counter")
    ref = told.stage.run(told.stage.runtime.actor("counter", by="deploy"))
    told.stage.run(ref.pause())
    told.stage.run(ref.resume())
    told.stage.run(ref.stop())
    told.stage.run(ref.restart())

    lines = told.lines()
    assert [line["message"] for line in lines] == [
        "actor started",
        "actor paused",
        "actor resumed",
        "actor stopped",
        "actor restarted",
    ]
    for line in lines:
        assert line["actor"] == counter.id
        assert line["name"] == "counter"
        event = next(told.stage.runtime.store.events(counter.id, start=int(str(line["seq"]))))
        assert event.header.name == str(line["message"]).removeprefix("actor ")
    assert [line["by"] for line in lines[1:]] == ["deploy"] * 4


def test_a_crash_is_a_warning_with_its_reason(told: Told) -> None:
    actor = told.stage.play(wat.LOOP, name="loop", limits={"fuel": 100_000})
    with suppress(Crashed):
        actor.request(1)

    crashed = [line for line in told.lines() if line["message"] == "actor crashed"]
    assert [(line["level"], line["reason"], line["name"]) for line in crashed] == [("warning", "fuel", "loop")]


def test_steps_that_end_well_are_not_told(told: Told) -> None:
    counter = told.stage.play(wat.COUNTER)
    counter.request({"by": 1})

    assert told.messages() == ["actor started"]


def test_what_cannot_be_told_in_time_is_counted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life_log, "WAITING_MAX", 3)
    seen: list[Written] = []
    told.stage.runtime.store.observe(seen.append)
    told.stage.play(wat.COUNTER)
    assert told.messages() == ["actor started"]
    birth = next(written for written in seen if any(batch.record for batch in written.batches))

    for _ in range(5):
        told.life._written(birth)

    assert [line.get("left_out") for line in told.lines()[1:]] == [None, None, None, 2]


def test_nothing_is_told_any_more_when_it_is_closed(told: Told) -> None:
    told.life.close()
    told.stage.play(wat.COUNTER)

    assert told.messages() == []
