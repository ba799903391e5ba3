r"""Programs of the machine: the capability ``process``. What the grant does not name fails with ``denied``.

::

    people = process.run("/usr/bin/sort", "-u", stdin=names).check().text

    class Watcher(Actor):
        def init(self, params):
            return {"id": process.start("tail", "-F", "log.txt", directory=""), "lines": 0}

        def process_output(self, state, output):
            return {**state, "lines": state["lines"] + 1}

A program acts at once and stands if the step fails; in a replay none is started. It has no shell: an argument is an
argument, whatever is in it. What ``start`` started ends with the actor at the latest; what it writes comes to
``Actor.process_output``, and its end to ``Actor.process_exited``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

from theater_sdk.failure import CallFailed
from theater_sdk.host import call
from theater_sdk.text import bytes_of, content_of
from theater_sdk.timing import milliseconds, python_time

Signal = Literal["interrupt", "terminate", "kill", "hangup", "user1", "user2"]


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: with a ``code``, by a ``signal``, after its ``timeout``, or ``lost`` with the node."""

    kind: Literal["code", "signal", "timeout", "lost"]
    number: int | None = None
    """The code, or the number of the signal."""

    @property
    def is_success(self) -> bool:
        """Whether it ended by itself, with code 0."""
        return (self.kind, self.number) == ("code", 0)

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind} {self.number}"


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that was run to its end. One that failed is an answer, too."""

    status: ExitStatus
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it wrote to standard output, as UTF-8; what is none is replaced."""
        return self.stdout.decode("utf-8", "replace")

    def check(self) -> Self:
        """Itself. Raises ``CallFailed`` ("failed", with what it wrote to standard error) unless it succeeded."""
        if not self.status.is_success:
            said = self.stderr.decode("utf-8", "replace").strip()
            raise CallFailed("failed", f"{self.status}: {said}" if said else str(self.status), function="run")
        return self


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a process wrote."""

    id: str
    """The process."""
    source: Literal["stdout", "stderr"]
    content: bytes
    gap: bool
    """Whether something before it was lost, since too much waited."""

    @property
    def text(self) -> str:
        """It as UTF-8; what is none is replaced."""
        return self.content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this actor."""

    id: str
    program: str
    started: datetime
    status: ExitStatus | None
    """How it ended; None while it runs."""


def run(
    program: str,
    *arguments: str,
    stdin: bytes | str | None = None,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> Finished:
    """Run a program to its end, and wait for it within the step.

    ``directory`` is a path of the ``filesystem`` grant; without one it runs in an empty one of its own. After its time,
    the grant's unless said, it is terminated, and killed 5 s later.

    Raises:
        CallFailed: "denied", "not-runnable", "too-large" (then it was killed), "wait-exhausted" (likewise) …
    """
    spec = _spec(program, arguments, directory, environment, timeout_s)
    found = call("process", "run", {"process": spec, "stdin": None if stdin is None else content_of(stdin)})
    return Finished(status_of(found["status"]), bytes_of(found["stdout"]), bytes_of(found["stderr"]))


def start(
    program: str,
    *arguments: str,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    chunk_bytes: int | None = None,
    lines: bool = True,
) -> str:
    """Start a program that goes on after the step, and return its id.

    Its output comes by lines, without their ends; with ``lines=False`` as it is written, with ``chunk_bytes`` in pieces
    of that size.
    """
    mode = ("chunks", chunk_bytes) if chunk_bytes is not None else ("lines" if lines else "raw", None)
    spec = _spec(program, arguments, directory, environment, timeout_s)
    id: str = call("process", "start", {"process": spec, "mode": mode})
    return id


def write(process_id: str, content: bytes | str) -> None:
    """Put something into a process's standard input, without waiting until it is read."""
    call("process", "write-stdin", {"id": process_id, "content": content_of(content)})


def close_input(process_id: str) -> None:
    """Close a process's standard input, behind what was written."""
    call("process", "close-stdin", {"id": process_id})


def send_signal(process_id: str, signal: Signal = "terminate") -> None:
    """Send a process a signal: ``kill`` ends it and all that it started."""
    call("process", "send-signal", {"id": process_id, "signal": signal})


def status(process_id: str) -> Process:
    """What is known of a process; of an ended one until ``process_exited`` was told."""
    return _process(call("process", "status", {"id": process_id}))


def processes() -> list[Process]:
    """The processes of this actor, by start."""
    return [_process(each) for each in call("process", "list-processes", {})]


def status_of(value: tuple[str, int | None]) -> ExitStatus:
    """An ``exit-status`` of WIT."""
    kind, number = value
    return ExitStatus(kind, number)  # type: ignore[arg-type]  # as WIT has them


def output_of(value: Mapping[str, Any]) -> Output:
    """A ``process-output`` of WIT."""
    return Output(value["id"], value["source"], bytes_of(value["content"]), value["gap"])


def _process(value: Mapping[str, Any]) -> Process:
    ended = value["status"]
    return Process(
        value["id"], value["program"], python_time(value["started"]), None if ended is None else status_of(ended)
    )


def _spec(
    program: str,
    arguments: tuple[str, ...],
    directory: str | None,
    environment: Mapping[str, str] | None,
    timeout_s: float | None,
) -> dict[str, Any]:
    return {
        "program": program,
        "arguments": list(arguments),
        "directory": directory,
        "environment": list((environment or {}).items()),
        "timeout-ms": milliseconds(timeout_s),
        "output-form": "automatic",
    }
