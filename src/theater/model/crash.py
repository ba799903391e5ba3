"""Why a step crashed: the closed list of reasons, and which of them a re-run can reproduce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

CrashReason = Literal[
    "trap",
    "stack",
    "fuel",
    "memory",
    "handles",
    "host-data",
    "events",
    "bytes",
    "state-size",
    "not-json",
    "exit",
    "deadline",
    "terminated",
    "host-died",
    "diverged",
    "internal",
]

CRASH_REASONS: tuple[str, ...] = get_args(CrashReason)

UNREPRODUCIBLE: frozenset[CrashReason] = frozenset({"deadline", "terminated", "host-died", "internal", "diverged"})
"""Reasons that come from outside the computation: such a step is re-run up to its last recorded call only.

A step that ``diverged`` was resumed and did not come to what it had come to before: something that is not in its record
made the difference.
"""

ENGINE_BOUND: frozenset[CrashReason] = frozenset({"stack", "fuel"})
"""Reasons that depend on how the engine compiles: compared only under the engine that is recorded."""

TEXT_MAX_BYTES = 8192
"""Messages and backtraces are cut here: a guest's function names can make them megabytes long."""


@dataclass(frozen=True, slots=True)
class Crash:
    """How a step came to its end without an outcome. ``message`` and ``backtrace`` are guest data: never compared."""

    reason: CrashReason
    code: str = ""
    message: str = ""
    backtrace: str = ""


class StepCrash(Exception):
    """Raised inside a host function to end the step; the engine turns it into the step's ``Crash``."""

    def __init__(self, reason: CrashReason, message: str) -> None:
        super().__init__(message)
        self.crash = Crash(reason=reason, message=message)


class StepExit(Exception):
    """Raised by ``wasi:cli/exit``: the guest wants to end here, with this status; 0 is well."""

    def __init__(self, status: int) -> None:
        super().__init__("exit")
        self.status = status


def cut(text: str) -> str:
    """``text`` with at most 8 KiB of UTF-8, the end kept: the last lines of a traceback say the most."""
    data = text.encode("utf-8", "replace")
    if len(data) <= TEXT_MAX_BYTES:
        return data.decode("utf-8")
    return data[-TEXT_MAX_BYTES:].decode("utf-8", "ignore")
