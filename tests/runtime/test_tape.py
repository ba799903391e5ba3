"""Tapes: what is recorded, what is compared, and where one becomes the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from theater.model.crash import StepCrash
from theater.model.event import Event, Kind
from theater.model.header import format_time
from theater.runtime.tape import Playing, Recording, Resuming, Tape
from theater.testing.chains import START_US, ChainMaker

SLEEP = "theater:actor/timing#sleep"


def recorded(*entries: tuple[Kind, str, bytes]) -> list[Event]:
    """Events of a step, from seq 1."""
    maker = ChainMaker()
    maker.genesis()
    return list(maker.add_all(entries))


LOG: tuple[Kind, str, bytes] = ("log", "log", b'{"text":"a"}')
OTHER: tuple[Kind, str, bytes] = ("log", "log", b'{"text":"b"}')


def slept(now_us: int) -> tuple[Kind, str, bytes]:
    """The answer to a sleep."""
    return "host", SLEEP, f'{{"answer":{{"ok":null}},"now":"{format_time(now_us)}","intent":1}}'.encode()


def new_events() -> tuple[list[tuple[Kind, str, bytes]], Recording]:
    """A recording tape, and what is recorded on it."""
    made: list[tuple[Kind, str, bytes]] = []
    maker = ChainMaker(1)
    maker.genesis()

    def add(kind: Kind, name: str, payload: bytes) -> Event:
        made.append((kind, name, payload))
        return maker.add(kind, name, payload)

    return made, Recording(add, lambda: None)


def as_tape(tape: Tape) -> Tape:
    """What the boundary sees."""
    return tape


def test_a_recording_knows_no_answer_and_keeps_what_it_is_told_to_keep() -> None:
    made, tape = new_events()

    assert as_tape(tape).answer(SLEEP) is None
    assert tape.emit(*LOG) == 1
    tape.keep()
    assert tape.emit(*OTHER) == 2
    assert made == [LOG, OTHER]
    assert tape.emitted is not None
    assert [event.payload for event in tape.emitted] == [OTHER[2]]
    assert tape.latest is tape.emitted[-1]
    assert as_tape(tape).finish() is None


def test_a_playing_tape_takes_the_same_again() -> None:
    tape = Playing(recorded(LOG, OTHER), end_seq=3)

    assert (tape.emit(*LOG), tape.emit(*OTHER)) == (1, 2)
    assert tape.is_used_up
    assert tape.finish() is None


@pytest.mark.parametrize(
    ("act", "seq"),
    [
        (lambda tape: tape.emit(*OTHER), 1),
        (lambda tape: tape.emit("log", "stdout", LOG[2]), 1),
        (lambda tape: tape.emit("host", "log", LOG[2]), 1),
        (lambda tape: tape.answer(SLEEP), 1),
        (lambda tape: (tape.emit(*LOG), tape.emit(*LOG)), 2),
    ],
)
def test_whatever_differs_ends_the_step_and_is_named(act: Callable[[Playing], Any], seq: int) -> None:
    tape = Playing(recorded(LOG), end_seq=2)

    with pytest.raises(StepCrash) as caught:
        act(tape)

    assert caught.value.crash.reason == "diverged"
    assert tape.divergence is not None
    assert tape.divergence.seq == seq


def test_a_tape_says_what_comes_next() -> None:
    made, recording = new_events()
    tape = Resuming(Playing(recorded(LOG, slept(START_US)), end_seq=3), recording)

    coming = [as_tape(recording).next_kind, tape.next_kind]
    for entry in (LOG, slept(START_US)):
        tape.emit(*entry)
        coming.append(tape.next_kind)

    assert coming == [None, "log", "host", None]
    assert made == []


def test_what_nobody_can_know_behind_the_record_is_a_difference() -> None:
    tape = Playing(recorded(LOG), end_seq=2)
    tape.emit(*LOG)

    with pytest.raises(StepCrash, match="the end of the step") as caught:
        tape.miss("host", SLEEP)

    assert caught.value.crash.reason == "diverged"
    assert tape.divergence is not None
    assert tape.divergence.seq == 2


def test_what_did_not_fit_into_the_record_is_missing_there() -> None:
    tape = Playing(recorded(LOG), end_seq=2, outgrew=True)
    tape.emit(*LOG)

    with pytest.raises(StepCrash) as caught:
        tape.miss("host", SLEEP)

    assert caught.value.crash.reason == "bytes"
    assert tape.finish() is None


def test_a_live_tape_misses_nothing() -> None:
    with pytest.raises(AssertionError):
        new_events()[1].miss("host", SLEEP)


def test_behind_the_record_there_is_no_answer_and_nothing_live() -> None:
    tape = Playing(recorded(LOG), end_seq=2)
    tape.emit(*LOG)

    assert tape.answer(SLEEP) is None
    assert not tape.is_live


def test_the_first_difference_is_the_one_that_is_told() -> None:
    tape = Playing(recorded(LOG), end_seq=2)
    for _ in range(2):
        with pytest.raises(StepCrash):
            tape.emit(*OTHER)

    found = tape.finish()
    assert found is not None
    assert (found.seq, found.got) == (1, 'log log {"text":"b"}')


def test_what_did_not_happen_again_is_a_difference() -> None:
    tape = Playing(recorded(LOG, OTHER), end_seq=3)
    tape.emit(*LOG)

    found = tape.finish()

    assert found is not None
    assert (found.seq, found.got) == (2, "the end of the step")


def test_a_step_that_was_ended_from_outside_is_ended_where_its_record_ends() -> None:
    tape = Playing(recorded(LOG, OTHER), end_seq=3, stops_early=True)
    tape.emit(*LOG)

    with pytest.raises(StepCrash) as caught:
        tape.emit(*OTHER)

    assert caught.value.crash.reason == "terminated"
    assert tape.divergence is None


@pytest.mark.parametrize("late_us", [0, 500])
def test_an_answer_is_given_when_the_wait_can_have_ended(late_us: int) -> None:
    now_us = START_US + 500 + late_us  # the event that records it is of START_US + 1000
    tape = Playing(recorded(slept(now_us)), end_seq=2)

    answer = tape.answer(SLEEP, ended_us=range(START_US + 500, START_US + 10**9))

    assert answer is not None
    assert answer.now == format_time(now_us)


@pytest.mark.parametrize("now_us", [START_US + 499, START_US + 1001, START_US + 10**9])
def test_an_answer_at_any_other_time_is_a_difference(now_us: int) -> None:
    tape = Playing(recorded(slept(now_us)), end_seq=2)

    with pytest.raises(StepCrash):
        tape.answer(SLEEP, ended_us=range(START_US + 500, START_US + 10**9))

    assert tape.divergence is not None


def test_a_resumed_step_plays_first_and_records_then() -> None:
    made, recording = new_events()
    tape = Resuming(Playing(recorded(LOG), end_seq=2), recording)

    tape.emit(*LOG)
    assert made == []
    assert tape.answer(SLEEP) is None
    tape.emit(*OTHER)
    assert made == [OTHER]
    assert tape.finish() is None


def test_a_resumed_step_that_says_something_else_ends_as_diverged() -> None:
    made, recording = new_events()
    tape = Resuming(Playing(recorded(LOG), end_seq=2), recording)

    with pytest.raises(StepCrash) as caught:
        tape.emit(*OTHER)

    assert caught.value.crash.reason == "diverged"
    assert made == []


def test_a_resumed_step_that_says_less_has_a_difference() -> None:
    tape = Resuming(Playing(recorded(LOG), end_seq=2), new_events()[1])

    assert tape.finish() is not None
