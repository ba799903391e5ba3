"""What an idempotency key stands for: the message that it was used for first, and what became of that.

An entry of the actor's, in the space ``key``, is put in the transaction in which the message is accepted, and says from
the one in which it is answered where the answer is. So neither can be there without the other.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from theater.errors import InvalidInput
from theater.model.ids import ActorId
from theater.model.ports import EventStore, Space

KEPT_US = 86_400_000_000
"""A day: how long a key is remembered, in microseconds."""

KEY_MAX = 255

Route = Literal["send", "request"]


class Key(msgspec.Struct, frozen=True):
    """What goes with a message that came with a key. ``place`` is that of the entry, ``body`` its SHA-256."""

    place: str
    body: bytes
    since_us: int

    @property
    def until_us(self) -> int:
        """When it is forgotten."""
        return self.since_us + KEPT_US


class KeyRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The entry. ``id`` is that of the message."""

    id: str
    body: bytes
    since_us: int
    seq: int | None = None
    """The event that closed the step in which it was answered."""
    ended: str | None = None
    """Why it will never be answered, though it was handled: what the asker heard."""
    is_send: bool = False
    """Whether nobody waits for an answer, so that none is noted."""

    @property
    def is_settled(self) -> bool:
        """Whether what became of it is known."""
        return self.seq is not None or self.ended is not None

    def is_over(self, now_us: int) -> bool:
        """Whether it is a day old."""
        return self.since_us + KEPT_US <= now_us


_encode = msgspec.msgpack.encode
_decoder = msgspec.msgpack.Decoder(KeyRow)


def key_place(*, by: str, actor: ActorId, route: Route, key: str) -> str:
    """Where a key is kept, by its scope: 32 hex digits.

    Raises:
        InvalidInput: it is not 1 to 255 printable ASCII characters.
    """
    if not (0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable()):
        raise InvalidInput(f"an idempotency key has 1 to {KEY_MAX} printable ASCII characters")
    return hashlib.sha256(f"theater/key/v1\n{by}\n{actor}\n{route}\n{key}".encode()).hexdigest()[:32]


def encode_row(row: KeyRow) -> bytes:
    """As it stands in the store."""
    return _encode(row)


def decode_row(data: bytes) -> KeyRow:
    """One that stood in the store."""
    return _decoder.decode(data)


def find_row(store: EventStore, actor: ActorId, place: str, *, now_us: int) -> KeyRow | None:
    """The row of a key that counts; None where there is none, where it is over, or the message was never handled.

    A message that waits for longer than a key is kept is waited for all the same.
    """
    entry = store.entry(actor, "key", place)
    row = decode_row(entry.value) if entry is not None else None
    if row is None or (row.is_settled and row.is_over(now_us)):
        return None
    if row.is_settled or is_waiting(store, actor, row):
        return row
    # What was answered a moment ago waits no longer, and its row said nothing yet when it was read.
    entry = store.entry(actor, "key", place)
    row = decode_row(entry.value) if entry is not None else None
    if row is not None and (row.is_settled or row.is_send) and not row.is_over(now_us):
        return row
    return None


def is_waiting(store: EventStore, actor: ActorId, row: KeyRow) -> bool:
    """Whether its message is in the mailbox, or was put off. In this order: it goes from one to the other."""
    spaces: tuple[Space, ...] = ("mailbox", "deferred")
    return any(store.entry(actor, space, row.id) is not None for space in spaces)
