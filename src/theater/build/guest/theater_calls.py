"""The functions of capabilities, from the plain values of ``theater_sdk`` to those of the bindings and back.

A component imports the interfaces that its manifest asks for, and no others: a module that is not there says that.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from enum import Enum
from types import ModuleType
from typing import Any

from componentize_py_types import Err

from theater_sdk.failure import CallFailed

try:
    from wit_world.imports import messaging
except ImportError:
    messaging = None
try:
    from wit_world.imports import supervision, supervisor
except ImportError:
    supervisor = None
try:
    from wit_world.imports import timing
except ImportError:
    timing = None
try:
    from wit_world.imports import store
except ImportError:
    store = None
try:
    from wit_world.imports import http_client
except ImportError:
    http_client = None
try:
    from wit_world.imports import http_server
except ImportError:
    http_server = None
try:
    from wit_world.imports import http_types
except ImportError:
    http_types = None
try:
    from wit_world.imports import filesystem
except ImportError:
    filesystem = None
try:
    from wit_world.imports import process
except ImportError:
    process = None
try:
    from wit_world.imports import values
except ImportError:
    values = None

_INTERFACES: dict[str, ModuleType | None] = {
    "messaging": messaging,
    "supervisor": supervisor,
    "timing": timing,
    "store": store,
    "http-client": http_client,
    "http-server": http_server,
    "process": process,
    "filesystem": filesystem,
}
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def call(interface: str, function: str, args: Mapping[str, Any]) -> object:
    """See ``theater_sdk.host.Host.call``."""
    module = _INTERFACES[interface]
    if module is None:
        raise RuntimeError(
            f"{function} needs the capability {interface}: add the line [capabilities.{interface}] to theater.toml, "
            "and build again"
        )
    given = [bound(name, value) for name, value in args.items()]
    try:
        return plain(getattr(module, function.replace("-", "_"))(*given))
    except Err as error:
        raise failure(error) from None


def bound(name: str, value: object) -> object:
    """A value of ``theater_sdk`` as the bindings have an argument of that name."""
    return _BOUND.get(name, _same)(value)


def failure(error: Err) -> CallFailed:
    """An interface's error as the actor sees it."""
    reason, detail = plain(error.value)
    return CallFailed(reason, detail)


