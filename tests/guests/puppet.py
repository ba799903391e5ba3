"""A guest that does what its message says: one small actor for all tests of actors that deal with each other.

A message's body is a program, a JSON string; so are the params of ``init``, the opening of a channel and what is said
on one. Programs are written with the functions below, which are chained by ``+``::

    body = puppet.send(other, puppet.log("first")) + puppet.request(other, puppet.reply("pong")) + puppet.reply(ANSWER)

Where a function takes JSON (a body, a reply, params), a ``str`` becomes a JSON string: a program, or plain words for a
reply; ``Json`` is JSON as it stands. Where it takes another text (an id, a name), a ``str`` is that text. In place of
either may stand what the puppet knows when it gets there: ``ANSWER``, ``HEAD``, ``MESSAGE``, ``SENDER`` and so on; in a
nested program they are what the one knows who receives it.

The state is one of: a number, counted up by ``count``; a log, a JSON string of tokens with commas between them; any
other JSON, put there by ``keep``. A log that begins on the state ``0`` begins empty. ``init`` makes ``0`` out of
``null`` and ``{}``, runs a program, and takes any other params as the state. A request is answered ``null``, and a send
not at all, unless a program says otherwise.

What a host function answered is a text: an id, ``ok``, ``none``, the parts of a record with ``/`` between them, the
elements of a list with ``,``; an error is ``err:mailbox-full``, in ``FULL_ANSWER`` also ``err:mailbox-full:10``.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from tests.guests.abi import cases
from tests.guests.puppet_component import CAPABILITIES, MORE_CAPABILITIES, imported_functions, puppet_wat
from theater.model import wit

__all__ = ["CAPABILITIES", "puppet_wat"]  # from elsewhere, but had from here

Shutdown = int | Literal["infinity", "brutal"]
Restart = Literal["permanent", "transient", "temporary"]
Start = Literal["last-state", "init"]

FUNCTIONS = imported_functions([*CAPABILITIES, *MORE_CAPABILITIES, "exit"])


@dataclass(frozen=True, slots=True)
class Argument:
    """A text that the puppet makes; ``is_json`` where that is JSON already."""

    code: str
    is_json: bool = False


ANSWER = Argument("a")
"""What the last host function answered; of an error no more than its case."""
FULL_ANSWER = Argument("A")
"""What the last host function answered, with an error's payload."""
ANSWER_JSON = Argument("a", is_json=True)
"""The same text taken as JSON: of a reply, or of a child's state."""
HEAD = Argument("h")
"""The first 32 bytes of the last answer: the id in it."""
MESSAGE = Argument("i")
"""The id of the message."""
SENDER = Argument("s")
"""The message's sender, the channel's opener, the name of the child that exited; empty if there is none."""
BODY = Argument("b", is_json=True)
"""The message's body."""
STATE = Argument("w", is_json=True)
"""The state, as it is now."""
FIRST = Argument("f")
"""The first token of the log."""
LAST = Argument("l")
"""The last token of the log."""
ABOUT = Argument("c")
"""What a handler was called about: the channel, the child, the digest of the older component."""
VERSION = Argument("v")
"""The puppet's version."""

Text = str | Argument


def Json(text: str) -> Argument:  # noqa: N802 - reads as the type that it stands for
    """JSON as it stands (or whatever else is to stand in its place)."""
    return Argument(_text(text), is_json=True)


def join(*parts: Text) -> Argument:
    """Texts one after the other."""
    return Argument("k" + "".join(_text(part) for part in parts) + ")")


def filled(size_bytes: int) -> Argument:
    """A JSON string of so many bytes, quotes included."""
    return Argument(f"z{size_bytes};", is_json=True)


# -- the step itself -------------------------------------------------------------------------------------------------


def reply(body: Text) -> str:
    """The step replies this."""
    return "r" + _json(body)


def defer() -> str:
    """The step replies nothing."""
    return "d"


def count() -> str:
    """Add one to the state, which is a number."""
    return "+"


def keep(state: Text) -> str:
    """The state becomes this text as it stands: ``keep("5")``, ``keep(BODY)``."""
    return "s" + _text(state)


