"""What every batch is, whoever writes it: only a bug of ours breaks these rules, and nobody could repair it later."""

from __future__ import annotations

from theater.model.event import EMPTY, Head
from theater.model.ports import Append


def require_well_made(batch: Append) -> None:
    """Look at a batch before it is queued, while whoever made it is on the stack."""
    if batch.expected is None:
        assert not batch.events and not batch.births, "without an expected head only entries are written"  # noqa: PT018
        assert batch.record is None and batch.attempt is None, "without an expected head only entries are written"  # noqa: PT018
        assert not batch.erases, "who removes an actor knows its head"
        return
    if batch.erases:
        assert batch.expected != EMPTY, "only an actor with a chain is removed"
        assert batch.record is None and not batch.attempt, "a removed actor has no row"  # noqa: PT018
    _require_chained(batch, batch.expected)
    for birth in batch.births:
        assert birth.expected == EMPTY and birth.events, "a birth is the first append of a chain"  # noqa: PT018
        assert not birth.births, "a birth has no births of its own"
        assert not birth.erases, "a birth is no removal"
        _require_chained(birth, EMPTY)


def _require_chained(batch: Append, head: Head) -> None:
    for event in batch.events:
        header = event.header
        assert header.seq == head.seq + 1 and header.prev == head.hash and header.actor == batch.actor  # noqa: PT018
        head = Head(header.seq, event.hash)
