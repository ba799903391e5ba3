"""What a command's exit code says, and the one table from errors to codes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from theater.errors import TheaterError


class Exit(IntEnum):
    """The codes that are documented."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DIVERGED = 3
    NO_SERVER = 4
    NOT_FOUND = 5
    INTERRUPTED = 130
    """128 + SIGINT, as shells have it."""
    BROKEN_PIPE = 141
    """128 + SIGPIPE: whoever read our output went away."""


EXIT_OF: Mapping[str, Exit] = MappingProxyType(
    {
        "error": Exit.FAILED,
        "invalid-input": Exit.FAILED,
        "invalid-json": Exit.FAILED,
        "invalid-manifest": Exit.FAILED,
        "invalid-component": Exit.FAILED,
        "compile-failed": Exit.FAILED,
        "build-failed": Exit.FAILED,
        "denied": Exit.FAILED,
        "name-taken": Exit.FAILED,
        "not-running": Exit.FAILED,
        "not-stopped": Exit.FAILED,
        "idempotency-mismatch": Exit.FAILED,
        "bad-request": Exit.FAILED,
        "unauthorized": Exit.FAILED,
        "forbidden": Exit.FAILED,
        "bad-bundle": Exit.FAILED,
        "busy": Exit.FAILED,
        "no-channels": Exit.FAILED,
        "channel-closed": Exit.FAILED,
        "mailbox-full": Exit.FAILED,
        "data-dir-locked": Exit.FAILED,
        "timed-out": Exit.FAILED,
        "closing": Exit.FAILED,
        "no-server": Exit.NO_SERVER,
        "not-found": Exit.NOT_FOUND,
        "refused": Exit.FAILED,
        "crashed": Exit.FAILED,
        "diverged": Exit.DIVERGED,
        "unsound": Exit.FAILED,
        "store-error": Exit.FAILED,
        "head-conflict": Exit.FAILED,
        "fenced": Exit.FAILED,
        "damaged": Exit.FAILED,
        "disk-full": Exit.FAILED,
        "internal": Exit.FAILED,
    }
)
"""By an error's ``code``. A usage error is none of these: it is found before anything is done."""


def exit_of(error: TheaterError) -> Exit:
    """The code with which a command ends that failed so."""
    return EXIT_OF.get(error.code, Exit.FAILED)
