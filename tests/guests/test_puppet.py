"""The puppet makes the host calls that its programs say, and renders what is answered."""

from __future__ import annotations

import pytest

from tests.engine.rig import Rig
from tests.guests import puppet
from tests.guests.puppet import ABOUT, ANSWER, ANSWER_JSON, BODY, FIRST, HEAD, LAST, MESSAGE, SENDER, STATE
from tests.guests.puppet_stage import MESSAGE_ID as M
from tests.guests.puppet_stage import Stage
from theater.model.execution import ExecutionLimits
from theater.model.manifest import parse_manifest

A, B, C = "a" * 32, "b" * 32, "c" * 32
DIGEST = "d" * 64
DATETIME = {"seconds": 1_700_000_000, "nanoseconds": 5000}
FULL = puppet.puppet_wat(
    [*puppet.CAPABILITIES, "exit"], ("channels", "supervisor", "events"), migrate="ok", version="7"
)
MANIFEST = puppet.puppet_manifest(DIGEST, "worker", supervision="intensity = 3", params='{ text = "ü" }')
CHILD = puppet.child(MANIFEST)
SPEC = {
    "source": ("manifest", MANIFEST),
    **dict.fromkeys(["name", "params", "restart", "restart-from", "shutdown", "backoff"]),
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


@pytest.fixture(scope="module")
def stage(rig: Rig) -> Stage:
    return Stage(rig, FULL)


# -- the step itself -------------------------------------------------------------------------------------------------


def test_an_empty_program_keeps_the_state_and_answers_null_to_a_request_alone(stage: Stage) -> None:
    assert stage.handle("", state="7").ok == {"state": "7", "reply": "null"}
    assert stage.handle("", state="7", is_send=True).ok == {"state": "7", "reply": None}


@pytest.mark.parametrize(
    ("program", "reply"),
    [
        (puppet.reply("pong"), '"pong"'),
        (puppet.reply('a "quoted" \\ line\n, ü'), '"a \\"quoted\\" \\\\ line\\u000a, ü"'),
        (puppet.reply(puppet.Json('{"a":1}')), '{"a":1}'),
        (puppet.reply(STATE), '"x,y,z"'),
        (puppet.reply(BODY), f'"{puppet.reply(BODY)}"'),
        (puppet.reply(FIRST), '"x"'),
        (puppet.reply(LAST), '"z"'),
        (puppet.reply(MESSAGE), f'"{M}"'),
        (puppet.reply(SENDER), f'"{A}"'),
        (puppet.reply(puppet.VERSION), '"7"'),
        (puppet.reply(puppet.join("<", FIRST, puppet.join(), 'é"', MESSAGE, ">")), f'"<xé\\"{M}>"'),
        (puppet.reply(puppet.filled(12)), '"xxxxxxxxxx"'),
        (puppet.answer("err:no") + puppet.only_if("ok") + puppet.reply("not reached"), "null"),
        (puppet.answer("ok") + puppet.only_if("ok") + puppet.reply("reached"), '"reached"'),
        (puppet.burn(1000) + puppet.reply("done"), '"done"'),
        (puppet.defer(), None),
        (puppet.reply("no") + puppet.defer(), None),
    ],
)
def test_it_replies_what_it_is_told_to(stage: Stage, program: str, reply: str | None) -> None:
    played = stage.handle(program, state='"x,y,z"', sender=A)

    assert (played.reply, played.state) == (reply, '"x,y,z"')


@pytest.mark.parametrize(
    ("before", "program", "after"),
    [
        ("0", puppet.count(), "1"),
        ("9", puppet.count() + puppet.count(), "11"),
        ("9", puppet.repeat(1000, puppet.count()), "1009"),
        ("9", puppet.keep('{"a":[1,2]}'), '{"a":[1,2]}'),
        ("0", puppet.log("a"), '"a"'),
        ('""', puppet.log("a"), '"a"'),
        ("3", puppet.log("a"), '"3,a"'),
        ('"a"', puppet.log("b") + puppet.log(puppet.join("c-", FIRST)), '"a,b,c-a"'),
        ('"a"', puppet.log('"'), '"a,\\""'),
        ('"a,b,c"', puppet.drop_first(), '"b,c"'),
        ('"a"', puppet.drop_first(), '""'),
        ('""', puppet.drop_first(), '""'),
        ('"a"', puppet.remember(), f'"a,{M}"'),
        ("0", puppet.keep(BODY), f'"{puppet.keep(BODY)}"'),
        ("0", puppet.keep(puppet.filled(8)), '"xxxxxx"'),
    ],
)
def test_it_changes_its_state(stage: Stage, before: str, program: str, after: str) -> None:
    assert stage.handle(program, state=before).state == after


def test_a_log_is_read_back() -> None:
    assert [puppet.log_of(state) for state in ("0", '""', '"a,b"')] == [[], [], ["a", "b"]]


def test_it_refuses(stage: Stage) -> None:
    assert stage.handle(puppet.count() + puppet.refuse("not today") + puppet.trap()).refusal == "not today"
    assert stage.handle(puppet.repeat(3, puppet.refuse("no"))).refusal == "no"
    assert stage.handle(puppet.count(), state='"a"').refusal == "the state is no number"
    assert stage.handle("Q").refusal == "there is no such command"
    assert stage.handle_text("5").refusal == "this is no program"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (puppet.trap(), "trap"),
        (puppet.loop(), "fuel"),
        (puppet.burn(1_000_000_000), "fuel"),
        (puppet.eat_memory(), "trap"),
        (puppet.recurse(), "stack"),
    ],
)
def test_it_crashes(stage: Stage, program: str, reason: str) -> None:
    message = {"id": M, "sender": None, "expects-reply": True, "body": f'"{program}"'}
    limits = ExecutionLimits(fuel=20_000_000, memory_bytes=8 << 20, deadline_s=10.0)

    crash = stage.call("actor", "handle", "0", message, limits=limits).closed.crash

    assert crash is not None
    assert crash.reason == reason


