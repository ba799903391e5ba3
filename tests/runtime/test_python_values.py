"""What ``request`` makes of Python values, and of replies that Python cannot hold."""

import contextlib

import pytest

from tests.guests import wat
from tests.runtime.stage import Stage
from theater.errors import InvalidInput, InvalidJson
from theater.runtime.python_values import from_json, to_json

TOO_DEEP: list[object] = []
for _ in range(1200):
    TOO_DEEP = [TOO_DEEP]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_a_value_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidJson):
        to_json(value)


@pytest.mark.parametrize("text", ["1e400", "-1e999"])
def test_a_text_that_python_cannot_hold_is_refused_whole(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        from_json(text)

    assert caught.value.data["text"] == text


def test_the_deepest_text_comes_through_or_is_refused_whole() -> None:
    """How deep Python's reader goes differs between its versions; 3.11 stops short of what JSON may be here."""
    text = "[" * 1024 + "]" * 1024
    come_through = text
    with contextlib.suppress(InvalidInput):
        come_through = to_json(from_json(text))

    assert come_through == text


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
