"""``wasi:io``: streams, polling, errors.

The streams are stdin, which has what the program was given at its start, stdout, stderr, those of files, and those of
the bodies of ``wasi:http``.

Recorded: what is written to stdout and stderr, as ``log`` events; what is read from a file, as ``host``; what is
written to one, as ``intent`` and ``host``, where writes that follow one another share the intent of the first; a poll
or block that really waits, as ``intent`` and ``host``. A stream is always ready and a timer is once the step's clock
shows its instant, so most polls answer at once and leave no event. One that waits for answers to requests has those
sent: then the intent says what is sent, and ``host`` what came of it; if all of them are safe there is no intent.
``flush`` cuts no line: C libraries flush after every write, and half a line says less than a whole one. A stream of a
file that failed is closed from then on.

Limits, WASI's own: a ``write`` has at most the bytes that ``check-write`` permitted, a ``blocking-write-and-flush`` at
most 4,096; anything else traps, as the interface says.
"""

from __future__ import annotations

from theater.capabilities.registration import drops, functions, looking_methods, methods
from theater.capabilities.wasi_file_stream import CLOSED, FileInput, FileOutput, StreamError, with_error
from theater.capabilities.wasi_http_bodies import BodyError, BodyInput, BodyOutput
from theater.capabilities.wasi_poll import block, poll, ready, subscribe
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import HostClass, StepContext
from theater.model.crash import StepCrash

CHECK_WRITE_BYTES = 64 * 1024
"""What ``check-write`` permits: one payload that needs no file of its own."""

READ_MAX_BYTES = 64 * 1024
"""What one read gives at most: bytes cross the sandbox's wall one by one."""

BLOCKING_WRITE_MAX_BYTES = 4096
"""`Perform a write of up to 4096 bytes`: wasi:io/streams, ``blocking-write-and-flush`` and its like for zeroes."""


class InputStream:
    """stdin: what the program was given when it was started, and then closed."""

    __slots__ = ()

    def read(self, ctx: StepContext, length: int) -> object:
        """What comes next. Every stream of a step reads on where the last one ended."""
        data = ctx.read_stdin(min(length, READ_MAX_BYTES))
        return CLOSED if data is None else ("ok", data)

    def skip(self, ctx: StepContext, length: int) -> object:
        """Over that."""
        data = ctx.read_stdin(length)
        return CLOSED if data is None else ("ok", len(data))


class OutputStream:
    """stdout or stderr, and how many bytes the next writes may have."""

    __slots__ = ("name", "permitted_bytes")

    permit_bytes = CHECK_WRITE_BYTES
    is_closed = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.permitted_bytes = 0

    def write(self, ctx: StepContext, data: bytes) -> object:
        """Put it into the chain."""
        if data:
            ctx.write(self.name, data)
        return ("ok", None)


Source = InputStream | FileInput | BodyInput
Sink = OutputStream | FileOutput | BodyOutput


# -- input -----------------------------------------------------------------------------------------------------------


def read(ctx: StepContext, _grant: WasiGrant, number: int, length: int) -> object:
    """``read`` and its blocking form: what comes next."""
    stream: Source = ctx.resources.get(number)
    return stream.read(ctx, length)


def skip(ctx: StepContext, _grant: WasiGrant, number: int, length: int) -> object:
    """``skip`` and its blocking form."""
    stream: Source = ctx.resources.get(number)
    return stream.skip(ctx, length)


# -- output ----------------------------------------------------------------------------------------------------------


