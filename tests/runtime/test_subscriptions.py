"""Subscriptions: a supervisor is told of the events of its descendants, in batches, without slowing them."""

from __future__ import annotations

from typing import Literal, cast

import pytest

from tests.guests import puppet
from tests.guests.puppet import ABOUT, ANSWER
from tests.runtime.stage import Gate, Stage, Workshop
from tests.runtime.troupe import CAPABILITIES, Troupe
from theater.errors import Refused
from theater.model.manifest import parse_manifest
from theater.model.payload import Message
from theater.runtime.exports import CHILD_EVENTS
from theater.runtime.sources import Source
from theater.testing.harness import Actor

WATCHING = ("events", "supervisor")


@pytest.fixture
def troupe(stage: Stage) -> Troupe:
    return Troupe(stage)


def spawning(
    troupe: Troupe, name: str = "child", restart: Literal["permanent", "temporary"] = "temporary", **kind: object
) -> str:
    manifest = troupe.manifest(name, **kind)  # type: ignore[arg-type]  # passed on
    return puppet.spawn(puppet.child(manifest, restart=restart))


def family(
    troupe: Troupe, subscribing: str = "", restart: Literal["permanent", "temporary"] = "temporary", **kind: object
) -> tuple[Actor, Actor]:
    """A supervisor and its child. ``subscribing`` is what the supervisor does in the step that spawns it."""
    boss = troupe.player("boss", handlers=WATCHING, **kind)  # type: ignore[arg-type]  # passed on
    child = boss.request(spawning(troupe, restart=restart) + puppet.reply(ANSWER) + subscribing)
    troupe.rest()
    return boss, troupe.find(str(child))


def batches(boss: Actor, child: Actor) -> list[tuple[list[int], bool]]:
    """The numbers of the events in each batch that it was given, and whether there was a gap before."""
    found = []
    for payload in boss.payloads("message"):
        if isinstance(payload, Message) and payload.export == CHILD_EVENTS:
            batch = cast("dict[str, object]", payload.arguments[0])
            assert batch["child"] == child.id
            events = cast("list[dict[str, object]]", batch["events"])
            found.append(([cast("int", event["seq"]) for event in events], bool(batch["gap"])))
    return found


def seqs(boss: Actor, child: Actor) -> list[int]:
    return [seq for batch, _ in batches(boss, child) for seq in batch]


def values(boss: Actor) -> list[dict[str, object]]:
    """The events that it was given."""
    given = [payload for payload in boss.payloads("message") if isinstance(payload, Message)]
    return [
        event
        for payload in given
        if payload.export == CHILD_EVENTS
        for event in cast("dict[str, list[dict[str, object]]]", payload.arguments[0])["events"]
    ]


@pytest.mark.slow
def test_events_from_the_beginning_are_delivered_once_and_in_order(troupe: Troupe) -> None:
    boss, child = family(troupe, puppet.subscribe(ANSWER, 0))
    for _ in range(5):
        child.request(puppet.count())
    troupe.rest()

    assert seqs(boss, child) == list(range(len(child.events())))
    assert not any(gap for _, gap in batches(boss, child))
    assert sum(int(token.split("/")[1]) for token in puppet.log_of(boss.state or "")) == len(child.events())
    troupe.verify()


def test_from_now_on_means_what_comes_behind_the_subscription(troupe: Troupe) -> None:
    boss, child = family(troupe)
    child.request(puppet.count())
    before = len(child.events())
    boss.request(puppet.subscribe(child.id))
    troupe.rest()
    assert batches(boss, child) == []

    child.request(puppet.count())
    troupe.rest()
    assert seqs(boss, child) == list(range(before, before + 2))
    troupe.verify()


def test_events_are_as_they_are_in_the_chain(troupe: Troupe) -> None:
    boss, child = family(troupe, puppet.subscribe(ANSWER, 0, payloads=True))
    boss.request(puppet.unsubscribe(child.id))
    troupe.rest()

    for value, event in zip(values(boss), child.events(), strict=True):
        header = event.header
        assert (value["seq"], value["kind"], value["name"]) == (header.seq, header.kind, header.name)
        assert (value["hash"], value["prev"]) == (event.hash, header.prev)
        assert event.payload is not None
        assert value["payload"] == event.payload.decode()


