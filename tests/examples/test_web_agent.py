"""The example of an agent with a model and a tool, as its script plays it: the server goes away in the middle of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.guests.python import no_text
from theater.build.builder import build_project
from theater.build.project import find_project
from theater_sdk import CallFailed, Refuse
from theater_sdk.testing import Rehearsal

EXAMPLE = Path(__file__).parents[2] / "examples" / "web-agent"


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"web_agent_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script() -> Iterator[ModuleType]:
    """``run.py``, as a module."""
    path = list(sys.path)
    yield loaded(EXAMPLE / "run.py")
    sys.path[:] = path
    del sys.modules["stand_in"]


@pytest.mark.slow
def test_an_agent_asks_a_model_and_a_tool_and_its_chain_replays_with_the_server_gone(
    script: ModuleType, tmp_path: Path
) -> None:
    build_project(find_project(EXAMPLE / "agent"), assemble=no_text)
    said: list[str] = []

    script.story(tmp_path, said.append)

    text = "\n".join(said)
    assert r"sunny, 24 degrees\"}; {\"city\": \"Oslo\"" in text
    assert "denied (allow =" in text
    assert "refused: the model had no answer after 6 turns" in text
    assert "You asked me 3 things so far." in text  # what was refused is not in the state
    assert "identical: " in text
    assert "sound: " in text
    assert "In 0 of the " in text
    assert script.KEY not in text


URLS = {"model": "http://m/chat", "tools": "http://t"}


def line(**message: object) -> dict[str, object]:
    return {"choices": [{"message": {"role": "assistant", **message}}]}


def call(name: str, arguments: str) -> dict[str, object]:
    return {"id": "1", "function": {"name": name, "arguments": arguments}}


def agent(*said: object) -> Rehearsal:
    """One whose model says this, one after the other, and whose tools are refused."""
    lines = iter(said)

    def answer(method: str, **_: object) -> object:
        return next(lines) if method == "POST" else CallFailed("denied", "no")

    return Rehearsal(loaded(EXAMPLE / "agent" / "actor.py").Agent, URLS, answers={"http": answer})


@pytest.mark.parametrize("arguments", ['{"city":"Graz"}', "no JSON", "5"])
def test_a_tool_that_fails_is_for_the_model_to_make_something_of(arguments: str) -> None:
    asked = agent(line(tool_calls=[call("weather", arguments)]), line(content="I do not know"))

    assert asked.request({"ask": "?"}) == {"answer": "I do not know", "turns": 2}
    assert asked.state["conversation"][2]["content"].startswith("error: ")


@pytest.mark.parametrize(
    "said",
    [
        "no JSON at all",
        5,
        (500, "no"),
        (200, []),
        {"choices": []},
        line(content=None),
        line(tool_calls=[5]),
        line(tool_calls=[{"id": 1, "function": "f"}]),
        CallFailed("outcome-unknown"),
    ],
)
def test_what_is_no_answer_of_a_model_is_a_refusal_and_the_agent_lives(said: object) -> None:
    asked = agent(said)

    with pytest.raises(Refuse):
        asked.request({"ask": "?"})
    assert asked.state["conversation"] == []


def test_the_conversation_that_is_kept_begins_with_a_question() -> None:
    asked = agent(*(line(content=str(number)) for number in range(50)))

    for number in range(50):
        assert asked.request({"ask": "?"})["answer"] == str(number)
    conversation = asked.state["conversation"]
    assert len(conversation) == 40
    assert conversation[0]["role"] == "user"
