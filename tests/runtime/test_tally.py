"""What a node counts is what it committed."""

from __future__ import annotations

import time

import pytest

from tests.guests import puppet
from tests.runtime.troupe import Troupe
from theater.errors import Crashed, Refused
from theater.model.event import EMPTY
from theater.model.ids import ActorId
from theater.model.payload import CrashedPayload, encode_payload
from theater.model.ports import Append, Written
from theater.runtime.tally import LATENCY_BUCKETS_S, Tally
from theater.testing.chains import ChainMaker, chain_of

INTERFACES = frozenset(("theater:http-client",))


def written(*batches: Append, took_s: float = 0.001) -> Written:
    return Written(batches, took_s)


def of(chain: ChainMaker) -> Append:
    return Append(chain.actor, EMPTY, tuple(chain.events))


def test_steps_calls_and_logs_are_counted_by_what_they_are() -> None:
    tally, chain = Tally(INTERFACES), chain_of(3)
    tally.written(written(of(chain)))

    assert tally.events == 16
    assert tally.event_bytes == sum(len(event.header_bytes) + len(event.payload or b"") for event in chain.events)
    assert tally.steps == {"state": 3}
    assert tally.host_calls == {"theater:http-client": 3}
    assert tally.logs == 3
    assert (tally.transactions, tally.batches) == (1, 1)
    assert tally.steps_of(chain.actor) == 3


def test_crashes_are_counted_by_reason() -> None:
    tally, chain = Tally(INTERFACES), ChainMaker()
    chain.add("crashed", "handle", encode_payload(CrashedPayload(reason="fuel", fuel=1)))
    chain.add("crashed", "handle", b"not a payload")
    chain.add("refused", "handle", b"not looked at")
    tally.written(written(of(chain)))

    assert tally.crashes == {"fuel": 1, "unknown": 1}
    assert tally.steps == {"crashed": 2, "refused": 1}
    assert tally.steps_of(chain.actor) == 3


def test_calls_of_interfaces_that_no_guest_can_call_here_are_counted_together() -> None:
    tally, chain = Tally(INTERFACES), ChainMaker()  # one that was taken in, and whoever made it chose the names
    for number in range(1000):
        chain.add("host", f"theater:thing-{number}#call", b"{}")
    tally.written(written(of(chain)))

    assert tally.host_calls == {"other": 1000}


def test_births_within_a_batch_count_as_their_own() -> None:
    tally, chain, child = Tally(INTERFACES), chain_of(1), chain_of(2, number=1)
    birth = of(child)
    tally.written(written(Append(chain.actor, EMPTY, tuple(chain.events), births=(birth,))))

    assert tally.steps_of(child.actor) == 2
    assert tally.events == 17
    assert tally.batches == 1


def test_restarts_are_counted_and_other_changes_are_not() -> None:
    tally, chain = Tally(INTERFACES), ChainMaker()
    for verb in ("stopped", "restarted", "paused", "restarted"):
        chain.add("lifecycle", verb, b"{}")
    tally.written(written(of(chain)))

    assert tally.restarts == 2


@pytest.mark.parametrize(
    ("took_s", "bucket"), [(0.0, 0), (0.0001, 0), (0.00011, 1), (10.0, len(LATENCY_BUCKETS_S) - 1), (11.0, -1)]
)
def test_a_commit_is_counted_in_the_bucket_that_it_fits_in(took_s: float, bucket: int) -> None:
    tally = Tally(INTERFACES)
    tally.written(written(took_s=took_s))

    assert tally.latency_counts[bucket] == 1
    assert sum(tally.latency_counts) == 1
    assert tally.latency_s == took_s


def test_a_removed_actor_is_no_longer_counted_by_itself() -> None:
    tally, chain = Tally(INTERFACES), chain_of(1)
    tally.written(written(of(chain)))
    tally.written(written(Append(chain.actor, chain.head, (), erases=True)))

    assert tally.steps_of(chain.actor) == 0
    assert tally.steps == {"state": 1}


def test_a_node_counts_what_its_actors_do(company: Troupe) -> None:
    tally = company.stage.runtime.tally
    anna = company.player("anna")
    until_told(company)
    assert tally.steps == {"state": 1}  # its init
    anna.request(puppet.write_log("hello") + puppet.whereis("nobody") + puppet.reply("ok"))
    with pytest.raises(Refused):
        anna.request(puppet.refuse("no"))
    with pytest.raises(Crashed):
        anna.request(puppet.trap())
    company.rest()
    anna.restart()
    company.rest()
    until_told(company)

    assert tally.steps == {"state": 2, "refused": 1, "crashed": 1}
    assert tally.crashes == {"trap": 1}
    assert tally.host_calls == {"theater:actor/messaging": 1}
    assert tally.logs == 1
    assert tally.restarts == 1
    assert tally.events == company.stage.runtime.store.size_events()
    assert tally.steps_of(anna.id) == 4
    assert tally.transactions == sum(tally.latency_counts) > 0


def until_told(company: Troupe) -> None:
    """Wait until the store has told its observers of what it wrote, which it does behind everybody who waits for it."""
    company.stage.runtime.store.wipe()  # takes a turn to write, and the observers belong to the one before


@pytest.mark.slow
def test_counting_takes_next_to_no_time() -> None:
    tally, chain = Tally(INTERFACES), chain_of(200)
    batch = written(of(chain), Append(ActorId("0" * 32), None, ()))
    best = min(_timed(tally, batch) for _ in range(20))

    assert best / len(chain.events) < 5e-6  # it takes some 0.3 us


def _timed(tally: Tally, batch: Written) -> float:
    started = time.perf_counter()
    tally.written(batch)
    return time.perf_counter() - started
