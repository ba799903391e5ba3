"""An actor that is woken up has no more than this node allows now, whatever it was given before or elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guests import wat
from tests.runtime.guests import VARIABLE
from tests.runtime.stage import Stage
from theater.errors import Denied

LANG: dict[str, dict[str, object]] = {"environment": {"allow": ["LANG"]}}


def ceiling(stage: Stage, text: str) -> None:
    """Set the node's ceiling, in force when it is opened again."""
    file = Path(stage.runtime.config.file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_what_was_allowed_once_is_asked_for_again(stage: Stage) -> None:
    first = stage.play(VARIABLE, capabilities=LANG, allowed=["environment=LANG"])
    stage.reopen()
    before = stage.runtime.store.head(first.id)

    with pytest.raises(Denied) as caught:
        stage.actor(first.id)

    assert caught.value.data["asked"] == ["[capabilities.environment]", 'allow = ["LANG"]']
    assert stage.runtime.store.head(first.id) == before
    with pytest.raises(Denied):
        stage.actor(first.id, allowed=["environment=HOME"])
    assert stage.actor(first.id, allowed=["environment=LANG"]).request(0) == ""


def test_an_actor_that_is_awake_was_decided_on_already(stage: Stage) -> None:
    first = stage.play(VARIABLE, capabilities=LANG, allowed=["environment"])

    assert stage.actor(first.id).request(0) == ""


def test_a_ceiling_that_was_raised_is_enough(stage: Stage) -> None:
    first = stage.play(VARIABLE, capabilities=LANG, allowed=["environment"])
    ceiling(stage, '[ceiling.environment]\nallow = ["L*"]\n')
    stage.reopen()

    assert stage.actor(first.id).request(0) == ""


def test_a_ceiling_that_was_lowered_holds_for_who_was_there_before(stage: Stage) -> None:
    first = stage.play(wat.SLEEPER, capabilities={"timing": {"sleep": "5s"}})
    ceiling(stage, '[ceiling.timing]\nsleep = "1s"\n')
    stage.reopen()

    with pytest.raises(Denied, match='sleep = "5s"'):
        stage.actor(first.id)

    ceiling(stage, '[ceiling.timing]\nsleep = "5s"\n')
    stage.reopen()
    assert stage.actor(first.id).verify().ok


def test_an_actor_that_cannot_go_on_can_be_verified(stage: Stage) -> None:
    first = stage.play(VARIABLE, capabilities=LANG, allowed=["environment"])
    first.request(0)
    stage.reopen()

    assert first.verify().ok
