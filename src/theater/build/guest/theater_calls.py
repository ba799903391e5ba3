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
    from wit_world.imports import values
except ImportError:
    values = None

_INTERFACES: dict[str, ModuleType | None] = {
    "messaging": messaging,
    "supervisor": supervisor,
    "timing": timing,
    "store": store,
    "http-client": http_client,
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
    given = [_BOUND.get(name, _same)(value) for name, value in args.items()]
    try:
        return plain(getattr(module, function.replace("-", "_"))(*given))
    except Err as error:
        raise failure(error) from None


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


def _mode(mode: tuple[str, int | None] | None) -> object:
    match mode:
        case None:
            return None
        case ("timeout-ms", timeout):
            return supervision.ShutdownMode_TimeoutMs(timeout)
        case ("infinity", _):
            return supervision.ShutdownMode_Infinity()
        case ("brutal", _):
            return supervision.ShutdownMode_Brutal()
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


def _request(asked: Mapping[str, Any]) -> object:
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


_BOUND: dict[str, Callable[[Any], object]] = {
    "child": _child,
    "mode": _mode,
    "start": _start,
    "due": _due,
    "filter": _filter,
    "content": _content,
    "form": _form,
    "request": _request,
}
"""Arguments that are more than texts and numbers, by their names."""
