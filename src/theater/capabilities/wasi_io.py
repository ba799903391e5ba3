"""``wasi:io``: streams, polling, errors. The streams are stdin, which is closed, stdout, stderr, and those of files.

Recorded: what is written to stdout and stderr, as ``log`` events; what is read from a file, as ``host``; what is
written to one, as ``intent`` and ``host``, where writes that follow one another share the intent of the first; a poll
or block that really waits, as ``intent`` and ``host``. A stream is always ready and a timer is once the step's clock
shows its instant, so most polls answer at once and leave no event. ``flush`` cuts no line: C libraries flush after
every write, and half a line says less than a whole one. A stream of a file that failed is closed from then on.

Limits, WASI's own: a ``write`` has at most the bytes that ``check-write`` permitted, a ``blocking-write-and-flush`` at
most 4,096; anything else traps, as the interface says.
"""

from __future__ import annotations

from dataclasses import dataclass

from theater.capabilities.registration import drops, functions, looking_methods, methods
from theater.capabilities.wasi_file import CALL_MAX_BYTES
from theater.capabilities.wasi_file_stream import CLOSED, FileInput, FileOutput, StreamError, with_error
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import HostClass, StepContext, Wait
from theater.model.crash import StepCrash

CHECK_WRITE_BYTES = 64 * 1024
"""What ``check-write`` permits: one payload that needs no file of its own."""

BLOCKING_WRITE_MAX_BYTES = 4096
"""`Perform a write of up to 4096 bytes`: wasi:io/streams, ``blocking-write-and-flush`` and its like for zeroes."""


@dataclass(frozen=True, slots=True)
class Pollable:
    """Ready from a time on: 0 for a stream, which always is."""

    ready_at_us: int = 0


class InputStream:
    """stdin: closed from the start."""

    __slots__ = ()


class OutputStream:
    """stdout or stderr, and how many bytes the next writes may have."""

    __slots__ = ("name", "permitted_bytes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.permitted_bytes = 0

    def write(self, ctx: StepContext, data: bytes) -> object:
        """Put it into the chain."""
        if data:
            ctx.write(self.name, data)
        return ("ok", None)


# -- input -----------------------------------------------------------------------------------------------------------


def read(ctx: StepContext, _grant: WasiGrant, number: int, length: int) -> object:
    """``read`` and its blocking form: of a file, what comes next; of stdin nothing, and nothing will come."""
    stream: InputStream | FileInput = ctx.resources.get(number)
    return stream.read(ctx, length) if isinstance(stream, FileInput) else CLOSED


def skip(ctx: StepContext, _grant: WasiGrant, number: int, length: int) -> object:
    """``skip`` and its blocking form."""
    stream: InputStream | FileInput = ctx.resources.get(number)
    return stream.skip(ctx, length) if isinstance(stream, FileInput) else CLOSED


def subscribe(ctx: StepContext, _grant: WasiGrant, _stream: int) -> int:
    """A pollable for a stream, or for anything else that is ready from the start."""
    return ctx.resources.add(Pollable())


# -- output ----------------------------------------------------------------------------------------------------------


def check_write(ctx: StepContext, _grant: WasiGrant, number: int) -> object:
    """How much the next write may have."""
    stream: OutputStream | FileOutput = ctx.resources.get(number)
    if isinstance(stream, FileOutput) and stream.is_closed:
        return CLOSED
    stream.permitted_bytes = CALL_MAX_BYTES if isinstance(stream, FileOutput) else CHECK_WRITE_BYTES
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


def splice(ctx: StepContext, _grant: WasiGrant, _target: int, source: int, _length: int) -> object:
    """From an input stream to an output stream: stdin is closed, and a file has to be read and written."""
    if isinstance(ctx.resources.get(source), FileInput):
        return with_error(ctx, ("err", ("last-operation-failed", 0)), "unsupported")
    return CLOSED


def _use_permit(stream: OutputStream | FileOutput, size_bytes: int) -> None:
    if size_bytes > stream.permitted_bytes:
        raise StepCrash("trap", f"wrote {size_bytes} bytes where check-write permitted {stream.permitted_bytes}")
    stream.permitted_bytes -= size_bytes


def _check_blocking(size_bytes: int) -> None:
    if size_bytes > BLOCKING_WRITE_MAX_BYTES:
        raise StepCrash(
            "trap", f"a blocking write may have at most {BLOCKING_WRITE_MAX_BYTES} bytes, and this has {size_bytes}"
        )


def _write(ctx: StepContext, number: int, data: bytes) -> object:
    stream: OutputStream | FileOutput = ctx.resources.get(number)
    return stream.write(ctx, data)


# -- polling ---------------------------------------------------------------------------------------------------------


def ready(ctx: StepContext, _grant: WasiGrant, number: int) -> bool:
    """Whether it is, now."""
    pollable: Pollable = ctx.resources.get(number)
    return pollable.ready_at_us <= ctx.now_us


def block(ctx: StepContext, _grant: WasiGrant, number: int) -> Wait | None:
    """Until it is ready."""
    pollables = [ctx.resources.get(number)]

    def answer() -> None:
        _ready_places(ctx, pollables)

    return None if _places(ctx, pollables) else Wait(until_us=_earliest_us(pollables), answer=answer)


def poll(ctx: StepContext, _grant: WasiGrant, numbers: list[int]) -> Wait | list[int]:
    """Until one is ready; which ones are, by their places in the list. `This function traps if the list is empty`."""
    if not numbers:
        raise StepCrash("trap", "poll was called with an empty list")
    pollables = [ctx.resources.get(number) for number in numbers]

    def answer() -> list[int]:
        return _ready_places(ctx, pollables)

    return _places(ctx, pollables) or Wait(until_us=_earliest_us(pollables), answer=answer)


def _places(ctx: StepContext, pollables: list[Pollable]) -> list[int]:
    now_us = ctx.now_us
    return [place for place, pollable in enumerate(pollables) if pollable.ready_at_us <= now_us]


def _earliest_us(pollables: list[Pollable]) -> int:
    return min(pollable.ready_at_us for pollable in pollables)


def _ready_places(ctx: StepContext, pollables: list[Pollable]) -> list[int]:
    """Those that are ready after a wait. None is where the step's limit ended the wait: polling has no error for it."""
    places = _places(ctx, pollables)
    if not places:
        raise StepCrash("deadline", "the limit 'wait' was used up while the guest was polling")
    return places


# -- registration ----------------------------------------------------------------------------------------------------


def to_debug_string(ctx: StepContext, _grant: WasiGrant, error: int) -> str:
    """Of an ``error``: the code of a file's."""
    found = ctx.resources.get(error)
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
        *methods(_POLL, "pollable", HostClass.WAITING, {"block": block}),
        *functions(_POLL, HostClass.WAITING, {"poll": poll}),
        *drops(_POLL, "pollable"),
        *methods(_ERROR, "error", HostClass.DERIVED, {"to-debug-string": to_debug_string}),
        *drops(_ERROR, "error"),
    ),
)
