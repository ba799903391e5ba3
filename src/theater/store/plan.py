"""What one transaction will write. Everything that can refuse a batch is decided here, before it begins.

So a refused batch costs its companions nothing, and leaves nothing in the plan either: it may be refused after some of
its parts were accepted (a birth, an entry of another actor), and these are taken back.
"""

from __future__ import annotations

from theater.errors import HeadConflict, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId
from theater.model.ports import LIVING, ActorRecord, Append, Appended
from theater.store.blob_table import statement_of, statements_ending
from theater.store.chain_table import Chain, ChainTable
from theater.store.entries import EntryPlan, EntryTable
from theater.store.frames import encode_frames
from theater.store.refusals import missing_entry, missing_holder, name_taken, other_head, removed
from theater.store.undo import Undo
from theater.store.wiping import OWE_SCRUBBING

_INSERT_CHAIN = "INSERT INTO chains (ref, actor) VALUES (?, ?)"
_SET_ATTEMPT = "UPDATE chains SET attempt = ? WHERE ref = ?"
_UPSERT_RECORD = """
INSERT INTO records (ref, name, status, parent, created_us, program, has_hidden_state, engine, restarts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (ref) DO UPDATE SET name = excluded.name, status = excluded.status, parent = excluded.parent,
    created_us = excluded.created_us, program = excluded.program, has_hidden_state = excluded.has_hidden_state,
    engine = excluded.engine, restarts = excluded.restarts
"""
_DELETE_RECORD = "DELETE FROM records WHERE ref = ?"
_MARK_REMOVED = "UPDATE chains SET erasure = 1, kept_from = ?, attempt = 0 WHERE ref = ?"


class Plan:
    """Takes one batch after the other; each sees what those before it will have done."""

    __slots__ = (
        "_named",
        "_names",
        "_table",
        "_undo",
        "chains",
        "entries",
        "index",
        "next_ref",
        "payloads",
        "rows",
        "statements",
    )

    def __init__(self, chains: ChainTable, entries: EntryTable, *, index: int, next_ref: int) -> None:
        self._table = chains
        self._undo = Undo()
        self._names: dict[str, ActorId] = {}  # who claimed a name last, of those whose records are written
        self._named: dict[ActorId, str | None] = {}  # the names of these; None for one that is dead
        self.index = index
        self.next_ref = next_ref
        self.chains: dict[ActorId, Chain] = {}
        self.entries = EntryPlan(entries, self._undo)
        self.payloads: list[Event] = []
        self.statements: list[tuple[str, tuple[object, ...]]] = []
        self.rows: list[object] = []

    def add(self, batch: Append) -> Appended | StoreError:
        """Plan ``batch``, or say why not; then nothing of it is in the plan."""
        self._undo.begin()
        first_index, next_ref = self.index, self.next_ref
        sizes = len(self.payloads), len(self.statements), len(self.rows)
        refusal = self._refusal(batch)
        if refusal is None:
            chain = self._chain(batch.actor)
            return Appended(EMPTY if chain is None else chain.head, first_index)
        self._undo.roll_back()
        self.index, self.next_ref = first_index, next_ref
        del self.payloads[sizes[0] :], self.statements[sizes[1] :], self.rows[sizes[2] :]
        return refusal

    def _refusal(self, batch: Append) -> StoreError | None:
        # Chains first: an entry may be put for an actor that is born in the same batch.
        refusal = self._extend_chain(batch)
        for birth in batch.births:
            refusal = refusal or self._extend_chain(birth)
        if refusal is None and (batch.drops or batch.puts or batch.requires or batch.erases):
            refusal = self._change_entries(batch)
        for birth in batch.births:
            refusal = refusal or self._change_entries(birth)
        if refusal is None and batch.blobs:
            self._change_blobs(batch)
        return refusal

    def _extend_chain(self, part: Append) -> StoreError | None:
        actor, events, record = part.actor, part.events, part.record
        if part.expected is None:
            return None
        chain = self._chain(actor)
        head = EMPTY if chain is None else chain.head
        if chain is not None and chain.is_removed:
            return removed(actor, head)
        if head != part.expected:
            return other_head(actor, head, part.expected)
        if record is not None:
            refusal = self._claim_name(actor, record)
            if refusal is not None:
                return refusal
        if chain is None:
            ref, size_bytes = self.next_ref, 0
            self.next_ref += 1
            self.statements.append((_INSERT_CHAIN, (ref, actor)))
        else:
            ref, size_bytes = chain.ref, chain.size_bytes
        if record is not None:
            self.statements.append((_UPSERT_RECORD, _record_row(ref, record)))
        if part.attempt is not None:
            self.statements.append((_SET_ATTEMPT, (part.attempt, ref)))
        if part.erases:
            self.statements += (
                (_DELETE_RECORD, (ref,)),
                (_MARK_REMOVED, (head.seq + 1, ref)),
                (OWE_SCRUBBING, ()),
            )
            self.statements += statements_ending(actor)
            self._undo.put(self._named, actor, None)
        if events:
            last, count = events[-1], len(self.payloads)
            frames = encode_frames(events, self.payloads)
            size_bytes += len(frames)
            for large in self.payloads[count:]:
                size_bytes += large.header.size_bytes
            self.rows += (self.index, ref, head.seq + 1, len(events), bytes.fromhex(last.hash), frames, size_bytes)
            self.index += len(events)
            head = Head(last.header.seq, last.hash)
        self._undo.put(self.chains, actor, Chain(ref, head, size_bytes, part.erases))
        return None

    def _claim_name(self, actor: ActorId, record: ActorRecord) -> StoreError | None:
        name = record.name
        is_living = record.status in LIVING
        if is_living:
            holder = self._names.get(name) or self._table.name_holder(name)
            if holder in self._named and self._named[holder] != name:
                holder = None  # it has let go of the name meanwhile
            if holder is not None and holder != actor:
                return name_taken(name, holder)
        self._undo.put(self._named, actor, name if is_living else None)
        if is_living:
            self._undo.put(self._names, name, actor)
        return None

    def _change_entries(self, part: Append) -> HeadConflict | None:
        entries = self.entries
        for needed in part.requires:
            chain = self._chain(needed.actor)
            if chain is None or not entries.has(chain.ref, needed.space, needed.key):
                return missing_entry(needed)
        for drop in part.drops:
            chain = self._chain(drop.actor)
            was_there = chain is not None and entries.drop(chain.ref, drop.space, drop.key)
            if drop.required and not was_there:
                return missing_entry(drop)
        for put in part.puts:
            chain = self._chain(put.actor)
            if chain is None or chain.head == EMPTY:
                return missing_holder(put)
            if chain.is_removed:
                continue  # it was on its way when its holder was removed
            entries.put(chain.ref, put)
        if part.erases:
            chain = self._chain(part.actor)
            assert chain is not None
            entries.drop_all(chain.ref)
        return None

    def _change_blobs(self, batch: Append) -> None:
        for writes in batch.blobs:
            for change in writes.changes:
                owner = change.space.owner
                chain = None if owner is None else self._chain(owner)
                if chain is None or not chain.is_removed:
                    self.statements.append(statement_of(change))

    def _chain(self, actor: ActorId) -> Chain | None:
        return self.chains.get(actor) or self._table.chain(actor)


def _record_row(ref: int, record: ActorRecord) -> tuple[object, ...]:
    return (
        ref,
        record.name,
        record.status,
        record.parent,
        record.created_us,
        record.program,
        record.has_hidden_state,
        record.engine,
        record.restarts,
    )
