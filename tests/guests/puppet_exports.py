"""What a puppet exports: how the arguments of each function get to its interpreter, and what becomes of its answer."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from tests.guests.abi import PARAMS_MAX, flat, layout, sequence, spill
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
    "http": "http-handlers",
    "middleware": "middleware-handlers",
    "process": "process-handlers",
}
"""The interface behind each name that ``puppet_wat`` takes among its ``handlers``."""

PROGRAMS = ("opened", "message", "closed", "child-exited", "child-events", "migrated", "output", "exit")
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
            case "http":
                text += _requested() + _websocket_opened() + _websocket_message() + _websocket_closed()
            case "middleware":
                text += _passed()
            case "process":
                text += _process_wrote(values, programs) + _process_exited(values, programs)
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


def _requested() -> str:
    """The tag of the route is the program. A reply ``"404 words"`` has that status; without a reply it is put off."""
    places = _places("http-handlers", "request", "request")
    return _ending("response", _answering(16)) + _entry("http-handlers", "request", _about_request(places), "response")


def _passed() -> str:
    """As a request; without a reply it goes on, to where the last answer says if that is a path."""
    outcome, path = 16, _places("middleware-handlers", "request", "request")
    size = layout(read_interface("http-types").types["http-request"])[0]
    going = f"""(if (global.get $has-reply)
      (then (i32.store8 offset=12 (local.get $at) (i32.const 1)) {_answered(outcome)})
      (else
        (memory.copy (i32.add (local.get $at) (i32.const {outcome})) (global.get $request)
          (i32.const {size}))
        (if (call $starts-with-slash) (then
          (i32.store offset={outcome + path["path"] - path["id"]} (local.get $at) (global.get $answer))
          (i32.store offset={outcome + path["path"] - path["id"] + 4} (local.get $at) (global.get $answer-len))))))"""
    helper = """
  (global $request (mut i32) (i32.const 0))
  (func $starts-with-slash (result i32)
    (if (i32.eqz (global.get $answer-len)) (then (return (i32.const 0))))
    (i32.eq (i32.load8_u (global.get $answer)) (i32.const 47)))
"""
    remembered = f"(global.set $request (i32.add {_ARGS} (i32.const {path['id']})))"
    body = remembered + _about_request(path)
    return helper + _ending("verdict", going) + _entry("middleware-handlers", "request", body, "verdict")


def _websocket_opened() -> str:
    places = _places("http-handlers", "websocket-opened", "opening")
    body = f"""(call $set-about {_text(places["connection"])}) (call $run {_text(places["tag"])})"""
    return _entry("http-handlers", "websocket-opened", body, "state")


def _websocket_message() -> str:
    """A text is a program; of anything else the log has the form and the text."""
    places = _places("http-handlers", "websocket-message")
    text = places["content"] + 4
    body = f"""(call $set-about {_text(places["connection"])})
    (if (i32.load8_u offset={places["is-binary"]} {_ARGS})
      (then (call $begin) (call $put @"binary/") (call $put {_text(text)})
        (call $append (global.get $out) (global.get $out-len)))
      (else (call $run {_text(text)})))"""
    return _entry("http-handlers", "websocket-message", body, "state")


def _websocket_closed() -> str:
    places = _places("http-handlers", "websocket-closed")
    body = f"""(call $set-about {_text(places["connection"])})
    (call $begin) (call $put @"closed/") (call $put-number (i64.load16_u offset={places["code"]} {_ARGS}))
    (call $append (global.get $out) (global.get $out-len))"""
    return _entry("http-handlers", "websocket-closed", body, "state")


def _process_wrote(values: ValueCode, programs: Mapping[str, str]) -> str:
    """The log has the stream, the form, the content, and ``/gap`` where there was one."""
    places = _places("process-handlers", "output", "output")
    wrote = _record("process-handlers", "output", "output")
    source, content = (
        values.show(wrote[name], f"(i32.add {_ARGS} (i32.const {places[name]}))") for name in ("source", "content")
    )
    body = f"""(call $set-about {_text(places["id"])})
    (call $begin) {source} (call $put @"/") {content}
    (if (i32.load8_u offset={places["gap"]} {_ARGS}) (then (call $put @"/gap")))
    (call $append (global.get $out) (global.get $out-len))"""
    return _entry("process-handlers", "output", body + _program("output", programs), "state")


def _process_exited(values: ValueCode, programs: Mapping[str, str]) -> str:
    places = _places("process-handlers", "exit")
    status = dict(read_interface("process-handlers").functions["exit"].params)["status"]
    shown = values.show(status, f"(i32.add {_ARGS} (i32.const {places['status']}))")
    body = f"""(call $set-about {_text(places["id"])})
    (call $begin) (call $put @"exit/") {shown}
    (call $append (global.get $out) (global.get $out-len))"""
    return _entry("process-handlers", "exit", body + _program("exit", programs), "state")


def _about_request(places: Mapping[str, int]) -> str:
    """``MESSAGE`` is the request's id, ``SENDER`` its path, ``ABOUT`` its query, ``BODY`` its body as it stands."""
    body, query = places["body"] + 4, places["query"]
    return f"""(global.set $id {_load(places["id"])}) (global.set $id-len {_load(places["id"] + 4)})
    (call $set-sender {_text(places["path"])})
    (if (i32.load8_u offset={query} {_ARGS}) (then (call $set-about {_text(query + 4)})))
    (global.set $body {_load(body)}) (global.set $body-len {_load(body + 4)})
    (call $set-arg @"null")
    (global.set $reply (global.get $arg)) (global.set $reply-len (global.get $arg-len))
    (global.set $has-reply (i32.const 1))
    (call $run {_text(places["tag"])})"""


