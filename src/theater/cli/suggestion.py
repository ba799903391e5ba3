"""``theater grants suggest``: the least manifest that recorded histories pass under; what a component adds to it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from theater.cli.component import Component, named_component
from theater.cli.exits import Exit
from theater.cli.layout import count_text
from theater.cli.nodes import empty_node, reading_node
from theater.cli.output import Output
from theater.cli.prove import (
    MaxBytes,
    MaxDeadline,
    MaxEvents,
    MaxFuel,
    MaxMemory,
    MaxMessage,
    MaxReply,
    MaxState,
    caps_of,
    show_fault,
)
from theater.cli.session import Session, session_of
from theater.cli.wanted import Difference, difference
from theater.errors import InvalidInput, NotFound
from theater.model.ids import ActorId
from theater.runtime.bundle import write_bundle_of
from theater.runtime.claims import Caps
from theater.runtime.examination import ChildOptions, suggest_for_actors, suggest_for_files
from theater.runtime.lookup import find_record
from theater.runtime.suggestion import Suggestion
from theater.store import FileBlobStore

MARGIN_MAX = 1000.0
"""More of a limit than that is none."""

_SHOWN_IMPORTS = 4
_LACKS_COMPONENT = "give it with --component"
"""What a replay says of a chain without its component."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is wanted of which histories."""

    targets: Sequence[str]
    components: Sequence[Path]
    caps: Caps
    margin: float


def suggest(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="CHAIN|BUNDLE|ID...",
            help="chain.jsonl or X.theater files, or actors of this node.",
            show_default=False,
        ),
    ],
    component: Annotated[
        str | None,
        typer.Option(
            "--component",
            metavar="NEW.wasm|DIR",
            help="Say what this component asks for beyond what was granted, and run nothing.",
        ),
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the manifest into this file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,  # noqa: FBT002 - an option
    margin: Annotated[
        float, typer.Option("--margin", metavar="N", min=1.0, max=MARGIN_MAX, help="Times what a limit was needed for.")
    ] = 1.0,
    chain_component: Annotated[
        list[Path] | None,
        typer.Option("--chain-component", metavar="FILE", help="A component that a chain names; a bundle has its own."),
    ] = None,
    max_memory: MaxMemory = None,
    max_fuel: MaxFuel = None,
    max_deadline: MaxDeadline = None,
    max_events_per_step: MaxEvents = None,
    max_bytes_per_step: MaxBytes = None,
    max_state: MaxState = None,
    max_message: MaxMessage = None,
    max_reply: MaxReply = None,
) -> None:
    """Find the least manifest that recorded histories pass under, and prove it by running every step again.

    Exits 0 if that is proven, 3 if a history comes out otherwise, showing both sides, and 1 if one is not even sound.
    """
    session = session_of(context)
    if math.isnan(margin):
        raise typer.BadParameter("--margin nan: write a number from 1 on")
    caps = caps_of(
        max_memory, max_fuel, max_deadline, max_events_per_step, max_bytes_per_step, max_state, max_message, max_reply
    )
    wanted = _Wanted(list(dict.fromkeys(targets)), chain_component or (), caps, margin)
    if output_file is not None:
        _check_output(output_file, force=force)
    if component is not None:
        _show_difference(session, wanted, component)
        return
    suggestion = _suggested(session, wanted)
    if suggestion.manifest is not None and output_file is not None:
        _write(output_file, suggestion.manifest)
    _show(session.output, suggestion, output_file)
    raise typer.Exit(_code_of(suggestion))


# -- the histories -----------------------------------------------------------------------------------------------------


def _suggested(session: Session, wanted: _Wanted) -> Suggestion:
    with session.output.working("reading") as show:
        if not session.has_server() and not any(map(_is_file, wanted.targets)):
            _require_store(session, wanted.targets[0])
            with reading_node(session) as node:
                actors = [(text, find_record(node.store, text).id) for text in wanted.targets]
                return suggest_for_actors(node, actors, caps=wanted.caps, margin=wanted.margin, on_trial=show)
        with _files(session, wanted.targets) as files:
            return suggest_for_files(
                files,
                components=wanted.components,
                caps=wanted.caps,
                margin=wanted.margin,
                on_trial=show,
                child=_child(session),
            )


def _child(session: Session) -> ChildOptions:
    cache = session.folder().cache
    return ChildOptions(cache=cache if cache.is_dir() else None)


def _is_file(target: str) -> bool:
    path = Path(target)
    if path.is_file():
        return True
    if "/" in target or path.suffix in (".theater", ".jsonl"):
        raise NotFound(f"there is no file {target}")
    return False


def _require_store(session: Session, target: str) -> None:
    if not session.folder().database.exists():
        raise NotFound(f"there is neither a file {target} nor an actor of that name: this node has none")


