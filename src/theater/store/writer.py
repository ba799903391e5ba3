"""The writer: batches become rows, in one transaction for all that came together.

A batch costs one row. The rows of a transaction go in with one statement for up to ``_ROWS_MAX`` of them, because each
execution lets go of the interpreter lock and has to win it back from whoever computes meanwhile: that, and not the
disk, is what a commit costs on a busy node.

Everything that can refuse a batch is decided in the plan, before the transaction; what fails in the transaction fails
them all, and leaves nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from theater.errors import Damaged, DiskFull, StoreError
from theater.model.ports import Append, Appended
from theater.store.chain_table import ChainTable
from theater.store.connections import translated
from theater.store.entries import EntryTable
from theater.store.faults import Fault
from theater.store.large_payloads import LargePayloads
from theater.store.plan import Plan

_T = TypeVar("_T")

_ROWS_MAX = 64

_INSERT = "INSERT INTO segments (first_index, ref, first_seq, count, last_hash, frames, chain_bytes) VALUES "
_INSERTS = tuple(_INSERT + ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows) for rows in range(_ROWS_MAX + 1))
_COLUMNS = 7


class Writer:
    """The one connection that writes. Used by one thread at a time."""

    def __init__(
        self, connection: sqlite3.Connection, payloads: LargePayloads, *, synced_payloads: bool, fault: Fault
    ) -> None:
        self._connection = connection
        self._payloads = payloads
        self._synced_payloads = synced_payloads
        self._fault = fault
        self._chains = ChainTable(connection, payloads)
        self._entries = EntryTable(connection)
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
            plan = Plan(self._chains, self._entries, index=self._index, next_ref=self._next_ref)
            results = [plan.add(batch) for batch in batches]
            self._write(plan)
        except (sqlite3.Error, OSError) as error:
            failure = translated(error, "written to")
            self._forget(failure)
            return [failure] * len(batches)
        self._index = plan.index
        self._next_ref = plan.next_ref
        self._chains.learn(plan.chains)
        self._entries.learn(plan.entries)
        self._fault("after-commit")
        return results

    def change(self, change: Callable[[sqlite3.Connection], _T]) -> _T:
        """Let ``change`` use the connection. It makes its own transaction, of nothing that is remembered here.

        Raises:
            Damaged: as ``commit`` answers, after errors of the disk. And what else ``change`` raises.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return change(self._connection)
        except (sqlite3.Error, OSError) as error:
            failure = translated(error, "written to")
            self._forget(failure)
            raise failure from error

    def _write(self, plan: Plan) -> None:
        for event in plan.payloads:
            assert event.payload is not None
            header = event.header
            self._payloads.write(header.actor, header.seq, event.payload, synced=self._synced_payloads)
        self._fault("payloads-written")
        if not plan.rows and not plan.statements and not plan.entries:
            return
        execute = self._connection.execute
        execute("BEGIN")
        for statement, values in plan.statements:
            execute(statement, values)
        self._fault("chains-written")
        rows = plan.rows
        for start in range(0, len(rows), _ROWS_MAX * _COLUMNS):
            chunk = rows[start : start + _ROWS_MAX * _COLUMNS]
            execute(_INSERTS[len(chunk) // _COLUMNS], chunk)
        self._fault("segments-written")
        for delete, positions in plan.entries.deletes():
            execute(delete, positions)
        self._fault("entries-dropped")
        for upsert, cells in plan.entries.upserts():
            execute(upsert, cells)
        self._fault("before-commit")
        execute("COMMIT")

    def _ends(self) -> tuple[int, int]:
        self._entries.find_end()
        return self._chains.ends()

    def _forget(self, failure: Damaged) -> None:
        """The transaction failed: what is remembered may be wrong."""
        self._chains.forget()
        self._entries.forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._index, self._next_ref = self._ends()
        except sqlite3.Error as error:
            failure = translated(error, "read from")
        if not isinstance(failure, DiskFull):
            self._failure = failure
