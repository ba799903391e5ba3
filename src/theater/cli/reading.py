"""Looking at actors: the same documents, whether a server is asked or the store is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, Protocol

from theater.capabilities.registry import Registry
from theater.errors import NotFound
from theater.model.ids import is_actor_id
from theater.model.ports import ActorRecord, EventStore
from theater.model.wire import ActorDetail, ActorRow, EventRow, StateDocument
from theater.runtime.lookup import find_record
from theater.runtime.views import actor_detail, actor_rows, event_row, state_document
from theater.store import DataDir


class Reading(Protocol):
    """What commands that look ask. ``theater.client.Client`` is one, and says what each method raises."""

    def actors(self, status: str | None = None, parent: str | None = None) -> Iterator[ActorRow]:
        """The actors, oldest first."""

    def actor(self, id: str) -> ActorDetail:
        """Everything about one actor but its events and its state."""

    def state(self, id: str, at: int | None = None) -> StateDocument:
        """An actor's state, now or as of event ``at``."""

    def events(self, id: str, start: int = 0, kind: str | None = None, limit: int | None = None) -> Iterator[EventRow]:
        """An actor's events from ``start`` on."""


class StoreReading:
    """Reads a store, whoever may be writing to it."""

    def __init__(self, store: EventStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def actors(self, status: str | None = None, parent: str | None = None) -> Iterator[ActorRow]:
        records = self._store.records()
        if status is not None:
            records = [record for record in records if record.status == status]
        if parent is not None:
            above = parent if is_actor_id(parent) else self._found(parent).id
            records = [record for record in records if record.parent == above]
        records = sorted(records, key=lambda record: (record.created_us, record.id))
        return iter(actor_rows(self._store, records))

    def actor(self, id: str) -> ActorDetail:
        return actor_detail(self._store, self._registry, self._found(id))

    def state(self, id: str, at: int | None = None) -> StateDocument:
        return state_document(self._store, self._found(id), at)

    def events(self, id: str, start: int = 0, kind: str | None = None, limit: int | None = None) -> Iterator[EventRow]:
        return self._events(self._found(id), start, kind, limit)

    def _events(self, record: ActorRecord, start: int, kind: str | None, limit: int | None) -> Iterator[EventRow]:
        count = 0
        for event in self._store.events(record.id, start=start):
            if limit is not None and count >= limit:
                return
            if kind is None or event.header.kind == kind:
                count += 1
                yield event_row(event)

    def _found(self, id: str) -> ActorRecord:
        return find_record(self._store, id)


class NothingYet:
    """Reads a data directory in which there is no store: it has no actors, and asking for one is a mistake."""

    def __init__(self, folder: DataDir) -> None:
        self._folder = folder

    def actors(self, status: str | None = None, parent: str | None = None) -> Iterator[ActorRow]:
        return iter(()) if parent is None else self._none()

    def actor(self, id: str) -> ActorDetail:
        return self._none()

    def state(self, id: str, at: int | None = None) -> StateDocument:
        return self._none()

    def events(self, id: str, start: int = 0, kind: str | None = None, limit: int | None = None) -> Iterator[EventRow]:
        return self._none()

    def _none(self) -> NoReturn:
        self._folder.require_store()
        raise NotFound(f"the store in {self._folder.root} has been made just now: try again")