def _ending(name: str, answering: str) -> str:
    """``$end-with-response`` or ``$end-with-verdict``."""
    return f"""
  (func $end-with-{name} (result i32) (local $at i32) (local $status i32)
    (if (global.get $has-refused) (then (return (call $refuse (global.get $refusal) (global.get $refusal-len)))))
    (local.set $at (call $reserve (i32.const 256)))
    (memory.fill (local.get $at) (i32.const 0) (i32.const 256))
    (i32.store offset=4 (local.get $at) (global.get $state))
    (i32.store offset=8 (local.get $at) (global.get $state-len))
    {answering}
    (local.get $at))
"""


def _answering(at: int) -> str:
    return f"""(if (global.get $has-reply) (then
      (i32.store8 offset=12 (local.get $at) (i32.const 1))
      {_answered(at)}))"""


def _answered(at: int) -> str:
    """The ``http-response`` of the reply, at that place behind ``$at``."""
    body = at + 12
    return f"""(local.set $status (i32.const 200))
      (if (i32.ge_u (global.get $reply-len) (i32.const 5)) (then
        (if (i32.lt_u (i32.sub (i32.load8_u offset=1 (global.get $reply)) (i32.const 49)) (i32.const 9)) (then
          (local.set $status (i32.sub
            (i32.add (i32.mul (i32.load8_u offset=1 (global.get $reply)) (i32.const 100))
              (i32.add (i32.mul (i32.load8_u offset=2 (global.get $reply)) (i32.const 10))
                (i32.load8_u offset=3 (global.get $reply))))
            (i32.const 5328)))))))
      (i32.store16 offset={at} (local.get $at) (local.get $status))
      (i32.store8 offset={body} (local.get $at) (i32.const 1))
      (i32.store offset={body + 8} (local.get $at) (global.get $reply))
      (i32.store offset={body + 12} (local.get $at) (global.get $reply-len))"""


def _entry(interface: str, function: str, body: str, end: str) -> str:
    """The exported core function: its parameters in memory at ``$args``, the state where the interpreter has it."""
    types = [t for _, t in read_interface(interface).functions[function].params]
    places, size, _ = sequence(types)
    core = [each for t in types for each in flat(t)]
    if len(core) > PARAMS_MAX:  # they lie in memory already
        return f"""
  (func (export "{interface}.{function}") (param $args i32) (result i32)
    (call $step {_text(places[0])})
    {body}
    (call $end-with-{end}))
"""
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


def _load(place: int) -> str:
    return f"(i32.load offset={place} {_ARGS})"


def _text(place: int) -> str:
    return f"(i32.load offset={place} {_ARGS}) (i32.load offset={place + 4} {_ARGS})"
