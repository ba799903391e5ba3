"""An actor as every command shows it: one line, or the document of ``--json``."""

from __future__ import annotations

from theater.errors import TheaterError
from theater.model.ports import ActorRecord
from theater.model.wire import ActorRow


def row_document(row: ActorRow, failure: TheaterError | None = None) -> dict[str, object]:
    """An actor as ``--json`` shows it; with ``failure``, how its first step failed."""
    document: dict[str, object] = {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "parent": row.parent,
        "seq": row.seq,
        "head": row.head,
    }
    if failure is not None:
        document["error"] = {"code": failure.code, "message": failure.message}
    return document


def row_line(row: ActorRow | ActorRecord) -> str:
    """An actor on one line."""
    return f"{row.id}  {row.name}  {row.status}"


def status_text(row: ActorRow) -> str:
    """Its status, and whether it has state that no event has."""
    return row.status + (", hidden state" if row.hidden_state else "")
