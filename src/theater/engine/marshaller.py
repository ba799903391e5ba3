"""Values of every WIT type, to C and back, by code compiled per function type on its first use.

(Compiling all 110 functions of a WASI guest at once takes 125 ms, and most are never called.)
"""

from __future__ import annotations

import threading
from typing import Any

from theater.engine.lifting import Lift, Lifter
from theater.engine.lowering import Lower, Lowerer
from theater.engine.shapes import explain, explain_arguments
from theater.errors import InvalidInput
from theater.model import wit


class Marshaller:
    """Makes the conversions of one component's functions. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lowerer = Lowerer(_define)
        self._lifter = Lifter(_define)

    def for_export(self, function: wit.Function) -> tuple[Lower, Lift | None]:
        """How to call a function of the guest: arguments to C, result from C (None where nothing is returned)."""
        with self._lock:
            lower = self._lowerer.arguments(tuple(t for _, t in function.params))
            return lower, None if function.result is None else self._lifter.value(function.result)

    def for_import(self, function: wit.Function) -> tuple[Lift, Lower | None]:
        """How a guest calls us: arguments from C, result to C (None where nothing is returned)."""
        with self._lock:
            lift = self._lifter.arguments(tuple(t for _, t in function.params))
            return lift, None if function.result is None else self._lowerer.value(function.result)


def wrong_arguments(function: wit.Function, values: tuple[object, ...], error: Exception) -> InvalidInput:
    """The error to raise when the arguments' code raised ``error``."""
    return InvalidInput(explain_arguments(function.params, values) or f"the arguments cannot be passed: {error}")


def wrong_result(type_: wit.Type, value: object, error: Exception) -> InvalidInput:
    """The error to raise when the result's code raised ``error``."""
    return InvalidInput(explain(type_, value, "result") or f"the result cannot be passed: {error}")


def _define(name: str, source: str, scope: dict[str, Any]) -> Any:
    exec(compile(source, f"<marshaller {name}>", "exec"), scope)  # noqa: S102 - the source is ours; names in it are quoted
    return scope[name]
