"""What ``request`` makes of Python values, and of replies that Python cannot hold."""

import gc
import json
from collections.abc import Iterator

import pytest

from tests.guests import wat
from tests.runtime.stage import Stage
from theater.errors import InvalidInput, InvalidJson
from theater.runtime.python_values import DEPTH_MAX, from_json, to_json

TOO_DEEP: list[object] = []
for _ in range(1200):
    TOO_DEEP = [TOO_DEEP]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """For what goes to the end of the stack: a collection there would finalize other tests' objects, and fail."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_a_value_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidJson):
        to_json(value)


@pytest.mark.parametrize("text", ["1e400", "-1e999"])
def test_a_text_that_python_cannot_hold_is_refused_whole(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        from_json(text)

    assert caught.value.data["text"] == text


@pytest.mark.parametrize("text", ["[" * DEPTH_MAX + "]" * DEPTH_MAX, '["{[\\"[","\\\\"' + ",[]" * DEPTH_MAX + "]"])
def test_a_deep_text_comes_through(text: str) -> None:
    assert to_json(from_json(text)) == text


@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 1024])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":[1,"]"],"b":', "}")])
def test_a_deeper_one_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch, depth: int, opening: str, closing: str
) -> None:
    monkeypatch.setattr(json, "loads", None)
    text = opening * depth + "1" + closing * depth

    with pytest.raises(InvalidInput, match=r"nested deeper than 512.*request_json gives its text") as caught:
        from_json(text)

    assert caught.value.data["text"] == text


@pytest.mark.usefixtures("no_collection")
def test_a_value_that_nests_too_deep_is_not_sent(stage: Stage) -> None:
    actor = stage.play(wat.ECHO)

    with pytest.raises(InvalidJson):
        actor.request(TOO_DEEP)


def test_large_whole_numbers_and_any_text_come_through() -> None:
    value = {"n": 10**400, "text": "größe\u2028🎭", "list": [None, True, -0.5]}

    assert from_json(to_json(value)) == value


def test_the_step_is_done_where_its_reply_cannot_be_held(stage: Stage) -> None:
    actor = stage.play(wat.answering("1e400"))

    with pytest.raises(InvalidInput, match="request_json gives its text"):
        actor.request("x")

    assert actor.kinds()[-1] == "state"
    assert actor.request_json('"x"').text == "1e400"


def test_a_lone_surrogate_is_not_sent(stage: Stage) -> None:
    actor = stage.play(wat.ECHO)

    with pytest.raises(InvalidJson):
        actor.request("\ud800")
