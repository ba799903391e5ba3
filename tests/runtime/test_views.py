"""What a server and a command line show of actors and events, with a running node and from its store alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.capabilities.registry import installed
from theater.errors import Crashed, Damaged, NotFound, Refused
from theater.model.event import EMPTY, Event
from theater.model.header import encode_header, parse_time
from theater.model.ids import ActorId
from theater.model.payload import decode_payload
from theater.model.ports import ActorRecord, Append, Entry
from theater.model.wire import ActorDetail, ActorRow, EventRow, StateDocument
from theater.runtime import views
from theater.runtime.views import actor_detail, actor_row, actor_rows, event_row, state_document
from theater.store import DataDir, SqliteEventStore
from theater.store.memory import MemoryEventStore
from theater.testing.chains import ChainMaker, chain_of
from theater.testing.harness import Actor
from theater.testing.store_calls import append, append_together, record_of

REGISTRY = installed()


def detail(actor: Actor, *, is_live: bool = True) -> ActorDetail:
    runtime = actor._harness.runtime
    record = runtime.store.record(actor.id)
    assert record is not None
    return actor_detail(runtime.store, REGISTRY, record, runtime.live if is_live else None)


def row(actor: Actor, *, is_live: bool = True) -> ActorRow:
    return detail(actor, is_live=is_live).actor


@pytest.fixture
def anna(company: Troupe) -> Actor:
    return company.player("anna")


def test_a_row_says_what_an_actor_is(company: Troupe, anna: Actor) -> None:
    anna.request(puppet.count() + puppet.reply("ok"))
    company.rest()
    seen = row(anna)
    head = company.stage.runtime.store.head(anna.id)

    assert (seen.id, seen.name, seen.status, seen.parent) == (anna.id, "anna", "running", None)
    assert (seen.seq, seen.head) == (head.seq, head.hash)
    assert parse_time(seen.created) == anna.events()[0].header.time_us
    assert (seen.restarts, seen.hidden_state, seen.waiting) == (0, False, 0)
    assert seen.steps == 2
    assert row(anna, is_live=False) == msgspec.structs.replace(seen, steps=None)


def test_rows_of_many_are_the_rows_of_each(company: Troupe, anna: Actor) -> None:
    company.player("bert").send(puppet.count())
    anna.pause()
    anna.send(puppet.count())
    company.rest()
    runtime = company.stage.runtime
    records = runtime.store.records()

    for live in (runtime.live, None):
        assert actor_rows(runtime.store, records, live) == [actor_row(runtime.store, each, live) for each in records]
    assert [each.waiting for each in actor_rows(runtime.store, records)] == [1, 0]


def test_what_waits_in_memory_alone_is_counted_where_the_node_runs(company: Troupe, anna: Actor) -> None:
    anna.pause()
    asked = anna.start_request('"' + puppet.count() + '"')
    anna.send(puppet.count())
    company.rest()

    assert row(anna).waiting == 2
    assert row(anna, is_live=False).waiting == 1
    anna.resume()
    asked.result()


def test_the_details_say_what_it_may_and_how_much_of_it(company: Troupe) -> None:
    anna = company.player("anna", limits='mailbox = 7\nmemory = "32MiB"', supervision='strategy = "one-for-all"')
    company.rest()
    seen = detail(anna)

    assert seen == msgspec.structs.replace(detail(anna, is_live=False), actor=seen.actor)
    assert seen.role == "actor"
    assert seen.instance == "fresh"
    assert seen.manifest is not None
    assert "one-for-all" in seen.manifest
    assert (seen.limits["mailbox"], seen.limits["memory"], seen.limits["wait"]) == (7, "32MiB", "60s")
    assert seen.limits_set == ["mailbox", "memory"]
    assert set(seen.grants) == {"runtime", "messaging", "supervisor", "timing"}
    assert seen.grants["timing"]["repeat"] == "100ms"
    assert seen.grants["messaging"]["to"] == ["any"]
    assert seen.allowed == ["messaging", "supervisor", "timing"]
    assert seen.supervision is not None
    assert (seen.supervision.strategy, seen.supervision.intensity, seen.supervision.period) == ("one-for-all", 1, "5s")
    assert (seen.supervision.restart, seen.supervision.shutdown) == ("temporary", "5s")
    assert (seen.params, seen.arguments) == (msgspec.Raw(b"{}"), [])
    assert seen.engine is not None
    assert seen.engine.startswith("wasmtime ")
    assert seen.node == company.stage.runtime.store.facts().public_key
    assert (seen.durability, seen.chain_bytes > 0) == ("process", True)
    assert (seen.state_seq, seen.state_bytes) == (anna.head.seq, 1)
    assert (seen.deferred, seen.timers, seen.channels, seen.children, seen.failure) == (0, 0, 0, [], None)


def test_the_details_count_what_is_put_off_and_set(company: Troupe) -> None:
    anna = company.player("anna", handlers=("channels",))
    channel = anna.open_channel(puppet.reply("welcome"))
    anna.request(puppet.schedule(5000, puppet.count()) + puppet.reply("ok"))
    asked = anna.start_request('"' + puppet.defer() + '"')
    company.rest()
    seen = detail(anna)

    assert (seen.deferred, seen.timers, seen.channels) == (1, 1, 1)
    assert not asked.is_done
    channel.close()
    own = company.stage.runtime.store.entries(anna.id, "deferred")[0].key
    anna.request(puppet.answer_request(own, "at last") + puppet.reply("ok"))
    asked.result()


def test_a_supervisor_shows_its_children_and_a_child_how_it_is_supervised(company: Troupe) -> None:
    boss = company.boss()
    kid = company.child(boss, "kid", restart="transient", shutdown=1500)
    gone = company.child(boss, "gone", restart="temporary")
    company.crash(kid)
    boss.request(puppet.stop(gone.id) + puppet.remove(gone.id))
    company.rest()
    seen = detail(boss)

    assert [(child.name, child.status) for child in seen.children] == [("kid", "running")]
    assert seen.children == detail(boss, is_live=False).children
    own = detail(kid).supervision
    assert own is not None
    assert (own.restart, own.shutdown) == ("transient", "1.5s")
    assert row(kid).parent == boss.id


def test_the_last_failure_is_shown(company: Troupe, anna: Actor) -> None:
    with pytest.raises(Refused):
        anna.request(puppet.refuse("not now"))
    seen = detail(anna).failure
    assert seen is not None
    assert (seen.kind, seen.reason, seen.message) == ("refused", None, "not now")
    with pytest.raises(Crashed):
        anna.request(puppet.trap())
    company.rest()
    seen = detail(anna).failure
    assert seen is not None
    assert (seen.kind, seen.reason) == ("crashed", "trap")
    assert anna.events()[seen.seq].header.kind == "crashed"
    assert row(anna).status == "crashed"


def test_the_last_failure_is_looked_for_so_far_and_no_further(monkeypatch: pytest.MonkeyPatch, anna: Actor) -> None:
    with pytest.raises(Refused):
        anna.request(puppet.refuse("long ago"))
    for _ in range(3):
        anna.request(puppet.count() + puppet.reply("ok"))
    monkeypatch.setattr(views, "FAILURE_EVENTS", 5)
    assert detail(anna).failure is None
    monkeypatch.setattr(views, "FAILURE_EVENTS", 6)
    assert detail(anna).failure is not None
    monkeypatch.setattr(views, "FAILURE_BYTES", 10)
    assert detail(anna).failure is None


def test_an_event_can_be_checked_by_its_row(anna: Actor) -> None:
    for index, event in enumerate(anna.events()):
        seen = msgspec.json.decode(msgspec.json.encode(event_row(event, index)), type=EventRow)
        assert (seen.seq, seen.index) == (index, index)
        assert seen.payload is not None
        assert seen.salt is not None
        commit = hashlib.sha256(b"theater/payload/v1\n" + bytes.fromhex(seen.salt) + bytes(seen.payload)).hexdigest()
        assert commit == seen.commit == event.header.commit
        header = msgspec.structs.replace(event.header, time_us=parse_time(seen.time))
        assert hashlib.sha256(b"\0" + encode_header(header)).hexdigest() == seen.hash
        assert decode_payload(seen.kind, bytes(seen.payload), seq=seen.seq) is not None


def test_an_event_without_its_payload_has_a_row() -> None:
    [event] = ChainMaker().genesis()
    erased = msgspec.structs.replace(event, salt=None, payload=None)
    assert (event_row(erased).payload, event_row(erased).salt) == (None, None)
    assert b'"payload":null' in msgspec.json.encode(event_row(erased))


def test_the_row_of_an_event_stands_on_one_line() -> None:
    event = ChainMaker().add("log", "stdout", b'{\n"text":\r\n"a\\nb"}')
    encoded = msgspec.json.encode(event_row(event))
    assert b"\n" not in encoded
    assert b"\r" not in encoded
    assert msgspec.json.decode(encoded)["payload"] == {"text": "a\nb"}


def test_a_state_is_shown_as_of_any_event(company: Troupe, anna: Actor) -> None:
    anna.request(puppet.count() + puppet.reply("ok"))
    store = company.stage.runtime.store
    record = anna.ref.record

    last = state_document(store, record)
    assert last == StateDocument(id=anna.id, seq=anna.head.seq, state=msgspec.Raw(b"1"))
    assert state_document(store, record, at=last.seq - 1).state == msgspec.Raw(b"0")
    with pytest.raises(NotFound):
        state_document(store, record, at=0)
    for beyond in (last.seq + 1, -1):
        with pytest.raises(NotFound):
            state_document(store, record, at=beyond)


# -- strange chains --------------------------------------------------------------------------------------------------


@pytest.fixture
def store() -> Iterator[MemoryEventStore]:
    made = MemoryEventStore()
    yield made
    made.close()


def put(store: MemoryEventStore, chain: ChainMaker, events: list[Event] | None = None) -> ActorRecord:
    record = record_of(chain.actor, status="stopped")
    append(store, chain.actor, EMPTY, chain.events if events is None else events, record=record)
    return record


def erased(event: Event) -> Event:
    return msgspec.structs.replace(event, salt=None, payload=None)


def test_a_chain_without_payloads_has_details(store: MemoryEventStore) -> None:
    chain = chain_of(2)
    chain.add("crashed", "handle", b"{}")
    record = put(store, chain, [erased(event) for event in chain.events])
    seen = actor_detail(store, REGISTRY, record)

    assert (seen.manifest, seen.params, seen.supervision, seen.engine, seen.instance) == (None,) * 5
    assert (seen.grants, seen.limits, seen.limits_set, seen.state_seq) == ({}, {}, [], None)
    assert seen.failure is not None
    assert (seen.failure.reason, seen.failure.message) == (None, "what it said was erased")
    assert msgspec.json.encode(seen)
    with pytest.raises(Damaged):
        state_document(store, record)


def test_a_chain_that_says_strange_things_has_details(store: MemoryEventStore, anna: Actor) -> None:
    honest = msgspec.json.decode(anna.events()[0].payload or b"")
    strange: dict[str, object] = {
        "manifest": '[limits]\nmailbox = "many"\n[supervision]\nstrategy = "none"',
        "params": "not { JSON",
        "limits": {"mailbox": -5},
        "effective": {"flying": {"height": 3}},
        "arguments": ["\x1b[31m"],
    }
    chain = ChainMaker()
    chain.add("genesis", "genesis", msgspec.json.encode(honest | strange))
    chain.add("state", "handle", b'{"fuel":1,"state":"{broken"}')
    record = put(store, chain)
    seen = actor_detail(store, REGISTRY, record)

    assert (seen.params, seen.supervision, seen.role) == (None, None, None)
    assert (seen.limits, seen.grants) == ({"mailbox": -5}, {"flying": {"height": 3}})
    assert seen.limits_set == ["mailbox"]
    assert msgspec.json.encode(seen)
    with pytest.raises(Damaged):
        state_document(store, record)


def test_an_actor_without_a_chain_has_a_row(store: MemoryEventStore) -> None:
    record = record_of(ActorId("ab" * 16))
    assert actor_row(store, record).seq == -1
    assert actor_rows(store, [record])[0].seq == -1
    assert actor_detail(store, REGISTRY, record).failure is None
    with pytest.raises(NotFound):
        state_document(store, record)


# -- many ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_actors_are_listed_in_well_under_a_second(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.hold("test")
    made = SqliteEventStore.open(data_dir)
    try:
        chains = [chain_of(1, number=number) for number in range(10_000)]
        batches = [
            Append(
                chain.actor,
                EMPTY,
                tuple(chain.events),
                record=record_of(chain.actor, name=f"actor-{number}"),
                puts=(Entry(chain.actor, "mailbox", "m", b"x"),) if number % 10 == 0 else (),
            )
            for number, chain in enumerate(chains)
        ]
        append_together(made, *batches)
        started = time.perf_counter()
        rows = actor_rows(made, made.records())
        took_s = time.perf_counter() - started
    finally:
        made.close()
        data_dir.release()

    assert len(rows) == 10_000
    assert sum(each.waiting for each in rows) == 1000
    assert {each.head for each in rows} == {chain.head.hash for chain in chains}
    assert took_s < 1.0, took_s  # some 0.1 s