def log(token: Text) -> str:
    """Append a token to the log that is the state."""
    return "l" + _text(token)


def remember() -> str:
    """Leave the request open, its id the last token of the log, for ``answer_first`` to answer it later."""
    return defer() + log(MESSAGE)


def drop_first() -> str:
    """Take the first token off the log."""
    return "p"


def answer(text: Text) -> str:
    """Take this as if a host function had answered it."""
    return "a" + _text(text)


def only_if(text: Text) -> str:
    """Go on with what follows only if the last answer, in short, is this."""
    return "?" + _text(text)


def repeat(times: int, program: str) -> str:
    """Run a program so often."""
    return f"*{times};" + _text(program)


def refuse(text: Text) -> str:
    """Refuse the message, or to start."""
    return "!" + _text(text)


def trap() -> str:
    """Crash: ``trap``."""
    return "T"


def loop() -> str:
    """Run for ever, that is, until the fuel or the deadline is used up."""
    return "L"


def burn(turns: int) -> str:
    """Use up fuel, some 7 a turn."""
    return f"B{turns};"


def eat_memory() -> str:
    """Grow until there is no more to be had, then crash: ``trap``."""
    return "M"


def recurse() -> str:
    """Crash: ``stack``."""
    return "D"


def exit_process(*, ok: bool) -> str:
    """End the program by WASI's ``exit``; needs the import ``exit``."""
    return call("wasi.exit", ("ok" if ok else "err", None))


# -- runtime, messaging, timing --------------------------------------------------------------------------------------


def self_id() -> str:
    return call("runtime.self")


def write_log(text: Text, level: str = "info") -> str:
    return call("runtime.log", level, text)


def shutdown(value: Text | None = None) -> str:
    return call("runtime.shutdown", _json_or_none(value))


def send(to: Text, body: Text) -> str:
    return call("messaging.send", to, _as_json(body))


def request(to: Text, body: Text, timeout_ms: int | None = None) -> str:
    return call("messaging.request", to, _as_json(body), timeout_ms)


def answer_request(id: Text, body: Text) -> str:
    """``messaging.reply``."""
    return call("messaging.reply", id, _as_json(body))


def answer_first(body: Text) -> str:
    """Answer the request whose id is the first token of the log, and drop that."""
    return answer_request(FIRST, body) + drop_first()


def cancel(id: Text, reason: Text) -> str:
    return call("messaging.cancel", id, reason)


def outstanding() -> str:
    return call("messaging.outstanding")


def whereis(name: Text) -> str:
    return call("messaging.whereis", name)


def open_channel(to: Text, opening: Text, timeout_ms: int | None = None) -> str:
    """The answer is the channel's id (``HEAD``), ``/``, and what the other side replied."""
    return call("messaging.open-channel", to, _as_json(opening), timeout_ms)


def send_on_channel(id: Text, body: Text) -> str:
    return call("messaging.send-on-channel", id, _as_json(body))


def close_channel(id: Text) -> str:
    return call("messaging.close-channel", id)


def list_channels() -> str:
    return call("messaging.list-channels")


def now() -> str:
    return call("timing.now")


def sleep(duration_ms: int) -> str:
    return call("timing.sleep", duration_ms)


def schedule(after_ms: int, body: Text, repeat_ms: int | None = None) -> str:
    return call("timing.schedule", _as_json(body), ("after-ms", after_ms), repeat_ms)


def schedule_at(seconds: int, body: Text, repeat_ms: int | None = None, *, nanoseconds: int = 0) -> str:
    at = {"seconds": seconds, "nanoseconds": nanoseconds}
    return call("timing.schedule", _as_json(body), ("at", at), repeat_ms)


def cancel_timer(id: Text) -> str:
    return call("timing.cancel", id)


def list_timers() -> str:
    return call("timing.list-timers")


# -- supervisor ------------------------------------------------------------------------------------------------------


