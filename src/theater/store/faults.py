"""Named places at which a test lets the process die, to see what survives. In use they do nothing.

A store takes a ``Fault`` and calls it with the name of each place that it passes. What a test does there (kill the
process, raise, wait) is the test's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

CommitPoint = Literal[
    "before-transaction",
    "payloads-written",
    "chains-written",
    "segments-written",
    "entries-dropped",
    "before-commit",
    "after-commit",
    "closing",
]

WipePoint = Literal[
    "wipe-begun",
    "wipe-rewritten",
    "wipe-slice-committed",
    "wipe-file-removed",
    "wipe-folder-removed",
    "wipe-marked",
    "wipe-scrubbed",
    "wipe-truncated",
]

FaultPoint = CommitPoint | WipePoint

FAULT_POINTS: tuple[CommitPoint, ...] = get_args(CommitPoint)
"""What an append and the end of a store pass."""

WIPE_POINTS: tuple[WipePoint, ...] = get_args(WipePoint)
"""What erasing passes."""

Fault = Callable[[FaultPoint], None]


def no_fault(point: FaultPoint) -> None:
    """Do nothing."""