@pytest.mark.parametrize(
    ("params", "state"),
    [("null", "0"), ("{}", "0"), ("5", "5"), ('{"a":1}', '{"a":1}'), (f'"{puppet.log("born")}"', '"born"')],
)
def test_init_makes_the_first_state(stage: Stage, params: str, state: str) -> None:
    assert stage.call("actor", "init", params).ok == state


def test_init_refuses_and_traps(stage: Stage) -> None:
    assert stage.call("actor", "init", f'"{puppet.refuse("never")}"').refusal == "never"
    assert stage.call("actor", "init", f'"{puppet.trap()}"').closed.crash is not None


# -- chains of calls -----------------------------------------------------------------------------------------------


def test_an_error_is_its_case_in_short(stage: Stage) -> None:
    full = ("err", ("mailbox-full", 10))

    assert stage.handle(puppet.send(A, "") + puppet.reply(ANSWER), full).reply == '"err:mailbox-full"'
    assert stage.handle(puppet.send(A, "") + puppet.only_if("err:mailbox-full") + puppet.count(), full).state == "1"


def test_what_was_answered_is_at_hand_for_the_next_call(stage: Stage) -> None:
    program = puppet.spawn(CHILD) + puppet.send(ANSWER, puppet.count()) + puppet.log(ANSWER)
    played = stage.handle(program, ("ok", C), ("ok", B))
    assert played.calls[1] == ("messaging.send", C, '"+"')
    assert played.state == f'"{B}"'

    program = puppet.open_channel(A, "") + puppet.send_on_channel(HEAD, "T") + puppet.reply("ok")
    played = stage.handle(program, ("ok", {"id": C, "reply": None}), ("ok", None))
    assert played.calls[1] == ("messaging.send-on-channel", C, '"T"')

    assert stage.handle(puppet.request(A, "") + puppet.reply(ANSWER_JSON), ("ok", '{"a":1}')).reply == '{"a":1}'


