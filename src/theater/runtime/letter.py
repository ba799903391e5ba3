"""A message on its way to an actor, what it looks like while it waits on the disk, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from theater.errors import TheaterError
from theater.model.event import Head
from theater.model.ids import ActorId
from theater.model.payload import Cause
from theater.runtime.exports import HANDLE
from theater.runtime.key import Key


class Reply(msgspec.Struct, frozen=True):
    """The answer to a message. ``receipt`` is the event that closed its step: what was answered can be proved by it."""

    text: str | None
    """The reply's JSON text, exactly as the guest wrote it; None where there was none."""
    receipt: Head
    shutdown: str | None = None
    has_shutdown: bool = False


Answer = Reply | TheaterError

Done = Callable[[Answer], None]


class Letter(msgspec.Struct, frozen=True):
    """One message. ``export`` names the guest's function; ``done`` hears the answer once it is durable."""

    id: str
    source: str
    export: str
    arguments: tuple[object, ...]
    """The export's own arguments, but for the state. In the shapes of ``theater.model.wit`` for the exports of the
    interface ``actor``; for all others as they are written in the chain."""
    expects_reply: bool
    done: Done
    sender: ActorId | None = None
    cause: Cause | None = None
    expires_us: int | None = None
    """When whoever asked stops waiting."""
    is_durable: bool = False
    """Whether it is, or in the order of all transactions will be, in the store's mailbox: its step takes it out."""
    has_place: bool = False
    """Whether it takes one of the mailbox's places."""
    key: Key | None = None
    """Of a request from outside that came with one: its answer is noted there."""


class _Post(msgspec.Struct, frozen=True, omit_defaults=True):
    """A letter in the store."""

    id: str
    source: str
    export: str
    arguments: list[object]
    expects_reply: bool = False
    sender: str | None = None
    cause: Cause | None = None
    expires_us: int | None = None
    has_place: bool = False
    key: Key | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Post)


def encode_letter(letter: Letter) -> bytes:
    """As it waits in the store."""
    return _encoder.encode(
        _Post(
            letter.id,
            letter.source,
            letter.export,
            list(letter.arguments),
            letter.expects_reply,
            letter.sender,
            letter.cause,
            letter.expires_us,
            letter.has_place,
            letter.key,
        )
    )


def decode_letter(data: bytes, done: Done | None = None) -> Letter:
    """A letter that waited in the store."""
    post = _decoder.decode(data)
    return Letter(
        id=post.id,
        source=post.source,
        export=post.export,
        arguments=tuple(post.arguments),
        expects_reply=post.expects_reply,
        done=done or nobody,
        sender=ActorId(post.sender) if post.sender is not None else None,
        cause=post.cause,
        expires_us=post.expires_us,
        is_durable=True,
        has_place=post.has_place,
        key=post.key,
    )


class Asker:
    """The ``done`` of a request from outside, for whose answer somebody may stop waiting."""

    __slots__ = ("_tell", "is_gone")

    def __init__(self, tell: Done) -> None:
        self._tell = tell
        self.is_gone = False

    def __call__(self, answer: Answer) -> None:
        """The answer."""
        self._tell(answer)


class Deferred(msgspec.Struct, frozen=True):
    """A request that was handled without an answer: the actor gives it later. ``done`` is for one from outside."""

    id: str
    sender: ActorId | None
    expires_us: int
    done: Done
    key: Key | None = None
    export: str = HANDLE
    """By which it came: that says by which interface it is answered."""

    def is_expired(self, now_us: int) -> bool:
        """Whether who asked waits no longer: the time is over, or he was outside, and has gone.

        Who asked with a key may come again and ask what became of it, so that his time is that of the key.
        """
        if self.sender is None and self.key is None:
            return self.done is nobody or (isinstance(self.done, Asker) and self.done.is_gone)
        return 0 < self.expires_us <= now_us


class _DeferredRow(msgspec.Struct, frozen=True, omit_defaults=True):
    sender: str | None
    expires_us: int
    key: Key | None = None
    export: str = HANDLE


_deferred_decoder = msgspec.msgpack.Decoder(_DeferredRow)


def encode_deferred(deferred: Deferred) -> bytes:
    """As it stands in the store."""
    return _encoder.encode(_DeferredRow(deferred.sender, deferred.expires_us, deferred.key, deferred.export))


def decode_deferred(request_id: str, data: bytes) -> Deferred:
    """One that stood in the store: whoever asked from outside is gone."""
    row = _deferred_decoder.decode(data)
    sender = ActorId(row.sender) if row.sender is not None else None
    return Deferred(request_id, sender, row.expires_us, nobody, row.key, row.export)


def nobody(answer: Answer) -> None:
    """The ``done`` of a letter for whose answer nobody waits."""
    del answer
