"""Examining evidence: a chain in our own store, or a file that a stranger gave us.

A stranger's file is hostile. It is read, and its components are compiled and run, in a child process with limits on CPU
time, memory and wall time, which has no data directory and answers with a report. If it goes beyond a limit, the parent
makes the report; if it fails in any other way, that is a bug of ours and raised as one.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import msgspec

from theater.engine import rlimits
from theater.errors import InvalidInput, NotFound
from theater.model.ids import ActorId
from theater.runtime.claims import Caps
from theater.runtime.examiner import ChildOptions, Hear, run_child
from theater.runtime.node import Node
from theater.runtime.replay import StepDone
from theater.runtime.report import Fault, Report, decode_report
from theater.runtime.suggestion import Suggestion, decode_suggestion, suggest
from theater.runtime.trials import History, OnTrial
from theater.runtime.verification import Laboratory, verify

__all__ = [
    "ChildOptions",
    "examine_actor",
    "examine_file",
    "suggest_for_actors",
    "suggest_for_files",
]

OnStep = Callable[[StepDone], None]


def examine_actor(
    node: Node,
    actor: ActorId,
    *,
    head: str | None = None,
    execute: bool = True,
    caps: Caps | None = None,
    until: int | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """Examine a chain of our own store, in this process. Blocks."""
    laboratory = Laboratory(node.engine, node.registry, node.blobs, caps or Caps()) if execute else None
    return verify(lambda: node.store.events(actor), head=head, laboratory=laboratory, until=until, on_step=on_step)


def examine_file(
    path: Path,
    *,
    head: str | None = None,
    execute: bool = True,
    components: Sequence[Path] = (),
    caps: Caps | None = None,
    until: int | None = None,
    on_step: OnStep | None = None,
    child: ChildOptions | None = None,
) -> Report:
    """Examine a bundle or an exported chain, in a child process. Blocks.

    ``components`` are files that may hold components which the chain names and the file lacks.

    Raises:
        NotFound: there is no such file.
        InternalError: the child ended without a report, and not at a limit.
    """
    reports: list[Report] = []

    def hear(tag: bytes, rest: bytes) -> None:
        if tag == b"step" and on_step is not None:
            on_step(StepDone(**msgspec.json.decode(rest)))
        elif tag == b"report":
            reports.append(decode_report(rest))

    task: dict[str, object] = {
        "type": "examine",
        "path": _name(path.resolve()),
        "head": head,
        "execute": execute,
        "until": until,
        "steps": on_step is not None,
    }
    why = _ask(task, [path], components, caps, child, hear)
    return _lost(why) if why is not None else reports[-1]


def suggest_for_actors(
    node: Node,
    actors: Sequence[tuple[str, ActorId]],
    *,
    caps: Caps | None = None,
    margin: float = 1.0,
    on_trial: OnTrial | None = None,
) -> Suggestion:
    """The least manifest for actors of our own store, each with what it is called, in this process. Blocks.

    Raises: as ``suggest``.
    """
    histories = []
    for label, actor in actors:
        stop = node.store.head(actor).seq + 1  # whatever is recorded meanwhile is left out, in every replay
        histories.append(History(label, partial(node.store.events, actor, stop=stop)))
    laboratory = Laboratory(node.engine, node.registry, node.blobs, caps or Caps())
    return suggest(histories, laboratory, margin=margin, on_trial=on_trial)


def suggest_for_files(
    files: Sequence[tuple[str, Path]],
    *,
    components: Sequence[Path] = (),
    caps: Caps | None = None,
    margin: float = 1.0,
    execute: bool = True,
    on_trial: OnTrial | None = None,
    child: ChildOptions | None = None,
) -> Suggestion:
    """The least manifest for bundles or exported chains, each with what it is called, in a child process. Blocks.

    Without ``execute`` it says what was granted, and suggests nothing.

    Raises:
        NotFound: there is no such file.
        InvalidInput: as ``suggest``.
        InternalError: the child ended without an answer, and not at a limit.
    """
    suggestions: list[Suggestion] = []
    refusals: list[str] = []

    def hear(tag: bytes, rest: bytes) -> None:
        if tag == b"trial" and on_trial is not None:
            on_trial(msgspec.json.decode(rest, type=str))
        elif tag == b"suggestion":
            suggestions.append(decode_suggestion(rest))
        elif tag == b"refusal":
            refusals.append(msgspec.json.decode(rest, type=str))

    task: dict[str, object] = {
        "type": "suggest",
        "histories": [
            (label.encode("utf-8", "backslashreplace").decode(), _name(path.resolve())) for label, path in files
        ],
        "margin": margin,
        "execute": execute,
    }
    why = _ask(task, [path for _, path in files], components, caps, child, hear)
    if why is not None:
        return Suggestion(proven=False, fault=_lost(why).fault)
    if refusals:
        raise InvalidInput(refusals[0])
    return suggestions[-1]


def _ask(
    task: dict[str, object],
    files: Sequence[Path],
    components: Sequence[Path],
    caps: Caps | None,
    child: ChildOptions | None,
    hear: Hear,
) -> str | None:
    """Have a child do it; returns why that was given up."""
    for file in (*files, *components):
        if not file.is_file():
            raise NotFound(f"there is no file {file}")
    child = child or ChildOptions()
    child = replace(child, cpu_s=rlimits.allowed(resource.RLIMIT_CPU, child.cpu_s))
    with tempfile.TemporaryDirectory(prefix="theater-examine-") as scratch:
        request = {
            **task,
            "components": [_name(file.resolve()) for file in components],
            "caps": asdict(caps or Caps()),
            "scratch": _name(Path(scratch)),
            "cache": _name(child.cache or _cache_folder(os.environ, Path(scratch))),
            "cpu_s": child.cpu_s,
        }
        return run_child(json.dumps(request).encode(), Path(scratch), child, hear)


def _name(path: Path) -> str:
    """The name of a file, whether it is a text or not."""
    return base64.b64encode(os.fsencode(path)).decode()


def _lost(why: str) -> Report:
    """A report on a child that did not make one."""
    return Report(ok=False, events=0, fault=Fault(seq=None, why=f"checking it was given up: {why}"))


def _cache_folder(environ: Mapping[str, str], scratch: Path) -> Path:
    """Where compiled code is kept between two examinations: the user's cache, or nowhere that lasts."""
    base = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    if not base:
        return scratch / "compiled"
    folder = Path(base) / "theater"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return scratch / "compiled"
    return folder / "compiled" if os.access(folder, os.W_OK) else scratch / "compiled"
