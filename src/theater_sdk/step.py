"""One call of an actor, from JSON text to JSON text: the same in the sandbox and in a rehearsal."""

from __future__ import annotations

from typing import Any

from theater_sdk import http_server, process
from theater_sdk.actor import NO_REPLY, Actor, Message
from theater_sdk.messaging import ChannelOpening
from theater_sdk.supervisor import EventBatch, chain_event, child_exit
from theater_sdk.text import bytes_of, decoded, encoded

_PAIR = 2


def first_state(actor_class: type[Actor], params: str) -> str:
    """Run ``init`` of a new object."""
    return encoded(actor_class().init(decoded(params)), f"the state that {actor_class.__name__}.init() returned")


def step(  # the fields of a message, one by one, as the bindings have them
    actor_class: type[Actor], state: str, *, id: str, sender: str | None, expects_reply: bool, body: str
) -> tuple[str, str | None]:
    """Run ``handle`` of a new object; the new state, and the reply if there is one and somebody waits for it."""
    message = Message(id=id, sender=sender, expects_reply=expects_reply, body=decoded(body))
    return _pair(actor_class, "handle", actor_class().handle(decoded(state), message), keep=expects_reply)


def channel_opened(
    actor_class: type[Actor], state: str, *, id: str, peer: str | None, opening: str
) -> tuple[str, str | None]:
    """Run ``channel_opened`` of a new object; the new state, and what the opener is told."""
    channel = ChannelOpening(id=id, peer=peer, opening=decoded(opening))
    return _pair(actor_class, "channel_opened", actor_class().channel_opened(decoded(state), channel), keep=True)


def channel_message(actor_class: type[Actor], state: str, *, id: str, body: str) -> str:
    """Run ``channel_message`` of a new object; the new state."""
    new_state = actor_class().channel_message(decoded(state), id, decoded(body))
    return _state(actor_class, "channel_message", new_state)


def channel_closed(actor_class: type[Actor], state: str, *, id: str) -> str:
    """Run ``channel_closed``."""
    return _state(actor_class, "channel_closed", actor_class().channel_closed(decoded(state), id))


def child_exited(actor_class: type[Actor], state: str, *, exit: dict[str, Any]) -> str:  # noqa: A002 - as in WIT
    """Run ``child_exited``; records are plain, as ``Host.call`` has them."""
    return _state(actor_class, "child_exited", actor_class().child_exited(decoded(state), child_exit(exit)))


def child_events(actor_class: type[Actor], state: str, *, batch: dict[str, Any]) -> str:
    """Run ``child_events``."""
    events = tuple(chain_event(each) for each in batch["events"])
    heard = EventBatch(child=batch["child"], events=events, gap=batch["gap"])
    return _state(actor_class, "child_events", actor_class().child_events(decoded(state), heard))


def http_request(actor_class: type[Actor], state: str, *, request: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Run ``http_request``; the new state, and the response, unless it is put off."""
    outcome = actor_class().http_request(decoded(state), http_server.request_of(request))
    text, answer = _two(actor_class, "http_request", outcome)
    return text, None if answer is NO_REPLY else http_server.response_of(answer)


def http_middleware(
    actor_class: type[Actor], state: str, *, request: dict[str, Any]
) -> tuple[str, tuple[str, dict[str, Any]]]:
    """Run ``http_middleware``; the new state, and the verdict."""
    outcome = actor_class().http_middleware(decoded(state), http_server.request_of(request))
    text, verdict = _two(actor_class, "http_middleware", outcome)
    if isinstance(verdict, http_server.Request):
        return text, ("proceed", http_server.value_of(verdict))
    return text, ("respond", http_server.response_of(verdict))


def websocket_opened(actor_class: type[Actor], state: str, *, opening: dict[str, Any]) -> str:
    """Run ``websocket_opened``; the new state."""
    new_state = actor_class().websocket_opened(decoded(state), http_server.opening_of(opening))
    return _state(actor_class, "websocket_opened", new_state)


def websocket_message(
    actor_class: type[Actor], state: str, *, connection: str, content: tuple[str, str], is_binary: bool
) -> str:
    """Run ``websocket_message``; the new state."""
    message = bytes_of(content) if is_binary else bytes_of(content).decode()
    new_state = actor_class().websocket_message(decoded(state), connection, message)
    return _state(actor_class, "websocket_message", new_state)


def websocket_closed(actor_class: type[Actor], state: str, *, connection: str, code: int, reason: str) -> str:
    """Run ``websocket_closed``; the new state."""
    new_state = actor_class().websocket_closed(decoded(state), connection, code, reason)
    return _state(actor_class, "websocket_closed", new_state)


def process_output(actor_class: type[Actor], state: str, *, output: dict[str, Any]) -> str:
    """Run ``process_output``; the new state."""
    new_state = actor_class().process_output(decoded(state), process.output_of(output))
    return _state(actor_class, "process_output", new_state)


def process_exited(actor_class: type[Actor], state: str, *, id: str, status: tuple[str, int | None]) -> str:
    """Run ``process_exited``; the new state."""
    new_state = actor_class().process_exited(decoded(state), id, process.status_of(status))
    return _state(actor_class, "process_exited", new_state)


def migrate(actor_class: type[Actor], state: str, *, from_digest: str) -> str:
    """Run ``migrate``."""
    return _state(actor_class, "migrate", actor_class().migrate(decoded(state), from_digest))


def _pair(actor_class: type[Actor], method: str, outcome: object, *, keep: bool) -> tuple[str, str | None]:
    """State and reply as texts; the reply only if it is to be kept."""
    text, reply = _two(actor_class, method, outcome)
    if reply is NO_REPLY or not keep:
        return text, None
    return text, encoded(reply, f"the reply that {actor_class.__name__}.{method}() returned")


def _two(actor_class: type[Actor], method: str, outcome: object) -> tuple[str, Any]:
    """The state as a text, and the other value that was returned."""
    name = f"{actor_class.__name__}.{method}()"
    if not isinstance(outcome, tuple) or len(outcome) != _PAIR:
        raise TypeError(f"{name} returned {_described(outcome)}; it has to return two values: `return state, reply`")
    new_state, reply = outcome
    if new_state is NO_REPLY:
        raise TypeError(f"{name} returned NO_REPLY as the state: the state comes first, `return state, NO_REPLY`")
    return encoded(new_state, f"the state that {name} returned"), reply


def _state(actor_class: type[Actor], method: str, new_state: object) -> str:
    name = f"{actor_class.__name__}.{method}()"
    if new_state is None or new_state is NO_REPLY:  # None is JSON, but far more often a forgotten return
        raise TypeError(f"{name} returned {new_state!r}; it has to return the new state: `return state`")
    return encoded(new_state, f"the state that {name} returned")


def _described(outcome: object) -> str:
    if isinstance(outcome, tuple):
        return f"{len(outcome)} values"
    return "None" if outcome is None else f"one value, of type {type(outcome).__name__}"