def test_programs_may_be_nested(stage: Stage) -> None:
    innermost = puppet.log(SENDER) + puppet.reply('with "quotes"')
    inner = puppet.request(B, innermost, 5) + puppet.spawn(CHILD) + puppet.reply(ANSWER)

    played = stage.handle(puppet.send(A, inner), ("ok", C))
    assert played.calls == [("messaging.send", A, f'"{inner}"')]
    played = stage.handle_text(str(played.calls[0][2]), ("ok", "1"), ("ok", C))
    assert played.calls == [("messaging.request", B, f'"{innermost}"', 5), ("supervisor.spawn", SPEC)]


def test_a_thousand_sends_fit_in_one_step(stage: Stage) -> None:
    program = puppet.repeat(1000, puppet.send(A, puppet.filled(1000)) + puppet.count())

    played = stage.handle(program, *[("ok", B)] * 1000)

    assert len(played.calls) == 1000
    assert played.state == "1000"


def test_a_deferred_request_is_answered_by_a_later_step(stage: Stage) -> None:
    first = stage.handle(puppet.remember())
    assert first.ok == {"state": f'"{M}"', "reply": None}

    second = stage.handle(puppet.answer_first("late"), ("ok", None), state=str(first.state))
    assert second.calls == [("messaging.reply", M, '"late"')]
    assert second.state == '""'


def test_it_may_end_as_a_process(stage: Stage) -> None:
    assert stage.handle(puppet.exit_process(ok=False), None).calls == [("exit.exit", ("err", None))]


# -- handlers --------------------------------------------------------------------------------------------------------

_EXIT = {"child": A, "name": "w1", "seq": 9, "hash": DIGEST}


@pytest.mark.parametrize(
    ("reason", "decision", "token"),
    [
        (("crashed", ("trap", None)), ("restarted", [A, B]), f"exited/{A}/w1/crashed:trap/restarted"),
        (("crashed", ("other", "a,b")), ("other", "x"), f"exited/{A}/w1/crashed:other/other"),
        (("normal", '"bye, bye"'), ("left", None), f"exited/{A}/w1/normal/left"),
        (("normal", None), ("left", None), f"exited/{A}/w1/normal/left"),
        (("shutdown", "stopped"), ("left", None), f"exited/{A}/w1/shutdown/left"),
        (("refused-init", "no"), ("left", None), f"exited/{A}/w1/refused-init/left"),
        (("intensity", None), ("left", None), f"exited/{A}/w1/intensity/left"),
    ],
)
def test_the_exit_of_a_child_is_logged(
    stage: Stage, reason: tuple[str, object], decision: tuple[str, object], token: str
) -> None:
    exited = {**_EXIT, "reason": reason, "decision": decision}

    assert stage.call("supervisor-handlers", "child-exited", '"a"', exited).ok == f'"a,{token}"'


def test_a_channel_is_accepted_or_refused_as_its_opening_says(stage: Stage) -> None:
    opening = {"id": C, "peer": A, "opening": f'"{puppet.log(puppet.join(ABOUT, SENDER)) + puppet.reply("welcome")}"'}
    assert stage.call("channel-handlers", "opened", "0", opening).ok == {"state": f'"{C}{A}"', "reply": '"welcome"'}

    silent = {"id": C, "peer": None, "opening": f'"{puppet.log(SENDER)}"'}
    assert stage.call("channel-handlers", "opened", '"a"', silent).ok == {"state": '"a,"', "reply": None}

    refused = {"id": C, "peer": A, "opening": f'"{puppet.refuse("no")}"'}
    assert stage.call("channel-handlers", "opened", "0", refused).refusal == "no"


def test_what_is_said_on_a_channel_is_a_program(stage: Stage) -> None:
    body = puppet.log("said") + puppet.send_on_channel(ABOUT, puppet.log("back"))
    played = stage.call("channel-handlers", "message", "0", C, f'"{body}"', answers=(("ok", None),))

    assert played.ok == '"said"'
    assert played.calls == [("messaging.send-on-channel", C, f'"{puppet.log("back")}"')]
    assert stage.call("channel-handlers", "closed", '"said"', C).ok == '"said,closed"'


def test_events_are_counted(stage: Stage) -> None:
    batch = {"child": A, "events": [_EVENT, _EVENT], "gap": False}

    assert stage.call("event-handlers", "child-events", "0", batch).ok == '"events/2"'
    assert stage.call("event-handlers", "child-events", "0", {**batch, "gap": True}).ok == '"events/2/gap"'


