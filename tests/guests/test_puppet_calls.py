"""Each function of a host, as a puppet's program calls it."""

import json

import pytest

from tests.engine.rig import Rig
from tests.guests import puppet
from tests.guests.puppet import FULL_ANSWER
from tests.guests.puppet_stage import Stage

A, B, C = "a" * 32, "b" * 32, "c" * 32
DIGEST = "d" * 64
DATETIME = {"seconds": 1_700_000_000, "nanoseconds": 5000}
MANIFEST = puppet.puppet_manifest(DIGEST, "worker", supervision="intensity = 3", params='{ text = "ü" }')


@pytest.fixture(scope="module")
def stage(rig: Rig) -> Stage:
    return Stage(rig, puppet.puppet_wat())


_FILTER = {"kinds": ["state", "host"], "payloads": True}
_CHILD = {
    "source": ("manifest", MANIFEST),
    "name": None,
    "params": None,
    "restart": None,
    "restart-from": None,
    "shutdown": None,
    "backoff": None,
}
_WORKER = {
    "source": ("directory", "children/worker"),
    "name": "w1",
    "params": f'"{puppet.log("born")}"',
    "restart": "transient",
    "restart-from": "init",
    "shutdown": ("timeout-ms", 100),
    "backoff": {"first-ms": 10, "max-ms": 5000},
}
_CHILD_ROW = {
    "id": A,
    "name": "w1",
    "parent": B,
    "status": ("restarting", DATETIME),
    "component": DIGEST,
    "restart": "temporary",
    "restarts": 3,
}
_EVENT = {
    "seq": 4,
    "kind": "state",
    "name": "",
    "time": DATETIME,
    "hash": DIGEST,
    "prev": DIGEST,
    "payload": None,
}
_TIMER = {"id": A, "next": DATETIME, "repeat-ms": 50, "body": "1"}
_worker = puppet.child(
    "children/worker",
    name="w1",
    params=puppet.log("born"),
    restart="transient",
    restart_from="init",
    shutdown=100,
    backoff_ms=(10, 5000),
    is_directory=True,
)
_child = puppet.child(MANIFEST)

