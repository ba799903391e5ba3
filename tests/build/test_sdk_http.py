"""The guest SDK's HTTP requests, in a rehearsal: what is asked, and what a test answers."""

from __future__ import annotations

from typing import Any

import pytest

from theater_sdk import Actor, CallFailed, Message, http
from theater_sdk.testing import Rehearsal


class Caller(Actor):
    """Asks what its message says."""

    def handle(self, state: Any, message: Message) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON
        match message.body:
            case {"note": text}:
                found = http.post("https://a.b/notes", json={"text": text}, headers={"x-key": "{{secret:KEY}}"})
                return state, [found.status, found.json()]
            case {"bytes": text}:
                return state, http.request("PUT", "https://a.b/", body=text.encode(), timeout_s=1.5).text
        try:
            found = http.get("https://a.b/weather", max_redirects=0, max_bytes=10)
        except CallFailed as error:
            return state, str(error)
        return state, [found.status, found.text, found.url, found.header("X-None"), found.content.decode()]


def test_what_is_asked_is_kept_and_what_the_test_says_is_answered() -> None:
    caller = Rehearsal(Caller, answers={"http": lambda method, url, **_: (201, [method, url])})

    assert caller.request({"note": "sunny"}) == [201, ["POST", "https://a.b/notes"]]

    [asked] = caller.calls_of("http")
    assert asked["body"] == ("text", '{"text":"sunny"}')
    assert asked["headers"] == [("x-key", "{{secret:KEY}}"), ("content-type", "application/json")]


def test_bytes_are_sent_as_such_and_time_in_milliseconds() -> None:
    caller = Rehearsal(Caller, answers={"http": "done"})

    assert caller.request({"bytes": "ab"}) == "done"

    [asked] = caller.calls_of("http")
    assert (asked["method"], asked["body"], asked["timeout_ms"]) == ("PUT", ("base64", "YWI="), 1500)


def test_a_text_is_an_answer_and_a_failure_is_raised() -> None:
    caller = Rehearsal(Caller, answers={"http": "sunny"})
    assert caller.request("weather") == [200, "sunny", "https://a.b/weather", None, "sunny"]

    denied = Rehearsal(Caller, answers={"http": CallFailed("denied", 'allow = ["GET https://a.b/weather"]')})
    assert denied.request("weather") == 'send: denied (allow = ["GET https://a.b/weather"])'


def test_a_request_for_which_the_test_has_no_answer_says_how_to_give_one() -> None:
    with pytest.raises(LookupError, match="http"):
        Rehearsal(Caller).request("weather")


def test_a_body_is_given_once() -> None:
    with pytest.raises(TypeError, match="body or json"):
        http.request("POST", "https://a.b/", body="x", json=1)
