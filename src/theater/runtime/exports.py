"""The exports with which a step is begun, and what each of them takes and gives.

An actor has ``init`` and ``handle``; a handler is there or not, and is found by looking. The signatures are those of
the frozen WIT, structurally: a component is held to them when it is loaded, so that the arguments of a step, which may
come from a stranger's chain, can be read by them whatever the component is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache

import msgspec

from theater.errors import InvalidComponent
from theater.model.http_types import CONTENT, HTTP_RESPONSE, VERDICT
from theater.model.http_types import HTTP_REQUEST as REQUEST_TYPE
from theater.model.wit import Function, Option, Result, Type
from theater.model.wit_json import Encode, decoder, encoder
from theater.runtime.handler_types import (
    BOOL,
    CHANNEL_OPENING,
    CHILD_EXIT,
    EVENT_BATCH,
    EXIT_STATUS,
    HTTP_OUTCOME,
    MESSAGE,
    MIDDLEWARE_OUTCOME,
    OUTCOME,
    PROCESS_OUTPUT,
    TEXT,
    U16,
    WEBSOCKET_OPENING,
)

ACTOR = "theater:actor/actor"
COMMAND = "wasi:cli/run"
SERVICE = "wasi:http/incoming-handler"
SUPERVISOR_HANDLERS = "theater:actor/supervisor-handlers"
CHANNEL_HANDLERS = "theater:actor/channel-handlers"
EVENT_HANDLERS = "theater:actor/event-handlers"
PROCESS_HANDLERS = "theater:actor/process-handlers"
HTTP_HANDLERS = "theater:actor/http-handlers"
MIDDLEWARE_HANDLERS = "theater:actor/middleware-handlers"
UPGRADE = "theater:actor/upgrade"

INIT = f"{ACTOR}#init"
HANDLE = f"{ACTOR}#handle"
RUN = f"{COMMAND}#run"
SERVE = f"{SERVICE}#handle"
CHILD_EXITED = f"{SUPERVISOR_HANDLERS}#child-exited"
CHANNEL_OPENED = f"{CHANNEL_HANDLERS}#opened"
CHANNEL_MESSAGE = f"{CHANNEL_HANDLERS}#message"
CHANNEL_CLOSED = f"{CHANNEL_HANDLERS}#closed"
CHILD_EVENTS = f"{EVENT_HANDLERS}#child-events"
PROCESS_OUTPUT_CAME = f"{PROCESS_HANDLERS}#output"
PROCESS_EXITED = f"{PROCESS_HANDLERS}#exit"
HTTP_REQUESTED = f"{HTTP_HANDLERS}#request"
WEBSOCKET_OPENED = f"{HTTP_HANDLERS}#websocket-opened"
WEBSOCKET_MESSAGE = f"{HTTP_HANDLERS}#websocket-message"
WEBSOCKET_CLOSED = f"{HTTP_HANDLERS}#websocket-closed"
MIDDLEWARE_REQUESTED = f"{MIDDLEWARE_HANDLERS}#request"
MIGRATE = f"{UPGRADE}#migrate"

FIRST = frozenset({INIT, RUN})
"""They begin an actor: there is no state before them, and they are not given one."""

HARMLESS = frozenset({MIGRATE, SERVE})
"""Steps whose failure is no end of their actor: that of a component which is not its own yet, and that of a service,
which carries nothing from one request to the next."""

STATELESS = frozenset({RUN, SERVE})
"""Neither command nor service has a state, before a step or behind it."""


def _gives_state(*params: tuple[str, Type]) -> Function:
    return Function((("state", TEXT), *params), Result(TEXT, TEXT))


def _gives_outcome(*params: tuple[str, Type]) -> Function:
    return Function((("state", TEXT), *params), Result(OUTCOME, TEXT))


ACTOR_EXPORTS: Mapping[str, Function] = {
    INIT: Function((("params", TEXT),), Result(TEXT, TEXT)),
    HANDLE: _gives_outcome(("message", MESSAGE)),
}

HANDLERS: Mapping[str, Function] = {
    CHILD_EXITED: _gives_state(("exit", CHILD_EXIT)),
    CHANNEL_OPENED: _gives_outcome(("channel", CHANNEL_OPENING)),
    CHANNEL_MESSAGE: _gives_state(("channel", TEXT), ("body", TEXT)),
    CHANNEL_CLOSED: _gives_state(("channel", TEXT)),
    CHILD_EVENTS: _gives_state(("batch", EVENT_BATCH)),
    PROCESS_OUTPUT_CAME: _gives_state(("output", PROCESS_OUTPUT)),
    PROCESS_EXITED: _gives_state(("id", TEXT), ("status", EXIT_STATUS)),
    HTTP_REQUESTED: Function((("state", TEXT), ("request", REQUEST_TYPE)), Result(HTTP_OUTCOME, TEXT)),
    MIDDLEWARE_REQUESTED: Function((("state", TEXT), ("request", REQUEST_TYPE)), Result(MIDDLEWARE_OUTCOME, TEXT)),
    WEBSOCKET_OPENED: _gives_state(("opening", WEBSOCKET_OPENING)),
    WEBSOCKET_MESSAGE: _gives_state(("connection", TEXT), ("content", CONTENT), ("is-binary", BOOL)),
    WEBSOCKET_CLOSED: _gives_state(("connection", TEXT), ("code", U16), ("reason", TEXT)),
    MIGRATE: _gives_state(("from-digest", TEXT)),
}
"""What an actor may export beside."""

ANSWERS: Mapping[str, tuple[str, Type]] = {
    HTTP_REQUESTED: ("response", Option(HTTP_RESPONSE)),
    MIDDLEWARE_REQUESTED: ("verdict", VERDICT),
}
"""The handlers whose answer has a type: the field of their outcome, whose JSON form is the step's reply."""

