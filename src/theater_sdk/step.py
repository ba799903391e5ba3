"""One call of an actor, from JSON text to JSON text: the same in the sandbox and in a rehearsal."""

from __future__ import annotations

from theater_sdk.actor import NO_REPLY, Actor, Message
from theater_sdk.text import decoded, encoded

_PAIR = 2


def first_state(actor_class: type[Actor], params: str) -> str:
    """Run ``init`` of a new object."""
    return encoded(actor_class().init(decoded(params)), f"the state that {actor_class.__name__}.init() returned")


def step(  # the fields of a message, one by one, as the bindings have them
    actor_class: type[Actor], state: str, *, id: str, sender: str | None, expects_reply: bool, body: str
) -> tuple[str, str | None]:
    """Run ``handle`` of a new object; the new state, and the reply if there is one and somebody waits for it."""
    message = Message(id=id, sender=sender, expects_reply=expects_reply, body=decoded(body))
    outcome: object = actor_class().handle(decoded(state), message)
    name = f"{actor_class.__name__}.handle()"
    if not isinstance(outcome, tuple) or len(outcome) != _PAIR:
        raise TypeError(f"{name} returned {_described(outcome)}; it has to return two values: `return state, reply`")
    new_state, reply = outcome
    if new_state is NO_REPLY:
        raise TypeError(f"{name} returned NO_REPLY as the state: the state comes first, `return state, NO_REPLY`")
    text = encoded(new_state, f"the state that {name} returned")
    if reply is NO_REPLY or not expects_reply:
        return text, None
    return text, encoded(reply, f"the reply that {name} returned")


def _described(outcome: object) -> str:
    if isinstance(outcome, tuple):
        return f"{len(outcome)} values"
    return "None" if outcome is None else f"one value, of type {type(outcome).__name__}"
