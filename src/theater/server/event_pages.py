"""A page of events out of the past, of one actor or of all."""

from __future__ import annotations

from typing import Final

from theater.model import wire
from theater.model.ids import ActorId
from theater.model.ports import EventStore
from theater.runtime.following import Page, end_place, read_page
from theater.runtime.views import event_row

SCANNED_MAX: Final = 20_000
"""Events that are looked at for one page, where only those of one kind are wanted."""

SCANNED_MAX_BYTES: Final = 2**25
"""Likewise of their payloads."""

SCAN_PAGE: Final = 1000
"""Events that are read at once while one kind is looked for."""

PAGE_MAX_BYTES: Final = 2**22
"""Of payload; a page ends with the event that reaches it, and says where to go on."""


def event_page(
    store: EventStore, actor: ActorId | None, *, start: int, limit: int, kind: str | None = None
) -> wire.EventPage:
    """The events from place ``start`` on, at most ``limit``, only those of ``kind`` where that is given. Blocks.

    It may hold fewer, even none, and there is more all the same: then ``next`` says from where.

    Raises:
        Damaged: what is stored is not what was written.
    """
    rows: list[wire.EventRow] = []
    size_bytes = scanned = scanned_bytes = 0
    place = start
    while len(rows) < limit and size_bytes < PAGE_MAX_BYTES:
        if scanned >= SCANNED_MAX or scanned_bytes >= SCANNED_MAX_BYTES:
            break
        found = read_page(store, actor, place, most=_most(limit - len(rows), kind))
        if not found:
            return wire.EventPage(events=rows, next=None)
        place = found[-1][0] + 1
        scanned += len(found)
        scanned_bytes += _size_bytes(found)
        wanted = [(at, event) for at, event in found if kind is None or event.header.kind == kind]
        for at, event in wanted:
            if len(rows) >= limit:
                place = at
                break
            rows.append(event_row(event, at if actor is None else None))
        size_bytes += _size_bytes(wanted)
    return wire.EventPage(events=rows, next=place if place < end_place(store, actor) else None)


def _most(wanted: int, kind: str | None) -> int:
    return wanted if kind is None else SCAN_PAGE


def _size_bytes(page: Page) -> int:
    return sum(event.header.size_bytes for _, event in page)
