"""How fast the event store takes appends, with a bare SQLite loop over the same bytes beside it. Prints JSON.

An append is what a step brings: two events. ``busy`` is how many other Python threads compute all the while, and so
compete for the interpreter lock; ``seal`` is what making one event costs, which is not in the other figures.

``mail`` hands over one append of each of 64 chains at a time and flushes: ``none``, plain ones; ``same-group``, each
drops the required mailbox entry that the chain before it has just put, and puts one for the chain behind it;
``across-groups``, likewise, but what it drops was put by the flush before. ``look_ups`` is what many actors are asked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from theater.chain.sealing import seal
from theater.errors import StoreError
from theater.model.event import EMPTY, Event, Head
from theater.model.ids import ActorId, Digest
from theater.model.ports import ActorRecord, Append, Appended, Durability, Entry, EntryKey
from theater.store import DataDir, SqliteEventStore

MESSAGE = json.dumps({"id": "0" * 32, "source": "cli", "export": "handle", "arguments": [], "seed": "0" * 64}).encode()
STATE = json.dumps({"fuel": 123456, "state": '{"count":1234}', "reply": '{"count":1234}'}).encode()
SALT = bytes(16)
RUNS: tuple[tuple[Durability, int], ...] = (("process", 0), ("process", 2), ("power", 0))  # with how many busy threads
SWITCH_INTERVAL_S = 100e-6  # what the runtime sets
MAIL_CHAINS = 64
Mail = Literal["none", "same-group", "across-groups"]


class Chain:
    """One actor that appends its next two events as soon as the last two are durable. They are sealed beforehand."""

    def __init__(self, store: SqliteEventStore, number: int, *, appends: int, ended: threading.Semaphore) -> None:
        self._actor = ActorId(f"{number:032x}")
        self._store = store
        self._head = EMPTY
        self._ended = ended
        self._batches: list[tuple[Event, Event]] = []
        head = EMPTY
        for _ in range(appends):
            events = two_events(self._actor, head)
            head = Head(events[-1].header.seq, events[-1].hash)
            self._batches.append(events)
        self._batches.reverse()

    def start(self) -> None:
        self._store.append(Append(self._actor, self._head, self._batches.pop()), self._done)

    def _done(self, result: Appended | StoreError) -> None:
        assert isinstance(result, Appended), result
        self._head = result.head
        if self._batches:
            self.start()
        else:
            self._ended.release()


def two_events(actor: ActorId, head: Head) -> tuple[Event, Event]:
    now = time.time_ns() // 1000
    first = seal(head, actor=actor, kind="message", name="handle", payload=MESSAGE, salt=SALT, time_us=now)
    head = Head(first.header.seq, first.hash)
    return first, seal(head, actor=actor, kind="state", name="handle", payload=STATE, salt=SALT, time_us=now)


@contextmanager
def busy_threads(count: int) -> Iterator[None]:
    stopping = threading.Event()

    def compute() -> None:
        while not stopping.is_set():
            sum(i * i for i in range(200))

    threads = [threading.Thread(target=compute) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


@contextmanager
def opened(folder: Path, durability: Durability) -> Iterator[SqliteEventStore]:
    data_dir = DataDir(folder)
    data_dir.hold("benchmark")
    store = SqliteEventStore.open(data_dir, durability=durability)
    try:
        yield store
    finally:
        store.close()
        data_dir.release()


def throughput(folder: Path, durability: Durability, *, chains: int, busy: int, appends: int) -> dict[str, object]:
    ended = threading.Semaphore(0)
    with opened(folder, durability) as store:
        running = [Chain(store, number, appends=appends // chains, ended=ended) for number in range(chains)]
        with busy_threads(busy):
            begun = time.perf_counter()
            for chain in running:
                chain.start()
            for _ in running:
                ended.acquire()
            took = time.perf_counter() - begun
    return {"durability": durability, "chains": chains, "busy": busy, "appends_per_s": round(appends / took)}


def mail(folder: Path, kind: Mail, *, busy: int, rounds: int) -> dict[str, object]:
    """Rounds of one append a chain, handed over together. All of it is made beforehand."""
    actors = [ActorId(f"{number:032x}") for number in range(MAIL_CHAINS)]
    heads = [EMPTY] * MAIL_CHAINS
    groups: list[list[Append]] = []
    for turn in range(rounds):
        group = []
        for number, actor in enumerate(actors):
            events = two_events(actor, heads[number])
            group.append(posted(kind, turn, number, actors, heads[number], events))
            heads[number] = Head(events[-1].header.seq, events[-1].hash)
        groups.append(group)
    results: list[Appended | StoreError] = []
    with opened(folder, "process") as store, busy_threads(busy):
        begun = time.perf_counter()
        for group in groups:
            for batch in group:
                store.append(batch, results.append, hurry=False)
            store.flush()
        took = time.perf_counter() - begun
        waiting = sum(store.size_entries("mailbox").values())
    assert all(isinstance(result, Appended) for result in results)
    assert waiting == {"none": 0, "same-group": 1, "across-groups": MAIL_CHAINS}[kind]
    return {"mail": kind, "chains": MAIL_CHAINS, "busy": busy, "appends_per_s": round(len(results) / took)}


def posted(
    kind: Mail, turn: int, number: int, actors: list[ActorId], head: Head, events: tuple[Event, Event]
) -> Append:
    """One append. The very first ones begin the chains, and the next have nothing to drop yet."""
    actor, following = actors[number], actors[(number + 1) % MAIL_CHAINS]
    if kind == "none" or turn == 0:
        return Append(actor, head, events)
    is_wrapped = kind == "across-groups" or number == 0
    put_in = turn - 1 if is_wrapped else turn
    drops = (EntryKey(actor, "mailbox", f"{put_in:028x}{number:04x}"),) if put_in > 0 else ()
    key = f"{turn:028x}{(number + 1) % MAIL_CHAINS:04x}"
    return Append(actor, head, events, puts=(Entry(following, "mailbox", key, MESSAGE, once=True),), drops=drops)


def look_ups(folder: Path, *, actors: int) -> dict[str, object]:
    """What asking about all actors takes, each of which holds two entries; and opening the store again."""
    made = [ActorId(f"{number:032x}") for number in range(actors)]
    results: list[Appended | StoreError] = []
    with opened(folder, "process") as store:
        for actor in made:
            record = ActorRecord(actor, actor, "running", None, 1, Digest("ab" * 32))
            puts = Entry(actor, "mailbox", "0", MESSAGE), Entry(actor, "child", "0", b"")
            batch = Append(actor, EMPTY, two_events(actor, EMPTY), record=record, puts=puts)
            store.append(batch, results.append, hurry=False)
        store.flush()
        took = {
            "records_ms": timed_ms(store.records),
            "holders_ms": timed_ms(lambda: store.holders("mailbox", "timer")),
            "size_entries_ms": timed_ms(lambda: store.size_entries("mailbox")),
            "entries_of_one_ms": timed_ms(lambda: store.entries(made[-1])),
        }
    assert all(isinstance(result, Appended) for result in results)

    def open_and_close() -> None:
        with opened(folder, "process"):
            pass

    return {"actors": actors, **took, "open_and_close_ms": timed_ms(open_and_close)}


def timed_ms(action: Callable[[], object]) -> float:
    """The median of a few."""
    took: list[float] = []
    for _ in range(7):
        begun = time.perf_counter()
        action()
        took.append((time.perf_counter() - begun) * 1e3)
    return round(statistics.median(took), 3)


def sealing(count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count // 2):
        two_events(ActorId("f" * 32), EMPTY)
    return round((time.perf_counter() - begun) / count * 1e6, 2)


def latency(folder: Path, durability: Durability, *, count: int) -> dict[str, object]:
    """From calling append to being called back, one after the other."""
    called = threading.Event()
    actor, head = ActorId("f" * 32), EMPTY
    took_us: list[float] = []
    results: list[Appended | StoreError] = []

    def done(result: Appended | StoreError) -> None:
        results.append(result)
        called.set()

    with opened(folder, durability) as store:
        for _ in range(count):
            batch = Append(actor, head, two_events(actor, head))
            begun = time.perf_counter()
            store.append(batch, done)
            called.wait()
            took_us.append((time.perf_counter() - begun) * 1e6)
            called.clear()
            result = results.pop()
            assert isinstance(result, Appended)
            head = result.head
    took_us.sort()
    return {
        "durability": durability,
        "p50_us": round(statistics.median(took_us)),
        "p99_us": round(took_us[len(took_us) * 99 // 100]),
    }


def bare_loop(path: Path, *, rows: int, seconds: float) -> dict[str, object]:
    """The floor: rows of the same size into one table, one thread, nothing sealed, hashed or checked."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    size = sum(len(e.header_bytes) + 25 + len(e.payload or b"") for e in two_events(ActorId("f" * 32), EMPTY))
    data = os.urandom(size)
    number = 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", [(number + i, data) for i in range(rows)])
        connection.execute("COMMIT")
        number += rows
    took = time.perf_counter() - begun
    connection.close()
    return {"rows_per_transaction": rows, "row_bytes": size, "rows_per_s": round(number / took)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run (default: 3)")
    parser.add_argument("--folder", type=Path, default=None, help="where the stores lie (default: a temporary folder)")
    arguments = parser.parse_args()
    seconds: float = arguments.seconds
    appends = round(seconds * 256) * 64
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        report = {
            "benchmark": "append",
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
            "seal_us": sealing(20_000),
            "lone": [
                latency(folder / "lone-process", "process", count=round(1000 * seconds)),
                latency(folder / "lone-power", "power", count=round(50 * seconds)),
            ],
            "many": [
                throughput(folder / f"many-{durability}-{busy}", durability, chains=64, busy=busy, appends=appends)
                for durability, busy in RUNS
            ],
            "mail": [
                mail(folder / f"mail-{kind}-{busy}", kind, busy=busy, rounds=round(150 * seconds))
                for busy in (0, 2)
                for kind in get_args(Mail)
            ],
            "look_ups": look_ups(folder / "look-ups", actors=10_000),
            "bare_sqlite": [bare_loop(folder / f"bare-{rows}.db", rows=rows, seconds=seconds) for rows in (1, 64)],
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
