"""Named places at which a test lets the process die, to see what survives. In use they do nothing.

A store takes a ``Fault`` and calls it with the name of each place that it passes. What a test does there (kill the
process, raise, wait) is the test's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

FaultPoint = Literal[
    "before-transaction",
    "payloads-written",
    "chains-written",
    "segments-written",
    "entries-dropped",
    "before-commit",
    "after-commit",
    "closing",
]

FAULT_POINTS: tuple[FaultPoint, ...] = get_args(FaultPoint)

Fault = Callable[[FaultPoint], None]


def no_fault(point: FaultPoint) -> None:
    """Do nothing."""