CALLS: list[tuple[str, tuple[object, ...], object, str]] = [
    (puppet.self_id(), ("runtime.self",), A, A),
    (puppet.call("runtime.parent"), ("runtime.parent",), None, "none"),
    (puppet.write_log('"ü"', "warn"), ("runtime.log", "warn", '"ü"'), None, "ok"),
    (puppet.shutdown(), ("runtime.shutdown", None), ("ok", None), "ok"),
    (puppet.shutdown("bye"), ("runtime.shutdown", '"bye"'), ("err", ("too-large", 5)), "err:too-large:5"),
    (puppet.send(A, puppet.trap()), ("messaging.send", A, '"T"'), ("ok", B), B),
    (
        puppet.send(A, puppet.Json('{"a":"b"}')),
        ("messaging.send", A, '{"a":"b"}'),
        ("err", ("denied", "x")),
        "err:denied:x",
    ),
    (puppet.request(A, ""), ("messaging.request", A, '""', None), ("ok", '"pong"'), '"pong"'),
    (puppet.request(A, "", 50), ("messaging.request", A, '""', 50), ("err", ("timeout", None)), "err:timeout"),
    (
        puppet.request(A, ""),
        ("messaging.request", A, '""', None),
        ("err", ("crashed", ("other", "new"))),
        "err:crashed:other:new",
    ),
    (puppet.request(A, ""), ("messaging.request", A, '""', None), ("err", ("cycle", [A, B])), f"err:cycle:{A},{B}"),
    (puppet.answer_request(A, "yes"), ("messaging.reply", A, '"yes"'), ("ok", None), "ok"),
    (
        puppet.cancel(A, "no"),
        ("messaging.cancel", A, "no"),
        ("err", ("unknown-request", A)),
        f"err:unknown-request:{A}",
    ),
    (
        puppet.outstanding(),
        ("messaging.outstanding",),
        [{"id": A, "sender": None, "expires": DATETIME}, {"id": B, "sender": C, "expires": DATETIME}],
        f"{A}/none/1700000000/5000,{B}/{C}/1700000000/5000",
    ),
    (puppet.outstanding(), ("messaging.outstanding",), [], ""),
    (puppet.whereis("anna"), ("messaging.whereis", "anna"), ("ok", None), "none"),
    (puppet.whereis("anna"), ("messaging.whereis", "anna"), ("ok", A), A),
    (
        puppet.open_channel(A, puppet.reply("hi"), 5),
        ("messaging.open-channel", A, f'"{puppet.reply("hi")}"', 5),
        ("ok", {"id": C, "reply": '"hi"'}),
        f'{C}/"hi"',
    ),
    (puppet.send_on_channel(C, ""), ("messaging.send-on-channel", C, '""'), ("ok", None), "ok"),
    (puppet.close_channel(C), ("messaging.close-channel", C), ("err", ("mailbox-full", 9)), "err:mailbox-full:9"),
    (
        puppet.list_channels(),
        ("messaging.list-channels",),
        [{"id": C, "peer": A, "opened-here": True}, {"id": B, "peer": None, "opened-here": False}],
        f"{C}/{A}/true,{B}/none/false",
    ),
    (puppet.now(), ("timing.now",), DATETIME, "1700000000/5000"),
    (puppet.call("timing.monotonic"), ("timing.monotonic",), 12345678901, "12345678901"),
    (puppet.sleep(5), ("timing.sleep", 5), ("err", ("wait-exhausted", None)), "err:wait-exhausted"),
    (puppet.schedule(5, "T"), ("timing.schedule", '"T"', ("after-ms", 5), None), ("ok", A), A),
    (
        puppet.schedule_at(1_700_000_000, puppet.Json("1"), 50, nanoseconds=5000),
        ("timing.schedule", "1", ("at", DATETIME), 50),
        ("err", ("too-many", 3)),
        "err:too-many:3",
    ),
    (puppet.cancel_timer(A), ("timing.cancel", A), ("ok", None), "ok"),
    (puppet.list_timers(), ("timing.list-timers",), [_TIMER], f"{A}/1700000000/5000/50/1"),
    (puppet.spawn(_child), ("supervisor.spawn", _CHILD), ("ok", A), A),
    (
        puppet.spawn(_worker),
        ("supervisor.spawn", _WORKER),
        ("err", ("grants-exceeded", ["x", "y"])),
        "err:grants-exceeded:x,y",
    ),
    (
        puppet.spawn_and_wait(_worker, 60),
        ("supervisor.spawn-and-wait", _WORKER, 60),
        ("err", ("exited", ("crashed", ("fuel", None)))),
        "err:exited:crashed:fuel",
    ),
    (puppet.spawn_and_wait(_child), ("supervisor.spawn-and-wait", _CHILD, None), ("ok", '{"a":1}'), '{"a":1}'),
    (puppet.resume(_worker, "5"), ("supervisor.resume", _WORKER, "5"), ("ok", A), A),
    (puppet.stop(A), ("supervisor.stop", A, None), ("ok", None), "ok"),
    (puppet.stop(A, 70), ("supervisor.stop", A, ("timeout-ms", 70)), ("ok", None), "ok"),
    (puppet.stop(A, "brutal"), ("supervisor.stop", A, ("brutal", None)), ("ok", None), "ok"),
    (puppet.restart(A, "init"), ("supervisor.restart", A, "init"), ("ok", None), "ok"),
    (puppet.restart(A), ("supervisor.restart", A, None), ("err", ("not-running", A)), f"err:not-running:{A}"),
    (puppet.remove(A), ("supervisor.remove", A), ("err", ("still-running", A)), f"err:still-running:{A}"),
    (
        puppet.list_children(),
        ("supervisor.list-children", None),
        ("ok", [_CHILD_ROW]),
        f"{A}/w1/{B}/restarting:1700000000/5000/{DIGEST}/temporary/3",
    ),
    (puppet.list_children(A), ("supervisor.list-children", A), ("ok", []), ""),
    (puppet.child_state(A), ("supervisor.child-state", A), ("ok", {"state": "5", "seq": 9}), "5/9"),
    (
        puppet.child_events(A, 2, 10, ["state", "host"], payloads=True),
        ("supervisor.child-events", A, 2, 10, _FILTER),
        ("ok", [_EVENT]),
        f"4/state//1700000000/5000/{DIGEST}/{DIGEST}/none",
    ),
    (
        puppet.subscribe(A, 3, ["state", "host"], payloads=True),
        ("supervisor.subscribe", A, 3, _FILTER),
        ("ok", None),
        "ok",
    ),
    (puppet.subscribe(A), ("supervisor.subscribe", A, None, {"kinds": [], "payloads": False}), ("ok", None), "ok"),
    (puppet.unsubscribe(A), ("supervisor.unsubscribe", A), ("ok", None), "ok"),
]


@pytest.mark.parametrize(("program", "call", "answer", "text"), CALLS)
def test_it_calls_the_host_and_renders_the_answer(
    stage: Stage, program: str, call: tuple[object, ...], answer: object, text: str
) -> None:
    played = stage.handle(program + puppet.reply(FULL_ANSWER), answer)

    assert played.calls == [call]
    assert json.loads(str(played.reply)) == text


def test_every_function_has_its_call_in_this_file() -> None:
    tried = {str(call[0]) for _, call, _, _ in CALLS}
    untried = {name for name in puppet.FUNCTIONS if not name.startswith(("store.", "process.", "http-server."))} - tried

    assert untried == {"runtime.name", "runtime.component", "timing.sleep-until", "wasi.exit"}
