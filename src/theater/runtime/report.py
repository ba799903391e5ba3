"""What a verification or a replay found."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing that is not as it should be. ``expected`` is what is recorded, ``got`` what this run made."""

    seq: int | None
    why: str
    expected: str | None = None
    got: str | None = None
    is_divergence: bool = False


class Faulty(Exception):
    """Ends a replay at the first fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.why)
        self.fault = fault


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result, as ``--json`` prints it.

    ``steps`` were executed and compared. ``unreproducible`` of them ended for a reason outside the computation, and
    were compared up to their last recorded call. ``not_compared`` depend on an engine that is not this one, and so does
    the fuel of ``fuel_not_compared`` others, which are identical in all else. ``open`` is the seq of the message whose
    step has not been closed.
    """

    ok: bool
    events: int
    steps: int = 0
    unreproducible: int = 0
    not_compared: int = 0
    fuel_not_compared: int = 0
    open: int | None = None
    head: str | None = None
    executed: bool = False
    fault: Fault | None = None
    notes: list[str] = []


def encode_report(report: Report) -> bytes:
    """As JSON."""
    return msgspec.json.encode(report)


def decode_report(data: bytes) -> Report:
    """From JSON. Raises ``msgspec.DecodeError``."""
    return msgspec.json.decode(data, type=Report)
