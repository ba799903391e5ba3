"""What an actor that asked another one is told: the answer, in the shape that its guest is given.

It waits in the store, as bytes, from the commit of the one that answers to that of the one that asked.
"""

from __future__ import annotations

import msgspec

from theater.errors import Crashed, InternalError, NoChannels, NotRunning, Refused
from theater.model.ids import ActorId
from theater.runtime.letter import Answer, Reply

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


def encode_answer(answer: object) -> bytes:
    """As it waits in the store. ``answer`` is a value in the shapes of ``theater.model.wit``."""
    return _encode(answer)


def decode_answer(data: bytes) -> object:
    """The value again: variants are tuples, and no answer of this kind has a list in it."""
    return _with_tuples(_decode(data))


def answer_for_guest(answer: Answer, actor: ActorId, *, channel: str | None = None) -> object:
    """What the guest gets that asked ``actor``: ``result<…, messaging.error>``.

    ``channel``: the id of the one that it asked for, where it did; an answer ``ok`` has that beside the reply.
    """
    match answer:
        case Reply():
            return ("ok", answer.text if channel is None else {"id": channel, "reply": answer.text})
        case Refused():
            return err("refused", str(answer.data.get("text") or ""))
        case Crashed():
            return err("crashed", (str(answer.data["reason"]), None))
        case InternalError():
            return err("crashed", ("internal", None))
        case NoChannels():
            return err("no-channels", actor)
        case NotRunning():
            return err("not-running", actor)
        case _:
            return err("other", f"{answer.code}: {answer.message}")


def err(case: str, payload: object = None) -> object:
    """An answer ``err``."""
    return ("err", (case, payload))


def _with_tuples(value: object) -> object:
    match value:
        case list():
            return tuple(_with_tuples(item) for item in value)
        case dict():
            return {key: _with_tuples(item) for key, item in value.items()}
        case _:
            return value
