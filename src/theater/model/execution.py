"""The engine's port: one guest call as something that runs, waits and is resumed.

Nothing above the engine knows threads or fibers. ``Engine.begin`` returns at once; the engine runs the guest on threads
of its own and reports, through ``then``, each time the call comes to rest: ``Closed`` once, after any number of
``Waiting``. ``then`` is called on an engine thread, exactly once per ``begin`` and per ``resume``, and never while
``begin`` or ``resume`` is still on the stack of the caller's thread. ``kill`` may come from any thread at any time; a
call that already closed ignores it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Protocol

import msgspec

from theater.model.crash import Crash, CrashReason
from theater.model.ids import Digest
from theater.model.wit import Function


class _Suspend:
    """The type of ``SUSPEND``."""

    def __repr__(self) -> str:
        return "SUSPEND"


SUSPEND: Final = _Suspend()
"""What a ``Host`` answers when the guest has to wait; ``resume`` brings the answer later."""


class Host(Protocol):
    """The one place where a guest's calls arrive, in order, on whatever thread runs the guest."""

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        """Answer one call, or ``SUSPEND`` (only for functions that were linked as suspending).

        ``interface`` has no version; ``function`` is as in WIT (``"[method]output-stream.write"``, and
        ``"[resource-drop]pollable"`` with the resource's number as only argument). ``StepCrash`` and ``StepExit`` end
        the step; any other exception is our bug and ends it as ``internal``.
        """

    def tick(self) -> None:
        """Called between two slices of a guest that runs long (about every 10 ms), on the guest's thread."""


class ExecutionLimits(msgspec.Struct, frozen=True, gc=False):
    """What one call may use."""

    fuel: int
    memory_bytes: int
    deadline_s: float
    """Time that the guest itself runs; waiting does not count."""


@dataclass(frozen=True, slots=True)
class ImportedFunction:
    """One function that a component imports. ``interface`` with its version as written; "" for a root function."""

    interface: str
    name: str
    type: Function


class Program(Protocol):
    """A component, compiled and linked, from which calls are begun. Shared by all threads."""

    @property
    def digest(self) -> Digest:
        """SHA-256 of the component's bytes."""

    @property
    def imports(self) -> tuple[ImportedFunction, ...]:
        """Every imported function, in the component's order."""

    @property
    def imported_interfaces(self) -> tuple[str, ...]:
        """Every imported instance, with version, in order (one may have types alone)."""

    @property
    def exported_interfaces(self) -> tuple[str, ...]:
        """Every exported instance, with version, in order."""

    @property
    def exports(self) -> Mapping[tuple[str, str], Function]:
        """Exported functions by (interface without version or "", function)."""

    @property
    def resources(self) -> Mapping[tuple[str, str], int]:
        """Imported resources by (interface without version, name): their numbers, as in ``wit.Handle``."""


class Instance(Protocol):
    """A living instance that a warm actor keeps between two calls. Only one call at a time; ``close`` frees it."""

    def close(self) -> None:
        """Free it; does nothing the second time."""


class Invocation(msgspec.Struct, frozen=True):
    """One guest call to run."""

    program: Program
    interface: str
    """Of the export, without version; "" for a root function."""
    function: str
    args: tuple[object, ...]
    host: Host
    limits: ExecutionLimits
    instance: Instance | None = None
    """A kept instance to run in; None makes a fresh one."""
    keep: bool = False
    """Whether the instance is wanted back when the call closed without a crash."""


class Closed(msgspec.Struct, frozen=True):
    """The call ended. Exactly one of ``crash`` and ``exit_status`` and a plain return holds.

    ``result`` is the returned value in the shapes of ``theater.model.wit`` (None where nothing is returned).
    """

    result: object
    fuel_used: int
    crash: Crash | None = None
    exit_status: int | None = None
    instance: Instance | None = None


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """The guest is suspended in the call for which its host answered ``SUSPEND``."""


Resting = Closed | Waiting


class Execution(Protocol):
    """One call under way."""

    def resume(self, answer: object) -> None:
        """Give a suspended guest its answer, in the shape of the function's result type; it runs on."""

    def kill(self, reason: CrashReason, message: str) -> None:
        """End it, running or suspended; it closes with that crash within one slice (about 10 ms)."""


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """What has to be equal for fuel and stack depth to be comparable."""

    name: str
    version: str
    settings: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """Compiled code that was removed."""

    number: int
    size_bytes: int


class Engine(Protocol):
    """Compiles components and runs calls."""

    @property
    def identity(self) -> EngineIdentity:
        """Name, version, settings (a stable text) and architecture of this engine."""

    def load(self, component: PurePath, digest: Digest, *, is_suspending: Callable[[str, str], bool]) -> Program:
        """Compile (in a child process, or from the cache) and link. Blocks; call it off the event loop.

        ``component`` is a file with the binary of ``digest``. ``is_suspending(interface without version, function)``
        tells which imports may answer ``SUSPEND``.

        Raises:
            InvalidComponent: not a component, or one with an import or export that cannot cross the boundary.
            CompileFailed: the compiler ran out of its time or memory, or refused the code.
        """

    def assemble(self, text: str) -> bytes:
        """The binary of a component that is written as WebAssembly text (WAT), made in a child process. Blocks.

        Raises:
            CompileFailed: the text is wrong (with line and column), or took too much time or memory.
            InvalidComponent: it is a core module, or too large.
        """

    def begin(self, invocation: Invocation, then: Callable[[Resting], None]) -> Execution:
        """Start a call; ``then`` hears of each rest."""

    def when_idle(self, action: Callable[[Callable[[], None]], None]) -> None:
        """Call ``action`` on an engine thread that is about to wait, or to be busy for long.

        It is the moment to write down what the calls that it ran have brought. While it does, the engine counts on the
        thread as little as if it slept, until ``action`` calls what it was given: that the long part is over. Set once,
        before the first ``begin``.
        """

    def blocked(self, *, must: bool = False) -> AbstractContextManager[None]:
        """Round what takes long in a host function: meanwhile another thread runs guests in place of this one.

        Round what is done on any other thread it does nothing.

        Raises:
            Busy: too many are blocked already, unless it ``must`` be done.
        """

    def prune(self, is_wanted: Callable[[Digest], bool], *, spared_s: float, unused_s: float) -> Pruned:
        """Remove compiled code that was not used for ``unused_s``, or whose component is not wanted. Blocks for files.

        What was used within ``spared_s`` stays. What is in use goes on; it is compiled again when it is next loaded.
        """

    def close(self) -> None:
        """Kill what still runs, join every thread. Programs and instances are dead afterwards."""
