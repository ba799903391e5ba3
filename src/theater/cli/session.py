"""What every command shares: the global options, the config, the server, and the store opened for reading.

``--json``, ``--data-dir``, ``--server`` and ``-v`` may stand before the command or after it. They are parameters of the
program and of each command alike, and none of them reaches a command's function: they set the ``Session``, the
context's object.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from theater.capabilities.registry import installed
from theater.cli.output import Output
from theater.client.finding import Where, is_named, named_in
from theater.errors import InvalidInput, TheaterError
from theater.model.json_text import NESTING_MAX
from theater.runtime.config import Config, read_config
from theater.runtime.server_files import is_served
from theater.store import DataDir, SqliteEventStore

if TYPE_CHECKING:
    from theater.cli.reading import NothingYet, Reading, StoreReading
    from theater.client import Client

_RECURSION_MIN = 4 * NESTING_MAX
"""CPython 3.11 bounds how deep a document may be nested that is decoded; a guest's value may be ``NESTING_MAX``."""


@dataclass(slots=True)
class Session:
    """One call of the program."""

    environ: Mapping[str, str]
    output: Output = field(default_factory=Output)
    data_dir: str | None = None
    server: str | None = None
    verbose: bool = False

    def config(self, arguments: Mapping[str, str | None] | None = None) -> Config:
        """What is in force, with what the command line says of further keys.

        Raises:
            typer.BadParameter: the command line says what there cannot be.
            InvalidInput: the environment or the config file does.
        """
        try:
            return read_config(
                installed(), self.environ, data_dir=self.data_dir, server=self.server, arguments=arguments
            )
        except InvalidInput as error:
            if error.message.startswith("--"):  # an option's name
                raise typer.BadParameter(error.message) from error
            raise

    def wants_json(self) -> bool:
        """Whether the environment or the config file asks for it. What is wrong with those is for others to say."""
        try:
            return self.config().output.value == "json"
        except TheaterError:
            return self.environ.get("THEATER_OUTPUT") == "json"

    def folder(self) -> DataDir:
        """The data directory in force; nothing of it is opened."""
        return DataDir(Path(self.config().data_dir.value))

    def has_server(self) -> bool:
        """Whether a server is named, or serves the data directory. Whether one that is named is there is not asked."""
        config = self.config()
        return is_named(config) or is_served(DataDir(Path(config.data_dir.value)))

    def where(self) -> Where:
        """The server to ask.

        Raises:
            NoServer: none is named, and none serves the data directory.
            typer.BadParameter, InvalidInput: as ``config``.
        """
        return named_in(self.config(), self.environ)

    def client(self) -> Client:
        """A client of the server to ask; ``with`` it, or close it.

        Raises: as ``where``. Whether one that is named is there is found out by the first call.
        """
        where = self.where()
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_MIN))
        # By name: what it needs takes longer to import than most commands take to run.
        kind = cast("type[Client]", import_module("theater.client.client").Client)
        return kind.at(where)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """What commands that look ask: the server, if there is one, or else the store, which may be none yet.

        Raises:
            NoServer: the server that serves the data directory does not listen yet.
            InvalidInput: the data directory is no folder.
            Damaged: the store is not what was written.
        """
        if self.has_server():
            with self.client() as client:
                yield client
            return
        folder = self.folder()
        if folder.root.exists() and not folder.root.is_dir():
            raise InvalidInput(f"the data directory {folder.root} is not a folder")
        module = import_module("theater.cli.reading")  # see client
        if folder.database.exists():
            with self.store() as store:
                yield cast("type[StoreReading]", module.StoreReading)(store, installed())
        else:
            yield cast("type[NothingYet]", module.NothingYet)(folder)

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


def _set_server(context: typer.Context, _parameter: object, value: object) -> None:
    if value is not None:
        session_of(context).server = str(value)


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
            param_decls=["--server"],
            type=str,
            metavar="URL",
            expose_value=False,
            callback=_set_server,
            help="The server to ask; else $THEATER_SERVER, the config file, or the one that serves the data directory.",
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