@contextmanager
def _files(session: Session, targets: Sequence[str]) -> Iterator[list[tuple[str, Path]]]:
    """Each as a file: actors as bundles, which are looked at as those of a stranger."""
    with tempfile.TemporaryDirectory(prefix="theater-bundle-") as folder:
        files: list[tuple[str, Path]] = []
        for number, target in enumerate(targets):
            if _is_file(target):
                files.append((target, Path(target)))
                continue
            path = Path(folder) / f"{number}.theater"
            _bundle(session, target, path)
            files.append((target, path))
        yield files


def _bundle(session: Session, target: str, path: Path) -> None:
    if session.has_server():
        with session.client() as client, path.open("wb") as file:
            client.bundle(client.actor(target).actor.id, file)
        return
    _require_store(session, target)
    with session.store() as store, path.open("wb") as file:
        actor: ActorId = find_record(store, target).id
        write_bundle_of(file, store, FileBlobStore(session.folder().components), actor, store.head(actor))


# -- what is shown -----------------------------------------------------------------------------------------------------


def _check_output(path: Path, *, force: bool) -> None:
    if path.exists() and not path.is_file():  # /dev/null as well: it would be replaced, for everybody
        raise InvalidInput(f"{path} is no file: name one that is not there yet")
    if path.exists() and not force:
        raise InvalidInput(f"{path} exists already; choose another name, or replace it with --force")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error}") from error


def _code_of(suggestion: Suggestion) -> Exit:
    if suggestion.proven:
        return Exit.OK
    is_diverged = suggestion.fault is not None and suggestion.fault.is_divergence
    return Exit.DIVERGED if is_diverged or suggestion.unproven is not None else Exit.FAILED


def _show(output: Output, suggestion: Suggestion, output_file: Path | None) -> None:
    if output.json:
        output.document(suggestion)
        return
    if suggestion.manifest is None:
        _show_failure(output, suggestion)
        return
    if output_file is None:
        for line in suggestion.manifest.splitlines():
            output.line(line)
    for name in suggestion.left_out:
        output.note(f"left out: [capabilities.{name}], of which nothing was used")
    for note in suggestion.notes:
        output.note(note)
    is_one = suggestion.histories == 1
    histories, passed = ("1 history", "passes") if is_one else (f"{suggestion.histories} histories", "all pass")
    output.note(
        f"{histories}, {count_text(suggestion.steps, 'step')}: {passed} under this manifest"
        f" ({count_text(suggestion.replays, 'replay')})"
    )
    if output_file is not None:
        output.note(f"written into {output_file}")


def _show_failure(output: Output, suggestion: Suggestion) -> None:
    if suggestion.fault is not None:
        show_fault(output, suggestion.fault)
        if _LACKS_COMPONENT in suggestion.fault.why:
            output.note("here that is --chain-component FILE: --component names a new one")
    which = suggestion.failed or "the histories"
    if suggestion.unproven is None:
        output.note(f"{which}: this does not replay as it is, so nothing can be said of what it needs")
    else:
        output.note(f"{which}: this does not pass under what was derived, so nothing is suggested; --json has it")


# -- a new component ---------------------------------------------------------------------------------------------------


def _show_difference(session: Session, wanted: _Wanted, component: str) -> None:
    found = _difference(session, named_component(session, component), _granted(session, wanted.targets))
    output = session.output
    if output.json:
        output.document({"needed": found.needed, "unused": found.unused, "refused": found.refused})
        return
    for name, imports in found.needed.items():
        more = f", and {len(imports) - _SHOWN_IMPORTS} more" if len(imports) > _SHOWN_IMPORTS else ""
        output.line(f"+ [capabilities.{name}]  (imports {', '.join(imports[:_SHOWN_IMPORTS])}{more})")
    for name in found.unused:
        output.line(f"- [capabilities.{name}]  (imports nothing of it)")
    for problem in found.refused:
        output.line(f"! {problem}")
    if not (found.needed or found.unused or found.refused):
        output.note("it asks for what was granted, neither more nor less")


def _granted(session: Session, targets: Sequence[str]) -> set[str]:
    """The capabilities of any of the histories, by their first events: nothing of them is run."""
    files = [(target, Path(target)) for target in targets if _is_file(target)]
    names: set[str] = set()
    if files:
        found = suggest_for_files(files, execute=False, child=_child(session))
        if found.fault is not None:
            raise InvalidInput(found.fault.why)
        names |= found.granted.keys()
    if len(files) < len(targets):
        with session.reading() as reading:
            for target in targets:
                names |= set() if _is_file(target) else reading.actor(target).grants.keys()
    return names


def _difference(session: Session, component: Component, names: set[str]) -> Difference:
    with empty_node(session) as node:
        if component.data is None:
            kept = FileBlobStore(session.folder().components)
            digest = node.blobs.put(kept.path(component.digest).read_bytes())
        else:
            digest = node.blobs.put(component.data)
        program = node.engine.load(node.blobs.path(digest), digest, is_suspending=lambda _interface, _function: False)
        return difference(node.registry, program, names)
