"""The engine: the port's implementation, put together."""

from __future__ import annotations

import faulthandler
import hashlib
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePath

import wasmtime
from wasmtime import component as wc

from theater.engine import native, settings
from theater.engine.cache import Cache, Facts
from theater.engine.compiler import Compiler
from theater.engine.component_file import check_preamble, read_component, strip
from theater.engine.execution import GuestCall
from theater.engine.pool import choose_size, set_pool
from theater.engine.program import WasmtimeProgram
from theater.engine.symbols import Symbols
from theater.engine.ticker import Ticker
from theater.engine.workers import Workers
from theater.errors import InternalError, InvalidComponent, InvalidInput
from theater.model.execution import EngineIdentity, Execution, Invocation, Program, Pruned, Resting
from theater.model.ids import Digest

WAT_MAX_BYTES = 16 << 20


class WasmtimeEngine:
    """Implements the port ``Engine`` on wasmtime.

    ``cache_dir`` is a folder for compiled code that only we may write to; it is made if it is missing. ``workers`` is
    the number of threads that run guests: one a core, at least 2.
    """

    def __init__(self, cache_dir: Path, *, workers: int | None = None) -> None:
        _enable_faulthandler()
        self._cache = Cache(cache_dir)
        self._compiler = Compiler(cache_dir)
        self._engine = _make_engine()
        self._workers = Workers(Ticker(native.address(self._engine.ptr())), workers)
        # Whoever forgets close(): at the end of the process the workers are out of C before the interpreter goes.
        self._finalizer = weakref.finalize(self, self._workers.close)

    @property
    def identity(self) -> EngineIdentity:
        return settings.engine_identity()

    def load(
        self, component: PurePath, digest: Digest, *, is_suspending: Callable[[str, str], bool]
    ) -> WasmtimeProgram:
        compiled, facts = self._compiled(component, digest)
        return WasmtimeProgram(
            self._engine,
            compiled,
            digest=digest,
            memories=facts.memories,
            code_bytes=facts.size,
            symbols=Symbols(component, facts.core_modules()),
            is_suspending=is_suspending,
        )

    def assemble(self, text: str) -> bytes:
        size = len(data := _utf8(text))
        if size > WAT_MAX_BYTES:
            raise InvalidComponent(f"the WebAssembly text has {size} bytes; it may have {WAT_MAX_BYTES}")
        binary = self._compiler.assemble(data)
        check_preamble(binary, "the WebAssembly text")
        return binary

    def begin(self, invocation: Invocation, then: Callable[[Resting], None]) -> Execution:
        program: Program = invocation.program
        if not isinstance(program, WasmtimeProgram):
            raise InternalError("the program was loaded by another kind of engine")
        call = GuestCall(program, invocation, then, self._workers)
        self._workers.start(call)
        return call

    def when_idle(self, action: Callable[[Callable[[], None]], None]) -> None:
        self._workers.when_idle(action)

    def blocked(self, *, must: bool = False) -> AbstractContextManager[None]:
        return self._workers.blocked(must=must)

    def prune(self, is_wanted: Callable[[Digest], bool], *, spared_s: float, unused_s: float) -> Pruned:
        return self._cache.prune(is_wanted, spared_s=spared_s, unused_s=unused_s)

    def close(self) -> None:
        self._finalizer()

    def _compiled(self, component: PurePath, digest: Digest) -> tuple[wc.Component, Facts]:
        try:
            mapped = self._map(digest)
        except wasmtime.WasmtimeError:
            mapped = None  # not what its name says: compiled again
        if mapped is not None:
            return mapped
        self._compile(component, digest)
        try:
            mapped = self._map(digest)
        except wasmtime.WasmtimeError as error:
            raise InvalidComponent(f"the component needs more than an instance may have: {error}") from error
        if mapped is None:
            raise InternalError(f"the compile cache {self._cache.folder} does not keep what is put there")
        return mapped

    def _compile(self, component: PurePath, digest: Digest) -> None:
        data = read_component(component)
        if hashlib.sha256(data).hexdigest() != digest:
            raise InvalidInput(f"{component} is not the component {digest}")
        stripped = strip(data)
        code = self._compiler.compile(stripped.binary)
        self._cache.put(digest, code, memories=stripped.memories, modules=stripped.modules)

    def _map(self, digest: Digest) -> tuple[wc.Component, Facts] | None:
        with self._cache.open(digest) as found:
            if found is None:
                return None
            facts, path = found
            return wc.Component.deserialize_file(self._engine, str(path)), facts


def _make_engine() -> wasmtime.Engine:
    config = settings.make_config()
    size = choose_size()
    if size:
        set_pool(native.address(config.ptr()), size)
    return wasmtime.Engine(config)


def _enable_faulthandler() -> None:
    """Have Python's handlers of fatal signals in place before wasmtime's.

    wasmtime turns the signals of a guest's bad memory access into traps. Handlers that come after its own, as those of
    a later ``faulthandler.enable()``, would take them for crashes of ours; when they are there already, enabling them
    once more does nothing.
    """
    if not faulthandler.is_enabled():
        faulthandler.enable(file=2)  # sys.stderr may be anything; the descriptor is there, or writing to it fails


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidComponent("the WebAssembly text has a lone surrogate") from error