def test_a_handler_runs_a_program_behind_what_it_does(rig: Rig) -> None:
    programs = {
        "child-exited": puppet.shutdown(ABOUT),
        "closed": puppet.log(ABOUT),
        "message": puppet.log("heard"),
        "opened": puppet.reply("hello"),
        "child-events": puppet.unsubscribe(ABOUT),
        "migrated": puppet.log("new"),
    }
    text = puppet.puppet_wat(handlers=("channels", "supervisor", "events"), migrate="ok", programs=programs)
    stage = Stage(rig, text)

    exited = {**_EXIT, "reason": ("intensity", None), "decision": ("left", None)}
    played = stage.call("supervisor-handlers", "child-exited", "0", exited, answers=(("ok", None),))
    assert played.calls == [("runtime.shutdown", f'"{A}"')]
    assert stage.call("channel-handlers", "closed", "0", C).ok == f'"closed,{C}"'
    assert stage.call("channel-handlers", "message", "0", C, '""').ok == '"heard"'
    opening = {"id": C, "peer": A, "opening": '""'}
    assert stage.call("channel-handlers", "opened", "0", opening).ok == {"state": "0", "reply": '"hello"'}
    batch = {"child": A, "events": [_EVENT], "gap": False}
    played = stage.call("event-handlers", "child-events", "0", batch, answers=(("ok", None),))
    assert played.calls == [("supervisor.unsubscribe", A)]
    assert stage.call("upgrade", "migrate", "5", DIGEST).ok == '"migrated:5,new"'


@pytest.mark.parametrize(
    ("before", "after"), [("5", '"migrated:5"'), ('"a,b"', '"migrated:a,b"'), ('{"a":1}', '"migrated:{\\"a\\":1}"')]
)
def test_it_migrates(stage: Stage, before: str, after: str) -> None:
    assert stage.call("upgrade", "migrate", before, DIGEST).ok == after


def test_it_may_refuse_to_migrate_or_trap(rig: Rig) -> None:
    refusing, trapping = (Stage(rig, puppet.puppet_wat(migrate=migrate)) for migrate in ("refuse", "trap"))

    assert refusing.call("upgrade", "migrate", "5", DIGEST).refusal == "not migrated"
    assert trapping.call("upgrade", "migrate", "5", DIGEST).closed.crash is not None


# -- the component ---------------------------------------------------------------------------------------------------


def test_it_imports_and_exports_what_it_was_made_for_alone(rig: Rig) -> None:
    plain = Stage(rig, puppet.puppet_wat([])).program
    assert plain.imports == ()
    assert plain.exported_interfaces == ("theater:actor/actor@0.1.0",)

    sender = Stage(rig, puppet.puppet_wat(["messaging.send"]))
    assert [each.name for each in sender.program.imports] == ["send"]
    assert sender.handle(puppet.whereis("x")).refusal == "this puppet does not import messaging.whereis"

    talker = Stage(rig, puppet.puppet_wat(["messaging", "runtime"], ["channels"])).program
    assert {each.interface for each in talker.imports} == {
        "theater:actor/messaging@0.1.0",
        "theater:actor/runtime@0.1.0",
    }
    assert talker.exported_interfaces == ("theater:actor/actor@0.1.0", "theater:actor/channel-handlers@0.1.0")


@pytest.mark.slow
def test_two_versions_are_two_components(rig: Rig) -> None:
    digests = {Stage(rig, puppet.puppet_wat(version=version)).program.digest for version in ("1", "2")}

    assert len(digests) == 2


def test_its_manifest_is_one() -> None:
    manifest = parse_manifest(MANIFEST)

    assert manifest.name == "worker"
    assert set(manifest.capabilities) == {"messaging", "supervisor", "timing"}
    text = puppet.puppet_manifest(DIGEST, capabilities={"messaging": 'to = ["any"]'}, limits="mailbox = 2")
    assert parse_manifest(text).capabilities == {"messaging": {"to": ["any"]}}
