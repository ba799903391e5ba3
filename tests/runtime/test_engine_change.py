"""A chain says under which engine its fuel was measured, whenever that changes."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from tests.guests import wat
from tests.runtime.stage import Stage
from theater.engine import settings
from theater.model.execution import EngineIdentity
from theater.model.payload import Lifecycle

REAL = settings.engine_identity()
OTHER = dataclasses.replace(REAL, version="99.0.0")


def use(monkeypatch: pytest.MonkeyPatch, identity: EngineIdentity) -> None:
    """Let the engine say that it is another."""
    monkeypatch.setattr(settings, "engine_identity", lambda: identity)


def engines(stage: Stage, name: str) -> list[str]:
    """The versions that the chain notes after genesis."""
    noted = [each for each in stage.actor(name).payloads("lifecycle") if isinstance(each, Lifecycle)]
    return [str(each.detail["version"]) for each in noted if each.detail is not None and "version" in each.detail]


def test_nothing_is_noted_while_the_engine_stays(stage: Stage) -> None:
    stage.play(wat.COUNTER, name="c").request({"by": 1})

    stage.reopen()
    stage.actor("c").request({"by": 1})

    assert engines(stage, "c") == []


@pytest.mark.slow
def test_another_engine_is_noted_when_the_actor_wakes_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.play(wat.COUNTER, name="c").request({"by": 1})

    use(monkeypatch, OTHER)
    stage.reopen()
    stage.actor("c").request({"by": 1})

    assert engines(stage, "c") == ["99.0.0"]
    # under the other engine, the steps of the first are not compared in their fuel, and the new ones are
    assert stage.actor("c").verify().ok


@pytest.mark.slow
def test_another_engine_is_noted_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.play(wat.COUNTER, name="c")

    use(monkeypatch, OTHER)
    for _ in range(3):
        stage.reopen()
        stage.actor("c").request({"by": 1})

    assert engines(stage, "c") == ["99.0.0"]


@pytest.mark.slow
def test_the_way_back_is_noted_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.play(wat.COUNTER, name="c")

    use(monkeypatch, OTHER)
    stage.reopen()
    stage.actor("c").request({"by": 1})
    use(monkeypatch, REAL)
    stage.reopen()
    stage.actor("c").request({"by": 1})

    assert engines(stage, "c") == ["99.0.0", REAL.version]


@pytest.mark.parametrize("body", ['"deep"', '"loop"'])
def test_what_only_one_engine_can_tell_is_not_compared_under_another(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    actor = stage.play(wat.MOODY, name="m", limits={"fuel": 10_000_000})
    actor.request({"by": 1})
    with pytest.raises(Exception, match="crashed"):
        actor.request_json(body)
    assert actor.verify().not_compared == 0

    use(monkeypatch, OTHER)
    report = stage.actor("m").verify()

    assert (report.ok, report.not_compared) == (True, 1)
    assert msgspec.structs.asdict(report)["steps"] == 3
