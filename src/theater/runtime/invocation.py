"""The guest call that a step is, live and in a replay."""

from __future__ import annotations

from theater.model.execution import ExecutionLimits, Instance, Invocation
from theater.runtime.anatomy import Anatomy
from theater.runtime.boundary import Boundary
from theater.runtime.letter import Letter
from theater.runtime.loading import HANDLE


def invocation_of(
    anatomy: Anatomy,
    letter: Letter,
    boundary: Boundary,
    state: str | None,
    *,
    instance: Instance | None = None,
    keep: bool = False,
) -> Invocation:
    """The guest call of one step."""
    interface, _, function = letter.export.partition("#")
    arguments = (state, *letter.arguments) if letter.export == HANDLE else letter.arguments
    limits = anatomy.limits
    return Invocation(
        program=anatomy.loaded.program,
        interface=interface,
        function=function,
        args=arguments,
        host=boundary,
        limits=ExecutionLimits(limits.fuel, limits.memory_bytes, limits.deadline_s),
        instance=instance,
        keep=keep,
    )
