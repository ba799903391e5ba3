"""A JSON text crosses a guest, the chain and a replay as exactly its text, or is refused."""

from __future__ import annotations

import sys

import pytest

from tests.guests import wat
from tests.runtime.stage import Stage
from theater.errors import InvalidJson
from theater.model.payload import Message, State

KEPT = {
    "nested-1024": "[" * 1024 + "]" * 1024,
    "digits-5000": "9" * 5000,
    "fraction-5000": "0." + "1" * 5000,
    "beyond-floats": "1e400",
    "beyond-everything": "-1.5E+999999999999",
    "duplicate-keys": '{"a":1,"a":2,"a":{"a":1,"a":1}}',
    "blanks": ' { "a" :\t[ 1 ,\r\n2 ] } ',
    "escapes": '"\\u0041\\/\\ud83d\\ude00\\u0000\\u001f"',
    "controls-behind-the-ascii-ones": '"\u007f\u0085\u2028\u2029"',
    "negative-zero": "-0",
    "negative-zero-float": "-0.0e-0",
    "bare-string": '""',
    "null": "null",
    "not-normalised": '"e\u0301 \u00e9"',
    "last-code-point": '"\U0010ffff\ufdd0\uffff"',
}

REFUSED = {
    "nested-1025": "[" * 1025 + "]" * 1025,
    "nested-objects-1025": '{"a":' * 1025 + "1" + "}" * 1025,
    "byte-order-mark": "\ufeff1",
    "nan": "NaN",
    "infinity": "-Infinity",
    "lone-escape": '"\\ud800"',
    "reversed-pair": '"\\ude00\\ud83d"',
    "lone-surrogate": '"\ud800"',
    "leading-zero": "01",
    "plus": "+1",
    "bare-control": '"\n"',
    "trailing-comma": "[1,]",
    "comment": "1//",
    "two-values": "1 2",
    "nothing": "",
    "blank": " ",
    "single-quotes": "'a'",
    "other-blank": "\u00a01",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_a_text_comes_back_byte_for_byte(stage: Stage, text: str) -> None:
    actor = stage.play(wat.REMEMBER, params="0")

    actor.request_json(text)
    back = actor.request_json("0").text

    assert back == text
    message, state = actor.payloads("message")[1], actor.payloads("state")[1]
    assert isinstance(message, Message)
    (argument,) = message.arguments
    assert isinstance(argument, dict)
    assert argument["body"] == text
    assert isinstance(state, State)
    assert state.state == text
    assert actor.verify().ok


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_json_is_not_sent(stage: Stage, text: str) -> None:
    actor = stage.play(wat.ECHO)

    with pytest.raises(InvalidJson):
        actor.request_json(text)

    assert len(actor.payloads("message")) == 1
    assert actor.status == "running"


@pytest.mark.parametrize("text", [KEPT["nested-1024"], REFUSED["nested-1025"]], ids=["1024", "1025"])
def test_the_depth_of_our_own_stack_does_not_matter(stage: Stage, text: str) -> None:
    actor = stage.play(wat.ECHO)

    def ask(deeper: int) -> str | None:
        return ask(deeper - 1) if deeper else actor.request_json(text).text

    if text == KEPT["nested-1024"]:
        assert ask(sys.getrecursionlimit() // 2) == text
    else:
        with pytest.raises(InvalidJson):
            ask(sys.getrecursionlimit() // 2)


def test_a_state_survives_the_store_byte_for_byte(stage: Stage) -> None:
    actor = stage.play(wat.REMEMBER, params="0", name="keeper")
    actor.request_json(KEPT["duplicate-keys"])

    stage.reopen()

    assert stage.actor("keeper").state == KEPT["duplicate-keys"]
    assert stage.actor("keeper").request_json("1").text == KEPT["duplicate-keys"]


def test_a_large_state_lies_in_a_file_of_its_own_and_comes_back(stage: Stage) -> None:
    text = f'"{"é" * 100_000}"'
    actor = stage.play(wat.REMEMBER, params="0", name="keeper")
    actor.request_json(text)

    stage.reopen()

    again = stage.actor("keeper")
    assert again.request_json("1").text == text
    assert again.verify().ok
