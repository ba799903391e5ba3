"""``inspect``: all that is known of one actor, on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
import typer

from theater.capabilities.registry import installed
from theater.cli.actor_row import status_text
from theater.cli.grants import key_line
from theater.cli.layout import GAP, Span, count_text, last_line, size_text, status_style
from theater.cli.look import Id
from theater.cli.output import Output
from theater.cli.salient import event_summary
from theater.cli.session import session_of
from theater.errors import TheaterError
from theater.model.wire import ActorDetail, EventRow

if TYPE_CHECKING:  # with a server it is not needed, and neither is what it needs
    from theater.cli.reading import Reading

LAST_EVENTS = 5
STATE_SHOWN_MAX_BYTES = 256 * 1024
"""A larger state is not fetched to show its beginning."""

_LABEL_COLUMNS = 13
_MARGIN_COLUMNS = _LABEL_COLUMNS + 2  # left of what stands behind a label


def inspect(context: typer.Context, id: Id) -> None:
    """Show everything about one actor."""
    session = session_of(context)
    output = session.output
    with session.reading() as reading:
        detail = reading.actor(id)
        if output.json:
            output.document(detail)
            return
        last = list(reading.events(detail.actor.id, start=max(0, detail.actor.seq + 1 - LAST_EVENTS)))
        state = _state(reading, detail)
    for spans in _lines(detail, state, output.columns):
        output.spans(spans, is_whole=False)
    _show_children(output, detail)
    _show_events(output, last)


def _state(reading: Reading, detail: ActorDetail) -> str:
    if detail.state_seq is None or detail.state_bytes is None:
        return "none"
    where = f"event {detail.state_seq}, {size_text(detail.state_bytes)}"
    if detail.state_bytes > STATE_SHOWN_MAX_BYTES:
        return where
    try:
        return f"{where}: {bytes(reading.state(detail.actor.id, at=detail.state_seq).state).decode()}"
    except TheaterError as error:  # what holds it was erased, or is none
        return f"{where}: {error.message}"


def _lines(detail: ActorDetail, state: str, columns: int) -> Iterator[list[Span]]:
    yield from _identity(detail)
    yield _line("state", state)
    yield from _supervision(detail)
    yield from _rights(detail, columns)
    yield _line(
        "holds",
        f"{detail.actor.waiting} waiting, {detail.deferred} put off, "
        f"{count_text(detail.timers, 'timer')}, {count_text(detail.channels, 'channel')}",
    )
    yield from _list("open", [[(line, "")] for line in detail.services])
    if detail.failure is not None:
        failure = detail.failure
        reason = f" ({failure.reason})" if failure.reason else ""
        what = f"{failure.kind}{reason} in event {failure.seq}: {last_line(failure.message)}"
        yield [_label("failure"), (what, "red")]


def _identity(detail: ActorDetail) -> Iterator[list[Span]]:
    row = detail.actor
    yield [(row.name, "bold"), ("  ", ""), (status_text(row), status_style(row.status))]
    yield _line("id", row.id)
    yield _line("parent", row.parent or "none")
    yield _line("created", row.created)
    yield _line("restarts", str(row.restarts))
    yield _line("program", f"sha256:{detail.program}")
    yield _line("role", f"{detail.role or 'unknown'}, {detail.instance or 'unknown'} instance")
    if detail.params is not None:
        yield _line("params", bytes(detail.params).decode("utf-8", "backslashreplace"))
    if detail.arguments:
        yield _line("arguments", msgspec.json.encode(detail.arguments).decode())
    yield _line("made by", f"Theater {detail.version or '?'}, {detail.engine or '?'}, node {(detail.node or '?')[:16]}")
    durability = "loss of power" if detail.durability == "power" else "death of the process"
    yield _line("durability", f"{detail.durability}: what was answered survives the {durability}")
    yield _line(
        "chain", f"{count_text(row.seq + 1, 'event')}, {size_text(detail.chain_bytes)}, head {row.seq} {row.head}"
    )


def _supervision(detail: ActorDetail) -> Iterator[list[Span]]:
    found = detail.supervision
    if found is not None:
        yield _line("supervises", f"{found.strategy}, {count_text(found.intensity, 'restart')} in {found.period}")
        yield _line("supervised", f"{found.restart}, from {found.restart_from}, shutdown {found.shutdown}")


def _rights(detail: ActorDetail, columns: int) -> Iterator[list[Span]]:
    yield from _list("grants", [_grant(name, table) for name, table in sorted(detail.grants.items())])
    yield from _list("allowed", [[(text, "yellow")] for text in detail.allowed])
    yield from _list("limits", _packed(_limits(detail.limits, detail.limits_set), columns - _MARGIN_COLUMNS))


def _grant(name: str, table: Mapping[str, object]) -> list[Span]:
    """A capability with all of its keys; those that are not as an empty table has them are marked."""
    known = installed().capabilities.get(name)
    default = known.parse({}).table() if known is not None else {}
    spans: list[Span] = [(name, "")]
    for number, (key, value) in enumerate(table.items()):
        is_default = key in default and default[key] == value
        spans += [(", " if number else "  ", "dim"), (key_line(key, value), "dim" if is_default else "")]
        spans += [] if is_default else [(" (set)", "bold")]
    return spans


def _limits(limits: Mapping[str, object], chosen: list[str]) -> Iterator[list[Span]]:
    for key, value in limits.items():
        if key in chosen:
            yield [(f"{key} = {value}", ""), (" (set)", "bold")]
        else:
            yield [(f"{key} = {value}", "dim")]


def _packed(items: Iterable[list[Span]], columns: int) -> list[list[Span]]:
    """As many items on a line as it has room for, of ``columns``: one each would take a whole screen."""
    lines: list[list[Span]] = []
    used = 0
    for spans in items:
        length = sum(len(text) for text, _ in spans)  # keys and values of our own: a cell a character
        if lines and used + len(GAP) + length <= columns:
            lines[-1] += [(GAP, ""), *spans]
            used += len(GAP) + length
        else:
            lines.append(list(spans))
            used = length
    return lines


def _show_children(output: Output, detail: ActorDetail) -> None:
    if detail.children:
        output.line()
        rows = [[child.id, child.name, child.status, str(child.restarts)] for child in detail.children]
        output.table(["CHILD", "NAME", "STATUS", "RESTARTS"], rows)


def _show_events(output: Output, last: list[EventRow]) -> None:
    output.line()
    for row in last:
        output.spans([(event_summary(row, output.columns), "")], is_whole=False)


def _list(label: str, items: list[list[Span]]) -> Iterator[list[Span]]:
    for index, spans in enumerate(items):
        yield [_label(label if index == 0 else ""), *spans]


def _line(label: str, text: str) -> list[Span]:
    return [_label(label), (text, "")]


def _label(text: str) -> Span:
    return f"  {text:<{_LABEL_COLUMNS}}", "dim"
