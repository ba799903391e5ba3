"""The streams of files: where in a file the next read or write is, and the errors that they end with."""

from __future__ import annotations

from theater.capabilities.filesystem_usage import Usage
from theater.capabilities.wasi_file import CALL_MAX_BYTES, OpenFile, acting, code_of
from theater.model.act import Interruption, Look
from theater.model.capability import Noted, StepContext, Wait

CLOSED = ("err", ("closed", None))


class StreamError:
    """Why a stream failed: an ``error-code`` of ``wasi:filesystem``."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code


class FileInput:
    """Reads a file from ``offset`` on."""

    __slots__ = ("file", "is_closed", "offset")

    def __init__(self, file: OpenFile, offset: int) -> None:
        self.file = file
        self.offset = offset
        self.is_closed = False

    def read(self, ctx: StepContext, length: int) -> object:
        """The next bytes, or ``closed`` at the end."""
        return self._look(ctx, length, is_skipping=False)

    def skip(self, ctx: StepContext, length: int) -> object:
        """How many bytes were passed over."""
        return self._look(ctx, length, is_skipping=True)

    def _look(self, ctx: StepContext, length: int, *, is_skipping: bool) -> object:
        if self.is_closed:
            return CLOSED

        def look() -> object:
            try:
                data = self.file.root.read(self.file.parts, self.offset, min(length, CALL_MAX_BYTES))
            except OSError as error:
                return _failed(code_of(error))
            if not data and length:
                return CLOSED
            return ("ok", len(data) if is_skipping else data)

        def give(answer: object, note: object) -> object:
            match answer:
                case ("ok", bytes() as data):
                    self.offset += len(data)
                case ("ok", int(count)):
                    self.offset += count
                case _:
                    self.is_closed = True
            return with_error(ctx, answer, note)

        return Look(look, give)


class FileOutput:
    """Writes a file from ``offset`` on, or (None) at its end. ``permitted_bytes``: what the next writes may have."""

    __slots__ = ("file", "is_closed", "offset", "permitted_bytes")

    permit_bytes = CALL_MAX_BYTES

    def __init__(self, file: OpenFile, offset: int | None) -> None:
        self.file = file
        self.offset = offset
        self.is_closed = False
        self.permitted_bytes = 0

    def write(self, ctx: StepContext, data: bytes) -> Wait | object:
        """Write it, now."""
        if self.is_closed:
            return CLOSED
        if not data:
            return ("ok", None)
        file, offset = self.file, self.offset

        def do(usage: Usage, _interruption: Interruption) -> object:
            if offset is None:
                usage.take(file.root, len(data), file.grant.quota_bytes)
                file.root.append(file.parts, data, make=False)
            else:
                usage.take_up_to(file.root, file.parts, offset + len(data), file.grant.quota_bytes)
                file.root.write(file.parts, offset, data)
            return ("ok", None)

        def give(answer: object, note: object) -> object:
            if answer == ("ok", None):
                self.offset = None if offset is None else offset + len(data)
            else:
                self.is_closed = True
            return with_error(ctx, answer, note)

        return acting(ctx, file, do, give=give, failed=_failed)


def with_error(ctx: StepContext, answer: object, note: object) -> object:
    """The answer of a stream, where it failed with an error that the guest can look at."""
    match answer:
        case ("err", ("last-operation-failed", _)):
            code = note if isinstance(note, str) else "io"
            return ("err", ("last-operation-failed", ctx.resources.add(StreamError(code))))
    return answer


def _failed(code: str) -> Noted:
    """Without the error itself, which is made where the answer is given."""
    return Noted(("err", ("last-operation-failed", 0)), code)
