"""The tree of commands: each is imported when it is asked for, and none to show what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import typer
from typer.core import TyperCommand, TyperGroup

from theater.cli.commands import ROWS, Row
from theater.cli.session import Program

AnyCommand = TyperCommand | TyperGroup

NAME = "theater"

COMPLETING = "_THEATER_COMPLETE"
"""The environment variable by which a shell asks what may stand where the cursor is."""

_HELP = "Run actors that nobody has to trust: sandboxed, recorded, replayed, verified."


class Commands(MutableMapping[str, AnyCommand]):
    """The commands of a group by name, made when they are asked for."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self.rows = rows
        self._made: dict[str, AnyCommand] = {}

    def __getitem__(self, name: str) -> AnyCommand:
        if name not in self._made:
            self._made[name] = _made(name, self.rows[name])
        return self._made[name]

    def __setitem__(self, name: str, command: AnyCommand) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def titles(self) -> dict[str, AnyCommand]:
        """Commands that can do nothing but be listed."""
        return {name: TyperCommand(name, help=row.help, rich_help_panel=row.panel) for name, row in self.rows.items()}


class Group(Program):
    """A group whose commands are ``Commands``; the program itself is one."""

    def list_commands(self, ctx):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - typer's own types are private
        return list(self.commands)

    def format_help(self, ctx, formatter):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - typer's own types are private
        commands = self.commands
        assert isinstance(commands, Commands)
        self.commands = dict(commands.titles())  # typer asks each for its line
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = commands  # type: ignore[assignment]  # of typer's own type, which is private


def program() -> TyperGroup:
    """The whole tree, of which nothing has been imported yet."""
    return _group(NAME, _HELP, None, ROWS)


def _made(name: str, row: Row) -> AnyCommand:
    function = None if row.home is None else named(row.home)
    if row.members:
        return _group(name, row.help, function, row.members)
    assert callable(function)
    kind = named(row.kind)
    assert isinstance(kind, type)
    assert issubclass(kind, TyperCommand)
    app = typer.Typer(add_completion=False)
    app.command(name, cls=kind, rich_help_panel=row.panel)(function)
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand)
    return command


def _group(name: str, title: str, function: object, rows: Mapping[str, Row]) -> TyperGroup:
    """A group; with a ``function``, which is called for its members too, it does something of itself."""
    assert function is None or callable(function)
    app = typer.Typer(
        name=name,
        cls=Group,
        callback=function,
        help=None if function is not None else title,
        invoke_without_command=function is not None,
        no_args_is_help=function is None,
        add_completion=False,
    )
    group = typer.main.get_group(app)
    group.commands = Commands(rows)  # type: ignore[assignment]  # of typer's own type, which is private
    return group


def named(place: str) -> object:
    """What is written ``module:name``, imported now."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
