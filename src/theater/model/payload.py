"""The payloads of events: one structure a kind, in the order in which their fields are written.

A payload is compact JSON, encoded once. A JSON value of the guest's (params, message body, state, reply) stands in it
as a JSON *string* that holds exactly the guest's text: passed on and shown as it is, never parsed and written again.
Fields only grow: a decoder ignores those that it does not know, and a missing one has its default.
"""

from __future__ import annotations

import msgspec

from theater.errors import Unsound
from theater.model.crash import CrashReason
from theater.model.stdin import Stdin

BOUNDARY = 1
"""Grows whenever a derived answer, a JSON rule or a value mapping would differ; old ones stay implemented."""


class Payload(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The base of them all."""


class EngineFacts(Payload, frozen=True):
    """Under what the fuel and the stack depth of a chain were measured."""

    name: str
    version: str
    settings: str
    architecture: str


class Forked(Payload, frozen=True):
    """Where a fork comes from."""

    actor: str
    seq: int
    hash: str


class Genesis(Payload, frozen=True):
    """Event 0: everything that a step's outcome can depend on besides the messages."""

    program: str
    manifest: str
    asked: dict[str, dict[str, object]]
    ceiling: dict[str, dict[str, object]]
    effective: dict[str, dict[str, object]]
    limits: dict[str, int | float]
    instance: str
    params: str
    environment: list[tuple[str, str]]
    arguments: list[str]
    parent: str | None
    name: str
    node: str
    version: str
    engine: EngineFacts
    boundary: int
    settings: dict[str, object] = {}
    """Values that replaced placeholders in the manifest."""
    allowed: list[str] = []
    """What a person allowed this once beyond the ceiling, as written on the command line."""
    forked: Forked | None = None
    state: str | None = None
    """The state that it begins with, where it begins with one in place of a run of ``init``."""
    folder: str | None = None
    """Where its manifest was found, if it asks for something that has paths."""
    stdin: Stdin | None = None
    """What its program can read from stdin, where that is anything."""


class Cause(Payload, frozen=True):
    """The event of this node that caused a message."""

    actor: str
    seq: int
    hash: str


class Message(Payload, frozen=True):
    """A step begins. ``arguments`` are the export's own, but for the state, which is named by the event that has it."""

    id: str
    source: str
    export: str
    arguments: list[object]
    seed: str
    state: int | None = None
    cause: Cause | None = None
    instance: int | None = None
    nth: int | None = None
    component: str | None = None
    """The digest of the component that runs this step, where it is not yet the actor's: a migration."""


class HostCall(Payload, frozen=True):
    """A call that was answered. ``arguments`` are left out where ``intent`` names the event that has them."""

    answer: object
    arguments: list[object] | None = None
    now: str | None = None
    intent: int | None = None
    read: object = None
    """What was read to decide on the call, where that is more than its arguments."""
    about: object = None
    """What was to be done, where the arguments do not say that, and no intent did."""


class Intent(Payload, frozen=True):
    """A call that is about to act or to wait. ``about`` says what it does, where its arguments do not."""

    arguments: list[object]
    about: object = None


class Log(Payload, frozen=True):
    """What a guest wrote: ``text``, or ``base64`` where its bytes are not UTF-8."""

    text: str | None = None
    base64: str | None = None
    level: str | None = None


class State(Payload, frozen=True):
    """The step's result. ``state`` is left out when byte for byte the one before, ``reply`` when there was none."""

    fuel: int
    state: str | None = None
    reply: str | None = None


class RefusedPayload(Payload, frozen=True):
    """The guest answered ``err(text)``."""

    text: str
    fuel: int


class CrashedPayload(Payload, frozen=True):
    """The step ended without an outcome. ``message`` and ``backtrace`` are never compared."""

    reason: CrashReason
    fuel: int
    code: str | None = None
    message: str | None = None
    backtrace: str | None = None


class Lifecycle(Payload, frozen=True):
    """Something that the runtime or a person did. ``by``: token name, supervisor id or ``runtime``."""

    by: str
    detail: dict[str, object] | None = None


BY_KIND: dict[str, type[Payload]] = {
    "genesis": Genesis,
    "message": Message,
    "host": HostCall,
    "intent": Intent,
    "log": Log,
    "state": State,
    "refused": RefusedPayload,
    "crashed": CrashedPayload,
    "lifecycle": Lifecycle,
}

_encode = msgspec.json.Encoder().encode
_DECODERS = {kind: msgspec.json.Decoder(structure) for kind, structure in BY_KIND.items()}


def encode_payload(payload: Payload) -> bytes:
    """The bytes of a payload: made once, then hashed, stored and streamed as they are."""
    return _encode(payload)


def decode_payload(kind: str, data: bytes, *, seq: int) -> Payload:
    """Read a payload of ``kind``.

    Raises:
        Unsound: it is not what that kind's payloads are; ``seq`` is named.
    """
    try:
        return _DECODERS[kind].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unsound(f"event {seq}: the payload of this {kind} event cannot be read: {error}", seq=seq) from error
