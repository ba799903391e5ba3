"""From a component to something that can run: compiled, checked import by import, bound to its grants."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from theater.capabilities.registry import THEATER_VERSION, Registry
from theater.errors import InvalidComponent, NotFound
from theater.model.capability import SUSPENDING, Grant, HostClass, HostFunction
from theater.model.execution import Engine, ImportedFunction, Program
from theater.model.ids import Digest
from theater.model.ports import BlobStore
from theater.model.wit import Handle, Result, strip_version
from theater.model.wit_json import Names, decoder, encoder
from theater.runtime.boundary import Binding, Bindings
from theater.runtime.exports import (
    ACTOR,
    ACTOR_EXPORTS,
    CHANNEL_CLOSED,
    CHANNEL_MESSAGE,
    CHANNEL_OPENED,
    CHILD_EVENTS,
    CHILD_EXITED,
    COMMAND,
    HANDLE,
    HANDLERS,
    INIT,
    MIGRATE,
    RUN,
    SERVE,
    SERVICE,
    check_export,
)
from theater.runtime.permissions import Grants, parse_grants

__all__ = [
    "CHANNEL_CLOSED",
    "CHANNEL_MESSAGE",
    "CHANNEL_OPENED",
    "CHILD_EVENTS",
    "CHILD_EXITED",
    "HANDLE",
    "INIT",
    "MIGRATE",
    "RUN",
    "SERVE",
    "Loaded",
    "Loader",
    "Role",
    "role_of",
]

_REPLAYED = frozenset({HostClass.READ, HostClass.BUFFERED, HostClass.EXTERNAL})
"""What a replay answers from the record: the answer has to be one that can be read back."""

BOUND_MAX = 1000
"""Sets of bindings that are kept, some 20 kB each: one for each component and set of grants in use."""

Role = Literal["actor", "command", "service"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A program, the part it can play, and which handlers it has for that (``CHILD_EXITED`` and so on)."""

    program: Program
    role: Role
    handlers: frozenset[str] = frozenset()


