"""The exports with which a step is begun, and what each of them takes and gives.

An actor has ``init`` and ``handle``; a handler is there or not, and is found by looking. The signatures are those of
the frozen WIT, structurally: a component is held to them when it is loaded, so that the arguments of a step, which may
come from a stranger's chain, can be read by them whatever the component is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache

from theater.errors import InvalidComponent
from theater.model.wit import Function, List, Option, Primitive, Record, Result, Type, Variant
from theater.model.wit_json import Encode, decoder, encoder

ACTOR = "theater:actor/actor"
COMMAND = "wasi:cli/run"
SUPERVISOR_HANDLERS = "theater:actor/supervisor-handlers"
CHANNEL_HANDLERS = "theater:actor/channel-handlers"
EVENT_HANDLERS = "theater:actor/event-handlers"
UPGRADE = "theater:actor/upgrade"

INIT = f"{ACTOR}#init"
HANDLE = f"{ACTOR}#handle"
RUN = f"{COMMAND}#run"
CHILD_EXITED = f"{SUPERVISOR_HANDLERS}#child-exited"
CHANNEL_OPENED = f"{CHANNEL_HANDLERS}#opened"
CHANNEL_MESSAGE = f"{CHANNEL_HANDLERS}#message"
CHANNEL_CLOSED = f"{CHANNEL_HANDLERS}#closed"
CHILD_EVENTS = f"{EVENT_HANDLERS}#child-events"
MIGRATE = f"{UPGRADE}#migrate"

FIRST = frozenset({INIT, RUN})
"""They begin an actor: there is no state before them, and they are not given one."""

_TEXT = Primitive("string")
_U64 = Primitive("u64")
_MESSAGE = Record((("id", _TEXT), ("sender", Option(_TEXT)), ("expects-reply", Primitive("bool")), ("body", _TEXT)))
_OUTCOME = Record((("state", _TEXT), ("reply", Option(_TEXT))))
_DATETIME = Record((("seconds", _U64), ("nanoseconds", Primitive("u32"))))
_CRASH_REASON = Variant(
    (
        ("trap", None),
        ("stack", None),
        ("fuel", None),
        ("memory", None),
        ("handles", None),
        ("host-data", None),
        ("events", None),
        ("bytes", None),
        ("state-size", None),
        ("not-json", None),
        ("exit", None),
        ("deadline", None),
        ("terminated", None),
        ("host-died", None),
        ("diverged", None),
        ("internal", None),
        ("other", _TEXT),
    )
)
_EXIT_REASON = Variant(
    (
        ("normal", Option(_TEXT)),
        ("shutdown", _TEXT),
        ("refused-init", _TEXT),
        ("crashed", _CRASH_REASON),
        ("intensity", None),
        ("other", _TEXT),
    )
)
_DECISION = Variant((("restarted", List(_TEXT)), ("left", None), ("other", _TEXT)))
_CHILD_EXIT = Record(
    (
        ("child", _TEXT),
        ("name", _TEXT),
        ("reason", _EXIT_REASON),
        ("seq", _U64),
        ("hash", _TEXT),
        ("decision", _DECISION),
    )
)
_CHAIN_EVENT = Record(
    (
        ("seq", _U64),
        ("kind", _TEXT),
        ("name", _TEXT),
        ("time", _DATETIME),
        ("hash", _TEXT),
        ("prev", _TEXT),
        ("payload", Option(_TEXT)),
    )
)
_EVENT_BATCH = Record((("child", _TEXT), ("events", List(_CHAIN_EVENT)), ("gap", Primitive("bool"))))
_CHANNEL_OPENING = Record((("id", _TEXT), ("peer", Option(_TEXT)), ("opening", _TEXT)))


def _gives_state(*params: tuple[str, Type]) -> Function:
    return Function((("state", _TEXT), *params), Result(_TEXT, _TEXT))


def _gives_outcome(*params: tuple[str, Type]) -> Function:
    return Function((("state", _TEXT), *params), Result(_OUTCOME, _TEXT))


ACTOR_EXPORTS: Mapping[str, Function] = {
    INIT: Function((("params", _TEXT),), Result(_TEXT, _TEXT)),
    HANDLE: _gives_outcome(("message", _MESSAGE)),
}

HANDLERS: Mapping[str, Function] = {
    CHILD_EXITED: _gives_state(("exit", _CHILD_EXIT)),
    CHANNEL_OPENED: _gives_outcome(("channel", _CHANNEL_OPENING)),
    CHANNEL_MESSAGE: _gives_state(("channel", _TEXT), ("body", _TEXT)),
    CHANNEL_CLOSED: _gives_state(("channel", _TEXT)),
    CHILD_EVENTS: _gives_state(("batch", _EVENT_BATCH)),
    MIGRATE: _gives_state(("from-digest", _TEXT)),
}
"""What an actor may export beside."""

WARM: frozenset[str] = frozenset({HANDLE, *HANDLERS} - {MIGRATE})
"""What is run in the instance that a warm actor keeps: not a first step, nor one of a component that is not its own."""


def check_export(exports: Mapping[tuple[str, str], Function], name: str, signature: Function, *, version: str) -> None:
    """Check that a component has an export, as ``version`` of its interface says.

    Raises:
        InvalidComponent: it is missing, or has other parameters or another result.
    """
    interface, _, function = name.partition("#")
    found = exports.get((interface, function))
    if found is None:
        raise InvalidComponent(f"this component exports {interface} without its function {function}")
    if not _is_alike(found, signature):
        raise InvalidComponent(f"this component's {name} does not have the parameters and result of {version}")


def handler_form(export: str, arguments: Sequence[object]) -> tuple[object, ...]:
    """The arguments of a handler, without the state, as they stand in the chain. They are ours, so they are right."""
    return tuple(encode(value, {}) for encode, value in zip(_encoders(export), arguments, strict=True))


@cache
def _encoders(export: str) -> tuple[Encode, ...]:
    return tuple(encoder(kind) for _, kind in HANDLERS[export].params[1:])


def handler_arguments(export: str, encoded: Sequence[object]) -> tuple[object, ...]:
    """A handler's arguments behind the state, from how they stand in the chain.

    Raises:
        ValueError: they are none of this handler's.
    """
    decoders = _decoders(export)
    if len(encoded) != len(decoders):
        raise ValueError(f"{len(encoded)} arguments in place of {len(decoders)}")
    return tuple(decode(value) for decode, value in zip(decoders, encoded, strict=True))


@lru_cache(maxsize=len(HANDLERS))
def _decoders(export: str) -> tuple[Callable[[object], object], ...]:
    return tuple(decoder(kind) for _, kind in HANDLERS[export].params[1:])


def _is_alike(found: Function, signature: Function) -> bool:
    """Whether they take and give the same. What the parameters are called does not cross the boundary."""
    types = tuple(kind for _, kind in found.params)
    wanted = tuple(kind for _, kind in signature.params)
    return types == wanted and found.result == signature.result and not found.is_async
