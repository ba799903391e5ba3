"""Opening a data directory and closing it again: every part is closed by who opened it, in reverse order."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from theater.capabilities.registry import installed
from theater.engine import WasmtimeEngine
from theater.model.ports import Clock, Durability, Entropy
from theater.runtime.config import Config, read_config
from theater.runtime.loading import Loader
from theater.runtime.node import Node
from theater.runtime.node_secrets import NodeSecrets
from theater.runtime.permissions import Grants
from theater.runtime.services import Services
from theater.runtime.system import SystemClock, SystemEntropy
from theater.store import DataDir, FileBlobStore, SqliteEventStore
from theater.store.faults import Fault, no_fault

SWITCH_INTERVAL_S = 5e-4
"""How long a thread may hold the interpreter while another wants it. With the default, 5 ms, the host calls of a guest
that runs without the interpreter's lock crawl; much below, threads on two cores do little but hand it to each other."""

GC_THRESHOLD = 50_000
"""Objects made and not freed before the garbage collector looks at them. With the default, 700, a step costs an eighth
more: many are under way at once, and none of what they make is garbage that needs a collector."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to open a node; None means as the config says."""

    data_dir: Path | None = None
    durability: Durability | None = None
    ceiling: Grants | None = None
    clock: Clock | None = None
    entropy: Entropy | None = None
    workers: int | None = None
    purpose: str = "runtime"
    reserve_bytes: int | None = None
    cache: Path | None = None
    """Where compiled code is kept, if not in the data directory."""
    fault: Fault = no_fault
    """What a test does at the store's named places."""


def open_node(options: Options, environ: Mapping[str, str], closing: ExitStack) -> tuple[Node, Config]:
    """Take the data directory and put the parts together; ``closing`` gets what has to be closed.

    Raises:
        DataDirLocked: another process holds the data directory.
        Damaged: the store is not what was written.
        InvalidInput: the config cannot be used.
    """
    _tune_interpreter()
    registry = installed()
    config = read_config(registry, environ, data_dir=str(options.data_dir) if options.data_dir else None)
    # "process" and "power" are the only two values that read_config lets through
    durability = options.durability or cast("Durability", config.durability.value)
    data_dir = DataDir(Path(config.data_dir.value))
    data_dir.hold(options.purpose)
    closing.callback(data_dir.release)
    clock = options.clock or SystemClock()
    closing.callback(clock.close)
    store = SqliteEventStore.open(data_dir, durability=durability, fault=options.fault)
    closing.callback(store.close)
    engine = WasmtimeEngine(options.cache or data_dir.cache, workers=options.workers)
    closing.callback(engine.close)
    engine.when_idle(store.flush)
    blobs = FileBlobStore(data_dir.components)
    entropy = options.entropy or SystemEntropy()
    services = Services(
        registry,
        data_dir.root / "capabilities",
        clock=clock,
        entropy=entropy,
        secret=NodeSecrets(config.secrets, environ).value,
        certificate=config.certificates.get,
    )
    closing.callback(services.close)
    node = Node(
        store=store,
        blobs=blobs,
        engine=engine,
        registry=registry,
        loader=Loader(engine, blobs, registry),
        clock=clock,
        entropy=entropy,
        ceiling=options.ceiling if options.ceiling is not None else config.ceiling,
        environ=environ,
        reserve_bytes=options.reserve_bytes if options.reserve_bytes is not None else config.reserve_bytes,
        services=services,
    )
    return node, config


def _tune_interpreter() -> None:
    """These settings are the process's, not ours alone; each is worth a tenth and more of every step."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if gc.get_threshold()[0] < GC_THRESHOLD:
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
