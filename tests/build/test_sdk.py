"""The guest SDK outside of a sandbox: rehearsals."""

from typing import Any

import pytest

from theater_sdk import NO_REPLY, Actor, Message, Refuse, log, parent_id, self_id, self_name, shutdown
from theater_sdk.testing import Rehearsal


class Guest(Actor):
    def init(self, params: dict[str, Any]) -> dict[str, Any]:
        if "refuse" in params:
            raise Refuse("not at all")
        return {"seen": (), **params}

    def handle(self, state: dict[str, Any], message: Message) -> tuple[Any, Any]:
        state["seen"].append(message.body)
        match message.body:
            case "raise":
                raise ValueError("no")
            case "defer":
                return state, NO_REPLY
            case "log":
                log("info", "seen")
                return state, [self_id(), self_name(), parent_id(), message.sender, message.expects_reply]
            case "stop":
                shutdown({"a": 1})
                return state, None
            case "set":
                return state, {1}
            case "wrong":
                return state  # type: ignore[return-value]  # what this is about
        return state, len(state["seen"])


def test_messages_change_the_state_and_are_answered() -> None:
    guest = Rehearsal(Guest, {"a": 1})

    assert guest.state == {"seen": [], "a": 1}  # JSON has no tuples
    assert [guest.request(body) for body in ("x", "y")] == [1, 2]
    guest.send("z")
    assert guest.state["seen"] == ["x", "y", "z"]
    assert guest.request("defer") is NO_REPLY


@pytest.mark.parametrize(("body", "error"), [("raise", ValueError), ("set", TypeError), ("wrong", TypeError)])
def test_what_a_step_raises_is_raised_and_the_state_stays(body: str, error: type[Exception]) -> None:
    guest = Rehearsal(Guest)

    with pytest.raises(error):
        guest.request(body)
    assert guest.state == {"seen": []}


def test_init_may_refuse() -> None:
    with pytest.raises(Refuse, match="not at all"):
        Rehearsal(Guest, {"refuse": True})


def test_the_host_is_there_during_a_step_and_at_no_other_time() -> None:
    guest = Rehearsal(Guest, name="anna")

    assert guest.request("log", sender="ff" * 16) == ["0" * 32, "anna", None, "ff" * 16, True]
    assert guest.logged == [("info", "seen")]
    with pytest.raises(RuntimeError, match="no host"):
        self_id()


def test_a_stopped_actor_gets_no_more_messages() -> None:
    guest = Rehearsal(Guest)
    guest.send("stop")

    assert guest.is_stopped
    with pytest.raises(RuntimeError, match="shutdown"):
        guest.send("x")


def test_an_actor_without_init_begins_with_an_empty_object() -> None:
    class Plain(Actor):
        def handle(self, state: object, message: Message) -> tuple[Any, Any]:
            return message.body, state

    plain = Rehearsal(Plain)

    assert plain.request(10**5000) == {}
    assert plain.state == 10**5000
