"""The clock for tests moves when it is told to, and the entropy for tests repeats itself."""

import threading

import pytest

from theater.errors import TimedOut
from theater.testing.clock import START_US, MockClock
from theater.testing.entropy import SeededEntropy


def test_it_stands_still_and_moves_when_told() -> None:
    clock = MockClock()
    assert clock.now_us() == clock.now_us() == START_US

    clock.advance(1.5)
    clock.advance_us(1)

    assert clock.now_us() == START_US + 1_500_001


def test_timers_run_in_order_of_their_times_each_at_its_own() -> None:
    clock = MockClock(0)
    ran: list[tuple[str, int]] = []
    clock.call_at(3_000_000, lambda: ran.append(("c", clock.now_us())))
    clock.call_at(1_000_000, lambda: ran.append(("a", clock.now_us())))
    clock.call_at(1_000_000, lambda: ran.append(("b", clock.now_us())))

    clock.advance(2)
    assert ran == [("a", 1_000_000), ("b", 1_000_000)]
    assert clock.now_us() == 2_000_000
    assert clock.timers == (3_000_000,)
    clock.advance(1)
    assert ran[2:] == [("c", 3_000_000)]


def test_a_timer_set_by_a_timer_runs_in_the_same_advance_if_it_falls_due() -> None:
    clock = MockClock(0)
    ran: list[int] = []

    def again() -> None:
        clock.call_at(2, lambda: ran.append(clock.now_us()))

    clock.call_at(1, again)

    clock.advance_us(2)

    assert ran == [2]


def test_a_timer_that_is_due_when_it_is_set_runs_with_the_next_advance() -> None:
    clock = MockClock(5)
    ran: list[int] = []
    clock.call_at(3, lambda: ran.append(clock.now_us()))
    assert ran == []

    clock.advance(0)

    assert ran == [5]


def test_a_cancelled_timer_does_not_run() -> None:
    clock = MockClock(0)
    ran: list[int] = []
    cancel = clock.call_at(1, lambda: ran.append(1))
    cancel()
    cancel()

    clock.advance(1)

    assert ran == []


def test_close_forgets_and_the_clock_can_be_used_again() -> None:
    clock = MockClock(0)
    clock.call_at(1, lambda: None)
    clock.close()
    assert clock.timers == ()

    clock.advance(1)

    assert clock.now_us() == 1_000_000


def test_a_timer_set_by_another_thread_can_be_waited_for() -> None:
    clock = MockClock()
    thread = threading.Thread(target=lambda: clock.call_at(START_US, lambda: None))
    thread.start()

    clock.wait_for_timers()

    thread.join()
    with pytest.raises(TimedOut, match="1 timers wait"):
        clock.wait_for_timers(2, timeout_s=0.01)


def test_the_same_seed_gives_the_same_bytes_and_none_twice() -> None:
    first, second, other = SeededEntropy(1), SeededEntropy(1), SeededEntropy(2)
    taken = [first.take(16) for _ in range(100)]

    assert taken == [second.take(16) for _ in range(100)]
    assert len(set(taken)) == 100
    assert other.take(16) not in taken
    assert len(first.take(100_000)) == 100_000
