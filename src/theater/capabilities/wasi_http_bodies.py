"""The bodies of ``wasi:http``: what a guest writes of a message of its own, and what it reads of another's.

Both are whole in the host's memory: one until it is sent, the other since it has been recorded. So reading and writing
wait for nothing and are derived.
"""

from __future__ import annotations

from theater.capabilities.wasi_http_codes import ErrorCode
from theater.capabilities.wasi_http_fields import Fields, take_fields
from theater.model.capability import Holding, StepContext

READ_MAX_BYTES = 64 * 1024
"""Of a body, in one call: the engine needs 32 bytes for each."""
PERMIT_BYTES = 64 * 1024
"""What ``check-write`` permits, as for stdout."""

_CLOSED = ("err", ("closed", None))


class BodyError:
    """Why writing a body failed: a ``wasi:io`` error with an ``error-code``."""

    __slots__ = ("code",)

    def __init__(self, code: ErrorCode) -> None:
        self.code = code


class OutgoingBody:
    """What the guest has written of a message, at most ``most_bytes``.

    ``holder`` is the resource that it will be sent with, or None once that is gone: then nothing more is kept of it.
    ``promised_bytes`` is what the header says that it will have. One that is let go of before it is finished is
    corrupted, as the interface has it.
    """

    __slots__ = (
        "content",
        "holder",
        "is_finished",
        "is_left",
        "most_bytes",
        "promised_bytes",
        "too_large",
        "was_written",
    )

    def __init__(self, holder: Holding, most_bytes: int, promised_bytes: int | None, too_large: str) -> None:
        self.content = bytearray()
        self.holder: Holding | None = holder
        self.most_bytes = most_bytes
        self.promised_bytes = promised_bytes
        self.too_large = too_large
        self.is_finished = False
        self.is_left = False
        self.was_written = False

    def let_go(self) -> None:
        """The guest has done with it."""
        self.is_left = True

    def forget(self) -> None:
        """Nobody will send it."""
        self.holder = None
        self.content.clear()


class BodyOutput:
    """The stream to which a body is written."""

    __slots__ = ("body", "is_closed", "permitted_bytes")

    permit_bytes = PERMIT_BYTES

    def __init__(self, body: OutgoingBody) -> None:
        self.body = body
        self.is_closed = False
        self.permitted_bytes = 0

    def write(self, ctx: StepContext, data: bytes) -> object:
        """Keep it. Beyond what the body may have the stream fails, and is closed from then on."""
        body = self.body
        if self.is_closed or body.is_finished:
            return _CLOSED
        promised = body.promised_bytes
        most_bytes = body.most_bytes if promised is None else min(promised, body.most_bytes)
        if len(body.content) + len(data) > most_bytes:
            self.is_closed = True
            error = BodyError((body.too_large, most_bytes))
            return ("err", ("last-operation-failed", ctx.resources.add(error)))
        if body.holder is not None:
            ctx.resources.hold(body.holder, len(data), most_bytes=ctx.limits.memory_bytes)
            body.content += data
        return ("ok", None)


class IncomingBody:
    """The body of a message that has arrived."""

    __slots__ = ("content", "held_bytes", "was_read")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.held_bytes = len(content)
        self.was_read = False


class BodyInput:
    """The stream from which a body is read."""

    __slots__ = ("body", "offset")

    def __init__(self, body: IncomingBody) -> None:
        self.body = body
        self.offset = 0

    def read(self, _ctx: StepContext, length: int) -> object:
        """What comes next; ``closed`` behind the end."""
        content = self.body.content
        if self.offset >= len(content):
            return _CLOSED
        piece = content[self.offset : self.offset + min(length, READ_MAX_BYTES)]
        self.offset += len(piece)
        return ("ok", piece)

    def skip(self, _ctx: StepContext, length: int) -> object:
        """How many bytes were passed over."""
        left = len(self.body.content) - self.offset
        if left <= 0:
            return _CLOSED
        passed = min(length, left)
        self.offset += passed
        return ("ok", passed)


class FutureTrailers:
    """Behind a body there never are any."""

    __slots__ = ("was_taken",)

    def __init__(self) -> None:
        self.was_taken = False


# -- outgoing --------------------------------------------------------------------------------------------------------


def add_body(
    ctx: StepContext,
    holder: Holding,
    fields: Fields,
    *,
    most_bytes: int,
    too_large: str,
) -> tuple[OutgoingBody, int] | None:
    """A new body of a message with these fields, and its number. None where ``content-length`` cannot be right."""
    lengths = set(fields.values("content-length"))
    promised: int | None = None
    if lengths:
        text = lengths.pop().strip()
        if lengths or not text.isdigit() or len(text) > len(str(2**64)):
            return None
        promised = int(text)
    body = OutgoingBody(holder, most_bytes, promised, too_large)
    return body, ctx.resources.add(body)


def write(ctx: StepContext, _grant: object, number: int) -> object:
    """``outgoing-body.write``: its stream, once."""
    body: OutgoingBody = ctx.resources.get(number)
    if body.was_written:
        return ("err", None)
    body.was_written = True
    return ("ok", ctx.resources.add(BodyOutput(body), of=number))


def finish(ctx: StepContext, _grant: object, number: int, trailers: int | None) -> object:
    """``outgoing-body.finish``: it is whole. Trailers are left out (RFC 9110, section 6.5.1)."""
    body: OutgoingBody = ctx.resources.get(number)
    ctx.resources.drop(number)
    if trailers is not None:
        take_fields(ctx, trailers)
    if body.promised_bytes is not None and body.promised_bytes != len(body.content) and body.holder is not None:
        return ("err", (body.too_large, len(body.content)))
    body.is_finished = True
    return ("ok", None)


# -- incoming --------------------------------------------------------------------------------------------------------


def read_stream(ctx: StepContext, _grant: object, number: int) -> object:
    """``incoming-body.stream``, once."""
    body: IncomingBody = ctx.resources.get(number)
    if body.was_read:
        return ("err", None)
    body.was_read = True
    return ("ok", ctx.resources.add(BodyInput(body), of=number))


def finish_reading(ctx: StepContext, _grant: object, number: int) -> int:
    """``incoming-body.finish``: the guest is done with it."""
    ctx.resources.drop(number)
    return ctx.resources.add(FutureTrailers())


def get_trailers(ctx: StepContext, _grant: object, number: int) -> object:
    """``future-trailers.get``: none, once."""
    future: FutureTrailers = ctx.resources.get(number)
    if future.was_taken:
        return ("err", None)
    future.was_taken = True
    return ("ok", ("ok", None))
