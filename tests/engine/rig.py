"""An engine with short ways to load WAT and to run one call to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import wasmtime
from wasmtime import component as wc

from theater.engine import WasmtimeEngine
from theater.engine.component_file import strip
from theater.engine.program import WasmtimeProgram
from theater.engine.settings import make_config
from theater.errors import CompileFailed
from theater.model.execution import (
    SUSPEND,
    Closed,
    Execution,
    ExecutionLimits,
    Host,
    Instance,
    Invocation,
    Resting,
    Waiting,
)
from theater.model.ids import Digest

LIMITS = ExecutionLimits(fuel=10_000_000_000, memory_bytes=64 << 20, deadline_s=10.0)
PATIENCE_S = 30.0


@dataclass
class RecordingHost:
    """Keeps what was asked, answers what ``answer`` makes of the arguments."""

    answer: Callable[..., object] = lambda *_: None
    calls: list[tuple[str, str, tuple[object, ...]]] = field(default_factory=list)
    ticks: int = 0

    def call(self, interface: str, function: str, args: tuple[object, ...]) -> object:
        self.calls.append((interface, function, args))
        return self.answer(*args)

    def tick(self) -> None:
        self.ticks += 1


def suspends() -> RecordingHost:
    """Lets every call wait."""
    return RecordingHost(lambda *_: SUSPEND)


def echoes() -> RecordingHost:
    """Answers each call with its only argument."""
    return RecordingHost(lambda value: value)


def raises(error: BaseException) -> RecordingHost:
    """Raises in every call."""

    def answer(*_: object) -> object:
        raise error

    return RecordingHost(answer)


def nothing_waits(_interface: str, _function: str) -> bool:
    """Links every import as a plain function."""
    return False


class Running:
    """One call under way: its rests come in order."""

    def __init__(
        self, engine: WasmtimeEngine, invocation: Invocation, hear: Callable[[Running, Resting], None] | None = None
    ) -> None:
        self._rests: SimpleQueue[Resting] = SimpleQueue()
        self._hear = hear
        self._has_begun = Event()
        self.execution: Execution = engine.begin(invocation, self._then)
        self._has_begun.set()

    def _then(self, rest: Resting) -> None:
        if self._hear is not None:
            assert self._has_begun.wait(PATIENCE_S)
            self._hear(self, rest)
        self._rests.put(rest)

    def rest(self) -> Resting:
        return self._rests.get(timeout=PATIENCE_S)

    def waiting(self) -> None:
        rest = self.rest()
        assert isinstance(rest, Waiting), rest

    def closed(self) -> Closed:
        rest = self.rest()
        assert isinstance(rest, Closed), rest
        return rest

    @property
    def has_more(self) -> bool:
        return not self._rests.empty()


class Rig:
    """An engine for tests. Compiles in this process: the child has tests of its own, and takes 0.2 s a guest."""

    def __init__(self, folder: Path, *, workers: int | None = None) -> None:
        self.folder = folder
        self.engine = WasmtimeEngine(folder / "cache", workers=workers)
        self._compiling = wasmtime.Engine(make_config())

    def file(self, wat: str) -> tuple[Path, Digest]:
        """A component in WAT as a file, already in the cache."""
        binary = bytes(wasmtime.wat2wasm(wat))
        digest = Digest(hashlib.sha256(binary).hexdigest())
        path = self.folder / f"{digest}.wasm"
        if not path.exists():
            path.write_bytes(binary)
            stripped = strip(binary)
            try:
                code = bytes(wc.Component(self._compiling, stripped.binary).serialize())
            except wasmtime.WasmtimeError as error:
                raise CompileFailed(str(error)) from error
            self.engine._cache.put(digest, code, memories=stripped.memories, modules=stripped.modules)
        return path, digest

    def load(self, wat: str, is_suspending: Callable[[str, str], bool] = nothing_waits) -> WasmtimeProgram:
        path, digest = self.file(wat)
        return self.engine.load(path, digest, is_suspending=is_suspending)

    def begin(
        self,
        program: WasmtimeProgram,
        function: str,
        *args: object,
        interface: str = "",
        host: Host | None = None,
        limits: ExecutionLimits = LIMITS,
        instance: Instance | None = None,
        keep: bool = False,
        hear: Callable[[Running, Resting], None] | None = None,
    ) -> Running:
        """Start a call; ``hear`` is told each rest on the engine's thread."""
        host = host or RecordingHost()
        invocation = Invocation(program, interface, function, args, host, limits, instance, keep)
        return Running(self.engine, invocation, hear)

    def run(
        self,
        program: WasmtimeProgram,
        function: str,
        *args: object,
        interface: str = "",
        host: Host | None = None,
        limits: ExecutionLimits = LIMITS,
        instance: Instance | None = None,
        keep: bool = False,
    ) -> Closed:
        """The call's end; it must not wait."""
        return self.begin(
            program, function, *args, interface=interface, host=host, limits=limits, instance=instance, keep=keep
        ).closed()

    def close(self) -> None:
        self.engine.close()
