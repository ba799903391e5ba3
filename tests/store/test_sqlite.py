"""What is particular to the store on a disk: its settings, its files, its key, and reading beside a holder."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.store.opened_store import opened
from theater.errors import Damaged, InternalError, NotFound
from theater.model.event import EMPTY
from theater.model.ports import Append, Appended, Durability
from theater.store import DataDir, SqliteEventStore
from theater.store.faults import FaultPoint
from theater.store.migrations import MIGRATIONS, migrate, version_of
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.store_calls import append, append_chain


def pragma(store: SqliteEventStore, name: str) -> object:
    assert store._connection is not None
    return store._connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_durability_is_how_a_commit_is_synced(tmp_path: Path, durability: Durability, synchronous: int) -> None:
    with opened(tmp_path, durability=durability) as store:
        assert pragma(store, "journal_mode") == "wal"
        assert pragma(store, "synchronous") == synchronous
        assert pragma(store, "secure_delete") == 1
        assert store.facts().durability == durability


@pytest.mark.parametrize(("durability", "files"), [("process", False), ("power", True)])
def test_under_power_a_large_payload_is_on_the_disk_before_its_event_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, *, files: bool
) -> None:
    happened: list[str] = []
    maker = ChainMaker()
    maker.add("genesis", "genesis", b'"' + b"x" * 70_000 + b'"')
    with opened(tmp_path, durability=durability, fault=happened.append) as store:
        monkeypatch.setattr("os.fsync", lambda _descriptor: happened.append("fsync"))
        append(store, maker.actor, EMPTY, maker.events)
        monkeypatch.undo()

    before = happened[: happened.index("payloads-written")]
    assert ("fsync" in before) == files


def test_everything_in_the_data_dir_is_for_its_owner_alone(tmp_path: Path) -> None:
    root = tmp_path / "a" / "data"
    maker = ChainMaker()
    maker.add("genesis", "genesis", b'"' + b"x" * 70_000 + b'"')
    with opened(root) as store:
        append_chain(store, maker)
        for path in [root, *root.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path
    assert (root / "payloads" / maker.actor / "0").stat().st_size == 70_002


def test_what_was_written_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    maker = chain_of(5)
    with opened(tmp_path) as store:
        append_chain(store, maker)
    with opened(tmp_path) as store:
        assert not store.facts().unclean
        assert list(store.events(maker.actor)) == maker.events
        assert store.check() == store.size_events() == len(maker.events)
        head, count = maker.head, len(maker.events)
        maker.step()
        result = append(store, maker.actor, head, maker.events[count:])
        assert isinstance(result, Appended)
        assert result.first_index == count


def test_a_store_that_was_not_closed_says_so_once(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.hold("test")
    store = SqliteEventStore.open(data_dir)
    store._abandon()
    data_dir.release()

    with opened(tmp_path) as store:
        assert store.facts().unclean
    with opened(tmp_path) as store:
        assert not store.facts().unclean


def test_the_node_has_a_key_of_its_own_for_ever(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as store:
        public_key = store.facts().public_key
    with opened(tmp_path / "one") as store:
        assert store.facts().public_key == public_key
    with opened(tmp_path / "two") as store:
        assert store.facts().public_key != public_key
    private = load_pem_private_key((tmp_path / "one" / "node.key").read_bytes(), password=None)
    assert private.public_key().public_bytes_raw().hex() == public_key  # type: ignore[union-attr] # an Ed25519 key


def make_others_readable(path: Path) -> None:
    path.chmod(0o640)


def make_another(path: Path) -> None:
    path.unlink()


def make_garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


def make_another_kind(path: Path) -> None:
    key = generate_private_key(SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (make_others_readable, "others can read"),
        (make_another, "is not the key that this store was made with"),
        (make_garbage, "is not a private key"),
        (make_another_kind, "is not an Ed25519 key"),
    ],
)
def test_another_key_is_refused(tmp_path: Path, change: object, reason: str) -> None:
    with opened(tmp_path):
        pass
    assert callable(change)
    change(tmp_path / "node.key")
    with pytest.raises(Damaged, match=reason), opened(tmp_path):
        pass


def test_a_store_is_not_written_to_without_its_lock(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="without its lock"):
        SqliteEventStore.open(DataDir(tmp_path))


def test_others_read_beside_the_holder_and_see_what_is_durable(tmp_path: Path) -> None:
    maker = chain_of(3)
    with opened(tmp_path) as store:
        append_chain(store, maker)
        reader = SqliteEventStore.open(DataDir(tmp_path), read_only=True)
        assert list(reader.events(maker.actor)) == maker.events
        assert reader.facts().public_key == store.facts().public_key
        head, count = maker.head, len(maker.events)
        maker.step()
        append(store, maker.actor, head, maker.events[count:])
        assert list(reader.events(maker.actor)) == maker.events
        heard: list[object] = []
        reader.append(Append(maker.actor, maker.head, ()), heard.append)
        assert isinstance(heard[0], Damaged)
        reader.close()
    reader = SqliteEventStore.open(DataDir(tmp_path), read_only=True)
    assert reader.check() == len(maker.events)
    reader.close()
    with opened(tmp_path) as store:
        assert not store.facts().unclean


def test_what_is_not_committed_is_not_read(tmp_path: Path) -> None:
    maker = chain_of(1)
    seen: list[object] = []
    reading: list[SqliteEventStore] = []

    def look(point: FaultPoint) -> None:
        if point == "before-commit":
            seen.append((reading[0].head(maker.actor), list(reading[0].events(maker.actor)), reading[0].size_events()))

    with opened(tmp_path, fault=look) as store:
        reading.append(store)
        append(store, maker.actor, EMPTY, maker.events)
        assert seen == [(EMPTY, [], 0)]
        assert store.size_events() == len(maker.events)


@pytest.mark.parametrize("name", ["nothing", "half"])
def test_reading_where_there_is_no_store_says_so(tmp_path: Path, name: str) -> None:
    data_dir = DataDir(tmp_path / name)
    if name == "half":
        data_dir.root.mkdir()
        sqlite3.connect(data_dir.database).close()
    with pytest.raises((NotFound, Damaged), match=r"there is nothing in|was never set up"):
        SqliteEventStore.open(data_dir, read_only=True)
    assert name == "half" or not data_dir.root.exists()


def test_a_store_from_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    data_dir = DataDir(tmp_path)
    connection = sqlite3.connect(data_dir.database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Damaged, match="version 99"), opened(tmp_path):
        pass
    with pytest.raises(Damaged, match="version 99"):
        SqliteEventStore.open(data_dir, read_only=True)


def test_a_migration_that_was_released_is_never_changed() -> None:
    assert hashlib.sha256(MIGRATIONS[0].encode()).hexdigest() == (
        "8339183a63dc600e3ef8f7b4f2752779f530484fbd8ff49eec0c645cd708a644"
    )


def test_migrations_are_made_one_by_one_and_once() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    steps = (*MIGRATIONS, "CREATE TABLE later (a) STRICT;".replace(" STRICT", ""), "INSERT INTO later VALUES (1);")
    migrate(connection, steps[:1])
    assert version_of(connection) == 1
    migrate(connection, steps)
    migrate(connection, steps)

    assert version_of(connection) == len(MIGRATIONS) + 2
    assert connection.execute("SELECT count(*) FROM later").fetchone() == (1,)
    connection.close()


def test_a_migration_that_fails_leaves_the_version_before_it() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.Error):
        migrate(connection, (*MIGRATIONS, "CREATE TABLE later (a); INSERT INTO nowhere VALUES (1);"))
    connection.execute("ROLLBACK")

    assert version_of(connection) == len(MIGRATIONS)
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'later'").fetchone() == (0,)
    connection.close()


def test_batches_that_come_together_are_one_transaction_of_few_statements(tmp_path: Path) -> None:
    statements: list[str] = []
    go_on = threading.Event()
    called = threading.Semaphore(0)
    makers = [chain_of(2, number=number) for number in range(100)]

    def hold(point: FaultPoint) -> None:
        if point == "before-transaction":
            assert go_on.wait(30)

    def append_all(store: SqliteEventStore, start: int, stop: int) -> None:
        go_on.clear()
        for maker in [makers[0], *makers]:
            events = tuple(maker.events[start:stop])
            expected = EMPTY if start == 0 else type(EMPTY)(start - 1, maker.events[start - 1].hash)
            store.append(Append(maker.actor, expected, events), lambda _result: called.release())
        go_on.set()
        for _ in range(len(makers) + 1):
            assert called.acquire(timeout=30)

    with opened(tmp_path, fault=hold) as store:
        append_all(store, 0, 6)
        assert store._connection is not None
        store._connection.set_trace_callback(lambda text: statements.append(text.split()[0]))
        append_all(store, 6, 11)
        store._connection.set_trace_callback(None)

        assert len(statements) <= 2 * len(["BEGIN", "INSERT of 64", "INSERT of the rest", "COMMIT"])
        assert store.check() == len(makers) * 11
