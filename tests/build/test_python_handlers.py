"""An actor written in Python that talks to others, has children, timers and channels, once it is a component."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import component as wasm

from tests.build.sandbox import Sandbox
from theater.build.python import build_python, read_guest_files
from theater.build.world import actor_world, find_handlers, read_interfaces

pytestmark = pytest.mark.slow

SOURCE = b"""
from datetime import UTC, datetime

from theater_sdk import (
    Actor, CallFailed, RequestFailed, children, request, schedule, send, send_on_channel, spawn, timers, whereis
)


class Guest(Actor):
    def handle(self, state, message):
        match message.body:
            case "request":
                try:
                    return state, request("a" * 32, {"n": 1}, timeout_s=0.5)
                except RequestFailed as error:
                    return state, [error.reason, error.text, str(error)]
            case "send": return state, send("a" * 32, None)
            case "try to send":
                try:
                    return state, send("a" * 32, None)
                except CallFailed as error:
                    return state, str(error)
            case "spawn":
                return state, spawn(
                    manifest="text", name="w", params=[1], restart="transient", restart_from="init", shutdown=0.1,
                    backoff_s=(1, 2),
                )
            case "misspelt": return state, spawn(manifest="text", restart="sometimes")
            case "schedule": return state, schedule("x", at=datetime(2030, 1, 1, tzinfo=UTC), every_s=1.5)
            case "children": return state, [[each.name, each.status, each.detail] for each in children()]
            case "timers": return state, [[each.next.isoformat(), each.every_s, each.body] for each in timers()]

    def channel_opened(self, state, channel):
        return {"id": channel.id, "peer": channel.peer}, channel.opening

    def channel_message(self, state, channel_id, body):
        send_on_channel(channel_id, body)
        return [channel_id, body]

    def child_exited(self, state, exit):
        return [exit.child, exit.reason, exit.detail, exit.decision, list(exit.restarted)]

    def migrate(self, state, from_digest):
        return {"from": from_digest, "old": state}
"""
A, C, DIGEST = "a" * 32, "c" * 32, "d" * 64


def record(**fields: object) -> wasm.Record:
    made = wasm.Record()
    vars(made).update({name.replace("_", "-"): value for name, value in fields.items()})
    return made


FUEL = wasm.Variant("crashed", wasm.Variant("fuel", None))
CHILD = record(id=A, name="w", parent=C, status=wasm.Variant("exited", FUEL), component=DIGEST, restart="transient")
vars(CHILD)["restarts"] = 2


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = {"actor.py": SOURCE}
    world = actor_world(["messaging", "supervisor", "timing"], read_interfaces(), find_handlers(sources))
    path = tmp_path_factory.mktemp("built") / "guest.wasm"
    path.write_bytes(build_python("theater_guest", sources=sources, guest_files=read_guest_files(), wit=world))
    return path


class Heard:
    """What the host was asked, as plain as the package gives it."""

    def __init__(self) -> None:
        self.calls: list[list[object]] = []

    def answering(self, answer: object) -> Callable[..., object]:
        def hear(*args: object) -> object:
            self.calls.append([_plain(each) for each in args])
            return answer

        return hear


def _plain(value: object) -> object:
    if isinstance(value, wasm.Record):
        return {name: _plain(inner) for name, inner in vars(value).items()}
    return (value.tag, _plain(value.payload)) if isinstance(value, wasm.Variant) else value


def test_it_imports_and_exports_what_it_needs(component: Path, tmp_path: Path) -> None:
    guest = Sandbox(component, tmp_path)

    assert {name for name in guest.imports if name.startswith("theater:")} == {
        f"theater:actor/{name}@0.1.0"
        for name in ("exits", "messaging", "runtime", "supervision", "supervisor", "timing", "types", "values")
    }
    assert {name for name in guest.exports if name.startswith("theater:")} == {
        f"theater:actor/{name}@0.1.0" for name in ("actor", "channel-handlers", "supervisor-handlers", "upgrade")
    }


@pytest.mark.parametrize(
    ("body", "function", "answer", "call", "reply"),
    [
        ("request", "messaging.request", "[1]", [A, '{"n":1}', 500], [1]),
        (
            "request",
            "messaging.request",
            wasm.Variant("refused", "no"),
            [A, '{"n":1}', 500],
            ["refused", "no", "request: refused (no)"],
        ),
        (
            "try to send",
            "messaging.send",
            wasm.Variant("mailbox-full", 10),
            [A, "null"],
            "send: mailbox-full (10)",
        ),
        (
            "spawn",
            "supervisor.spawn",
            C,
            [
                {
                    "source": ("manifest", "text"),
                    "name": "w",
                    "params": "[1]",
                    "restart": "transient",
                    "restart-from": "init",
                    "shutdown": ("timeout-ms", 100),
                    "backoff": {"first-ms": 1000, "max-ms": 2000},
                }
            ],
            C,
        ),
        (
            "schedule",
            "timing.schedule",
            C,
            ['"x"', {"seconds": 1_893_456_000, "nanoseconds": 0}, 1500],
            C,
        ),
        ("children", "supervisor.list-children", [CHILD], [None], [["w", "exited", "crashed: fuel"]]),
        (
            "timers",
            "timing.list-timers",
            [record(id=A, next=record(seconds=5, nanoseconds=1000), repeat_ms=500, body="1")],
            [],
            [["1970-01-01T00:00:05.000001+00:00", 0.5, 1]],
        ),
    ],
)
def test_calls_and_their_answers_get_through(
    component: Path, tmp_path: Path, body: str, function: str, answer: object, call: object, reply: object
) -> None:
    heard = Heard()

    ended = Sandbox(component, tmp_path, {function: heard.answering(answer)}).handle(body)

    assert ended.stderr == ""
    assert heard.calls == [call]
    assert json.loads(ended.reply or "") == reply


def test_a_call_that_fails_is_a_crash_unless_it_is_caught(component: Path, tmp_path: Path) -> None:
    refusing = {"messaging.send": lambda *_: wasm.Variant("not-found", A)}

    ended = Sandbox(component, tmp_path, refusing).handle("send")

    assert ended.trap is not None
    assert ended.stderr.endswith(f"theater_sdk.failure.CallFailed: send: not-found ({A})\n")
    assert "theater_calls" not in ended.stderr


def test_a_misspelt_choice_is_named(component: Path, tmp_path: Path) -> None:
    ended = Sandbox(component, tmp_path).handle("misspelt")

    assert "'sometimes' is none of permanent, transient, temporary" in ended.stderr


def test_handlers_get_what_they_are_about(component: Path, tmp_path: Path) -> None:
    heard = Heard()
    guest = Sandbox(component, tmp_path, {"messaging.send-on-channel": heard.answering(None)})

    opened = guest.call("channel-handlers", "opened", "1", record(id=C, peer=A, opening='"hi"'))
    assert (opened.state, opened.reply) == ({"id": C, "peer": A}, '"hi"')
    assert guest.call("channel-handlers", "message", "1", C, '{"a":1}').state == [C, {"a": 1}]
    assert heard.calls == [[C, '{"a":1}']]
    assert guest.call("channel-handlers", "closed", "1", C).state == 1
    assert guest.call("upgrade", "migrate", "1", DIGEST).state == {"from": DIGEST, "old": 1}
    ended = record(child=A, name="w", reason=FUEL, seq=3, hash=DIGEST, decision=[A])
    assert guest.call("supervisor-handlers", "child-exited", "1", ended).state == [
        A,
        "crashed",
        "fuel",
        "restarted",
        [A],
    ]