class Loader:
    """Loads each component once and keeps it. Any thread may use it; loading blocks while a component compiles."""

    def __init__(self, engine: Engine, blobs: BlobStore, registry: Registry) -> None:
        self._engine = engine
        self._blobs = blobs
        self._registry = registry
        self._loaded: dict[Digest, Loaded] = {}
        self._used_s: dict[Digest, float] = {}  # when each was last asked for
        self._lock = threading.Lock()
        self._turns: dict[Digest, threading.Lock] = {}
        self._refused: dict[Digest, InvalidComponent] = {}
        self._grants: dict[bytes, Grants] = {}
        self._bound: dict[tuple[Digest, tuple[tuple[str, Grant], ...]], Bindings] = {}

    def is_loaded(self, digest: Digest) -> bool:
        """Whether ``load`` returns at once."""
        return digest in self._loaded

    def load_in_step(self, digest: Digest, *, must: bool = False) -> Loaded:
        """As ``load``, on a thread that runs guests: while the component is compiled, another takes its place.

        Raises:
            Busy: too many wait for that already, unless it ``must`` be done.
        """
        if digest in self._loaded or digest in self._refused:
            return self.load(digest)
        with self._engine.blocked(must=must):
            return self.load(digest)

    def load(self, digest: Digest) -> Loaded:
        """The program of ``digest``, which must be in the content store.

        Raises:
            NotFound, Damaged: the content store does not have it, or not as it was.
            InvalidComponent, CompileFailed: it cannot run here; which is remembered, and costs nothing again.
        """
        self._used_s[digest] = time.monotonic()  # before it is looked for: see ``forget``
        known = self._loaded.get(digest)
        if known is None:
            with self._lock:
                self._used_s[digest] = time.monotonic()
                turn = self._turns.setdefault(digest, threading.Lock())
            with turn:  # whoever comes while it is compiled waits for that, and does not compile it again
                known = self._loaded.get(digest) or self._load_present(digest)
        return known

    def _load_present(self, digest: Digest) -> Loaded:
        try:
            return self._load(digest)
        except NotFound:  # guests may name as many as they like
            with self._lock:
                self._used_s.pop(digest, None)
                self._turns.pop(digest, None)
            raise

    def forget(self, digest: Digest, remove: Callable[[Digest], bool], *, unused_s: float) -> bool:
        """Let go of a program, and have ``remove`` remove its component, unless it was loaded within that time.

        Whoever loads it at the same time either keeps it, or finds it gone. Returns what ``remove`` does.
        """
        with self._lock:
            known = self._loaded.pop(digest, None)
            used_s = self._used_s.get(digest)
            is_used = used_s is not None and time.monotonic() - used_s < unused_s
            if not is_used and remove(digest):
                self._used_s.pop(digest, None)
                self._turns.pop(digest, None)
                return True
            if known is not None:
                self._loaded[digest] = known
            return False

    def _load(self, digest: Digest) -> Loaded:
        refused = self._refused.get(digest)
        if refused is not None:
            raise type(refused)(refused.message, **refused.data)
        try:
            program = self._engine.load(self._blobs.path(digest), digest, is_suspending=self._is_suspending)
            role = role_of(program)
            handlers = _HANDLERS_OF[role](program)
        except InvalidComponent as error:
            if len(self._refused) >= BOUND_MAX:
                self._refused.clear()
            self._refused[digest] = type(error)(error.message, **error.data)
            raise
        known = self._loaded[digest] = Loaded(program, role, handlers)
        return known

    def parse_grants(self, tables: Mapping[str, Mapping[str, object]]) -> Grants:
        """Effective grants as event 0 records them. Actors that are alike share them.

        Raises:
            InvalidManifest: they are none that this version knows.
        """
        key = msgspec.json.encode(tables)
        grants = self._grants.get(key)
        if grants is None:
            grants = parse_grants(self._registry, tables, where="capabilities")
            if len(self._grants) >= BOUND_MAX:
                self._grants.clear()
            self._grants[key] = grants
        return grants

    def bind(self, program: Program, grants: Grants) -> Bindings:
        """A binding for each function that the program imports, under these grants. Actors that are alike share them.

        Raises:
            InvalidComponent: it imports what does not exist, is not part of this version, or was not granted. The
                message names every such import, and the manifest line that would grant it.
        """
        key = program.digest, tuple(grants.items())
        bound = self._bound.get(key)
        if bound is None:
            bound = self._bind_all(program, grants)
            if len(self._bound) >= BOUND_MAX:
                self._bound.clear()
            self._bound[key] = bound
        return bound

    def _bind_all(self, program: Program, grants: Grants) -> Bindings:
        bindings: dict[tuple[str, str], Binding] = {}
        problems: list[str] = []
        for wanted in program.imports:
            problem = self._registry.refusal(wanted.interface, wanted.name, granted=grants.keys())
            if problem is None:
                interface = strip_version(wanted.interface)
                capability, function = self._registry.table[interface, wanted.name]
                grant = grants.get(capability.under or capability.name, capability.ungranted)
                assert grant is not None
                try:
                    bindings[interface, wanted.name] = _bind(wanted, function, grant, capability.name)
                except ValueError as error:
                    problem = f"{interface}#{wanted.name} cannot be recorded: {error}"
            if problem is not None and problem not in problems:
                problems.append(problem)
        for interface in program.imported_interfaces:
            problem = self._registry.refusal(interface, granted=grants.keys())
            if problem is not None and problem not in problems:
                problems.append(problem)
        if problems:
            raise InvalidComponent("this component cannot run here:\n" + "\n".join(f"    {line}" for line in problems))
        return bindings

    def _is_suspending(self, interface: str, name: str) -> bool:
        found = self._registry.table.get((interface, name))
        return found is not None and found[1].host_class in SUSPENDING


