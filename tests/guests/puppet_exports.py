"""What a puppet exports: how the arguments of each function get to its interpreter, and what becomes of its answer."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from tests.guests.abi import PARAMS_MAX, flat, sequence, spill
from tests.guests.value_code import ValueCode
from tests.guests.wit_text import read_interface
from theater.model import wit

ACTOR = """
  (func (export "actor.init") (param $params i32) (param $params-len i32) (result i32)
    (call $step @"0")
    (if (i32.eq (i32.load8_u (local.get $params)) (i32.const 34))
      (then (call $run-body (local.get $params) (local.get $params-len)))
      (else
        (if (i32.eqz (i32.or (call $same (local.get $params) (local.get $params-len) @"null")
                             (call $same (local.get $params) (local.get $params-len) @"{}"))) (then
          (global.set $state (local.get $params)) (global.set $state-len (local.get $params-len))))))
    (call $end-with-state))
  (func (export "actor.handle")
    (param $state i32) (param $state-len i32) (param $id i32) (param $id-len i32)
    (param $has-sender i32) (param $sender i32) (param $sender-len i32)
    (param $expects-reply i32) (param $body i32) (param $body-len i32) (result i32)
    (call $step (local.get $state) (local.get $state-len))
    (global.set $id (local.get $id)) (global.set $id-len (local.get $id-len))
    (if (local.get $has-sender) (then (call $set-sender (local.get $sender) (local.get $sender-len))))
    (call $set-arg @"null")
    (global.set $reply (global.get $arg)) (global.set $reply-len (global.get $arg-len))
    (global.set $has-reply (local.get $expects-reply))
    (call $run-body (local.get $body) (local.get $body-len))
    (call $end-with-outcome))
"""

HANDLERS: Mapping[str, str] = {
    "channels": "channel-handlers",
    "supervisor": "supervisor-handlers",
    "events": "event-handlers",
}
"""The interface behind each name that ``puppet_wat`` takes among its ``handlers``."""

PROGRAMS = ("opened", "message", "closed", "child-exited", "child-events", "migrated")
"""The functions behind which a program may run that the puppet has by birth."""

_ARGS = "(local.get $args)"


def handler_functions(names: Iterable[str], values: ValueCode, programs: Mapping[str, str]) -> str:
    """The functions of these handlers. Each runs its program last."""
    text = ""
    for name in names:
        match name:
            case "channels":
                text += _opened(programs) + _message(programs) + _closed(programs)
            case "supervisor":
                text += _child_exited(values, programs)
            case "events":
                text += _child_events(programs)
    return text


def migration(outcome: str, programs: Mapping[str, str]) -> str:
    """``upgrade.migrate`` that does ``ok``, ``refuse`` or ``trap``."""
    places = _places("upgrade", "migrate")
    body = {
        "ok": f"""(call $set-about {_text(places["from-digest"])})
    (call $begin) (call $put @"\\"migrated:")
    (if (call $state-is-log)
      (then (call $put (call $log-text) (call $log-len)))
      (else (call $put-escaped (global.get $state) (global.get $state-len))))
    (call $put @"\\"")
    (global.set $state (global.get $out)) (global.set $state-len (global.get $out-len))""",
        "refuse": '(call $set-refusal @"not migrated")',
        "trap": "unreachable",
    }[outcome]
    return _entry("upgrade", "migrate", body + _program("migrated", programs), "state")


def _opened(programs: Mapping[str, str]) -> str:
    places = _places("channel-handlers", "opened", "channel")
    body = f"""(call $set-about {_text(places["id"])})
    (if (i32.load8_u offset={places["peer"]} {_ARGS}) (then (call $set-sender {_text(places["peer"] + 4)})))
    (call $run-body {_text(places["opening"])})"""
    return _entry("channel-handlers", "opened", body + _program("opened", programs), "outcome")


def _message(programs: Mapping[str, str]) -> str:
    places = _places("channel-handlers", "message")
    body = f"(call $set-about {_text(places['channel'])}) (call $run-body {_text(places['body'])})"
    return _entry("channel-handlers", "message", body + _program("message", programs), "state")


def _closed(programs: Mapping[str, str]) -> str:
    places = _places("channel-handlers", "closed")
    body = f'(call $set-about {_text(places["channel"])}) (call $append @"closed")'
    return _entry("channel-handlers", "closed", body + _program("closed", programs), "state")


def _child_exited(values: ValueCode, programs: Mapping[str, str]) -> str:
    places = _places("supervisor-handlers", "child-exited", "exit")
    exited = _record("supervisor-handlers", "child-exited", "exit")
    reason, decision = (
        values.brief(exited[name], f"(i32.add {_ARGS} (i32.const {places[name]}))") for name in ("reason", "decision")
    )
    body = f"""(call $set-about {_text(places["child"])}) (call $set-sender {_text(places["name"])})
    (call $begin) (call $put @"exited/") (call $put {_text(places["child"])}) (call $put @"/")
    (call $put {_text(places["name"])}) (call $put @"/") {reason} (call $put @"/") {decision}
    (call $append (global.get $out) (global.get $out-len))"""
    return _entry("supervisor-handlers", "child-exited", body + _program("child-exited", programs), "state")


def _child_events(programs: Mapping[str, str]) -> str:
    places = _places("event-handlers", "child-events", "batch")
    body = f"""(call $set-about {_text(places["child"])})
    (call $begin) (call $put @"events/")
    (call $put-number (i64.load32_u offset={places["events"] + 4} {_ARGS}))
    (if (i32.load8_u offset={places["gap"]} {_ARGS}) (then (call $put @"/gap")))
    (call $append (global.get $out) (global.get $out-len))"""
    return _entry("event-handlers", "child-events", body + _program("child-events", programs), "state")


def _entry(interface: str, function: str, body: str, end: str) -> str:
    """The exported core function: its parameters in memory at ``$args``, the state where the interpreter has it."""
    types = [t for _, t in read_interface(interface).functions[function].params]
    places, size, _ = sequence(types)
    core = [each for t in types for each in flat(t)]
    assert len(core) <= PARAMS_MAX, function
    params = " ".join(f"(param $p{i} {each})" for i, each in enumerate(core))
    given: Iterator[str] = (f"(local.get $p{i})" for i in count())
    stored = "".join(spill(t, _ARGS, given, place) for t, place in zip(types, places, strict=True))
    return f"""
  (func (export "{interface}.{function}") {params} (result i32) (local $args i32)
    (local.set $args (call $reserve (i32.const {size})))
    {stored}
    (call $step {_text(places[0])})
    {body}
    (call $end-with-{end}))
"""


def _program(function: str, programs: Mapping[str, str]) -> str:
    program = programs.get(function, "")
    return f'\n    (if (i32.eqz (global.get $has-refused)) (then (call $run @"{program}")))' if program else ""


def _places(interface: str, function: str, record: str = "") -> dict[str, int]:
    """Where in ``$args`` each parameter lies; those of a ``record`` among them by the names of its fields."""
    params = dict(read_interface(interface).functions[function].params)
    found = dict(zip(params, sequence(list(params.values()))[0], strict=True))
    if record:
        fields = _record(interface, function, record)
        inner = sequence(list(fields.values()))[0]
        found |= {name: found[record] + place for name, place in zip(fields, inner, strict=True)}
    return found


def _record(interface: str, function: str, param: str) -> dict[str, wit.Type]:
    record = dict(read_interface(interface).functions[function].params)[param]
    assert isinstance(record, wit.Record)
    return dict(record.fields)


def _text(place: int) -> str:
    return f"(i32.load offset={place} {_ARGS}) (i32.load offset={place + 4} {_ARGS})"
