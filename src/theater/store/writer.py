"""The writer: batches become rows, in one transaction for all that came together.

A batch costs one row. The rows of a transaction go in with one statement for up to ``_ROWS_MAX`` of them, because each
execution lets go of the interpreter lock and has to win it back from whoever computes meanwhile: that, and not the
disk, is what a commit costs on a busy node.

Everything that can refuse a batch (another head, a name in use) is decided before the transaction, so that a refused
batch costs its companions nothing; what fails in the transaction fails them all, and leaves nothing.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from theater.errors import Damaged, DiskFull, HeadConflict, StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.ports import LIVING, ActorRecord, Append, Appended
from theater.store.connections import translated
from theater.store.faults import Fault
from theater.store.frames import encode_frames
from theater.store.large_payloads import LargePayloads

_ROWS_MAX = 64
_CHAINS_MAX = 100_000  # remembered heads, 300 bytes each

_INSERT = "INSERT INTO segments (first_index, ref, first_seq, count, last_hash, frames) VALUES "
_INSERTS = tuple(_INSERT + ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows) for rows in range(_ROWS_MAX + 1))
_COLUMNS = 6

_LAST_SEGMENT = "SELECT first_seq + count - 1, last_hash FROM segments WHERE ref = ? ORDER BY first_seq DESC LIMIT 1"
_UPSERT_RECORD = """
INSERT INTO records (ref, name, status, parent, created_us, program, has_hidden_state, engine)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (ref) DO UPDATE SET name = excluded.name, status = excluded.status, parent = excluded.parent,
    created_us = excluded.created_us, program = excluded.program, has_hidden_state = excluded.has_hidden_state,
    engine = excluded.engine
"""
_NAME_HOLDER = """
SELECT actor FROM records JOIN chains USING (ref) WHERE name = ? AND status IN ('running', 'paused')
"""


class _Chain(NamedTuple):
    ref: int
    head: Head
    is_new: bool = False


class _Plan:
    """What one transaction will write."""

    __slots__ = ("chains", "index", "names", "next_ref", "payloads", "rows", "statements")

    def __init__(self, index: int, next_ref: int) -> None:
        self.index = index
        self.next_ref = next_ref
        self.chains: dict[ActorId, _Chain] = {}
        self.names: dict[str, ActorId] = {}
        self.payloads: list[Event] = []
        self.statements: list[tuple[str, tuple[object, ...]]] = []
        self.rows: list[object] = []


class Writer:
    """The one connection that writes. Used by one thread at a time."""

    def __init__(
        self, connection: sqlite3.Connection, payloads: LargePayloads, *, synced_payloads: bool, fault: Fault
    ) -> None:
        self._connection = connection
        self._payloads = payloads
        self._synced_payloads = synced_payloads
        self._fault = fault
        self._chains: dict[ActorId, _Chain] = {}
        self._failure: Damaged | None = None
        self._index, self._next_ref = self._ends()

    def commit(self, batches: list[Append]) -> list[Appended | StoreError]:
        """Write ``batches`` in one transaction; one result each. Raises nothing.

        A full disk is a passing trouble. After any other error of the disk nobody knows what it holds, so that no more
        is written until the store has been opened, and so looked at, again.
        """
        if self._failure is not None:
            return [self._failure] * len(batches)
        try:
            self._fault("before-transaction")
            plan = _Plan(self._index, self._next_ref)
            results = [self._planned(batch, plan) for batch in batches]
            self._write(plan)
        except (sqlite3.Error, OSError) as error:
            failure = translated(error, "written to")
            self._forget(failure)
            return [failure] * len(batches)
        self._index = plan.index
        self._next_ref = plan.next_ref
        if len(self._chains) > _CHAINS_MAX:
            self._chains.clear()
        self._chains.update(plan.chains)
        self._fault("after-commit")
        return results

    def _planned(self, batch: Append, plan: _Plan) -> Appended | StoreError:
        actor, events, record = batch.actor, batch.events, batch.record
        chain = plan.chains.get(actor) or self._chains.get(actor) or self._load_chain(actor, plan)
        if chain.head != batch.expected:
            return HeadConflict(
                f"the chain of {actor} ends with event {chain.head.seq}, and {batch.expected.seq} was expected",
                head=chain.head,
            )
        if record is not None and record.status in LIVING:
            holder = plan.names.setdefault(record.name, actor)
            if holder == actor:
                holder = self._name_holder(record.name) or actor
            if holder != actor:
                return StoreError(f"an actor named '{record.name}' is alive already", name_taken=record.name, by=holder)
        if chain.is_new:
            plan.next_ref = max(plan.next_ref, chain.ref + 1)
            plan.statements.append(("INSERT INTO chains (ref, actor) VALUES (?, ?)", (chain.ref, actor)))
        if record is not None:
            plan.statements.append((_UPSERT_RECORD, _record_row(chain.ref, record)))
        if batch.attempt is not None:
            plan.statements.append(("UPDATE chains SET attempt = ? WHERE ref = ?", (batch.attempt, chain.ref)))
        head, first_index = chain.head, plan.index
        if events:
            last = events[-1]
            head = Head(last.header.seq, last.hash)
            frames = encode_frames(events, plan.payloads)
            plan.rows += (first_index, chain.ref, chain.head.seq + 1, len(events), bytes.fromhex(last.hash), frames)
            plan.index += len(events)
        plan.chains[actor] = _Chain(chain.ref, head)
        return Appended(head, first_index)

    def _write(self, plan: _Plan) -> None:
        for event in plan.payloads:
            assert event.payload is not None
            header = event.header
            self._payloads.write(header.actor, header.seq, event.payload, synced=self._synced_payloads)
        self._fault("payloads-written")
        if not plan.rows and not plan.statements:
            return
        execute = self._connection.execute
        execute("BEGIN")
        for statement, values in plan.statements:
            execute(statement, values)
        rows = plan.rows
        for start in range(0, len(rows), _ROWS_MAX * _COLUMNS):
            chunk = rows[start : start + _ROWS_MAX * _COLUMNS]
            execute(_INSERTS[len(chunk) // _COLUMNS], chunk)
        self._fault("before-commit")
        execute("COMMIT")

    def _load_chain(self, actor: ActorId, plan: _Plan) -> _Chain:
        found = self._connection.execute("SELECT ref FROM chains WHERE actor = ?", (actor,)).fetchone()
        if found is None:
            return _Chain(plan.next_ref, EMPTY, is_new=True)
        (ref,) = found
        last = self._connection.execute(_LAST_SEGMENT, (ref,)).fetchone()
        return _Chain(ref, EMPTY if last is None else Head(last[0], Digest(last[1].hex())))

    def _name_holder(self, name: str) -> ActorId | None:
        found = self._connection.execute(_NAME_HOLDER, (name,)).fetchone()
        return None if found is None else ActorId(found[0])

    def _ends(self) -> tuple[int, int]:
        """The node-wide index of the next event, and the ref of the next chain."""
        last = self._connection.execute(
            "SELECT first_index + count FROM segments ORDER BY first_index DESC LIMIT 1"
        ).fetchone()
        (ref,) = self._connection.execute("SELECT coalesce(max(ref), 0) + 1 FROM chains").fetchone()
        return (0 if last is None else last[0]), ref

    def _forget(self, failure: Damaged) -> None:
        """The transaction failed: what is remembered may be wrong."""
        self._chains.clear()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._index, self._next_ref = self._ends()
        except sqlite3.Error as error:
            failure = translated(error, "read from")
        if not isinstance(failure, DiskFull):
            self._failure = failure


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
    )
