"""The child process that examines a stranger's file: takes its limits first, then reads, compiles and runs.

It hears its task as JSON on standard input and answers in lines on standard output: ``step {...}`` for each step if
asked, and ``report {...}`` at the end.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from theater.capabilities.registry import installed
from theater.chain.lines import read_lines
from theater.engine import WasmtimeEngine, rlimits
from theater.errors import BadBundle, InvalidInput, TheaterError
from theater.model.event import Event
from theater.runtime.bundle import open_bundle
from theater.runtime.claims import Caps
from theater.runtime.replay import StepDone
from theater.runtime.report import Fault, Report, encode_report
from theater.runtime.suggestion import Suggestion, encode_suggestion, granted_in, suggest
from theater.runtime.trials import History
from theater.runtime.verification import Laboratory, ReadEvents, verify
from theater.store import FileBlobStore

_ZIP_MAGIC = b"PK"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the parent asks. Names of files are bytes, base64 in JSON: not every one of them is a text."""

    components: list[bytes]
    caps: dict[str, int | float]
    scratch: bytes
    cache: bytes
    cpu_s: int


class Examine(Task, frozen=True, kw_only=True, tag="examine"):
    """Whether this chain is what it says it is."""

    path: bytes
    head: str | None
    execute: bool
    until: int | None
    steps: bool


class Suggest(Task, frozen=True, kw_only=True, tag="suggest"):
    """The least that these histories, each with what it is called, pass under."""

    histories: list[tuple[str, bytes]]
    margin: float
    execute: bool


def main() -> None:
    """Read the task, examine, answer."""
    faulthandler.enable()
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Examine | Suggest)
    rlimits.take(resource.RLIMIT_CORE, 0, 0)
    # the hard limit kills without saying why, so it lies behind the soft one
    rlimits.take(resource.RLIMIT_CPU, task.cpu_s, task.cpu_s + 1)
    out = sys.stdout.buffer
    match task:
        case Examine():
            _say(out, b"report", encode_report(_examine(task, out)))
        case Suggest():
            try:
                _say(out, b"suggestion", encode_suggestion(_suggest(task, out)))
            except (TheaterError, OSError) as error:
                why = error.message if isinstance(error, TheaterError) else str(error)
                _say(out, b"refusal", msgspec.json.encode(_as_text(why)))


def _say(out: BinaryIO, tag: bytes, what: bytes) -> None:
    out.write(tag + b" " + what + b"\n")
    out.flush()


def _suggest(task: Suggest, out: BinaryIO) -> Suggestion:
    blobs = FileBlobStore(_path(task.scratch) / "components")
    engine = WasmtimeEngine(_path(task.cache))
    try:
        with ExitStack() as closing:
            for file in task.components:
                blobs.put(_path(file).read_bytes())
            histories = [
                History(label, _bundle(path, blobs, closing) if _is_zip(path) else _lines(path))
                for label, path in ((label, _path(name)) for label, name in task.histories)
            ]
            if not task.execute:
                return granted_in(histories, installed())
            laboratory = Laboratory(engine, installed(), blobs, Caps(**task.caps))  # type: ignore[arg-type]  # as asdict made it
            return suggest(
                histories,
                laboratory,
                margin=task.margin,
                on_trial=lambda doing: _say(out, b"trial", msgspec.json.encode(_as_text(doing))),
            )
    finally:
        engine.close()


def _as_text(text: str) -> str:
    """It may name a file, whose name need not be a text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _examine(task: Examine, out: BinaryIO) -> Report:
    path = _path(task.path)
    blobs = FileBlobStore(_path(task.scratch) / "components")
    with ExitStack() as closing:
        try:
            for file in task.components:
                blobs.put(_path(file).read_bytes())
            read_events = _bundle(path, blobs, closing) if _is_zip(path) else _lines(path)
        except (BadBundle, InvalidInput, OSError) as error:
            return Report(ok=False, events=0, fault=Fault(seq=None, why=_as_text(str(error))))
        return _verified(task, read_events, blobs, out)


def _verified(task: Examine, read_events: ReadEvents, blobs: FileBlobStore, out: BinaryIO) -> Report:
    if not task.execute:
        return verify(read_events, head=task.head)
    engine = WasmtimeEngine(_path(task.cache))
    try:
        laboratory = Laboratory(engine, installed(), blobs, Caps(**task.caps))  # type: ignore[arg-type]  # as asdict made it

        def say(step: StepDone) -> None:
            line = {"seq": step.seq, "export": step.export, "kind": step.kind, "verdict": step.verdict}
            _say(out, b"step", msgspec.json.encode(line))

        return verify(
            read_events,
            head=task.head,
            laboratory=laboratory,
            until=task.until,
            on_step=say if task.steps else None,
        )
    finally:
        engine.close()


def _path(name: bytes) -> Path:
    return Path(os.fsdecode(name))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def _lines(path: Path) -> ReadEvents:
    def read() -> Iterator[Event]:
        with path.open("rb") as file:
            yield from read_lines(file.readline)

    return read


def _bundle(path: Path, blobs: FileBlobStore, closing: ExitStack) -> ReadEvents:
    bundle = closing.enter_context(open_bundle(path))
    bundle.put_components(blobs)
    return bundle.events