def child(
    manifest: Text,
    *,
    name: Text | None = None,
    params: Text | None = None,
    restart: Restart | None = None,
    restart_from: Start | None = None,
    shutdown: Shutdown | None = None,
    backoff_ms: tuple[int, int] | None = None,
    is_directory: bool = False,
) -> dict[str, object]:
    """A ``child-spec``; ``manifest`` is the text of one, or a directory."""
    return {
        "source": ("directory" if is_directory else "manifest", manifest),
        "name": name,
        "params": _json_or_none(params),
        "restart": restart,
        "restart-from": restart_from,
        "shutdown": _mode(shutdown),
        "backoff": None if backoff_ms is None else {"first-ms": backoff_ms[0], "max-ms": backoff_ms[1]},
    }


def spawn(child: dict[str, object]) -> str:
    return call("supervisor.spawn", child)


def spawn_and_wait(child: dict[str, object], timeout_ms: int | None = None) -> str:
    return call("supervisor.spawn-and-wait", child, timeout_ms)


def resume(child: dict[str, object], state: Text) -> str:
    """``state`` as JSON as it stands."""
    return call("supervisor.resume", child, state)


def stop(child: Text, mode: Shutdown | None = None) -> str:
    return call("supervisor.stop", child, _mode(mode))


def restart(child: Text, start: Start | None = None) -> str:
    return call("supervisor.restart", child, start)


def remove(child: Text) -> str:
    return call("supervisor.remove", child)


def list_children(parent: Text | None = None) -> str:
    return call("supervisor.list-children", parent)


def child_state(child: Text) -> str:
    """The answer is the state, ``/``, and the number of the event that holds it."""
    return call("supervisor.child-state", child)


def child_events(
    child: Text, start: int = 0, limit: int = 1000, kinds: Collection[str] = (), *, payloads: bool = False
) -> str:
    return call("supervisor.child-events", child, start, limit, {"kinds": list(kinds), "payloads": payloads})


def subscribe(child: Text, start: int | None = None, kinds: Collection[str] = (), *, payloads: bool = False) -> str:
    return call("supervisor.subscribe", child, start, {"kinds": list(kinds), "payloads": payloads})


def unsubscribe(child: Text) -> str:
    return call("supervisor.unsubscribe", child)


# -- HTTP ------------------------------------------------------------------------------------------------------------


def open_server(address: str = "127.0.0.1", port: int = 0, tls: str | None = None) -> str:
    """The answer is the id (``HEAD``) with the address and the port behind it."""
    return call("http-server.open-server", {"address": address, "port": port, "tls": tls})


def route(
    path: str, tag: str = "", methods: Sequence[str] = (), *, body_max: int | None = None, form: str = "automatic"
) -> dict[str, object]:
    """A ``route`` whose ``tag`` is the program that answers its requests."""
    return {"methods": list(methods), "path": path, "tag": tag, "max-body-bytes": body_max, "body-form": form}


def add_route(server: Text, route: dict[str, object]) -> str:
    return call("http-server.add-route", server, route)


def add_middleware(server: Text, prefix: str, tag: str = "") -> str:
    return call("http-server.add-middleware", server, {"prefix": prefix, "tag": tag})


def add_websocket(
    server: Text, path: str, tag: str = "", protocols: Sequence[str] = (), message_max: int | None = None
) -> str:
    """Its ``tag`` is the program that decides on a connection."""
    websocket = {
        "path": path,
        "tag": tag,
        "protocols": list(protocols),
        "max-message-bytes": message_max,
        "binary-form": "automatic",
    }
    return call("http-server.add-websocket", server, websocket)


