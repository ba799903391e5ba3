"""The process dies at each place that a commit passes: what was acknowledged is there, and nothing half is."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.store.opened_store import die, in_child, opened
from theater.model.event import EMPTY, Head
from theater.model.ports import Append, Appended, Durability
from theater.store import DataDir, SqliteEventStore
from theater.store.faults import FAULT_POINTS, FaultPoint
from theater.testing.chains import ChainMaker
from theater.testing.store_calls import append, record_of

LARGE = b'"' + b"x" * 100_000 + b'"'
OTHER_LARGE = b'"' + b"y" * 100_000 + b'"'


def chain(large: bytes) -> ChainMaker:
    maker = ChainMaker()
    maker.genesis()
    maker.step()
    maker.add("lifecycle", "x", large)
    maker.add("lifecycle", "y", b"{}")
    return maker


ACKNOWLEDGED = 6  # events of the first append; the second brings the last two, one of them large


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_death_leaves_what_was_acknowledged_and_nothing_half(
    tmp_path: Path, point: FaultPoint, durability: Durability
) -> None:
    maker = chain(LARGE)
    middle = Head(ACKNOWLEDGED - 1, maker.events[ACKNOWLEDGED - 1].hash)
    is_armed = False

    def fault(passed: FaultPoint) -> None:
        if is_armed and passed == point:
            die()

    def live_until_then() -> None:
        nonlocal is_armed
        with opened(tmp_path, durability=durability, fault=fault) as store:
            first = append(store, maker.actor, EMPTY, maker.events[:ACKNOWLEDGED], record=record_of(maker.actor))
            assert isinstance(first, Appended)
            is_armed = True
            append(store, maker.actor, middle, maker.events[ACKNOWLEDGED:], attempt=1)

    assert in_child(live_until_then) == signal.SIGKILL, f"'{point}' was not passed"

    is_committed = point in ("after-commit", "closing")
    beside = SqliteEventStore.open(DataDir(tmp_path), read_only=True)
    assert beside.check() == (len(maker.events) if is_committed else ACKNOWLEDGED)
    beside.close()
    with opened(tmp_path, durability=durability) as store:
        assert store.facts().unclean
        assert store.check() == (len(maker.events) if is_committed else ACKNOWLEDGED)
        assert list(store.events(maker.actor)) == maker.events[: store.size_events()]
        assert store.attempt(maker.actor) == (1 if is_committed else 0)
        assert store.record(maker.actor) == record_of(maker.actor)
        if not is_committed:
            other = chain(OTHER_LARGE)
            result = append(store, maker.actor, middle, other.events[ACKNOWLEDGED:])
            assert isinstance(result, Appended)
            assert result.first_index == ACKNOWLEDGED
            assert list(store.events(maker.actor)) == other.events
    with opened(tmp_path) as store:
        assert not store.facts().unclean


def test_all_places_are_passed_in_their_order(tmp_path: Path) -> None:
    passed: list[FaultPoint] = []
    maker = chain(LARGE)
    with opened(tmp_path, fault=passed.append) as store:
        append(store, maker.actor, EMPTY, maker.events)

    assert passed == list(FAULT_POINTS)


@pytest.mark.slow
def test_killed_under_load_every_acknowledged_event_is_there(tmp_path: Path) -> None:
    makers = [ChainMaker(number) for number in range(8)]
    for maker in makers:
        maker.genesis()
        for step in range(400):
            maker.step(step)
    reading, writing = os.pipe()

    def append_until_killed() -> None:
        with opened(tmp_path) as store:

            def start(number: int, head: Head) -> None:
                events = makers[number].events[head.seq + 1 : head.seq + 3]

                def done(result: object) -> None:
                    assert isinstance(result, Appended)
                    os.write(writing, b"%d %d\n" % (number, result.head.seq))
                    if result.head.seq + 1 < len(makers[number].events):
                        start(number, result.head)

                store.append(Append(makers[number].actor, head, tuple(events)), done)

            for number in range(len(makers)):
                start(number, EMPTY)
            signal.pause()

    child = os.fork()
    if child == 0:
        try:
            append_until_killed()
        finally:
            os._exit(1)
    os.close(writing)
    acknowledged = [-1] * len(makers)
    with os.fdopen(reading, "rb") as acknowledgements:
        for count, line in enumerate(acknowledgements):
            number, seq = map(int, line.split())
            acknowledged[number] = seq
            if count == 1000:
                os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    with opened(tmp_path) as store:
        assert store.facts().unclean
        assert store.check() == store.size_events() >= 2000
        for maker, seq in zip(makers, acknowledged, strict=True):
            events = list(store.events(maker.actor))
            assert len(events) > seq
            assert events == maker.events[: len(events)]