def test_a_filter_leaves_out_kinds_and_payloads(troupe: Troupe) -> None:
    boss, child = family(troupe, puppet.subscribe(ANSWER, 0, ["state", "lifecycle"]))
    child.request(puppet.count())
    troupe.rest()

    assert [value["kind"] for value in values(boss)] == ["lifecycle", "state", "state"]
    assert {value["payload"] for value in values(boss)} == {None}
    troupe.verify()


@pytest.mark.slow
def test_a_batch_has_at_most_a_hundred_events(troupe: Troupe) -> None:
    boss, child = family(troupe)
    for _ in range(110):
        child.request(puppet.count())
    boss.request(puppet.subscribe(child.id, 0))
    troupe.rest()

    assert [len(batch) for batch, _ in batches(boss, child)] == [100, 100, len(child.events()) - 200]
    assert seqs(boss, child) == list(range(len(child.events())))
    troupe.verify()


@pytest.mark.slow
def test_a_batch_has_at_most_64_kib_of_payloads_unless_one_alone_has_more(troupe: Troupe) -> None:
    boss, child = family(troupe)
    start = len(child.events())
    for size in (30_001, 30_002, 30_003, 100_000):
        child.request(puppet.keep(puppet.filled(size)))
    boss.request(puppet.subscribe(child.id, start, ["state"], payloads=True))
    troupe.rest()

    assert [len(batch) for batch, _ in batches(boss, child)] == [2, 1, 1]
    assert len(cast("str", values(boss)[-1]["payload"])) > 100_000
    troupe.verify()


def test_a_payload_larger_than_a_message_may_be_is_left_out(troupe: Troupe) -> None:
    boss, child = family(troupe, limits='message = "1000B"')
    child.request(puppet.keep(puppet.filled(2000)))
    boss.request(puppet.subscribe(child.id, 0, ["state"], payloads=True))
    troupe.rest()

    assert [value["payload"] is None for value in values(boss)] == [False, True]
    troupe.verify()


@pytest.mark.slow
def test_whoever_is_too_slow_gets_a_gap_and_nobody_is_slowed(troupe: Troupe) -> None:
    boss, child = family(troupe)
    boss.request(puppet.subscribe(child.id))
    boss.pause()
    child.request(puppet.count())  # a batch of it waits in the mailbox
    troupe.rest()
    assert troupe.stage.runtime.store.size_entries("mailbox") == {boss.id: 1}
    child.request(puppet.repeat(1500, puppet.self_id() + puppet.write_log("x")))
    troupe.rest()
    assert troupe.stage.runtime.store.size_entries("mailbox") == {boss.id: 1}

    boss.resume()
    troupe.rest()
    end = len(child.events())
    first, second, *rest = batches(boss, child)
    assert (first[1], second[1], second[0][0]) == (False, True, end - 1000)
    assert not any(gap for _, gap in rest)
    assert seqs(boss, child)[len(first[0]) :] == list(range(end - 1000, end))
    assert "gap" in puppet.log_of(boss.state or "")[1]
    troupe.verify()


@pytest.mark.slow
def test_as_many_as_that_behind_is_not_too_slow(troupe: Troupe) -> None:
    boss, child = family(troupe)
    boss.request(puppet.subscribe(child.id))
    boss.pause()
    child.request(puppet.count())
    troupe.rest()
    child.request(puppet.repeat(998, puppet.write_log("x")))  # with its message and its state
    troupe.rest()
    boss.resume()
    troupe.rest()

    assert not any(gap for _, gap in batches(boss, child))
    assert len(seqs(boss, child)) == 1002
    troupe.verify()


@pytest.mark.slow
def test_what_happened_before_the_subscription_is_no_lag(troupe: Troupe) -> None:
    boss, child = family(troupe)
    child.request(puppet.repeat(1500, puppet.write_log("x")))
    boss.request(puppet.subscribe(child.id, 0))
    troupe.rest()

    assert seqs(boss, child) == list(range(len(child.events())))
    assert not any(gap for _, gap in batches(boss, child))


