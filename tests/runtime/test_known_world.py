"""What a step can know is fixed when it begins: its time stands still, its random bytes come from its seed."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.guests import wat
from tests.runtime.guests import VARIABLE, WATCH
from tests.runtime.stage import Stage, Workshop
from theater.errors import Refused
from theater.model.header import format_time
from theater.model.payload import Genesis, HostCall, Message
from theater.testing.clock import START_US
from theater.testing.harness import Actor, Harness


def seed_of(actor: Actor) -> bytes:
    """The seed of the last step, as its chain says."""
    message = actor.payloads("message")[-1]
    assert isinstance(message, Message)
    return bytes.fromhex(message.seed)


def block(stream: str, seed: bytes, index: int) -> bytes:
    """One block of random bytes, by the rule."""
    said = b"theater/random/v1\n" + stream.encode() + b"\n" + seed + index.to_bytes(8, "big")
    return hashlib.shake_256(said).digest(64)


def test_the_clock_stands_still_within_a_step_and_moves_with_a_sleep(stage: Stage) -> None:
    actor = stage.play(WATCH, capabilities={"timing": {}})
    stage.clock.advance(5)

    pending = actor.start_request('{"ms":1500}')
    stage.clock.wait_for_timers()
    stage.clock.advance(100)

    first, second, third, failed = json.loads(pending.result().text or "")
    begun_us = START_US + 5_000_000
    assert first == second == begun_us * 1000
    assert third == (begun_us + 1_500_000) * 1000
    assert failed == 0
    (call,) = actor.payloads("host")
    assert isinstance(call, HostCall)
    assert call.now == format_time(begun_us + 1_500_000)
    assert actor.verify().ok


def test_a_sleep_that_is_woken_late_shows_the_late_time(stage: Stage) -> None:
    actor = stage.play(WATCH, capabilities={"timing": {}})
    pending = actor.start_request('{"ms":1000}')
    stage.clock.wait_for_timers()
    with pytest.raises(TimeoutError):
        pending.result(timeout_s=0.01)

    # the timer fires at its time, and the clock has moved on by then
    action_at = stage.clock.timers[0]
    stage.clock._now_us = action_at + 7_000
    stage.clock.advance(0)

    *_, third, _ = json.loads(pending.result().text or "")
    assert third == (START_US + 1_007_000) * 1000
    assert actor.verify().ok


def test_the_time_of_a_step_is_that_of_its_message(stage: Stage) -> None:
    actor = stage.play(wat.CLOCK)
    stage.clock.advance_us(1_234_567)

    answer = actor.request(0)

    assert answer == {"seconds": START_US // 1_000_000 + 1, "nanoseconds": 234_567_000}
    assert actor.events()[4].header.time_us == START_US + 1_234_567


def test_a_clock_that_is_set_back_leaves_the_chain_going_forward(stage: Stage) -> None:
    actor = stage.play(wat.CLOCK)
    stage.clock.set_back(3600)

    answer = actor.request(0)

    assert answer == {"seconds": START_US // 1_000_000, "nanoseconds": 0}
    assert actor.verify().ok


def test_a_clock_that_is_set_back_while_a_step_sleeps(stage: Stage) -> None:
    actor = stage.play(WATCH, capabilities={"timing": {}})
    pending = actor.start_request('{"ms":1000}')
    stage.clock.wait_for_timers()
    stage.clock.advance_us(999_999)
    stage.clock.set_back(3600)
    stage.clock.advance(3601)

    first, _, third, failed = json.loads(pending.result().text or "")
    assert third - first == 1_000_000_000
    assert failed == 0
    assert actor.verify().ok


def test_random_bytes_are_those_of_the_seed_in_the_chain(stage: Stage) -> None:
    actor = stage.play(wat.RANDOM_HEX, capabilities={"random": {}})

    answer = actor.request({"size": 100})

    seed = seed_of(actor)
    assert answer == (block("theater", seed, 0) + block("theater", seed, 1))[:100].hex()
    assert actor.request({"size": 100}) != answer


def test_random_numbers_of_wasi_come_from_a_stream_of_their_own(stage: Stage) -> None:
    actor = stage.play(wat.RANDOM)

    answer = actor.request(0)

    first = block("wasi", seed_of(actor), 0)
    assert answer == [int.from_bytes(first[at : at + 8], "big") >> 1 for at in (0, 8)]


def test_derived_calls_leave_no_event(stage: Stage) -> None:
    actor = stage.play(wat.RANDOM)
    actor.request(0)

    assert actor.kinds()[-2:] == ["message", "state"]


def test_seeds_are_the_nodes_entropy_and_never_the_same(stage: Stage) -> None:
    actor = stage.play(wat.COUNTER)
    for _ in range(20):
        actor.request({"by": 1})

    messages = actor.payloads("message")
    assert len({message.seed for message in messages if isinstance(message, Message)}) == 21
    assert len({event.salt for event in actor.events()}) == len(actor.events())


def test_a_step_sees_the_message_as_it_was_sent(stage: Stage) -> None:
    actor = stage.play(wat.WHO)

    answer = actor.request("x")
    actor.start_send('"y"').result()

    first, second = actor.payloads("message")[1:]
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert answer == {"id": first.id, "sender": None, "expects-reply": True}
    assert first.id != second.id
    (argument,) = second.arguments
    assert isinstance(argument, dict)
    assert argument["expects-reply"] is False


def test_an_actor_knows_its_id(stage: Stage) -> None:
    actor = stage.play(wat.MYSELF)

    assert actor.request(0) == actor.id


@pytest.mark.slow
def test_a_variable_is_what_it_was_at_genesis(workshop: Workshop) -> None:
    with Harness(cache=workshop.cache, environ={"LANG": "tlh", "SECRET": "x"}) as harness:
        folder = harness._root.parent
        path = folder / "theater.toml"
        path.write_text(
            f'name = "v"\ncomponent = "{workshop.file(VARIABLE)}"\n[capabilities.environment]\nallow = ["LANG"]\n'
        )
        actor = harness.spawn(path, allowed=["environment"])

        assert actor.request(0) == "tlh"
        genesis = actor.payloads("genesis")[0]
        assert isinstance(genesis, Genesis)
        assert genesis.environment == [("LANG", "tlh")]
        assert actor.verify().ok


@pytest.mark.slow
def test_a_variable_that_no_grant_names_is_denied_and_that_is_recorded(stage: Stage) -> None:
    actor = stage.play(VARIABLE, capabilities={"environment": {"allow": ["HOME"]}}, allowed=["environment"])

    with pytest.raises(Refused, match="denied"):
        actor.request(0)

    assert [event.header.kind for event in actor.events()][-3:] == ["message", "host", "refused"]
    assert actor.verify().ok


def test_a_sleep_beyond_the_grant_is_denied_and_that_is_recorded(stage: Stage) -> None:
    actor = stage.play(wat.SLEEPER, capabilities={"timing": {"sleep": "1s"}})

    with pytest.raises(Refused, match="no sleep"):
        actor.request({"ms": 1001})

    assert actor.kinds()[-4:] == ["message", "log", "host", "refused"]
    assert actor.verify().ok


def test_params_are_what_init_gets(stage: Stage) -> None:
    actor = stage.play(wat.REMEMBER, params='{ "a": 1, "a": 2, "b": 1e400 }')

    assert actor.state == '{ "a": 1, "a": 2, "b": 1e400 }'
