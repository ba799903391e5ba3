"""The event store of a node, in SQLite.

What is promised, and by what: a batch is one transaction (SQLite's); an acknowledged one survives the process
(``process``: the WAL is with the kernel) or the power (``power``: it is on the disk, large payloads before it); the
node-wide index has no gaps (it is given out by whoever has the turn to write); what is read is what was written (every
event is hashed when it is read). Why it is built like this: docs/design/0004-chain-and-store.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from theater.errors import Damaged
from theater.model.blob_space import BlobSpace, LearnIndex
from theater.model.event import Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.ports import ActorRecord, Append, AppendDone, Durability, Entry, NodeFacts, Observer, Space, Swept
from theater.store.actor_index import ActorIndex
from theater.store.batches import require_well_made
from theater.store.blob_table import BlobReader
from theater.store.committer import Committer
from theater.store.connections import Readers, connect, in_full_sync, prepare_writer, translated
from theater.store.data_dir import DataDir
from theater.store.entry_index import EntryIndex
from theater.store.faults import Fault, no_fault
from theater.store.files import PRIVATE_FILE
from theater.store.integrity import check_all, check_tail
from theater.store.large_payloads import LargePayloads
from theater.store.leftovers import Leftovers
from theater.store.migrations import migrate, require_known, version_of
from theater.store.node_key import load_or_make_node_key, public_hex
from theater.store.reader import ChainReader
from theater.store.room import Room
from theater.store.segments import Segments
from theater.store.wiping import Wiper
from theater.store.writer import Writer

_SET_NODE = "INSERT INTO node (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class SqliteEventStore:
    """Implements ``EventStore``. Made by ``open``; ``close`` it, or the next opening counts as after an accident."""

    def __init__(
        self,
        data_dir: DataDir,
        facts: NodeFacts,
        writer: tuple[sqlite3.Connection, Writer] | None,
        fault: Fault,
        *,
        had_log: bool,
    ) -> None:
        self._facts = facts
        self._fault = fault
        self._readers = Readers(data_dir.database)
        self._actors = ActorIndex(self._readers)
        self._entries = EntryIndex(self._readers)
        self._blobs = BlobReader(self._readers)
        self._payloads = LargePayloads(data_dir.payloads)
        self._segments = Segments(self._readers, self._payloads)
        self._chains = ChainReader(self._readers, self._segments)
        self._room = Room(self._readers, self._payloads, data_dir.root)
        self._connection = writer[0] if writer else None
        self._writer = writer[1] if writer else None
        self._wiper = Wiper(self._payloads, facts.durability, fault, is_log_clean=not had_log)
        # with "power" a write waits for the disk, and whoever flushes should not
        self._committer = Committer(writer[1].commit, inline=facts.durability == "process") if writer else None
        self._is_closed = False

    @classmethod
    def open(
        cls,
        data_dir: DataDir,
        *,
        durability: Durability = "process",
        read_only: bool = False,
        fault: Fault = no_fault,
    ) -> Self:
        """Open the store in ``data_dir``, whose lock must be held unless ``read_only``; made there if there is none.

        The end of the store is looked at: segments must follow one another, hash and link. (``check`` looks at all.)

        Raises:
            NotFound: ``read_only``, and there is no store.
            Damaged: it is not what was written, or of a newer version than this program.
        """
        try:
            had_log = data_dir.database_log.exists()
            if read_only:
                data_dir.require_store()
                store = cls(data_dir, _read_facts(data_dir, durability), None, fault, had_log=had_log)
            else:
                data_dir.require_held()
                facts, connection, writer = _open_writer(data_dir, durability, fault)
                store = cls(data_dir, facts, (connection, writer), fault, had_log=had_log)
        except (sqlite3.Error, OSError) as error:
            raise translated(error, "opened") from error
        try:
            check_tail(store._readers, store._segments)
        except BaseException:
            store._abandon()
            raise
        return store

    def facts(self) -> NodeFacts:
        """What was found when it was opened."""
        return self._facts

    def append(self, batch: Append, done: AppendDone, *, hurry: bool = True) -> None:
        """Queue ``batch`` for the next transaction."""
        require_well_made(batch)
        if self._committer is None:
            done(Damaged("the store was opened for reading only"))
            return
        self._committer.put(batch, done, hurry=hurry)

    def flush(self, written: Callable[[], None] = lambda: None) -> None:
        if self._committer is not None:
            self._committer.flush(written)

    def head(self, actor: ActorId) -> Head:
        return self._chains.head(actor)

    def heads(self, actors: Sequence[ActorId]) -> dict[ActorId, Head]:
        return self._chains.heads(actors)

    def events(self, actor: ActorId, *, start: int = 0, stop: int | None = None) -> Iterator[Event]:
        return self._chains.events(actor, start=start, stop=stop)

    def events_reversed(self, actor: ActorId, *, start: int) -> Iterator[Event]:
        return self._chains.events_reversed(actor, start=start)

    def events_by_index(self, *, start: int, limit: int) -> Iterator[tuple[int, Event]]:
        return self._chains.events_by_index(start=start, limit=limit)

    def record(self, actor: ActorId) -> ActorRecord | None:
        return self._actors.record(actor)

    def records(self) -> list[ActorRecord]:
        return self._actors.records()

    def find(self, text: str) -> list[ActorRecord]:
        return self._actors.find(text)

    def attempt(self, actor: ActorId) -> int:
        return self._actors.attempt(actor)

    def entries(self, actor: ActorId, space: Space | None = None) -> list[Entry]:
        return self._entries.entries(actor, space)

    def entry(self, actor: ActorId, space: Space, key: str) -> Entry | None:
        return self._entries.entry(actor, space, key)

    def holders(self, *spaces: Space) -> list[ActorId]:
        return self._entries.holders(*spaces)

    def size_entries(self, space: Space) -> dict[ActorId, int]:
        return self._entries.size_entries(space)

    def read_space(self, space: BlobSpace, learn: LearnIndex) -> None:
        committer, _ = self._require_writer()
        committer.between(lambda: learn(self._blobs.index(space)))

    def blob(self, space: BlobSpace, blob: Digest, *, offset: int, size_bytes: int) -> bytes | None:
        return self._blobs.part(space, blob, offset=offset, size_bytes=size_bytes)

    def size_events(self) -> int:
        return self._chains.size_events()

    def observe(self, observer: Observer) -> None:
        if self._committer is not None:  # else nothing is ever written
            self._committer.observe(observer)

    def size_bytes(self, actor: ActorId) -> int:
        return self._room.size_bytes(actor)

    def free_bytes(self) -> int:
        return self._room.free_bytes()

    def wipe(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        """See ``Wiper``. Not from a callback of ``append``."""
        committer, writer = self._require_writer()
        try:
            return self._wiper.wipe(lambda change: committer.take_turn(lambda: writer.change(change)), may_go_on)
        except OSError as error:  # a file that cannot be removed: nothing that was written is lost by that
            raise translated(error, "written to") from error

    def sweep(self) -> Swept:
        """Remove files that a death left behind. Not from a callback of ``append``."""
        committer, _ = self._require_writer()
        return Leftovers(self._payloads.folder, self._readers, committer.take_turn).sweep()

    def check(self) -> int:
        """Look at everything: the database's own structure, every event, every link, the whole index.

        Returns the number of events. Takes as long as reading all of it.

        Raises:
            Damaged: names the first event that is not what was written.
        """
        return check_all(self._readers, self._segments)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._committer is not None:
            self._committer.close()
        self._fault("closing")
        self._readers.close()
        if self._connection is not None:
            try:
                with in_full_sync(self._connection, self._facts.durability):
                    self._connection.execute(_SET_NODE, ("unclean", "0"))
            except sqlite3.Error as error:
                raise translated(error, "closed") from error
            finally:
                self._connection.close()

    def _require_writer(self) -> tuple[Committer, Writer]:
        if self._committer is None or self._writer is None:
            raise Damaged("the store was opened for reading only")
        return self._committer, self._writer

    def _abandon(self) -> None:
        """Let go of everything and leave the store marked as it is."""
        self._is_closed = True
        if self._committer is not None:
            self._committer.close()
        self._readers.close()
        if self._connection is not None:
            self._connection.close()


def _open_writer(
    data_dir: DataDir, durability: Durability, fault: Fault
) -> tuple[NodeFacts, sqlite3.Connection, Writer]:
    if not data_dir.database.exists():
        data_dir.database.touch(mode=PRIVATE_FILE)
    connection = connect(data_dir.database, "rw")
    try:
        prepare_writer(connection, durability)
        migrate(connection)
        node = dict(connection.execute("SELECT key, value FROM node"))
        public_key = public_hex(load_or_make_node_key(data_dir.node_key))
        if node.get("public_key", public_key) != public_key:
            raise Damaged(f"{data_dir.node_key} is not the key that this store was made with")
        with in_full_sync(connection, durability):
            connection.execute("BEGIN")
            connection.execute(_SET_NODE, ("public_key", public_key))
            connection.execute(_SET_NODE, ("unclean", "1"))
            connection.execute("COMMIT")
        facts = _facts(node, public_key, durability)
        writer = Writer(
            connection, LargePayloads(data_dir.payloads), synced_payloads=durability == "power", fault=fault
        )
    except BaseException:
        connection.close()
        raise
    return facts, connection, writer


def _read_facts(data_dir: DataDir, durability: Durability) -> NodeFacts:
    connection = connect(data_dir.database, "ro")
    try:
        version = version_of(connection)
        require_known(version)
        node = dict(connection.execute("SELECT key, value FROM node")) if version else {}
    finally:
        connection.close()
    if "public_key" not in node:
        raise Damaged(f"{data_dir.database} was never set up: open it once for writing, by running an actor")
    return _facts(node, node["public_key"], durability)


def _facts(node: dict[str, str], public_key: str, durability: Durability) -> NodeFacts:
    return NodeFacts(
        unclean=node.get("unclean") == "1",
        public_key=public_key,
        durability=durability,
    )
