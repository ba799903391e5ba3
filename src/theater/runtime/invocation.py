"""The guest call that a step is, live and in a replay."""

from __future__ import annotations

from theater.errors import Unsound
from theater.model.execution import ExecutionLimits, Instance, Invocation
from theater.runtime.anatomy import Anatomy
from theater.runtime.boundary import Boundary
from theater.runtime.exports import FIRST, HANDLERS, handler_arguments
from theater.runtime.letter import Letter


def invocation_of(
    anatomy: Anatomy,
    letter: Letter,
    boundary: Boundary,
    state: str | None,
    *,
    instance: Instance | None = None,
    keep: bool = False,
) -> Invocation:
    """The guest call of one step. A migration's anatomy is that of the component to which the actor migrates.

    Raises:
        Unsound: its arguments are none of its export's, which only a stranger's chain can bring about.
    """
    interface, _, function = letter.export.partition("#")
    arguments = _arguments(letter) if letter.export in FIRST else (state, *_arguments(letter))
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


def _arguments(letter: Letter) -> tuple[object, ...]:
    """Without the state. A handler's stand in the letter as in the chain, since they come out of other chains."""
    if letter.export not in HANDLERS:
        return letter.arguments
    try:
        return handler_arguments(letter.export, letter.arguments)
    except ValueError as error:
        raise Unsound(f"message {letter.id}: its arguments are not those of {letter.export}: {error}") from error