_RECORDED: Mapping[str, tuple[Type, ...]] = {
    **{export: tuple(kind for _, kind in signature.params[1:]) for export, signature in HANDLERS.items()},
    SERVE: (REQUEST_TYPE,),
}
"""What stands in the chain of a handler's arguments. A service is given resources that stand for the request."""

HANDLED = frozenset(_RECORDED)
"""What the world, or another actor, has an actor handle beside messages."""

DEFERRING = frozenset({HANDLE, HTTP_REQUESTED})
"""What may be answered in a later step."""

WARM: frozenset[str] = frozenset({HANDLE, *HANDLED} - {MIGRATE})
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


def reply_of(export: str, outcome: Mapping[str, object]) -> str | None:
    """The JSON text of what a step of this export answered; None where that was nothing."""
    if export not in ANSWERS:
        reply = outcome["reply"]
        assert reply is None or isinstance(reply, str)
        return reply
    field, encode = _answer_encoder(export)
    answer = encode(outcome[field], {})
    return None if answer is None else msgspec.json.encode(answer).decode()


@cache
def _answer_encoder(export: str) -> tuple[str, Encode]:
    field, kind = ANSWERS[export]
    return field, encoder(kind)


@cache
def _encoders(export: str) -> tuple[Encode, ...]:
    return tuple(encoder(kind) for kind in _RECORDED[export])


def handler_arguments(export: str, encoded: Sequence[object]) -> tuple[object, ...]:
    """A handler's arguments behind the state, from how they stand in the chain.

    Raises:
        ValueError: they are none of this handler's.
    """
    decoders = _decoders(export)
    if len(encoded) != len(decoders):
        raise ValueError(f"{len(encoded)} arguments in place of {len(decoders)}")
    return tuple(decode(value) for decode, value in zip(decoders, encoded, strict=True))


@lru_cache(maxsize=len(_RECORDED))
def _decoders(export: str) -> tuple[Callable[[object], object], ...]:
    return tuple(decoder(kind) for kind in _RECORDED[export])


def _is_alike(found: Function, signature: Function) -> bool:
    """Whether they take and give the same. What the parameters are called does not cross the boundary."""
    types = tuple(kind for _, kind in found.params)
    wanted = tuple(kind for _, kind in signature.params)
    return types == wanted and found.result == signature.result and not found.is_async