def plain(value: object) -> object:
    """A value of the bindings, as ``theater_sdk`` has it."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-")
    if not dataclasses.is_dataclass(value):
        return value
    case = type(value).__name__.partition("_")[2]
    if case:  # the bindings have a class for each case of a variant: Error_MailboxFull
        return _CAPITAL.sub("-", case).lower(), plain(getattr(value, "value", None))
    return {field.name.replace("_", "-"): plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _same(value: object) -> object:
    return value


def _child(spec: Mapping[str, Any] | str) -> object:
    if isinstance(spec, str):  # in most functions it is an id
        return spec
    kind, text = spec["source"]
    source = supervisor.ChildSource_Manifest if kind == "manifest" else supervisor.ChildSource_Directory
    backoff = spec["backoff"]
    return supervisor.ChildSpec(
        source=source(text),
        name=spec["name"],
        params=spec["params"],
        restart=_named(supervision.RestartPolicy, spec["restart"]),
        restart_from=_start(spec["restart-from"]),
        shutdown=_mode(spec["shutdown"]),
        backoff=None if backoff is None else supervision.Backoff(backoff["first-ms"], backoff["max-ms"]),
    )


def _mode(mode: tuple[str, int | None] | str | None) -> object:
    if isinstance(mode, str):
        return _named(filesystem.WriteMode, mode)
    match mode:
        case None:
            return None
        case ("timeout-ms", timeout):
            return supervision.ShutdownMode_TimeoutMs(timeout)
        case ("infinity", _):
            return supervision.ShutdownMode_Infinity()
        case ("brutal", _):
            return supervision.ShutdownMode_Brutal()
        case ("raw", _):
            return process.OutputMode_Raw()
        case ("lines", _):
            return process.OutputMode_Lines()
        case ("chunks", size):
            return process.OutputMode_Chunks(size)
    raise ValueError(f"there is no such way to stop a child: {mode[0]!r}; there are seconds, 'infinity' and 'brutal'")


def _start(start: object) -> object:
    """Where a restart begins, or, of events, the number to begin with."""
    return _named(supervision.RestartStart, start) if isinstance(start, str) else start


def _named(choices: type[Enum], name: str | None) -> Enum | None:
    known = {each.name.lower().replace("_", "-"): each for each in choices}
    if name is not None and name not in known:
        raise ValueError(f"{name!r} is none of {', '.join(known)}")
    return None if name is None else known[name]


def _due(due: tuple[str, Any]) -> object:
    kind, when = due
    if kind == "after-ms":
        return timing.Due_AfterMs(when)
    return timing.Due_At(timing.values.Datetime(when["seconds"], when["nanoseconds"]))


def _filter(wanted: Mapping[str, Any]) -> object:
    return supervisor.EventFilter(wanted["kinds"], wanted["payloads"])


def _content(content: tuple[str, str]) -> object:
    form, text = content
    return values.Content_Text(text) if form == "text" else values.Content_Base64(text)


def _form(form: str) -> object:
    return _named(values.ContentForm, form)


def _request(asked: Mapping[str, Any] | str) -> object:
    """A request to be sent, one that is given on by a middleware, or the id of one."""
    if isinstance(asked, str):
        return asked
    if "peer" in asked:
        fields = {name: value for name, value in asked.items() if name != "body"}
        return http_types.HttpRequest(**fields, body=_content(asked["body"]))
    return http_client.OutgoingRequest(
        method=asked["method"],
        url=asked["url"],
        headers=asked["headers"],
        body=None if asked["body"] is None else _content(asked["body"]),
        timeout_ms=asked["timeout-ms"],
        max_redirects=asked["max-redirects"],
        max_response_bytes=asked["max-response-bytes"],
        response_form=_form(asked["response-form"]),
    )


def _options(options: Mapping[str, Any]) -> object:
    return http_server.ServerOptions(options["address"], options["port"], options["tls"])


def _route(route: Mapping[str, Any]) -> object:
    return http_server.Route(
        methods=route["methods"],
        path=route["path"],
        tag=route["tag"],
        max_body_bytes=route["max-body-bytes"],
        body_form=_form(route["body-form"]),
    )


def _middleware(middleware: Mapping[str, Any]) -> object:
    return http_server.Middleware(middleware["prefix"], middleware["tag"])


def _websocket(websocket: Mapping[str, Any]) -> object:
    return http_server.WebsocketRoute(
        path=websocket["path"],
        tag=websocket["tag"],
        protocols=websocket["protocols"],
        max_message_bytes=websocket["max-message-bytes"],
        binary_form=_form(websocket["binary-form"]),
    )


def _message(message: tuple[str, Any]) -> object:
    kind, value = message
    if kind == "text":
        return http_server.WebsocketMessage_Text(value)
    return http_server.WebsocketMessage_Binary(_content(value))


def _response(response: Mapping[str, Any]) -> object:
    body = response["body"]
    return http_types.HttpResponse(response["status"], response["headers"], None if body is None else _content(body))


def _process(spec: Mapping[str, Any]) -> object:
    return process.ProcessSpec(
        program=spec["program"],
        arguments=spec["arguments"],
        directory=spec["directory"],
        environment=spec["environment"],
        timeout_ms=spec["timeout-ms"],
        output_form=_form(spec["output-form"]),
    )


def _signal(name: str) -> object:
    return _named(process.ProcessSignal, name)


_BOUND: dict[str, Callable[[Any], object]] = {
    "child": _child,
    "mode": _mode,
    "start": _start,
    "due": _due,
    "filter": _filter,
    "content": _content,
    "form": _form,
    "request": _request,
    "options": _options,
    "route": _route,
    "middleware": _middleware,
    "websocket": _websocket,
    "message": _message,
    "response": _response,
    "process": _process,
    "stdin": lambda content: None if content is None else _content(content),
    "signal": _signal,
}
"""Arguments that are more than texts and numbers, by their names."""
