"""Where the tests of steps play: a harness whose guests are WAT texts, compiled once for all tests."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import wasmtime
from wasmtime import component as wc

from theater.engine.cache import Cache
from theater.engine.component_file import strip
from theater.engine.settings import make_config
from theater.model.ids import Digest
from theater.store.faults import FaultPoint
from theater.testing.harness import Actor, Harness

PATIENCE_S = 30.0


class Workshop:
    """Makes components of WAT texts, in this process: a child for each, as in use, takes 0.2 s."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self._engine = wasmtime.Engine(make_config())
        self._files: dict[str, Path] = {}

    def file(self, text: str) -> Path:
        """The component of ``text``, compiled already."""
        if text not in self._files:
            binary = bytes(wasmtime.wat2wasm(text))
            digest = Digest(hashlib.sha256(binary).hexdigest())
            path = self.folder / f"{digest}.wasm"
            path.write_bytes(binary)
            stripped = strip(binary)
            with contextlib.suppress(wasmtime.WasmtimeError):  # a broken one is for the runtime to refuse
                code = bytes(wc.Component(self._engine, stripped.binary).serialize())
                Cache(self.cache).put(digest, code, memories=stripped.memories, modules=stripped.modules)
            self._files[text] = path
        return self._files[text]


class Stage(Harness):
    """A harness that spawns WAT texts."""

    def __init__(self, workshop: Workshop, folder: Path, **options: object) -> None:
        super().__init__(data_dir=folder / "data", cache=workshop.cache, **options)  # type: ignore[arg-type]  # passed on
        self.workshop = workshop
        self.folder = folder

    def play(
        self,
        text: str,
        *,
        name: str = "actor",
        instance: str = "fresh",
        limits: Mapping[str, object] | None = None,
        capabilities: Mapping[str, Mapping[str, object]] | None = None,
        **options: object,
    ) -> Actor:
        """Start an actor of this text."""
        manifest = self.manifest(text, name=name, instance=instance, limits=limits, capabilities=capabilities)
        return self.spawn(manifest, **options)  # type: ignore[arg-type]  # passed on

    def manifest(
        self,
        text: str,
        *,
        name: str = "actor",
        instance: str = "fresh",
        limits: Mapping[str, object] | None = None,
        capabilities: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Path:
        """A manifest for a component of this text."""
        lines = [
            f'name = "{name}"',
            f"component = {json.dumps(str(self.workshop.file(text)))}",
            f'instance = "{instance}"',
        ]
        lines += ["[limits]", *(f"{key} = {json.dumps(value)}" for key, value in (limits or {}).items())]
        for capability, table in (capabilities or {}).items():
            lines += [f"[capabilities.{capability}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        path = self.folder / "theater.toml"
        path.write_text("\n".join(lines) + "\n")
        return path


class Gate:
    """A store's fault that holds it back, or fills the disk, when a test says so."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.is_full = False
        self.passed: list[FaultPoint] = []
        self.arrived = threading.Event()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No transaction begins while this is on."""
        self.arrived.clear()
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def release(self) -> None:
        """Let go before the end of ``held``."""
        self._open.set()

    def __call__(self, point: FaultPoint) -> None:
        self.passed.append(point)
        if point == "before-transaction":
            if not self._open.is_set():
                self.arrived.set()
            assert self._open.wait(PATIENCE_S), "a test held the store back and did not let go"
        if point == "before-commit" and self.is_full:
            raise OSError(28, "No space left on device")