def check_write(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """How much the next write may have."""
    stream: Sink = ctx.resources.get(number)
    if stream.is_closed:
        return CLOSED
    stream.permitted_bytes = stream.permit_bytes
    return ("ok", stream.permitted_bytes)


def write(ctx: StepContext, _grant: WasiGrant, number: int, contents: bytes) -> object:
    """Write within what ``check-write`` permitted."""
    _use_permit(ctx.resources.get(number), len(contents))
    return _write(ctx, number, contents)


def write_zeroes(ctx: StepContext, _grant: WasiGrant, number: int, length: int) -> object:
    """Write zeroes within what ``check-write`` permitted."""
    _use_permit(ctx.resources.get(number), length)
    return _write(ctx, number, bytes(length))


def blocking_write_and_flush(ctx: StepContext, _grant: WasiGrant, number: int, contents: bytes) -> object:
    """Write at most 4,096 bytes; no permit needed."""
    _check_blocking(len(contents))
    return _write(ctx, number, contents)


def blocking_write_zeroes_and_flush(ctx: StepContext, _grant: WasiGrant, number: int, length: int) -> object:
    """Write at most 4,096 zeroes; no permit needed."""
    _check_blocking(length)
    return _write(ctx, number, bytes(length))


def flush(_ctx: StepContext, _grant: WasiGrant, _stream: int) -> object:
    """Nothing is held back: what was written is in the chain or about to be."""
    return ("ok", None)


def splice(ctx: StepContext, _grant: WasiGrant, target: int, source: int, length: int) -> object:
    """From an input stream to an output stream. A file has to be read and written: looking and acting are two calls."""
    found: Source = ctx.resources.get(source)
    stream: Sink = ctx.resources.get(target)
    is_spent = isinstance(found, InputStream) and ctx.read_stdin(0) is None
    if isinstance(found, FileInput) or (isinstance(stream, FileOutput) and not is_spent):
        return with_error(ctx, ("err", ("last-operation-failed", 0)), "unsupported")
    if stream.is_closed:
        return CLOSED
    match found.read(ctx, min(length, stream.permit_bytes)):
        case ("ok", bytes() as data):
            written = stream.write(ctx, data)
            return ("ok", len(data)) if written == ("ok", None) else written
        case closed:
            return closed


def _use_permit(stream: Sink, size_bytes: int) -> None:
    if size_bytes > stream.permitted_bytes:
        raise StepCrash("trap", f"wrote {size_bytes} bytes where check-write permitted {stream.permitted_bytes}")
    stream.permitted_bytes -= size_bytes


def _check_blocking(size_bytes: int) -> None:
    if size_bytes > BLOCKING_WRITE_MAX_BYTES:
        raise StepCrash(
            "trap", f"a blocking write may have at most {BLOCKING_WRITE_MAX_BYTES} bytes, and this has {size_bytes}"
        )


def _write(ctx: StepContext, number: int, data: bytes) -> object:
    stream: Sink = ctx.resources.get(number)
    return stream.write(ctx, data)


# -- registration ----------------------------------------------------------------------------------------------------


def to_debug_string(ctx: StepContext, _grant: WasiGrant, error: int) -> str:
    """Of an ``error``: the code of a file's, or of a body's."""
    found = ctx.resources.get(error)
    if isinstance(found, BodyError):
        return found.code[0]
    return found.code if isinstance(found, StreamError) else ""


_STREAMS = "wasi:io/streams"
_POLL = "wasi:io/poll"
_ERROR = "wasi:io/error"

CAPABILITY = wasi_capability(
    "wasi-io",
    (
        *methods(
            _STREAMS,
            "input-stream",
            HostClass.DERIVED,
            {"subscribe": subscribe},
        ),
        *looking_methods(
            _STREAMS,
            "input-stream",
            {"read": read, "blocking-read": read, "skip": skip, "blocking-skip": skip},
        ),
        *methods(
            _STREAMS,
            "output-stream",
            HostClass.DERIVED,
            {"check-write": check_write, "flush": flush, "blocking-flush": flush, "subscribe": subscribe},
        ),
        *methods(
            _STREAMS,
            "output-stream",
            HostClass.EXTERNAL,
            {
                "write": write,
                "blocking-write-and-flush": blocking_write_and_flush,
                "write-zeroes": write_zeroes,
                "blocking-write-zeroes-and-flush": blocking_write_zeroes_and_flush,
            },
        ),
        *methods(_STREAMS, "output-stream", HostClass.OUTPUT, {"splice": splice, "blocking-splice": splice}),
        *drops(_STREAMS, "input-stream", "output-stream", "pollable", "error"),
        *methods(_POLL, "pollable", HostClass.DERIVED, {"ready": ready}),
        *methods(_POLL, "pollable", HostClass.EXTERNAL, {"block": block}),
        *functions(_POLL, HostClass.EXTERNAL, {"poll": poll}),
        *drops(_POLL, "pollable"),
        *methods(_ERROR, "error", HostClass.DERIVED, {"to-debug-string": to_debug_string}),
        *drops(_ERROR, "error"),
    ),
)