def role_of(program: Program) -> Role:
    """Which part a program can play, by what it exports. Raises ``InvalidComponent`` where it is none we know."""
    exports = program.exports
    if (ACTOR, "handle") in exports:
        _check_version(program, ACTOR)
        for name, signature in ACTOR_EXPORTS.items():
            check_export(exports, name, signature, version=THEATER_VERSION)
        return "actor"
    if (SERVICE, "handle") in exports:  # before a command: some toolchains make one of every program
        _check_service(program)
        return "service"
    if (COMMAND, "run") in exports:
        _check_command(program)
        return "command"
    names = sorted({interface or name for interface, name in exports}) or ["nothing"]
    raise InvalidComponent(
        f"this component is no actor: it exports {', '.join(names)[:500]}, "
        f"but neither {ACTOR}@0.1.0 nor {COMMAND}@0.2 nor {SERVICE}@0.2"
    )


def handlers_of(program: Program) -> frozenset[str]:
    """The handlers that an actor has. Raises ``InvalidComponent`` where one is not as it should be."""
    exported = {strip_version(name) for name in program.exported_interfaces}
    found = {name: signature for name, signature in HANDLERS.items() if name.partition("#")[0] in exported}
    for name, signature in found.items():
        _check_version(program, name.partition("#")[0])
        check_export(program.exports, name, signature, version=THEATER_VERSION)
    return frozenset(found)


_HANDLERS_OF: Mapping[Role, Callable[[Program], frozenset[str]]] = {
    "actor": handlers_of,
    "command": lambda _program: frozenset(),
    "service": lambda _program: frozenset({SERVE}),
}

_HTTP_TYPES = "wasi:http/types"
_WASI_0_2 = re.compile(r".*@0\.2\.\d+\Z")


def _check_version(program: Program, interface: str) -> None:
    if f"{interface}@{THEATER_VERSION}" not in program.exported_interfaces:
        raise InvalidComponent(
            f"this component exports {_as_written(program, interface)}; this version runs {interface}@{THEATER_VERSION}"
        )


def _check_wasi(program: Program, interface: str) -> None:
    exported = _as_written(program, interface)
    if not _WASI_0_2.match(exported):
        version = exported.partition("@")[2]
        target = f"WASI {version}" if version else "a WASI without version"
        raise InvalidComponent(f"this component exports {exported}: it targets {target}; build it for WASI 0.2")


def _check_service(program: Program) -> None:
    _check_wasi(program, SERVICE)
    handle = program.exports[SERVICE, "handle"]
    given = [program.resources.get((_HTTP_TYPES, name), 0) for name in ("incoming-request", "response-outparam")]
    wanted = tuple(Handle(number, owned=True) for number in given)
    if tuple(kind for _, kind in handle.params) != wanted or handle.result is not None or handle.is_async:
        raise InvalidComponent(f"this component's {SERVE} does not have the parameters and result of 0.2")


def _check_command(program: Program) -> None:
    _check_wasi(program, COMMAND)
    run = program.exports[COMMAND, "run"]
    if run.params or run.result != Result(None, None) or run.is_async:
        raise InvalidComponent(f"this component's {RUN} does not have the parameters and result of 0.2")


def _as_written(program: Program, interface: str) -> str:
    """The exported interface with its version. There is one: the engine refuses two versions of an interface."""
    return next(name for name in program.exported_interfaces if strip_version(name) == interface)


def _bind(wanted: ImportedFunction, function: HostFunction, grant: Grant, capability: str) -> Binding:
    """Raises ``ValueError`` where a value of it could not be written down, or not be read back."""
    encoders = [encoder(kind) for _, kind in wanted.type.params]
    result = wanted.type.result
    is_naming = function.looks or function.host_class is HostClass.EXTERNAL
    is_replayed = function.host_class in _REPLAYED or function.check is not None

    def encode_arguments(args: tuple[object, ...], names: Names) -> list[object]:
        return [encode(arg, names) for encode, arg in zip(encoders, args, strict=True)]

    return Binding(
        function=function,
        grant=grant,
        capability=capability,
        event_name=f"{strip_version(wanted.interface)}#{wanted.name}",
        encode_arguments=encode_arguments,
        encode_answer=encoder(result) if result is not None else lambda _answer, _names: None,
        decode_answer=decoder(result, naming=is_naming) if result is not None and is_replayed else lambda _: None,
    )
