"""Grants for people: shown before anything runs, and asked about where a manifest wants more than the node allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import typer

from theater.cli.output import Output
from theater.errors import Denied
from theater.model.capability import Grant

Tables = Mapping[str, Mapping[str, object]]
"""Grants as one would write them in a manifest, by capability."""

T = TypeVar("T")


def check_allowed(texts: list[str]) -> list[str]:
    """What stands behind ``--allow``; a wrong one is wrong usage."""
    for text in texts:
        if not text.partition("=")[0]:
            raise typer.BadParameter(f"--allow {text!r}: write CAPABILITY or CAPABILITY=PATTERN")
    return texts


def decide_or_ask(decide: Callable[[Sequence[str]], T], *, allowed: Sequence[str], output: Output) -> T:
    """What ``decide`` makes of what is ``allowed``. A person is asked once whether what goes beyond is, this time.

    Raises:
        Denied: there is nobody to ask, or the answer is no.
        Others: as ``decide``.
    """
    try:
        return decide(allowed)
    except Denied as denied:
        if not output.is_interactive:
            raise
        lines = asked_lines(denied)
        output.note("the manifest asks for more than this node allows:")
        for line in lines:
            output.note(f"    {line}")
        if not output.confirm("allow it this once?"):
            raise
        more = [line.removeprefix("[capabilities.").removesuffix("]") for line in lines if line.startswith("[")]
        return decide([*allowed, *more])


def show_grants(effective: Mapping[str, Grant], output: Output) -> None:
    """What the actor gets, one line a capability."""
    show_effective({name: grant.table() for name, grant in effective.items()}, output)


def show_effective(effective: Tables, output: Output) -> None:
    """The same, of the tables that a server sends."""
    for name, table in sorted(effective.items()):
        output.note(f"grant  {table_line(name, table)}")


def grant_line(name: str, grant: Grant) -> str:
    """A capability and what of it, on one line."""
    return table_line(name, grant.table())


def table_line(name: str, table: Mapping[str, object]) -> str:
    """The same, of a table."""
    keys = ", ".join(_keys(table))
    return f"{name}  {keys}" if keys else name


def grant_keys(grant: Grant) -> list[str]:
    """The keys of a grant as they would stand in a manifest, defaults written out."""
    return _keys(grant.table())


def _keys(table: Mapping[str, object]) -> list[str]:
    return [key_line(key, value) for key, value in table.items()]


def key_line(key: str, value: object) -> str:
    """A key with its value, as it would stand in a manifest."""
    return f"{key} = {msgspec.json.encode(value).decode()}"


def asked_lines(denied: Denied) -> list[str]:
    """What goes beyond the ceiling, as it would be allowed there."""
    asked = denied.data.get("asked")
    return [str(line) for line in asked] if isinstance(asked, list) else []
