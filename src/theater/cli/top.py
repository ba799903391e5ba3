"""``top``: what the actors of a server are doing, measured between two looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from theater.cli import options
from theater.cli.layout import count_text, size_text
from theater.cli.session import session_of
from theater.client import Client
from theater.errors import InvalidInput, NotFound
from theater.model.header import parse_time
from theater.model.wire import ActorRow, NodeDocument

INTERVAL_S = 1.0
INTERVAL_MIN_S = 0.1
INTERVAL_MAX_S = 3600.0

AGES_MAX = 50
"""Of how many actors the last event is asked for at each look; those further down have to wait."""

_COLUMNS = ["NAME", "ID", "STATUS", "STEPS/S", "EVENTS/S", "RESTARTS", "WAITING", "LAST"]
_ID_SHOWN = 8
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


@dataclass(frozen=True, slots=True)
class Activity:
    """What an actor did between two looks."""

    row: ActorRow
    steps_per_s: float
    events_per_s: float
    last: str | None = None
    """The time of its last event, where that was asked for."""


def top(
    context: typer.Context,
    interval: Annotated[
        str | None, typer.Option("--interval", metavar="TIME", help="How long to wait between two looks; 1s.")
    ] = None,
    once: Annotated[  # noqa: FBT002 - an option
        bool, typer.Option("--once", help="Show one table and end, as where there is no terminal.")
    ] = False,
) -> None:
    """Show what the actors of a server are doing, the busiest first."""
    session = session_of(context)
    output = session.output
    interval_s = options.duration(interval, "--interval", INTERVAL_S)
    if not INTERVAL_MIN_S <= interval_s <= INTERVAL_MAX_S:
        raise typer.BadParameter(f"--interval {interval}: use {INTERVAL_MIN_S:g}s to {INTERVAL_MAX_S:g}s")
    with session.client() as client:
        looks = Looks(client, interval_s)
        if once or output.json or not output.is_live:
            found = looks.next()
            if output.json:
                output.document([_document(activity) for activity in found])
            else:
                output.table(_COLUMNS, _rows(found))
            return
        with output.changing() as show:
            while True:
                found = looks.next()
                show(_title(client.node()), _COLUMNS, _rows(found))


class Looks:
    """One look after the other at a server, an interval apart."""

    def __init__(self, client: Client, interval_s: float) -> None:
        self._client = client
        self._interval_s = interval_s
        self._timer = threading.Event()  # never set: what ends the wait is time, or a signal
        self._before, self._at_s = self._look()
        self._times: dict[str, tuple[int, str]] = {}

    def next(self) -> list[Activity]:
        """What happened since the last look, the busiest actor first. Waits for the interval."""
        self._timer.wait(self._interval_s)
        now, at_s = self._look()
        found = busiest(self._before, now, at_s - self._at_s)
        self._before, self._at_s = now, at_s
        self._times = {id: known for id, known in self._times.items() if id in now}
        return [*map(self._with_time, found[:AGES_MAX]), *found[AGES_MAX:]]

    def _look(self) -> tuple[dict[str, ActorRow], float]:
        return {row.id: row for row in self._client.actors()}, time.monotonic()

    def _with_time(self, activity: Activity) -> Activity:
        row = activity.row
        seq, text = self._times.get(row.id, (-1, ""))
        if seq != row.seq:
            try:
                text = next((event.time for event in self._client.events(row.id, start=row.seq, limit=1)), "")
            except NotFound:  # removed since the look
                text = ""
            self._times[row.id] = row.seq, text
        return replace(activity, last=text or None)


def busiest(before: dict[str, ActorRow], now: dict[str, ActorRow], took_s: float) -> list[Activity]:
    """What each actor did in that time, the busiest first; those alike in the order of their names.

    A server that was restarted counts its steps from 0 again: what is less than before is all new.
    """
    found: list[Activity] = []
    for row in now.values():
        old = before.get(row.id)
        steps, old_steps = row.steps or 0, (old.steps or 0) if old is not None else 0
        steps -= old_steps if steps >= old_steps else 0
        grown = row.seq - (old.seq if old is not None else -1)
        found.append(Activity(row, steps / took_s, max(0, grown) / took_s))
    return sorted(found, key=lambda item: (-item.steps_per_s, -item.events_per_s, -item.row.waiting, item.row.name))


def age_text(text: str | None, now_us: int) -> str:
    """How long ago a time of a chain was: ``3s``, ``5m``, ``2h``, ``9d``; ``-`` where it is not known."""
    try:
        age_s = (now_us - parse_time(text or "")) // 1_000_000
    except InvalidInput:
        return "-"
    for unit, seconds in _UNITS:
        if age_s >= seconds:
            return f"{age_s // seconds}{unit}"
    return f"{max(0, age_s)}s"


def _title(node: NodeDocument) -> str:
    has = f"{count_text(node.actors, 'actor')}, {node.running} running, {count_text(node.events, 'event')}"
    return f"{has}, {size_text(node.free_bytes)} free; Ctrl-C ends"


def _rows(found: Sequence[Activity]) -> list[list[str]]:
    now_us = time.time_ns() // 1000
    return [
        [
            item.row.name,
            item.row.id[:_ID_SHOWN],
            item.row.status,
            f"{item.steps_per_s:.1f}",
            f"{item.events_per_s:.1f}",
            str(item.row.restarts),
            str(item.row.waiting),
            age_text(item.last, now_us),
        ]
        for item in found
    ]


def _document(item: Activity) -> dict[str, object]:
    row = item.row
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "steps_per_s": round(item.steps_per_s, 3),
        "events_per_s": round(item.events_per_s, 3),
        "restarts": row.restarts,
        "waiting": row.waiting,
        "last": item.last,
    }
