"""From the text of a wasmtime error to a ``Crash``.

The C API has no trap codes for component calls: only text, into which a guest can write through its function names.
Names are taken out before compiling, and all the same only the last ``Caused by:`` block decides; wasmtime writes it,
behind everything that a guest can influence.
"""

from __future__ import annotations

import re

from theater.engine.symbols import Symbols
from theater.model.crash import Crash, CrashReason, cut

_TRAPS: tuple[tuple[str, CrashReason, str], ...] = (
    ("all fuel consumed", "fuel", "fuel"),
    ("call stack exhausted", "stack", "stack"),
    ("wasm `unreachable` instruction", "trap", "unreachable"),
    ("out of bounds memory access", "trap", "out-of-bounds-memory-access"),
    ("undefined element: out of bounds table access", "trap", "out-of-bounds-table-access"),
    ("out of bounds table access", "trap", "out-of-bounds-table-access"),
    ("misaligned memory access", "trap", "misaligned-memory-access"),
    ("indirect call type mismatch", "trap", "indirect-call-type-mismatch"),
    ("uninitialized element", "trap", "uninitialized-element"),
    ("integer overflow", "trap", "integer-overflow"),
    ("integer divide by zero", "trap", "integer-divide-by-zero"),
    ("invalid conversion to integer", "trap", "invalid-conversion-to-integer"),
    ("null reference", "trap", "null-reference"),
    ("degenerate component adapter", "trap", "degenerate-component-adapter"),
    ("cannot enter component instance", "trap", "cannot-enter-component-instance"),
    ("cannot leave component instance", "trap", "cannot-leave-component-instance"),
)
"""What follows ``wasm trap: ``. The codes are recorded in chains: they never change."""

_ERRORS: tuple[tuple[str, CrashReason, str], ...] = (
    ("fuel allocated for hostcalls has been exhausted", "host-data", "host-data"),
    ("too much data is being copied", "host-data", "host-data"),
    ("exceeds memory limits", "memory", "memory-minimum"),
    ("exceeds table limits", "memory", "table-minimum"),
    ("resource limit exceeded: memory", "memory", "memory-count"),
    ("resource limit exceeded: table", "memory", "table-count"),
    ("resource limit exceeded: instance", "memory", "instance-count"),
    ("resource limit exceeded", "memory", "resource-limit"),
    ("handle limit exceeded", "handles", "handle-limit"),
    ("cannot allocate another handle", "handles", "handle-limit"),
    ("unknown handle index", "trap", "unknown-handle"),
    ("handle index", "trap", "wrong-handle"),
    ("invalid utf-8", "trap", "invalid-utf8"),
    ("out of bounds of memory", "trap", "out-of-bounds-pointer"),
    ("pointer not aligned", "trap", "misaligned-pointer"),
    ("realloc return", "trap", "bad-realloc"),
    ("invalid char", "trap", "invalid-char"),
    ("converted integer out of range for `char`", "trap", "invalid-char"),
    ("discriminant", "trap", "invalid-discriminant"),
    ("borrow handles still remain", "trap", "borrow-not-dropped"),
    ("cannot remove owned resource while borrowed", "trap", "resource-borrowed"),
    ("mmap failed", "internal", "host-memory"),
    ("Cannot allocate memory", "internal", "host-memory"),
    ("out of memory", "internal", "host-memory"),
    ("maximum concurrent limit", "internal", "host-memory"),
    ("please report", "internal", "engine-bug"),
)
"""Errors that are no traps, by a part of their text, the more exact first."""

_CAUSE = "\n\nCaused by:\n"
_TRAP = "wasm trap: "


def crash_from(text: str, symbols: Symbols) -> Crash:
    """The crash that an error's text describes."""
    head, separator, causes = text.rpartition(_CAUSE)
    if not separator:
        head, causes = "", text
    reason, code = _classify(causes)
    return Crash(reason=reason, code=code, message=cut(_message(causes)), backtrace=backtrace(head, symbols))


def backtrace(text: str, symbols: Symbols) -> str:
    """The frames that an error's text names, innermost first."""
    return cut(symbols.resolve(text))


def _classify(causes: str) -> tuple[CrashReason, str]:
    _, is_trap, trap = causes.rpartition(_TRAP)
    table = _TRAPS if is_trap else _ERRORS
    subject = (trap if is_trap else causes).lower()
    for part, reason, code in table:
        if part.lower() in subject:
            return reason, code
    return ("trap", _slug(trap)) if is_trap else ("trap", "other")


def _slug(text: str) -> str:
    """A code for a trap that the table does not know: a later engine's, then."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]


def _message(causes: str) -> str:
    """The causes, one a line, without the numbers that wasmtime puts in front."""
    lines = (re.sub(r"^\s*(\d+: )?", "", line) for line in causes.splitlines())
    return "\n".join(line for line in lines if line)
