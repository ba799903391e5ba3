"""Nodes that change nothing: to run the actors of a store again, and to look at components."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from theater.capabilities.registry import installed
from theater.cli.session import Session
from theater.engine import WasmtimeEngine
from theater.errors import InvalidInput
from theater.model.ports import BlobStore
from theater.runtime.loading import Loader
from theater.runtime.node import Node
from theater.runtime.sources import Assemble
from theater.runtime.system import SystemClock, SystemEntropy
from theater.store import DataDir, FileBlobStore, MemoryBlobStore, MemoryEventStore, SqliteEventStore


@contextmanager
def reading_node(session: Session) -> Iterator[Node]:
    """A node that runs the actors of the store again and writes nothing into it."""
    with session.store() as store, ExitStack() as closing:
        yield _node(session, store, FileBlobStore(session.folder().components), closing)


@contextmanager
def empty_node(session: Session) -> Iterator[Node]:
    """A node that knows no actor, to look at components with: only the cache of compiled code is shared."""
    store, blobs = MemoryEventStore(), MemoryBlobStore()
    with ExitStack() as closing:
        closing.callback(store.close)
        closing.callback(blobs.close)
        yield _node(session, store, blobs, closing)


def assembler(session: Session) -> Assemble:
    """Assembles component text, with an engine that is opened for each: most components need none."""

    def assemble(text: str) -> bytes:
        with empty_node(session) as node:
            return node.engine.assemble(text)

    return assemble


def _node(session: Session, store: SqliteEventStore | MemoryEventStore, blobs: BlobStore, closing: ExitStack) -> Node:
    config = session.config()
    data_dir = DataDir(Path(config.data_dir.value))
    try:
        data_dir.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = WasmtimeEngine(data_dir.cache)
    except OSError as error:
        raise InvalidInput(f"the data directory {data_dir.root} cannot be used: {error}") from error
    closing.callback(engine.close)
    clock = SystemClock()
    closing.callback(clock.close)
    registry = installed()
    return Node(
        store=store,
        blobs=blobs,
        engine=engine,
        registry=registry,
        loader=Loader(engine, blobs, registry),
        clock=clock,
        entropy=SystemEntropy(),
        ceiling=config.ceiling,
        environ=session.environ,
    )