def test_a_subscription_ends_with_unsubscribe_and_a_new_one_takes_its_place(troupe: Troupe) -> None:
    boss, child = family(troupe, puppet.subscribe(ANSWER))
    child.request(puppet.count())
    troupe.rest()
    before = len(seqs(boss, child))
    boss.request(puppet.unsubscribe(child.id))
    child.request(puppet.count())
    troupe.rest()
    assert len(seqs(boss, child)) == before
    assert troupe.stage.runtime.store.size_entries("subscription") == {}

    boss.request(puppet.subscribe(child.id, 0) + puppet.subscribe(child.id, 3, ["state"]))
    troupe.rest()
    assert {value["kind"] for value in values(boss)[before:]} == {"state"}
    assert troupe.stage.runtime.store.size_entries("subscription") == {boss.id: 1}
    troupe.verify()


def test_a_step_that_fails_subscribes_to_nothing(troupe: Troupe) -> None:
    boss, child = family(troupe)
    with pytest.raises(Refused):
        boss.request(puppet.subscribe(child.id, 0) + puppet.refuse("no"))
    child.request(puppet.count())
    troupe.rest()

    assert batches(boss, child) == []


@pytest.mark.slow
def test_it_ends_from_within_its_own_handler(troupe: Troupe) -> None:
    text = puppet.puppet_wat(handlers=["events"], programs={"child-events": puppet.unsubscribe(ABOUT)})
    digest = troupe.stage.runtime.blobs.put(troupe.stage.workshop.file(text).read_bytes())
    manifest = parse_manifest(puppet.puppet_manifest(digest, "boss", capabilities=CAPABILITIES))
    boss = troupe.stage.spawn(Source(manifest, troupe.stage.folder), allowed=("messaging", "timing"))
    child = troupe.find(str(boss.request(spawning(troupe) + puppet.reply(ANSWER) + puppet.subscribe(ANSWER, 0))))
    troupe.rest()
    child.request(puppet.count())
    troupe.rest()

    assert len(batches(boss, child)) == 1
    troupe.verify()


def test_an_actor_without_a_handler_for_it_is_told_nothing(troupe: Troupe) -> None:
    boss = troupe.player("boss")
    child = troupe.find(str(boss.request(spawning(troupe) + puppet.reply(ANSWER) + puppet.subscribe(ANSWER, 0))))
    troupe.rest()

    assert batches(boss, child) == []
    assert troupe.stage.runtime.store.size_entries("subscription") == {}


def test_it_survives_a_restart_of_the_node(troupe: Troupe) -> None:
    boss, child = family(troupe, puppet.subscribe(ANSWER, 0))
    boss.pause()
    child.request(puppet.count())
    troupe.stage.reopen()
    child = troupe.find(child.id)
    child.request(puppet.count())
    troupe.rest()
    boss = troupe.find("boss")
    boss.resume()
    troupe.rest()
    child.request(puppet.count())
    troupe.rest()

    assert seqs(boss, child) == list(range(len(child.events())))
    troupe.verify()


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_subscriber_that_runs_again_goes_on_where_it_was(troupe: Troupe, end: str) -> None:
    boss, child = family(troupe, puppet.subscribe(ANSWER, 0), restart="permanent")
    if end == "stop":
        boss.stop()
    else:
        boss.start_send(f'"{puppet.trap()}"')
    troupe.rest()
    delivered = len(seqs(boss, child))
    boss.restart()
    troupe.rest()
    child.restart()
    troupe.rest()
    child.request(puppet.count())
    troupe.rest()

    assert seqs(boss, child) == list(range(len(child.events())))
    assert len(seqs(boss, child)) > delivered
    troupe.verify()


def test_a_batch_that_cannot_be_written_is_written_later(
    workshop: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gate = Gate()
    with Stage(workshop, tmp_path_factory.mktemp("full"), fault=gate) as stage:
        troupe = Troupe(stage)
        boss, child = family(troupe)
        child.request(puppet.count())
        boss.request(puppet.subscribe(child.id))
        stage.rest()
        with gate.held():
            child.start_request(f'"{puppet.count()}"')
            assert gate.arrived.wait(10)
        stage.rest()

        assert len(seqs(boss, child)) == 2
        troupe.verify()
