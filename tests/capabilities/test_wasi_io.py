"""Streams that become log events, and polling that waits only where it must."""

import pytest

from theater.capabilities.wasi_cli import get_stdin, output
from theater.capabilities.wasi_clocks import subscribe_duration
from theater.capabilities.wasi_io import (
    BLOCKING_WRITE_MAX_BYTES,
    CHECK_WRITE_BYTES,
    READ_MAX_BYTES,
    blocking_write_and_flush,
    blocking_write_zeroes_and_flush,
    check_write,
    flush,
    read,
    skip,
    splice,
    to_debug_string,
    write,
    write_zeroes,
)
from theater.capabilities.wasi_poll import block, poll, ready, subscribe
from theater.capabilities.wasi_world import EMPTY_WORLD as GRANT
from theater.model.capability import Wait
from theater.model.crash import StepCrash
from theater.testing.step_context import FakeStepContext, Written

OK = ("ok", None)
CLOSED = ("err", ("closed", None))
MS = 1_000_000  # nanoseconds

get_stdout = output("stdout")
get_stderr = output("stderr")


# -- input -----------------------------------------------------------------------------------------------------------


def test_stdin_has_what_was_given_and_is_closed_then() -> None:
    ctx = FakeStepContext(stdin=b"one two")
    first, second = get_stdin(ctx, GRANT), get_stdin(ctx, GRANT)

    assert read(ctx, GRANT, first, 0) == ("ok", b"")
    assert read(ctx, GRANT, first, 3) == ("ok", b"one")
    assert skip(ctx, GRANT, second, 1) == ("ok", 1)
    assert read(ctx, GRANT, second, 2**64 - 1) == ("ok", b"two")
    assert read(ctx, GRANT, first, 1) == skip(ctx, GRANT, second, 1) == CLOSED


def test_a_read_of_stdin_gives_so_much_at_most() -> None:
    ctx = FakeStepContext(stdin=b"x" * (READ_MAX_BYTES + 1))
    stream = get_stdin(ctx, GRANT)

    assert read(ctx, GRANT, stream, 2**64 - 1) == ("ok", b"x" * READ_MAX_BYTES)
    assert read(ctx, GRANT, stream, 2**64 - 1) == ("ok", b"x")


def test_stdin_is_spliced_to_stdout() -> None:
    ctx = FakeStepContext(stdin=b"one two")

    assert splice(ctx, GRANT, get_stdout(ctx, GRANT), get_stdin(ctx, GRANT), 10) == ("ok", 7)
    assert [(piece.stream, piece.data) for piece in ctx.written] == [("stdout", b"one two")]


@pytest.mark.parametrize("length", [0, 1, 2**64 - 1])
def test_stdin_is_closed_where_nothing_was_given(length: int) -> None:
    ctx = FakeStepContext()

    assert read(ctx, GRANT, get_stdin(ctx, GRANT), length) == CLOSED


def test_splicing_from_stdin_moves_nothing() -> None:
    ctx = FakeStepContext()

    assert splice(ctx, GRANT, get_stdout(ctx, GRANT), get_stdin(ctx, GRANT), 10) == CLOSED
    assert ctx.written == []


# -- output ----------------------------------------------------------------------------------------------------------


def test_what_check_write_permits_can_be_written() -> None:
    ctx = FakeStepContext()
    stream = get_stdout(ctx, GRANT)

    assert check_write(ctx, GRANT, stream) == ("ok", CHECK_WRITE_BYTES)
    assert write(ctx, GRANT, stream, b"x" * CHECK_WRITE_BYTES) == OK
    assert ctx.written == [Written("stdout", b"x" * CHECK_WRITE_BYTES)]


def test_a_permit_is_for_as_many_bytes_in_all_as_it_says() -> None:
    ctx = FakeStepContext()
    stream = get_stderr(ctx, GRANT)
    check_write(ctx, GRANT, stream)
    write(ctx, GRANT, stream, b"x" * (CHECK_WRITE_BYTES - 1))
    write(ctx, GRANT, stream, b"y")

    with pytest.raises(StepCrash) as caught:
        write(ctx, GRANT, stream, b"z")

    assert caught.value.crash.reason == "trap"
    assert caught.value.crash.message == "wrote 1 bytes where check-write permitted 0"
    assert [written.data[-1:] for written in ctx.written] == [b"x", b"y"]


def test_writing_without_a_permit_traps() -> None:
    ctx = FakeStepContext()

    with pytest.raises(StepCrash):
        write(ctx, GRANT, get_stdout(ctx, GRANT), b"x")
    with pytest.raises(StepCrash):
        write_zeroes(ctx, GRANT, get_stdout(ctx, GRANT), 2**64 - 1)

    assert ctx.written == []


def test_a_permit_is_for_one_stream() -> None:
    ctx = FakeStepContext()
    check_write(ctx, GRANT, get_stdout(ctx, GRANT))

    with pytest.raises(StepCrash):
        write(ctx, GRANT, get_stdout(ctx, GRANT), b"x")


