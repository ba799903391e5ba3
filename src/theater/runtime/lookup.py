"""Finding the actor that a person means: exact name, exact id, or the beginning of an id."""

from __future__ import annotations

from theater.errors import NotFound
from theater.model.ids import ID_PREFIX_MIN
from theater.model.ports import LIVING, ActorRecord, EventStore
from theater.model.spelling import nearest


def find_record(store: EventStore, text: str) -> ActorRecord:
    """The one actor that ``text`` names. A living actor's name goes before a dead one's.

    Raises:
        NotFound: none, or several ids that begin so; the nearest names, or those ids, are in the message.
    """
    found = store.find(text)
    named = [record for record in found if record.name == text]
    if named:
        living = [record for record in named if record.status in LIVING]
        return (living or sorted(named, key=lambda record: record.created_us, reverse=True))[0]
    exact = [record for record in found if record.id == text]
    if exact:
        return exact[0]
    begins = [record for record in found if record.id.startswith(text)] if len(text) >= ID_PREFIX_MIN else []
    if len(begins) == 1:
        return begins[0]
    if begins:
        several = ", ".join(f"{record.id[:12]} ({record.name})" for record in begins[:5])
        raise NotFound(f"{len(begins)} ids begin with {text!r}: {several}; give more digits")
    raise NotFound(f"no actor {text!r}{nearest(text, [record.name for record in store.records()])}")
