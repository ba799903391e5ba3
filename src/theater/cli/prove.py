"""``verify`` and ``replay``: whether a chain is what it says it is, in the store or in a stranger's file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from theater.cli import options
from theater.cli.exits import Exit
from theater.cli.layout import count_text
from theater.cli.nodes import reading_node
from theater.cli.output import Output
from theater.cli.session import Session, session_of
from theater.errors import NotFound
from theater.runtime.claims import Caps
from theater.runtime.examination import ChildOptions, examine_actor, examine_file
from theater.runtime.lookup import find_record
from theater.runtime.replay import StepDone
from theater.runtime.report import Fault, Report

DIFFERENCE_BEFORE = 60
DIFFERENCE_AFTER = 240
"""How much of a long text is shown around the place where two of them differ. ``--json`` has all of it."""

Target = Annotated[
    str, typer.Argument(metavar="CHAIN|BUNDLE|ID", help="A chain.jsonl or X.theater file, or an actor of this node.")
]
Head = Annotated[
    str | None, typer.Option("--head", metavar="HASH", help="What the last event must hash to: finds a cut tail.")
]
Component = Annotated[
    list[Path] | None,
    typer.Option("--component", metavar="FILE", help="A component that the chain names; a bundle has its own."),
]
MaxMemory = Annotated[str | None, typer.Option("--max-memory", metavar="SIZE", help="Memory that a step may take.")]
MaxFuel = Annotated[int | None, typer.Option("--max-fuel", metavar="N", min=1, help="Fuel that a step may burn.")]
MaxDeadline = Annotated[str | None, typer.Option("--max-deadline", metavar="TIME", help="Time that a step may run.")]
MaxEvents = Annotated[
    int | None, typer.Option("--max-events-per-step", metavar="N", min=1, help="Events that a step may have.")
]
MaxBytes = Annotated[
    str | None, typer.Option("--max-bytes-per-step", metavar="SIZE", help="Bytes that a step may have recorded.")
]
MaxState = Annotated[str | None, typer.Option("--max-state", metavar="SIZE", help="Size that a state may have.")]
MaxMessage = Annotated[str | None, typer.Option("--max-message", metavar="SIZE", help="Size that a message may have.")]
MaxReply = Annotated[str | None, typer.Option("--max-reply", metavar="SIZE", help="Size that a reply may have.")]

_DEFAULT = Caps()


@dataclass(frozen=True, slots=True)
class _Examination:
    """What is wanted of one target."""

    target: str
    head: str | None
    execute: bool
    components: Sequence[Path]
    caps: Caps
    until: int | None = None


def verify(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    target: Target,
    no_execute: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--no-execute", help="Only look at headers, links and commitments; run nothing.")
    ] = False,
    head: Head = None,
    component: Component = None,
    max_memory: MaxMemory = None,
    max_fuel: MaxFuel = None,
    max_deadline: MaxDeadline = None,
    max_events_per_step: MaxEvents = None,
    max_bytes_per_step: MaxBytes = None,
    max_state: MaxState = None,
    max_message: MaxMessage = None,
    max_reply: MaxReply = None,
) -> None:
    """Verify a chain: every header, link and commitment, then every step, run again and compared.

    Exits 0 if it is sound, and 1 if not, naming the first event that is wrong and why.
    """
    session = session_of(context)
    caps = caps_of(
        max_memory, max_fuel, max_deadline, max_events_per_step, max_bytes_per_step, max_state, max_message, max_reply
    )
    wanted = _Examination(target, options.hash_of(head), not no_execute, component or (), caps)
    report = _examined(session, wanted, None)
    _show(session.output, report, good="sound")
    raise typer.Exit(Exit.OK if report.ok else Exit.FAILED)


def replay(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    target: Target,
    until: Annotated[
        int | None, typer.Option("--until", metavar="N", min=0, help="Leave out what came after event N.")
    ] = None,
    step: Annotated[bool, typer.Option("--step", help="Show each step as it is run.")] = False,  # noqa: FBT002 - an option
    head: Head = None,
    component: Component = None,
    max_memory: MaxMemory = None,
    max_fuel: MaxFuel = None,
    max_deadline: MaxDeadline = None,
    max_events_per_step: MaxEvents = None,
    max_bytes_per_step: MaxBytes = None,
    max_state: MaxState = None,
    max_message: MaxMessage = None,
    max_reply: MaxReply = None,
) -> None:
    """Run a chain's steps again, with every answer from the chain, and compare.

    Exits 0 if all came out identical, 3 if one did not, showing both sides, and 1 if the chain is not even sound.
    """
    session = session_of(context)
    output = session.output
    caps = caps_of(
        max_memory, max_fuel, max_deadline, max_events_per_step, max_bytes_per_step, max_state, max_message, max_reply
    )
    wanted = _Examination(target, options.hash_of(head), True, component or (), caps, until)
    shown = _step_shower(output) if step and not output.json else None
    report = _examined(session, wanted, shown)
    _show(output, report, good="identical")
    if report.fault is not None and report.fault.is_divergence:
        raise typer.Exit(Exit.DIVERGED)
    raise typer.Exit(Exit.OK if report.ok else Exit.FAILED)


def _examined(session: Session, wanted: _Examination, on_step: Callable[[StepDone], None] | None) -> Report:
    if on_step is not None:
        return _examine(session, wanted, on_step)
    with session.output.working(f"examining {wanted.target}") as show:
        steps = 0

        def count(_step: StepDone) -> None:
            nonlocal steps
            steps += 1
            show(f"examining {wanted.target}: {steps} steps")

        return _examine(session, wanted, count)


def _examine(session: Session, wanted: _Examination, on_step: Callable[[StepDone], None]) -> Report:
    path = Path(wanted.target)
    if path.is_file():
        return _examine_file(session, path, wanted, on_step)
    if "/" in wanted.target or path.suffix in (".theater", ".jsonl"):
        raise NotFound(f"there is no file {wanted.target}")
    if wanted.components:
        raise typer.BadParameter("--component is for a chain in a file: an actor of this node has its component here")
    if session.has_server():
        return _examine_there(session, wanted, on_step)
    if not session.folder().database.exists():
        raise NotFound(f"there is neither a file {wanted.target} nor an actor of that name: this node has none")
    with reading_node(session) as node:
        return examine_actor(
            node,
            find_record(node.store, wanted.target).id,
            head=wanted.head,
            execute=wanted.execute,
            caps=wanted.caps,
            until=wanted.until,
            on_step=on_step,
        )


def _examine_there(session: Session, wanted: _Examination, on_step: Callable[[StepDone], None]) -> Report:
    """Examine an actor of a server: its bundle is fetched, and looked at as that of a stranger."""
    with tempfile.TemporaryDirectory(prefix="theater-bundle-") as folder, session.client() as client:
        actor = client.actor(wanted.target).actor
        path = Path(folder) / f"{actor.id}.theater"
        with path.open("wb") as file:
            client.bundle(actor.id, file)
        return _examine_file(session, path, wanted, on_step)


def _examine_file(session: Session, path: Path, wanted: _Examination, on_step: Callable[[StepDone], None]) -> Report:
    return examine_file(
        path,
        head=wanted.head,
        execute=wanted.execute,
        components=wanted.components,
        caps=wanted.caps,
        until=wanted.until,
        on_step=on_step,
        child=ChildOptions(cache=session.folder().cache if session.folder().cache.is_dir() else None),
    )


def caps_of(
    memory: str | None,
    fuel: int | None,
    deadline: str | None,
    events_per_step: int | None,
    bytes_per_step: str | None,
    state: str | None,
    message: str | None,
    reply: str | None,
) -> Caps:
    """What a stranger's chain may use, by the options that say so."""
    return Caps(
        memory_bytes=options.size(memory, "--max-memory", _DEFAULT.memory_bytes),
        fuel=_DEFAULT.fuel if fuel is None else fuel,
        deadline_s=options.duration(deadline, "--max-deadline", _DEFAULT.deadline_s),
        events_per_step=_DEFAULT.events_per_step if events_per_step is None else events_per_step,
        bytes_per_step=options.size(bytes_per_step, "--max-bytes-per-step", _DEFAULT.bytes_per_step),
        state_bytes=options.size(state, "--max-state", _DEFAULT.state_bytes),
        message_bytes=options.size(message, "--max-message", _DEFAULT.message_bytes),
        reply_bytes=options.size(reply, "--max-reply", _DEFAULT.reply_bytes),
    )


