"""A program that a guest wants to run, judged by itself and by the grants, before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from theater.capabilities.filesystem_grant import FilesystemGrant
from theater.capabilities.filesystem_place import Place, place_of
from theater.capabilities.grant_table import manifest_line
from theater.capabilities.process_grant import ProcessGrant
from theater.model.actor_system import Problem
from theater.model.quantity import show_milliseconds

WORDS_MAX_BYTES = 128 * 1024
"""Arguments and environment together, each with a zero behind it: what every Linux takes, and fits into a record."""

PIECE_MAX_BYTES = 65_536
"""As the interface says: what a pipe holds."""

_UTF8_MAX_BYTES = 4

ProcessSpec = TypedDict(
    "ProcessSpec",
    {
        "program": str,
        "arguments": Sequence[str],
        "directory": str | None,
        "environment": Sequence[tuple[str, str]],
        "timeout-ms": int | None,
        "output-form": str,
    },
)
"""As in WIT."""

OutputMode = tuple[str, int | None]
"""As in WIT: ``raw``, ``lines``, or ``chunks`` with their size."""


@dataclass(frozen=True, slots=True)
class ProcessOrder:
    """What is to be run, and how."""

    program: str
    """As the guest calls it."""
    path: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    directory: tuple[str, ...] | None
    """The parts of an absolute path; None: an empty one of its own."""
    timeout_ms: int
    form: str
    grant: ProcessGrant


def read_order(grant: ProcessGrant, files: FilesystemGrant | None, spec: ProcessSpec) -> ProcessOrder | Problem:
    """The order that a ``process-spec`` is, or why it cannot be run. ``files`` is the grant of ``filesystem``."""
    problem = _malformed(spec)
    if problem is not None:
        return ("invalid-spec", problem)
    path = grant.path_of(spec["program"])
    if path is None:
        return ("denied", _missing_program(grant, spec["program"]))
    for name, _ in spec["environment"]:
        if name not in grant.environment:
            return ("denied", manifest_line("environment", [name[:255]]))
    timeout_ms = grant.timeout_ms if spec["timeout-ms"] is None else spec["timeout-ms"]
    if timeout_ms > grant.timeout_ms:
        return ("denied", manifest_line("timeout", show_milliseconds(timeout_ms)))
    directory = None if spec["directory"] is None else _directory(files, spec["directory"])
    if isinstance(directory, tuple):
        return directory
    return ProcessOrder(
        program=spec["program"],
        path=path,
        arguments=tuple(spec["arguments"]),
        environment=tuple((name, value) for name, value in spec["environment"]),
        directory=None if directory is None else _parts(directory),
        timeout_ms=timeout_ms,
        form=spec["output-form"],
        grant=grant,
    )


def mode_problem(mode: OutputMode, form: str) -> Problem | None:
    """What is wrong with how the output is to be cut up."""
    kind, size_bytes = mode
    if kind != "chunks" or size_bytes is None:
        return None
    if not 1 <= size_bytes <= PIECE_MAX_BYTES:
        return ("invalid-spec", f"chunks have 1 to {PIECE_MAX_BYTES} bytes")
    if size_bytes < _UTF8_MAX_BYTES and form in ("automatic", "text"):
        return ("invalid-spec", "a character takes up to 4 bytes: ask for larger chunks, or for base64 or bytes")
    return None


def _malformed(spec: ProcessSpec) -> str | None:
    names = [name for name, _ in spec["environment"]]
    words = [*spec["arguments"], *(f"{name}={value}" for name, value in spec["environment"])]
    if any("\0" in word for word in words):
        return "an argument or variable with a zero character in it"
    if any(not name or "=" in name for name in names):
        return "a variable without a name, or with = in its name"
    if len(set(names)) < len(names):
        return "a variable twice"
    if sum(len(word.encode()) + 1 for word in words) > WORDS_MAX_BYTES:
        return f"arguments and environment have more than {WORDS_MAX_BYTES} bytes"
    return None


def _missing_program(grant: ProcessGrant, program: str) -> str:
    if program.startswith("/"):
        return manifest_line("allow", [program[:4096]])
    known = ", ".join(item.partition("=")[0] for item in grant.allow) or "none"
    return f"no program {program[:80]!r} is granted; granted are: {known}"


def _directory(files: FilesystemGrant | None, path: str) -> Place | Problem:
    if files is None:
        return ("denied", "a directory needs [capabilities.filesystem]")
    place = place_of(files, path)
    if not isinstance(place, Place):
        case, text = place
        return (case if case == "denied" else "invalid-spec", text)
    if place.directory is None:
        return ("invalid-spec", "above the granted directories there is none: begin the path with one of them")
    return place


def _parts(place: Place) -> tuple[str, ...]:
    assert place.directory is not None
    return (*(part for part in place.directory.path.split("/") if part), *place.parts)
