"""``request-options`` of ``wasi:http``: the times that a guest allows an exchange."""

from __future__ import annotations

from theater.capabilities.http_order import Pace
from theater.model.capability import StepContext

_NS_PER_S = 1_000_000_000
_OK = ("ok", None)


class RequestOptions:
    """The times that a guest allows an exchange, in nanoseconds."""

    __slots__ = ("between_bytes_ns", "connect_ns", "first_byte_ns")

    def __init__(self) -> None:
        self.connect_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.between_bytes_ns: int | None = None

    @property
    def pace(self) -> Pace:
        """As the exchange has it."""
        return Pace(_seconds(self.connect_ns), _seconds(self.first_byte_ns), _seconds(self.between_bytes_ns))


def _seconds(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / _NS_PER_S


def new(ctx: StepContext, _grant: object) -> int:
    """``[constructor]request-options``."""
    return ctx.resources.add(RequestOptions())


def connect_timeout(ctx: StepContext, _grant: object, number: int) -> int | None:
    """Until there is a connection."""
    options: RequestOptions = ctx.resources.get(number)
    return options.connect_ns


def set_connect_timeout(ctx: StepContext, _grant: object, number: int, duration_ns: int | None) -> object:
    """Likewise."""
    options: RequestOptions = ctx.resources.get(number)
    options.connect_ns = duration_ns
    return _OK


def first_byte_timeout(ctx: StepContext, _grant: object, number: int) -> int | None:
    """From then on until the answer begins."""
    options: RequestOptions = ctx.resources.get(number)
    return options.first_byte_ns


def set_first_byte_timeout(ctx: StepContext, _grant: object, number: int, duration_ns: int | None) -> object:
    """Likewise."""
    options: RequestOptions = ctx.resources.get(number)
    options.first_byte_ns = duration_ns
    return _OK


def between_bytes_timeout(ctx: StepContext, _grant: object, number: int) -> int | None:
    """From one piece of the answer's body to the next."""
    options: RequestOptions = ctx.resources.get(number)
    return options.between_bytes_ns


def set_between_bytes_timeout(ctx: StepContext, _grant: object, number: int, duration_ns: int | None) -> object:
    """Likewise."""
    options: RequestOptions = ctx.resources.get(number)
    options.between_bytes_ns = duration_ns
    return _OK
