"""``theater:actor/process``: the granted programs of the operating system, each in a sandbox, none by a shell.

Recorded: what was asked, as ``intent``, and its answer, as ``host``: of ``run`` everything that the program wrote and
how it ended. What a started program writes, and its end, are messages to the actor. ``status`` and ``list-processes``,
which read, are ``host`` events. A replay starts nothing.

Limits: nothing is allowed that the grant does not name. A program has what the grant gives it: 50 s (``timeout``),
1 MiB of input that waits (``input``), 1 MiB of output of ``run`` (``output``), 2 GiB of memory (``memory``), 60 s of a
core (``cpu-time``), 256 open files (``files``), files of 1 GiB (``file-size``); 8 run at once (``processes``), and 256
on a node. Of what a started program writes, 256 KiB of each stream wait for the actor; arguments and environment have
128 KiB.
"""

from __future__ import annotations

from collections.abc import Callable

from theater.capabilities.guest_content import Content, bytes_within
from theater.capabilities.moment import US_PER_DAY
from theater.capabilities.process_grant import NAME, ProcessGrant, parse
from theater.capabilities.process_least import LEAST
from theater.capabilities.process_spec import OutputMode, ProcessOrder, ProcessSpec, mode_problem, read_order
from theater.capabilities.processes import Processes
from theater.capabilities.registration import functions
from theater.model.act import Act, Interruption
from theater.model.capability import Capability, Denied, HostClass, HostFunction, StepContext, Wait

__all__ = ["CAPABILITY"]


def run(ctx: StepContext, grant: ProcessGrant, process: ProcessSpec, stdin: Content | None) -> Wait | Denied:
    """Run a program to its end."""
    order = read_order(grant, ctx.grant("filesystem"), process)
    if not isinstance(order, ProcessOrder):
        return Denied(("err", order))
    data = b"" if stdin is None else bytes_within(stdin, grant.input_bytes)
    if not isinstance(data, bytes):
        return Denied(("err", data))
    actor = ctx.actor
    return _acting(ctx, lambda service, interruption: service.run(actor, order, data, interruption))


def start(ctx: StepContext, grant: ProcessGrant, process: ProcessSpec, mode: OutputMode) -> Wait | Denied:
    """Start a program that goes on."""
    order = read_order(grant, ctx.grant("filesystem"), process)
    problem = mode_problem(mode, process["output-form"]) if isinstance(order, ProcessOrder) else order
    if not isinstance(order, ProcessOrder) or problem is not None:
        return Denied(("err", problem))
    actor, id = ctx.actor, ctx.call_id
    return _acting(ctx, lambda service, interruption: service.start(actor, id, order, mode, interruption))


def write_stdin(ctx: StepContext, grant: ProcessGrant, id: str, content: Content) -> Wait | Denied:
    """Put bytes into its input."""
    data = bytes_within(content, grant.input_bytes)
    if not isinstance(data, bytes):
        return Denied(("err", data))
    actor = ctx.actor
    return _acting(ctx, lambda service, _: service.write(actor, id, data, grant.input_bytes))


def close_stdin(ctx: StepContext, _grant: ProcessGrant, id: str) -> Wait:
    """Close its input."""
    actor = ctx.actor
    return _acting(ctx, lambda service, _: service.close_input(actor, id))


def send_signal(ctx: StepContext, _grant: ProcessGrant, id: str, signal: str) -> Wait:
    """Send it a signal."""
    actor = ctx.actor
    return _acting(ctx, lambda service, _: service.signal(actor, id, signal))


def status(ctx: StepContext, _grant: ProcessGrant, id: str) -> object:
    """What is known of one."""
    service: Processes = ctx.service
    return service.status(ctx.actor, id)


def list_processes(ctx: StepContext, _grant: ProcessGrant) -> object:
    """All of this actor."""
    service: Processes = ctx.service
    return service.listing(ctx.actor)


def _acting(ctx: StepContext, perform: Callable[[Processes, Interruption], object]) -> Wait:
    return Wait(
        until_us=ctx.now_us + US_PER_DAY,  # the step's limit ``wait`` is shorter
        answer=lambda: ("err", ("wait-exhausted", None)),
        act=Act(perform, lambda: ("err", ("outcome-unknown", None))),
    )


_INTERFACE = "theater:actor/process"

CAPABILITY = Capability(
    name=NAME,
    parse=parse,
    functions=(
        *functions(
            _INTERFACE,
            HostClass.EXTERNAL,
            {"run": run, "write-stdin": write_stdin, "close-stdin": close_stdin, "send-signal": send_signal},
        ),
        HostFunction(_INTERFACE, "start", HostClass.EXTERNAL, start, gives_id=True),
        *functions(_INTERFACE, HostClass.READ, {"status": status, "list-processes": list_processes}),
    ),
    interfaces=(_INTERFACE,),
    default_ceiling=None,
    open_service=Processes,
    least=LEAST,
)
