"""``tree``: who supervises whom, how each is doing, and why those that failed did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from theater.cli.actor_row import status_text
from theater.cli.layout import Span, count_text, last_line, status_style
from theater.cli.session import session_of
from theater.errors import NotFound
from theater.model.wire import ActorRow, Failure

if TYPE_CHECKING:  # with a server it is not needed, and neither is what it needs
    from theater.cli.reading import Reading

FAILURES_MAX = 200
"""Of how many crashed actors the reason is shown: each has to be asked for."""

_ID_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Branch:
    """An actor and the actors below it, oldest first."""

    row: ActorRow
    children: list[Branch] = field(default_factory=list)


def tree(
    context: typer.Context,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Only this actor and those below it.", show_default=False)
    ] = None,
) -> None:
    """Show the actors as a tree: who supervises whom, and how each is."""
    session = session_of(context)
    output = session.output
    with session.reading() as reading:
        root = None if id is None else reading.actor(id).actor.id
        branches = grown(list(reading.actors()))
        if root is not None:
            branches = [_found(branches, root)]
        if output.json:
            documents = [_document(branch) for branch in branches]
            output.document(documents if root is None else documents[0])
            return
        failures = _Failures(reading)
        for branch in branches:
            for line in _lines(branch, failures, lead="", below=""):
                output.spans(line, is_whole=False)


def grown(rows: list[ActorRow]) -> list[Branch]:
    """The trees that these actors make. An actor whose parent is not here, or below itself, is a root."""
    branches = {row.id: Branch(row) for row in rows}
    roots: list[Branch] = []
    for branch in branches.values():
        parent = branches.get(branch.row.parent or "")
        if parent is None or _is_below(parent.row, branch.row.id, branches):
            roots.append(branch)
        else:
            parent.children.append(branch)
    return roots


def _is_below(row: ActorRow, ancestor: str, branches: dict[str, Branch]) -> bool:
    """Whether ``row`` is ``ancestor`` or below it: only a chain from elsewhere can say that of its own parent."""
    seen: set[str] = set()
    current: Branch | None = branches[row.id]
    while current is not None and current.row.id not in seen:
        if current.row.id == ancestor:
            return True
        seen.add(current.row.id)
        current = branches.get(current.row.parent or "")
    return False


class _Failures:
    """Why actors crashed, for as many as are asked for."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._asked = 0

    def of(self, row: ActorRow) -> Failure | None:
        if row.status != "crashed" or self._asked == FAILURES_MAX:
            return None
        self._asked += 1
        try:
            return self._reading.actor(row.id).failure
        except NotFound:  # removed since the list was made
            return None


def _found(branches: list[Branch], actor: str) -> Branch:
    for branch in _every(branches):
        if branch.row.id == actor:
            return branch
    raise NotFound(f"actor {actor} was removed just now")


def _every(branches: list[Branch]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from _every(branch.children)


def _lines(branch: Branch, failures: _Failures, *, lead: str, below: str) -> Iterator[list[Span]]:
    yield [(lead, "dim"), *_described(branch.row, failures.of(branch.row))]
    for child in branch.children:
        is_last = child is branch.children[-1]
        yield from _lines(
            child,
            failures,
            lead=below + ("└── " if is_last else "├── "),
            below=below + ("    " if is_last else "│   "),
        )


def _described(row: ActorRow, failure: Failure | None) -> Iterator[Span]:
    yield row.name, "bold"
    yield f"  {row.id[:_ID_SHOWN]}  ", "dim"
    yield status_text(row), status_style(row.status)
    if row.restarts:
        yield f"  {count_text(row.restarts, 'restart')}", "yellow"
    if row.waiting:
        yield f"  {row.waiting} waiting", ""
    if failure is not None:
        yield f"  {': '.join(part for part in (failure.reason, last_line(failure.message)) if part)}", "red"


def _document(branch: Branch) -> dict[str, object]:
    row = branch.row
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "restarts": row.restarts,
        "children": [_document(child) for child in branch.children],
    }