def respond(request: Text, body: Text, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> str:
    """``http-server.respond`` with a text."""
    response = {"status": status, "headers": list(headers), "body": ("text", body)}
    return call("http-server.respond", request, response)


def send_websocket(connection: Text, text: Text) -> str:
    return call("http-server.send-websocket", connection, ("text", text))


def close_websocket(connection: Text, code: int = 1000, reason: str = "") -> str:
    return call("http-server.close-websocket", connection, code, reason)


# -- processes -------------------------------------------------------------------------------------------------------


def program(
    path: str,
    *arguments: str,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_ms: int | None = None,
    form: str = "automatic",
) -> dict[str, object]:
    """A ``process-spec``."""
    return {
        "program": path,
        "arguments": list(arguments),
        "directory": directory,
        "environment": list((environment or {}).items()),
        "timeout-ms": timeout_ms,
        "output-form": form,
    }


def run_program(program: dict[str, object], stdin: str | None = None) -> str:
    """The answer is the status, ``/``, both outputs with their forms."""
    return call("process.run", program, None if stdin is None else ("text", stdin))


def start_program(program: dict[str, object], mode: str = "lines", size_bytes: int | None = None) -> str:
    """The answer is its id."""
    return call("process.start", program, (mode, size_bytes))


# -- manifests and states --------------------------------------------------------------------------------------------


def puppet_manifest(
    digest: str,
    name: str = "puppet",
    *,
    capabilities: Mapping[str, str] | Collection[str] = ("messaging", "supervisor", "timing"),
    supervision: str = "",
    limits: str = "",
    params: str = "",
    instance: str = "fresh",
) -> str:
    """The text of a manifest. ``capabilities`` are names, or the lines of each one's table; the others are lines."""
    tables = capabilities if isinstance(capabilities, Mapping) else dict.fromkeys(capabilities, "")
    parts = [f'name = "{name}"\ncomponent = "sha256:{digest}"\ninstance = "{instance}"']
    parts += [f"params = {params}"] if params else []
    parts += [f"[{head}]\n{text}" for head, text in (("limits", limits), ("supervision", supervision)) if text]
    parts += [f"[capabilities.{head}]\n{text}" for head, text in tables.items()]
    return "\n".join(part.rstrip() for part in parts) + "\n"


def log_of(state: str) -> list[str]:
    """The tokens of a state that is a log."""
    if state == "0":
        return []
    text = json.loads(state)
    assert isinstance(text, str), state
    return text.split(",") if text else []


# -- how programs are written ----------------------------------------------------------------------------------------


def call(function: str, *args: object) -> str:
    """Call ``interface.function`` with values in the shapes of ``theater.model.wit``, texts as ``Text``."""
    types = [t for _, t in FUNCTIONS[function].params]
    return f"@{function};" + "".join(_value(t, value) for t, value in zip(types, args, strict=True))


def _value(t: wit.Type, value: object) -> str:
    match t:
        case wit.Primitive(name="string"):
            assert isinstance(value, str | Argument), value
            return _text(value)
        case wit.Primitive():
            assert isinstance(value, int), value
            return f"{int(value)};"
        case wit.Option(payload=payload):
            return "-" if value is None else "+" + _value(payload, value)
        case wit.List(element=element):
            assert isinstance(value, list), value
            return f"{len(value)};" + "".join(_value(element, each) for each in value)
        case wit.Tuple(elements=elements):
            assert isinstance(value, tuple), value
            return "".join(_value(inner, each) for inner, each in zip(elements, value, strict=True))
        case wit.Record(fields=fields):
            record = cast("dict[str, object]", value)
            return "".join(_value(inner, record[name]) for name, inner in fields)
        case wit.Enum(names=names):
            return f"{names.index(cast('str', value))};"
    name, inner = cast("tuple[str, object]", value)
    number, of_case = next((i, each) for i, each in enumerate(cases(t)) if each[0] == name)
    return f"{number};" + ("" if of_case[1] is None else _value(of_case[1], inner))


def _text(value: Text) -> str:
    if isinstance(value, Argument):
        return value.code
    if value.isascii() and value.isprintable() and not {'"', "\\"} & set(value):
        return f"t{len(value):08}{value}"
    return f"x{len(value.encode()) * 2:08}{value.encode().hex()}"


def _json(value: Text) -> str:
    return value.code if isinstance(value, Argument) and value.is_json else "q" + _text(value)


def _as_json(value: Text) -> Argument:
    return Argument(_json(value))


def _json_or_none(value: Text | None) -> Argument | None:
    return None if value is None else _as_json(value)


def _mode(mode: Shutdown | None) -> tuple[str, int | None] | None:
    if mode is None:
        return None
    return ("timeout-ms", mode) if isinstance(mode, int) else (mode, None)