def test_a_blocking_write_needs_no_permit_and_has_at_most_4096_bytes() -> None:
    ctx = FakeStepContext()
    stream = get_stdout(ctx, GRANT)

    assert blocking_write_and_flush(ctx, GRANT, stream, b"x" * BLOCKING_WRITE_MAX_BYTES) == OK
    assert blocking_write_zeroes_and_flush(ctx, GRANT, stream, 2) == OK
    with pytest.raises(StepCrash, match="at most 4096 bytes, and this has 4097") as caught:
        blocking_write_and_flush(ctx, GRANT, stream, b"x" * (BLOCKING_WRITE_MAX_BYTES + 1))
    with pytest.raises(StepCrash, match="at most 4096 bytes"):
        blocking_write_zeroes_and_flush(ctx, GRANT, stream, 2**64 - 1)

    assert caught.value.crash.reason == "trap"
    assert [written.data for written in ctx.written] == [b"x" * BLOCKING_WRITE_MAX_BYTES, b"\0\0"]


def test_zeroes_are_written_within_the_permit() -> None:
    ctx = FakeStepContext()
    stream = get_stdout(ctx, GRANT)
    check_write(ctx, GRANT, stream)

    assert write_zeroes(ctx, GRANT, stream, 3) == OK
    assert ctx.written == [Written("stdout", b"\0\0\0")]


def test_writing_nothing_writes_nothing() -> None:
    ctx = FakeStepContext()

    assert write(ctx, GRANT, get_stdout(ctx, GRANT), b"") == OK
    assert ctx.written == []


def test_flushing_cuts_no_line() -> None:
    ctx = FakeStepContext()

    assert flush(ctx, GRANT, get_stdout(ctx, GRANT)) == OK
    assert ctx.flushed == []


def test_no_error_but_that_of_a_file_has_anything_to_say() -> None:
    ctx = FakeStepContext()

    assert to_debug_string(ctx, GRANT, ctx.resources.add(object())) == ""


# -- polling ---------------------------------------------------------------------------------------------------------


def test_a_stream_is_always_ready() -> None:
    ctx = FakeStepContext()
    pollable = subscribe(ctx, GRANT, get_stdin(ctx, GRANT))

    assert ready(ctx, GRANT, pollable) is True
    assert block(ctx, GRANT, pollable) is None
    assert poll(ctx, GRANT, [pollable, pollable]) == [0, 1]


def test_a_timer_is_ready_from_its_instant_on() -> None:
    ctx = FakeStepContext()
    timer = subscribe_duration(ctx, GRANT, 5 * MS)
    assert ready(ctx, GRANT, timer) is False

    ctx.now_us += 5000

    assert ready(ctx, GRANT, timer) is True
    assert block(ctx, GRANT, timer) is None


def test_polling_waits_for_the_earliest_timer_and_names_those_that_are_ready_then() -> None:
    ctx = FakeStepContext()
    late, early, same = (subscribe_duration(ctx, GRANT, duration * MS) for duration in (9, 5, 5))

    wait = poll(ctx, GRANT, [late, early, same])

    assert isinstance(wait, Wait)
    assert wait.until_us == ctx.now_us + 5000
    ctx.now_us = wait.until_us
    assert wait.answer() == [1, 2]


def test_polling_does_not_wait_beside_something_that_is_ready() -> None:
    ctx = FakeStepContext()
    timer = subscribe_duration(ctx, GRANT, 5 * MS)
    stream = subscribe(ctx, GRANT, get_stdin(ctx, GRANT))

    assert poll(ctx, GRANT, [timer, stream]) == [1]


def test_a_wait_that_ends_late_answers_with_everything_that_is_ready_then() -> None:
    ctx = FakeStepContext()
    wait = poll(ctx, GRANT, [subscribe_duration(ctx, GRANT, duration * MS) for duration in (1, 2)])
    assert isinstance(wait, Wait)

    ctx.now_us += 60_000

    assert wait.answer() == [0, 1]


def test_blocking_on_a_timer_waits_for_it() -> None:
    ctx = FakeStepContext()

    wait = block(ctx, GRANT, subscribe_duration(ctx, GRANT, MS))

    assert isinstance(wait, Wait)
    ctx.now_us = wait.until_us
    assert wait.answer() is None


def test_a_wait_that_the_limit_of_the_step_ends_ends_the_step() -> None:
    ctx = FakeStepContext()
    wait = poll(ctx, GRANT, [subscribe_duration(ctx, GRANT, 2**64 - 1)])
    assert isinstance(wait, Wait)

    with pytest.raises(StepCrash, match="the limit 'wait' was used up") as caught:
        wait.answer()

    assert caught.value.crash.reason == "deadline"


def test_a_wait_does_not_need_the_pollable_to_live_on() -> None:
    ctx = FakeStepContext()
    timer = subscribe_duration(ctx, GRANT, MS)
    wait = block(ctx, GRANT, timer)
    assert isinstance(wait, Wait)

    ctx.resources.drop(timer)
    ctx.now_us = wait.until_us

    assert wait.answer() is None


def test_polling_nothing_traps() -> None:
    with pytest.raises(StepCrash, match="empty list") as caught:
        poll(FakeStepContext(), GRANT, [])

    assert caught.value.crash.reason == "trap"
