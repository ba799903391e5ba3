"""Whatever is sent and done: replay equals record, and an actor's life follows a model of a few lines."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.guests import wat
from tests.runtime.guests import CHATTY
from tests.runtime.stage import Stage, Workshop
from theater.errors import Crashed, NotRunning, Refused
from theater.testing.harness import Actor

pytestmark = pytest.mark.slow

SHARED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

WORDS = st.sampled_from(['"refuse"', '"defer"', '"trap"', '"not-json"'])
ADDING = st.integers(-1000, 1000).map(lambda by: json.dumps({"by": by}))
ACTIONS = st.sampled_from(["pause", "resume", "stop", "restart", "reopen", "terminate"])


class Model:
    """What an actor with MOODY inside should be."""

    def __init__(self) -> None:
        self.status = "running"
        self.count = 0

    def answer(self, body: str) -> str | type[Exception] | None:
        """What a request brings, at once."""
        if self.status != "running":
            return NotRunning
        if body == '"refuse"':
            return Refused
        if body == '"defer"':
            return None
        if body in ('"trap"', '"not-json"'):
            self.status = "crashed"
            return Crashed
        self.count += int(json.loads(body)["by"])
        return json.dumps({"count": self.count}, separators=(",", ":"))

    def act(self, action: str) -> type[Exception] | None:
        """What a control does, or how it is refused."""
        if action in ("pause", "resume") and self.status in ("stopped", "crashed"):
            return NotRunning
        self.status = {
            "pause": "paused",
            "resume": "running",
            "stop": "stopped",
            "terminate": "stopped",
            "restart": "running",
        }[action]
        return None


@SHARED
@given(script=st.lists(ADDING | ADDING | WORDS | ACTIONS, max_size=12), warm=st.booleans())
def test_an_actors_life_follows_the_model_and_verifies(
    workshop: Workshop,
    tmp_path_factory: pytest.TempPathFactory,
    script: list[str],
    warm: bool,  # noqa: FBT001 - drawn
) -> None:
    folder: Path = tmp_path_factory.mktemp("life")
    with Stage(workshop, folder) as stage:
        actor = stage.play(wat.MOODY, instance="warm" if warm else "fresh")
        model = Model()
        for line in script:
            if line == "reopen":
                assert stage.runtime._sampler.wait_quiet(10.0)
                stage.reopen()
                actor = stage.actor("actor")
            elif line[0] in '"{':
                if model.status == "paused":
                    continue  # it would wait
                _ask(actor, line, model.answer(line))
            else:
                refusal = model.act(line)
                with pytest.raises(refusal) if refusal else contextlib.nullcontext():
                    getattr(actor, line)()
            assert actor.status == model.status
            assert json.loads(actor.state or "") == {"count": model.count}
        assert stage.runtime._sampler.wait_quiet(10.0)
        report = actor.verify()
        assert (report.ok, report.fault, report.unreproducible) == (True, None, 0)
        assert "hidden-state" not in actor.kinds()


def _ask(actor: Actor, body: str, expected: str | type[Exception] | None) -> None:
    request = actor.request_json
    if isinstance(expected, type):
        with pytest.raises(expected):
            request(body)
    elif expected is None:  # a request would wait for its answer
        assert actor.start_send(body).result().text is None
    else:
        assert request(body).text == expected


@SHARED
@given(
    bodies=st.lists(
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20), st.lists, max_leaves=5)
    ),
    warm=st.booleans(),
)
def test_whatever_is_said_comes_back_and_replays(
    workshop: Workshop,
    tmp_path_factory: pytest.TempPathFactory,
    bodies: list[object],
    warm: bool,  # noqa: FBT001 - drawn
) -> None:
    texts = [json.dumps(body, ensure_ascii=False) for body in bodies]
    with Stage(workshop, tmp_path_factory.mktemp("echo")) as stage:
        actor = stage.play(CHATTY, instance="warm" if warm else "fresh")
        pending = [actor.start_request(text) for text in texts]

        assert [each.result().text for each in pending] == texts
        assert actor.state == (f'{{"count":{len(texts)}}}' if texts else "{}")
        assert stage.runtime._sampler.wait_quiet(10.0)
        report = actor.verify()
        assert (report.ok, report.steps) == (True, len(texts) + 1)
