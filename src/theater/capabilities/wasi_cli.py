"""``wasi:cli``: the variables and arguments of the actor, its standard streams, its end. No terminal.

Recorded: nothing; the values stand in ``genesis``, what is written to the streams is recorded where it is written. An
exit closes the step.

Limits: none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from theater.capabilities.registration import drops, functions
from theater.capabilities.wasi_io import InputStream, OutputStream
from theater.capabilities.wasi_world import WasiGrant, wasi_capability
from theater.model.capability import HostClass, StepContext
from theater.model.crash import StepExit


def get_environment(ctx: StepContext, _grant: WasiGrant) -> list[tuple[str, str]]:
    """The variables that ``environment`` grants, with their values as of genesis."""
    return list(ctx.environment)


def get_arguments(ctx: StepContext, _grant: WasiGrant) -> list[str]:
    """The actor's name as the program's, then its arguments."""
    return [ctx.name, *ctx.arguments]


def initial_cwd(_ctx: StepContext, _grant: WasiGrant) -> None:
    """There is no directory to be in."""


def exit_with_status(_ctx: StepContext, _grant: WasiGrant, status: tuple[str, None]) -> NoReturn:
    """``exit``: the guest ends here, well or not."""
    raise StepExit(0 if status[0] == "ok" else 1)


def exit_with_code(_ctx: StepContext, _grant: WasiGrant, code: int) -> NoReturn:
    """The guest ends here; 0 is well."""
    raise StepExit(code)


def get_stdin(ctx: StepContext, _grant: WasiGrant) -> int:
    """A stream that is closed from the start."""
    return ctx.resources.add(InputStream())


def output(name: str) -> Callable[[StepContext, WasiGrant], int]:
    """What gives the stream ``stdout`` or ``stderr``."""

    def get(ctx: StepContext, _grant: WasiGrant) -> int:
        return ctx.resources.add(OutputStream(name))

    return get


def no_terminal(_ctx: StepContext, _grant: WasiGrant) -> None:
    """No stream is a terminal."""


CAPABILITY = wasi_capability(
    "wasi-cli",
    (
        *functions(
            "wasi:cli/environment",
            HostClass.DERIVED,
            {"get-environment": get_environment, "get-arguments": get_arguments, "initial-cwd": initial_cwd},
        ),
        *functions("wasi:cli/exit", HostClass.DERIVED, {"exit": exit_with_status, "exit-with-code": exit_with_code}),
        *functions("wasi:cli/stdin", HostClass.DERIVED, {"get-stdin": get_stdin}),
        *drops("wasi:cli/stdin", "input-stream"),
        *functions("wasi:cli/stdout", HostClass.DERIVED, {"get-stdout": output("stdout")}),
        *drops("wasi:cli/stdout", "output-stream"),
        *functions("wasi:cli/stderr", HostClass.DERIVED, {"get-stderr": output("stderr")}),
        *drops("wasi:cli/stderr", "output-stream"),
        *drops("wasi:cli/terminal-input", "terminal-input"),
        *drops("wasi:cli/terminal-output", "terminal-output"),
        *functions("wasi:cli/terminal-stdin", HostClass.DERIVED, {"get-terminal-stdin": no_terminal}),
        *drops("wasi:cli/terminal-stdin", "terminal-input"),
        *functions("wasi:cli/terminal-stdout", HostClass.DERIVED, {"get-terminal-stdout": no_terminal}),
        *drops("wasi:cli/terminal-stdout", "terminal-output"),
        *functions("wasi:cli/terminal-stderr", HostClass.DERIVED, {"get-terminal-stderr": no_terminal}),
        *drops("wasi:cli/terminal-stderr", "terminal-output"),
    ),
)
