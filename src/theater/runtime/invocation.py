"""The guest call that a step is, live and in a replay."""

from __future__ import annotations

from theater.errors import Unsound
from theater.model.execution import ExecutionLimits, Host, Instance, Invocation
from theater.runtime.anatomy import Anatomy
from theater.runtime.boundary import Boundary
from theater.runtime.exports import FIRST, HANDLED, SERVE, handler_arguments
from theater.runtime.letter import Letter
from theater.runtime.service_request import take_in


def invocation_of(
    anatomy: Anatomy,
    letter: Letter,
    boundary: Boundary,
    state: str | None,
    *,
    host: Host | None = None,
    instance: Instance | None = None,
    keep: bool = False,
) -> Invocation:
    """The guest call of one step. A migration's anatomy is that of the component to which the actor migrates.

    ``host`` is what stands before the boundary, where somebody looks on.

    Raises:
        Unsound: its arguments are none of its export's, which only a stranger's chain can bring about.
    """
    interface, _, function = letter.export.partition("#")
    arguments = _arguments(letter)
    if letter.export == SERVE:
        arguments = _served(letter, boundary, arguments)
    elif letter.export not in FIRST:
        arguments = (state, *arguments)
    limits = anatomy.limits
    return Invocation(
        program=anatomy.loaded.program,
        interface=interface,
        function=function,
        args=arguments,
        host=host or boundary,
        limits=ExecutionLimits(limits.fuel, limits.memory_bytes, limits.deadline_s),
        instance=instance,
        keep=keep,
    )


def _arguments(letter: Letter) -> tuple[object, ...]:
    """Without the state. A handler's stand in the letter as in the chain, since they come out of other chains."""
    if letter.export not in HANDLED:
        return letter.arguments
    try:
        return handler_arguments(letter.export, letter.arguments)
    except ValueError as error:
        raise Unsound(f"message {letter.id}: its arguments are not those of {letter.export}: {error}") from error


def _served(letter: Letter, boundary: Boundary, arguments: tuple[object, ...]) -> tuple[object, ...]:
    try:
        numbers, boundary.given = take_in(boundary.context.resources, arguments[0])
    except ValueError as error:
        raise Unsound(f"message {letter.id}: its request cannot be one: {error}") from error
    return numbers
