"""Whether events are one sound chain: what is wrong is found, and the first event that shows it is named."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.chain.lines import decode_line, encode_line
from theater.chain.links import ChainChecker
from theater.chain.sealing import seal
from theater.errors import Unsound
from theater.model.event import EMPTY, Event, Head
from theater.model.header import decode_event
from theater.model.ids import ActorId
from theater.testing.chains import START_US, ChainMaker, Entry, chain_of

EVENTS = tuple(chain_of(3).events)
LAST = len(EVENTS) - 1
MESSAGE: Entry = ("message", "handle", b"{}")
CLOSED: Entry = ("state", "handle", b'{"fuel":1}')
INTENT: Entry = ("intent", "a#b", b'{"arguments":[]}')
LIFE: Entry = ("lifecycle", "resumed", b'{"by":"runtime"}')


def check(events: Iterable[Event], *, head: str | None = None) -> ChainChecker:
    checker = ChainChecker()
    for event in events:
        checker.feed(event)
    checker.finish(head=head)
    return checker


def fault_of(events: Iterable[Event], *, head: str | None = None) -> tuple[int, str]:
    with pytest.raises(Unsound) as caught:
        check(events, head=head)
    seq = caught.value.data["seq"]
    assert isinstance(seq, int)
    assert caught.value.message.startswith((f"event {seq}: ", "there is no event"))
    return seq, caught.value.message


def test_a_sound_chain_passes_with_its_head() -> None:
    checker = check(EVENTS, head=EVENTS[-1].hash)

    assert checker.head == Head(LAST, EVENTS[-1].hash)
    assert checker.actor == EVENTS[0].header.actor
    assert checker.open_step is None
    assert checker.withheld_events == 0


@given(st.data())
def test_any_flipped_bit_is_found_at_its_event_or_the_next(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, LAST))
    line = bytearray(encode_line(EVENTS[place]))
    line[data.draw(st.integers(0, len(line) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    def read() -> Iterable[Event]:
        for seq, event in enumerate(EVENTS):
            yield decode_line(bytes(line), seq=seq) if seq == place else event

    seq, _ = fault_of(read(), head=EVENTS[-1].hash)
    assert seq in (place, min(place + 1, LAST))


@given(st.data())
def test_dropped_inserted_and_swapped_events_are_found_where_they_are(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, LAST - 1))
    events = list(EVENTS)
    match data.draw(st.sampled_from(["drop", "insert", "swap"])):
        case "drop":
            del events[place]
        case "insert":
            events.insert(place, data.draw(st.sampled_from(EVENTS)))
        case _:
            events[place], events[place + 1] = events[place + 1], events[place]

    seq, _ = fault_of(events)
    assert place <= seq <= place + 1


@pytest.mark.parametrize("kept", range(1, len(EVENTS)))
def test_a_cut_tail_is_found_with_the_head_and_only_with_it(kept: int) -> None:
    check(EVENTS[:kept])
    seq, message = fault_of(EVENTS[:kept], head=EVENTS[-1].hash)

    assert seq == kept - 1
    assert "its tail was cut" in message


def test_nothing_at_all_is_no_chain() -> None:
    assert fault_of([])[0] == 0


def test_an_event_of_another_actor_is_found() -> None:
    theirs = chain_of(3, number=1).events
    assert "it belongs to actor" in fault_of([*EVENTS[:4], *theirs[4:]])[1]
    with pytest.raises(Unsound, match="the chain to"):
        ChainChecker(actor=theirs[0].header.actor).feed(EVENTS[0])


def test_a_hash_that_is_not_of_the_header_bytes_is_found() -> None:
    event = EVENTS[0]
    lying = [
        Event(event.header, event.header_bytes, EVENTS[1].hash, event.salt, event.payload),
        Event(event.header, EVENTS[1].header_bytes, event.hash, event.salt, event.payload),
        Event(EVENTS[1].header, event.header_bytes, event.hash, event.salt, event.payload),
    ]
    for wrong in lying:
        assert fault_of([wrong])[0] == 0


def test_a_time_that_goes_back_is_found() -> None:
    maker = chain_of(0)
    late = seal(
        maker.head, actor=maker.actor, kind="lifecycle", name="x", payload=b"{}", salt=bytes(16), time_us=START_US - 1
    )

    assert fault_of([*maker.events, late]) == (1, "event 1: its time is earlier than that of the event before it")


@pytest.mark.parametrize("what", ["salt", "payload"])
def test_a_changed_salt_or_payload_is_found_at_its_event(what: str) -> None:
    event = EVENTS[3]
    assert event.salt is not None
    assert event.payload is not None
    salt = event.salt[::-1] if what == "salt" else event.salt
    payload = event.payload.replace(b"example", b"examplf") if what == "payload" else event.payload
    changed = decode_event(event.header_bytes, salt, payload, seq=3)

    seq, message = fault_of([*EVENTS[:3], changed, *EVENTS[4:]])
    assert seq == 3
    assert "commits to" in message


def test_withheld_payloads_are_counted_and_the_chain_stands() -> None:
    withheld = [decode_event(event.header_bytes, None, None, seq=0) for event in EVENTS]

    assert check(withheld, head=EVENTS[-1].hash).withheld_events == len(EVENTS)


def test_an_open_last_step_is_no_fault_and_is_told() -> None:
    assert check(EVENTS[:-1]).open_step == 11


STRUCTURES: list[tuple[list[Entry], int, str]] = [
    ([CLOSED], 1, "outside of any step"),
    ([INTENT], 1, "outside of any step"),
    ([("host", "a#b", b'{"answer":1}')], 1, "outside of any step"),
    ([("log", "stdout", b"{}")], 1, "outside of any step"),
    ([MESSAGE, MESSAGE], 2, "the one of event 1 is not closed"),
    ([MESSAGE, CLOSED, CLOSED], 3, "outside of any step"),
    ([MESSAGE, ("refused", "handle", b"{}"), ("crashed", "handle", b"{}")], 3, "outside of any step"),
    ([MESSAGE, LIFE, MESSAGE], 3, "the one of event 1 is not closed"),
    ([LIFE, ("genesis", "genesis", b"{}")], 2, "a second genesis"),
    ([MESSAGE, ("host", "a#b", b'{"answer":1,"intent":1}')], 2, "the intent of event 1"),
    ([MESSAGE, ("host", "a#b", b'{"answer":1,"intent":9}'), INTENT], 2, "the intent of event 9"),
    ([MESSAGE, INTENT, CLOSED, MESSAGE, ("host", "a#b", b'{"answer":1,"intent":2}')], 5, "the intent of event 2"),
    ([MESSAGE, ("host", "a#b", b'{"intent":"1"}')], 2, "cannot be read"),
    ([MESSAGE, ("host", "a#b", b"\xff")], 2, "cannot be read"),
]


@pytest.mark.parametrize(("entries", "seq", "reason"), STRUCTURES)
def test_events_that_are_no_steps_are_found(entries: list[Entry], seq: int, reason: str) -> None:
    maker = chain_of(0)
    maker.add_all(entries)

    found, message = fault_of(maker.events)
    assert (found, reason in message) == (seq, True)


@pytest.mark.parametrize(
    "entries",
    [
        [LIFE, MESSAGE, LIFE, INTENT, LIFE, ("host", "a#b", b'{"answer":1,"intent":4}'), CLOSED, LIFE],
        [MESSAGE, INTENT, *[("host", "a#b", b'{"answer":1,"intent":2}')] * 3, CLOSED],
        [MESSAGE, INTENT, ("crashed", "handle", b"{}"), MESSAGE, ("refused", "handle", b"{}")],
    ],
)
def test_lifecycle_stands_anywhere_and_an_intent_is_answered_as_often_as_it_is(entries: list[Entry]) -> None:
    maker = chain_of(0)
    maker.add_all(entries)

    assert check(maker.events).open_step is None


def test_a_chain_does_not_begin_with_anything_but_genesis() -> None:
    maker = ChainMaker()
    maker.add(*LIFE)

    assert fault_of(maker.events) == (0, "event 0: a chain begins with genesis")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_chain() -> None:
    head, actor = EMPTY, ActorId("ab" * 16)
    checker = ChainChecker()
    peaks: list[int] = []
    make: Callable[[int], Event] = lambda seq: seal(  # noqa: E731 - one event at a time, kept by nobody
        head,
        actor=actor,
        kind="genesis" if seq == 0 else "lifecycle",
        name="x",
        payload=b"{}",
        salt=bytes(16),
        time_us=seq,
    )
    tracemalloc.start()
    for seq in range(20_000):
        event = make(seq)
        head = Head(seq, event.hash)
        checker.feed(event)
        if seq in (1000, 19_999):
            peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()

    assert peaks[1] < peaks[0] + 10_000
