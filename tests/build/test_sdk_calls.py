"""The guest SDK outside of a sandbox: an actor that talks to others, has children, timers and channels."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import theater_sdk as sdk
from theater_sdk import NO_REPLY, Actor, CallFailed, ChannelOpening, ChildExit, ChildFailed, Message, RequestFailed
from theater_sdk.testing import Rehearsal

A, B, DIGEST = "a" * 32, "b" * 32, "d" * 64
MANIFEST = 'name = "worker"'


class Guest(Actor):
    """Does what the test says, by what ``todo`` holds."""

    def handle(self, state: object, message: Message) -> tuple[Any, Any]:
        return state, TODO[-1](message)

    def channel_opened(self, state: object, channel: ChannelOpening) -> tuple[Any, Any]:
        if channel.opening == "no":
            raise sdk.Refuse("not you")
        return {"open": [channel.id, channel.peer]}, {"heard": channel.opening}

    def channel_message(self, state: object, channel_id: str, body: object) -> object:
        sdk.send_on_channel(channel_id, [body])
        return {"said": body}

    def channel_closed(self, state: object, channel_id: str) -> object:
        return {"closed": channel_id}

    def child_exited(self, state: object, exit: ChildExit) -> object:  # noqa: A002
        return [exit.child, exit.reason, exit.detail, exit.decision, list(exit.restarted)]

    def migrate(self, state: object, from_digest: str) -> object:
        return None if state == "forget" else {"was": state}


TODO: list[Callable[[Message], Any]] = []


def doing(what: Callable[[Message], Any], answers: dict[str, Any] | None = None) -> tuple[Rehearsal, Any]:
    """A rehearsal of one request that does this, and its reply."""
    guest = Rehearsal(Guest, answers=answers)
    TODO[:] = [what]
    return guest, guest.request("go")


def failing(what: Callable[[], object], answers: dict[str, Any] | None = None) -> list[str]:
    """What an actor sees that tries this and fails: reason, text and words."""

    def attempt(_: Message) -> object:
        try:
            what()
        except CallFailed as error:
            return [type(error).__name__, error.reason, error.text, str(error)]
        raise AssertionError("it did not fail")

    seen: list[str] = doing(attempt, answers)[1]
    return seen


def test_messages_are_kept() -> None:
    guest, reply = doing(lambda _: [sdk.send(A, {"n": 1}), sdk.send(B, "x")])

    assert guest.sent == [(A, {"n": 1}), (B, "x")]
    assert len(set(reply)) == 2
    assert [call.function for call in guest.calls] == ["send", "send"]


def test_of_a_failed_step_only_what_stood_at_once_is_left() -> None:
    def request_and_fail(_: Message) -> None:
        sdk.send(A, 1)
        sdk.schedule("x", after_s=1)
        sdk.request(A, 2)
        raise ValueError("too bad")

    guest = Rehearsal(Guest, answers={"request": "yes"})
    TODO[:] = [request_and_fail]
    with pytest.raises(ValueError, match="too bad"):
        guest.request("go")

    assert [call.function for call in guest.calls] == ["request"]
    TODO[:] = [lambda _: len(sdk.timers())]
    assert guest.request("go") == 0


def test_a_request_is_answered_as_the_test_says() -> None:
    guest, reply = doing(
        lambda _: sdk.request(A, {"n": 1}, timeout_s=0.0015), {"request": lambda to, body, **_: [to, body]}
    )

    assert reply == [A, {"n": 1}]
    assert guest.calls_of("request")[0]["timeout_ms"] == 2  # never less than was asked for


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (CallFailed("refused", "not today"), ["RequestFailed", "refused", "not today", "request: refused (not today)"]),
        (CallFailed("crashed", ("fuel", None)), ["RequestFailed", "crashed", "fuel", "request: crashed (fuel)"]),
        (CallFailed("timeout"), ["RequestFailed", "timeout", "", "request: timeout"]),
        (RequestFailed("cycle", [A, B]), ["RequestFailed", "cycle", f"{A}, {B}", f"request: cycle ({A}, {B})"]),
    ],
)
def test_a_request_that_fails_says_why(answer: CallFailed, seen: list[str]) -> None:
    assert failing(lambda: sdk.request(A, 1), {"request": answer}) == seen


def test_other_calls_fail_too() -> None:
    assert failing(lambda: sdk.send(A, 1), {"send": CallFailed("mailbox-full", 10)})[3] == "send: mailbox-full (10)"
    ended = CallFailed("exited", ("crashed", ("trap", None)))
    seen = failing(lambda: sdk.spawn_and_wait(manifest=MANIFEST), {"spawn_and_wait": ended})
    assert seen[:3] == [ChildFailed.__name__, "exited", "crashed: trap"]


@pytest.mark.parametrize("what", [lambda: sdk.request(A, 1), lambda: sdk.child_state(A), lambda: sdk.child_events(A)])
def test_what_only_others_know_the_test_has_to_say(what: Callable[[], Any]) -> None:
    with pytest.raises(LookupError, match="has to be told"):
        doing(lambda _: what())


def test_a_request_is_left_open_and_answered_later() -> None:
    guest, reply = doing(lambda _: NO_REPLY)
    assert reply is NO_REPLY

    TODO[:] = [lambda _: [each.id for each in sdk.outstanding()]]
    (id,) = guest.request("go")
    TODO[:] = [lambda _: sdk.reply(id, {"late": True})]
    guest.send("go")

    assert guest.replies == {id: {"late": True}}
    TODO[:] = [lambda _: len(sdk.outstanding())]
    assert guest.request("go") == 0


def test_children_are_started_listed_and_ended() -> None:
    guest, id = doing(
        lambda _: sdk.spawn(
            manifest=MANIFEST, name="w", params=[1], restart="transient", shutdown=0.5, backoff_s=(1, 60)
        )
    )

    assert guest.calls_of("spawn")[0]["child"] == {
        "source": ("manifest", MANIFEST),
        "name": "w",
        "params": [1],
        "restart": "transient",
        "restart_from": None,
        "shutdown": ("timeout-ms", 500),
        "backoff": {"first_ms": 1000, "max_ms": 60_000},
    }
    TODO[:] = [lambda _: [[each.id, each.name, each.status, each.restart] for each in sdk.children()]]
    assert guest.request("go") == [[id, "w", "running", "transient"]]
    guest.end_child(id)
    assert guest.state == [id, "crashed", "trap", "restarted", [id]]
    guest.end_child(id, "normal", {"n": 1}, restarted=False)
    assert guest.state == [id, "normal", {"n": 1}, "left", []]
    for todo in (
        lambda _: sdk.stop_child(id, "brutal"),
        lambda _: sdk.restart_child(id, "init"),
        lambda _: sdk.remove_child(id),
    ):
        TODO[:] = [todo]
        guest.send("go")
    assert [(call.function, call["child"]) for call in guest.calls[1:]] == [
        ("stop_child", id),
        ("restart_child", id),
        ("remove_child", id),
    ]
    TODO[:] = [lambda _: len(sdk.children())]
    assert guest.request("go") == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [({}, "a manifest or a directory"), ({"manifest": "a", "nmae": "b"}, "a child has no nmae; it has manifest, ")],
)
def test_a_wrong_child_is_refused(spec: sdk.ChildSpec, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        doing(lambda _: sdk.spawn(**spec))


def test_states_and_values_of_children_are_json() -> None:
    answers = {"child_state": {"n": 1}, "spawn_and_wait": lambda child, **_: child["params"]}

    _, reply = doing(
        lambda _: [sdk.child_state(A).state, sdk.spawn_and_wait(directory="jobs/a", params=[2], timeout_s=1)], answers
    )

    assert reply == [{"n": 1}, [2]]


def test_timers_are_set_listed_and_taken_back() -> None:
    at = datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    guest, ids = doing(
        lambda _: [sdk.schedule("a", after_s=1.5), sdk.schedule("b", every_s=60), sdk.schedule({"c": 1}, at=at)]
    )

    assert [(call["due"], call["repeat_ms"]) for call in guest.calls] == [
        (("after-ms", 1500), None),
        (("after-ms", 60_000), 60_000),
        (("at", {"seconds": int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()), "nanoseconds": 0}), None),
    ]
    TODO[:] = [lambda _: sdk.cancel_timer(ids[0])]
    guest.send("go")
    TODO[:] = [lambda _: [[each.id, each.every_s, each.body] for each in sdk.timers()]]
    assert guest.request("go") == [[ids[1], 60.0, "b"], [ids[2], None, {"c": 1}]]


@pytest.mark.parametrize(
    "when",
    [{}, {"after_s": 1, "at": datetime(2030, 1, 1, tzinfo=UTC)}, {"at": datetime(2030, 1, 1)}],  # noqa: DTZ001
)
def test_a_timer_has_to_know_when(when: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="schedule"):
        doing(lambda _: sdk.schedule("x", **when))


def test_channels_are_taken_and_refused() -> None:
    guest = Rehearsal(Guest)

    id, reply = guest.open_channel("hello", peer=A)
    assert (guest.state, reply) == ({"open": [id, A]}, {"heard": "hello"})
    guest.say(id, 5)
    assert guest.state == {"said": 5}
    assert guest.calls_of("send_on_channel")[0].args == {"id": id, "body": [5]}
    guest.close_channel(id)
    assert guest.state == {"closed": id}
    with pytest.raises(sdk.Refuse, match="not you"):
        guest.open_channel("no")


def test_channels_are_opened() -> None:
    def open_it(_: Message) -> object:
        opened = sdk.open_channel(A, "hello")
        sdk.send_on_channel(opened.id, 1)
        return [opened.reply, [each.peer for each in sdk.channels()]]

    assert doing(open_it, {"open_channel": lambda to, opening, **_: [to, opening]})[1] == [[A, "hello"], [A]]


def test_an_actor_without_handlers_takes_no_channels_and_keeps_its_state() -> None:
    class Plain(Actor):
        def handle(self, state: object, message: Message) -> tuple[Any, Any]:
            return state, None

    plain = Rehearsal(Plain)

    with pytest.raises(sdk.Refuse, match="no channels"):
        plain.open_channel()
    with pytest.raises(sdk.Refuse, match="does not listen"):
        plain.say(A, 1)
    plain.close_channel(A)
    plain.end_child(A)
    assert plain.state == {}


def test_a_newer_version_takes_over_the_state() -> None:
    guest = Rehearsal(Guest)

    assert guest.migrate([1], DIGEST) == {"was": [1]}
    with pytest.raises(TypeError, match=r"migrate\(\) returned None"):
        guest.migrate("forget")


def test_whereis_knows_nobody_unless_it_is_said() -> None:
    assert doing(lambda _: [sdk.whereis("anna")])[1] == [None]
    assert doing(lambda _: sdk.whereis("anna"), {"whereis": A})[1] == A
