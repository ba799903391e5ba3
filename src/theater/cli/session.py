"""What every command shares: the global options, the config, and the store opened for reading.

``--json``, ``--data-dir`` and ``-v`` may stand before the command or after it. They are parameters of the program and
of each command alike, and none of them reaches a command's function: they set the ``Session``, the context's object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from theater.capabilities.registry import installed
from theater.cli.output import Output
from theater.engine import WasmtimeEngine
from theater.errors import InvalidInput
from theater.model.ports import BlobStore
from theater.runtime.config import Config, read_config
from theater.runtime.loading import Loader
from theater.runtime.node import Node
from theater.runtime.system import SystemClock, SystemEntropy
from theater.store import DataDir, FileBlobStore, MemoryBlobStore, MemoryEventStore, SqliteEventStore


@dataclass(slots=True)
class Session:
    """One call of the program."""

    environ: Mapping[str, str]
    output: Output = field(default_factory=Output)
    data_dir: str | None = None
    verbose: bool = False

    def config(self) -> Config:
        """What is in force. Raises ``InvalidInput``."""
        return read_config(installed(), self.environ, data_dir=self.data_dir)

    def folder(self) -> DataDir:
        """The data directory in force; nothing of it is opened."""
        return DataDir(Path(self.config().data_dir.value))

    @contextmanager
    def store(self) -> Iterator[SqliteEventStore]:
        """The store for reading, whoever holds it.

        Raises:
            NotFound: there is none.
            Damaged: it is not what was written.
        """
        store = SqliteEventStore.open(self.folder(), read_only=True)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def reading_node(self) -> Iterator[Node]:
        """A node that runs the actors of the store again and writes nothing into it."""
        with self.store() as store, ExitStack() as closing:
            yield self._node(store, FileBlobStore(self.folder().components), closing)

    @contextmanager
    def empty_node(self) -> Iterator[Node]:
        """A node that knows no actor, to look at components with: only the cache of compiled code is shared."""
        store, blobs = MemoryEventStore(), MemoryBlobStore()
        with ExitStack() as closing:
            closing.callback(store.close)
            closing.callback(blobs.close)
            yield self._node(store, blobs, closing)

    def _node(self, store: SqliteEventStore | MemoryEventStore, blobs: BlobStore, closing: ExitStack) -> Node:
        config = self.config()
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
            environ=self.environ,
        )


def session_of(context: typer.Context) -> Session:
    """The session of a command that is being run."""
    session = context.obj
    assert isinstance(session, Session)
    return session


def _set_json(context: typer.Context, _parameter: object, value: object) -> None:
    if value:
        session_of(context).output.json = True


def _set_verbose(context: typer.Context, _parameter: object, value: object) -> None:
    if value:
        session_of(context).verbose = True


def _set_data_dir(context: typer.Context, _parameter: object, value: object) -> None:
    if value is not None:
        session_of(context).data_dir = str(value)


def _global_options() -> list[TyperOption]:
    panel = "Everywhere"
    return [
        TyperOption(
            param_decls=["--data-dir"],
            type=str,
            metavar="DIR",
            expose_value=False,
            callback=_set_data_dir,
            help="Where actors are kept; else $THEATER_DATA_DIR, the config file, or $XDG_DATA_HOME/theater.",
            rich_help_panel=panel,
        ),
        TyperOption(
            param_decls=["--json"],
            type=bool,
            default=False,
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help="Print one JSON document.",
            rich_help_panel=panel,
        ),
        TyperOption(
            param_decls=["--verbose", "-v"],
            type=bool,
            default=False,
            is_flag=True,
            expose_value=False,
            callback=_set_verbose,
            help="Say more: backtraces, and the traceback of an internal error.",
            rich_help_panel=panel,
        ),
    ]


class Command(TyperCommand):
    """A command that takes the global options, too."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # passed on as typer made them
        self.params = [*self.params, *_global_options()]


class Program(TyperGroup):
    """The program itself: the global options before the command."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # passed on as typer made them
        self.params = [*self.params, *_global_options()]