def _step_shower(output: Output) -> Callable[[StepDone], None]:
    def show(step: StepDone) -> None:
        output.line(f"{step.seq:>5}  {step.export:<28}  {step.kind:<8}  {step.verdict}")
        output.flush()

    return show


def _show(output: Output, report: Report, *, good: str) -> None:
    if output.json:
        output.document(report)
        return
    if report.fault is not None:
        show_fault(output, report.fault)
    elif report.executed:
        output.line(f"{good}: {count_text(report.events, 'event')}, {count_text(report.steps, 'step')} run again")
    else:
        output.line(f"{good}: {count_text(report.events, 'event')}, nothing was run again")
    if report.unreproducible:
        output.line(
            f"unreproducible: {count_text(report.unreproducible, 'step')} ended for a reason outside of the computation"
        )
    if report.not_compared:
        output.line(f"not compared: {count_text(report.not_compared, 'step')} depend on another engine than this one")
    if report.open is not None:
        output.line(f"open: the step begun with event {report.open} has not been closed")
    if report.head is not None:
        output.line(f"head {report.events - 1} {report.head}")
    for note in report.notes:
        output.note(note)


def show_fault(output: Output, fault: Fault) -> None:
    """Where it is, why, and both sides of a difference."""
    named = fault.seq is None or fault.why.startswith(f"event {fault.seq}:")
    where = "" if named else f"event {fault.seq}: "
    output.line(f"{'diverged' if fault.is_divergence else 'not sound'}: {where}{fault.why}")
    if fault.expected is not None or fault.got is not None:
        expected, got = _around_difference(fault.expected or "", fault.got or "")
        output.line(f"  expected  {expected}")
        output.line(f"  got       {got}")


def _around_difference(expected: str, got: str) -> tuple[str, str]:
    """Both texts, cut to the same window where they are long: it begins a little before they differ."""
    same = 0
    for one, other in zip(expected, got, strict=False):
        if one != other:
            break
        same += 1
    start = max(0, same - DIFFERENCE_BEFORE)
    end = same + DIFFERENCE_AFTER
    return _window(expected, start, end), _window(got, start, end)


def _window(text: str, start: int, end: int) -> str:
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
