"""The host of a rehearsal: keeps what the actor calls, and answers what the test says, or what is plain to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theater_sdk.failure import CallFailed
from theater_sdk.host import Level
from theater_sdk.rehearsed_files import RehearsedFiles
from theater_sdk.rehearsed_processes import RehearsedProcesses, finished
from theater_sdk.rehearsed_servers import RehearsedServers
from theater_sdk.rehearsed_spaces import RehearsedSpaces
from theater_sdk.text import decoded, encoded

ID = "0" * 32
"""What ``self_id`` answers in a rehearsal."""

_NAMES = {
    "list-channels": "channels",
    "stop": "stop_child",
    "restart": "restart_child",
    "remove": "remove_child",
    "list-children": "children",
    "list-timers": "timers",
}
"""Where the name in WIT is not that of the SDK."""
_AT_ONCE = frozenset({"request", "open_channel", "spawn_and_wait", "sleep"})
"""What stands even if the step fails."""
_READS = frozenset({"outstanding", "whereis", "channels", "children", "child_state", "child_events", "timers"})
_STORE_WRITES = frozenset({"put", "put-at-label", "set-label", "remove", "remove-label"})
_FILE_READS = frozenset({"read", "read-range", "stat", "exists", "list-directory"})
_JSON = frozenset({"body", "opening", "state", "params"})
_NOBODY = {"seconds": 4_102_444_800, "nanoseconds": 0}  # 2100: a time that no test reaches
_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the actor: the function's name in the SDK, and its arguments. ``store.put`` is ``store_put``.

    For files it is the name in WIT: ``files_write`` is ``files.write``, ``files.create`` and ``files.append``.
    """

    function: str
    args: Mapping[str, Any]
    """By their names in WIT, with ``_`` for ``-``; JSON as values, durations in milliseconds."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - of any kind
        return self.args[name]


class RehearsedHost:
    """Answers as the runtime would, and keeps what it was told."""

    def __init__(self, name: str, answers: dict[str, Any]) -> None:
        self.logged: list[tuple[Level, str]] = []
        self.calls: list[Call] = []
        self.answers = answers
        self.pending: dict[str, str | None] = {}
        self.spaces = RehearsedSpaces()
        self.files = RehearsedFiles()
        self.servers = RehearsedServers()
        self.processes = RehearsedProcesses()
        self.ends_with_step = False
        self.is_stopped = False
        self._name = name
        self._buffered: list[Call] = []
        self._ids = 0
        self._made: dict[str, Call] = {}
        self._made_in_step: dict[str, Call] = {}

    def log(self, level: Level, text: str) -> None:
        self.logged.append((level, text))

    def self_id(self) -> str:
        return ID

    def self_name(self) -> str:
        return self._name

    def parent_id(self) -> str | None:
        return None

    def self_component(self) -> str:
        return _DIGEST

    def shutdown(self, value: str | None) -> None:
        self.ends_with_step = True

    def call(self, interface: str, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        if interface == "store":
            return self._call_store(function, args)
        if interface == "http-client":
            return self._call_http(args["request"])
        if interface == "filesystem":
            return self._call_files(function, args)
        if interface == "http-server":
            return self._call_server(function, args)
        if interface == "process":
            return self._call_process(function, args)
        name = "cancel_timer" if (interface, function) == ("timing", "cancel") else _NAMES.get(function)
        call = Call(name or function.replace("-", "_"), _readable(args))
        if call.function in _READS:
            return self._read(call)
        if call.function == "request" and call.function not in self.answers:
            raise _not_scripted("request", "lambda to, body, **_: ...")
        scripted = self._scripted(call)
        (self.calls if call.function in _AT_ONCE else self._buffered).append(call)
        return self._done(call, scripted)

    def end_step(self, *, has_succeeded: bool) -> None:
        """Let what the step called stand, or discard what waited for its end."""
        self.spaces.end_step(has_succeeded=has_succeeded)
        self.servers.end_step(has_succeeded=has_succeeded)
        if has_succeeded:
            self.calls += self._buffered
            self._made |= self._made_in_step
            for call in self._buffered:
                if call.function in ("reply", "cancel"):
                    self.pending.pop(call["id"], None)
                elif call.function in ("cancel_timer", "close_channel"):
                    self._made.pop(call["id"], None)
                elif call.function == "remove_child":
                    self._made.pop(call["child"], None)
        self._buffered, self._made_in_step = [], {}
        self.is_stopped = has_succeeded and self.ends_with_step
        self.ends_with_step = False

    def next_id(self) -> str:
        """An id that no other message, child, timer or channel of this rehearsal has."""
        self._ids += 1
        return f"{self._ids:032x}"

    def _call_store(self, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """What is scripted goes before what is there."""
        call = Call(f"store_{function.replace('-', '_')}", _readable(args))
        scripted = self._scripted(call)
        answer = self.spaces.call(function, args) if scripted is None else scripted
        if function in _STORE_WRITES:
            self._buffered.append(call)
        return answer

    def _call_files(self, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """What is scripted goes before what is there; a write that is refused by it has not happened."""
        call = Call(f"files_{function.replace('-', '_')}", _readable(args))
        if function not in _FILE_READS:
            self.calls.append(call)
        scripted = self._scripted(call)
        return self.files.call(function, args) if scripted is None else scripted

    def _call_server(self, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """What is scripted goes before what is there."""
        call = Call(function.replace("-", "_"), {name.replace("-", "_"): value for name, value in args.items()})
        scripted = self._scripted(call)
        answer = self.servers.call(function, args, self.next_id) if scripted is None else scripted
        if not function.startswith("list-"):
            self._buffered.append(call)
        return answer

    def _call_process(self, function: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any WIT type
        """What is run answers what the test says: what it wrote, or its code and that."""
        call = Call(f"process_{function.replace('-', '_')}", _readable(args))
        if function == "run" and call.function not in self.answers:
            raise _not_scripted(call.function, "lambda process, stdin: ...")
        if function not in ("status", "list-processes"):
            self.calls.append(call)
        scripted = self._scripted(call)
        if function == "run":
            return finished(scripted)
        return self.processes.call(function, args, self.next_id) if scripted is None else scripted

    def _call_http(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A request is answered as the test says: a text, other JSON, or status and one of these."""
        call = Call("http", {name.replace("-", "_"): value for name, value in asked.items()})
        if "http" not in self.answers:
            raise _not_scripted("http", "lambda method, url, **_: ...")
        self.calls.append(call)
        answer = self._scripted(call)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        text = body if isinstance(body, str) else encoded(body, "the answer of an HTTP request")
        return {"status": status, "headers": [], "body": ("text", text), "url": asked["url"]}

    def _scripted(self, call: Call) -> Any:  # noqa: ANN401 - as the test gave it
        answer = self.answers.get(call.function)
        if callable(answer):
            answer = answer(**call.args)
        if isinstance(answer, CallFailed):
            raise answer
        return answer

    def _done(self, call: Call, scripted: Any) -> Any:  # noqa: ANN401 - as the test gave it, of any WIT type
        """The answer of a call that does something."""
        match call.function:
            case "request":
                return encoded(scripted, "the answer of a request")
            case "spawn_and_wait":
                return None if scripted is None else encoded(scripted, "the value of a child")
            case "open_channel":
                reply = None if scripted is None else encoded(scripted, "the reply to a channel's opening")
                return {"id": self._make(call), "reply": reply}
            case "spawn" | "resume" | "schedule":
                return self._make(call)
            case "send":
                return self.next_id()
        return None

    def _make(self, call: Call) -> str:
        id = self.next_id()
        (self._made if call.function == "open_channel" else self._made_in_step)[id] = call
        return id

    def _read(self, call: Call) -> Any:  # noqa: ANN401 - of any WIT type
        if call.function in ("child_state", "child_events") and call.function not in self.answers:
            raise _not_scripted(call.function, "lambda child, **_: ...")
        scripted = self._scripted(call)
        match call.function:
            case "whereis":
                return scripted
            case "child_state":
                return {"state": encoded(scripted, "the state of a child"), "seq": 0}
            case "child_events":
                return scripted
            case "outstanding":
                return [{"id": id, "sender": sender, "expires": _NOBODY} for id, sender in self.pending.items()]
        made = self._made | self._made_in_step
        return [_listed(id, each) for id, each in made.items() if each.function in _MADE_BY[call.function]]


_MADE_BY = {"channels": ("open_channel",), "children": ("spawn", "resume"), "timers": ("schedule",)}


def _listed(id: str, call: Call) -> dict[str, Any]:
    """How a channel, a child or a timer of this rehearsal is listed."""
    match call.function:
        case "open_channel":
            return {"id": id, "peer": call["to"], "opened-here": True}
        case "schedule":
            body = encoded(call["body"], "the body of a timer")
            return {"id": id, "next": _NOBODY, "repeat-ms": call["repeat_ms"], "body": body}
    child = call["child"]
    return {
        "id": id,
        "name": child["name"] or "",
        "parent": ID,
        "status": ("running", None),
        "component": _DIGEST,
        "restart": child["restart"] or "permanent",
        "restarts": 0,
    }


def _readable(args: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.replace("-", "_"): decoded(value) if name in _JSON and value is not None else _value(value)
        for name, value in args.items()
    }


def _value(value: Any) -> Any:  # noqa: ANN401 - of any WIT type
    return _readable(value) if isinstance(value, Mapping) else value


def _not_scripted(function: str, example: str) -> LookupError:
    return LookupError(f"the rehearsal has to be told what {function} answers: answers={{{function!r}: {example}}}")
