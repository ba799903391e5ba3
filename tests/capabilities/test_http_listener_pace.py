"""WebSockets whose clients do not read, send too much, or speak all at once: each waits alone, and is bounded."""

from __future__ import annotations

import threading
import time

import pytest

from tests.capabilities.frames import (
    BINARY,
    CLOSE,
    LAST,
    LATE_S,
    PING,
    PONG,
    TEXT,
    client,
    closing,
    flooded,
    frame,
    frames,
    last_code,
    opened,
    opening,
    rest_after_closing,
    take,
    wait_until,
)
from tests.capabilities.listening import PATIENCE_S, Gate, PlayedFront, playing, rest
from theater.capabilities.http_front import Farewell, Head, Seat
from theater.capabilities.http_listener.bounds import Bounds


def test_what_a_client_does_not_read_waits_and_is_counted() -> None:
    with playing(bounds=Bounds(waiting_max_bytes=10**9)) as play, opened(play) as connection:
        name = play.front.opened_ids.get(timeout=PATIENCE_S)
        message, number = b"m" * 100_000, 200
        for _ in range(number):
            play.listener.say(name, message)
        wait_until(lambda: play.listener.waiting_bytes(name) < number * len(message))
        assert play.listener.waiting_bytes(name) > 5_000_000
        size = number * (len(message) + 10)
        while size > 0:
            size -= len(connection.recv(2**20))
        wait_until(lambda: play.listener.waiting_bytes(name) == 0)
        connection.sendall(closing(1000))
        assert play.front.end() == (1000, "")


def test_who_does_not_read_what_is_said_is_closed_when_it_is_too_much() -> None:
    with playing(bounds=Bounds(waiting_max_bytes=1_000_000, closing_s=LATE_S)) as play, opened(play) as connection:
        name = play.front.opened_ids.get(timeout=PATIENCE_S)
        for _ in range(200):
            play.listener.say(name, b"m" * 100_000)
        assert play.front.end() == (1008, "too much waits to be read")
        assert play.listener.waiting_bytes(name) == 0
        assert len(rest(connection)) < 20_000_000


def test_nothing_is_heard_behind_a_farewell_that_waits_to_be_read() -> None:
    with playing(bounds=Bounds(waiting_max_bytes=10**9)) as play, opened(play) as connection:
        name = play.front.opened_ids.get(timeout=PATIENCE_S)
        for _ in range(200):
            play.listener.say(name, b"m" * 100_000)
        play.listener.part(name, Farewell(4000))
        play.listener.part(name, Farewell(4001))
        play.say(LAST)  # until this is answered, the loop has seen to the above
        connection.sendall(frame(TEXT, b"too late"))
        assert frames(rest_after_closing(connection))[-1] == (CLOSE, b"\x0f\xa0")
        assert play.front.end() == (4000, "")
        assert play.front.messages.empty()


def test_a_client_that_does_not_read_at_all_is_cut_off() -> None:
    bounds = Bounds(waiting_max_bytes=10**9, ping_every_s=LATE_S, pong_s=LATE_S)
    with playing(bounds=bounds) as play, opened(play):
        name = play.front.opened_ids.get(timeout=PATIENCE_S)
        for _ in range(200):
            play.listener.say(name, b"m" * 100_000)
        assert play.front.end() == (1006, "")
        assert play.listener.waiting_bytes(name) == 0


@pytest.mark.slow
def test_a_client_that_reads_slowly_has_its_time() -> None:
    piece = 500_000
    with playing(bounds=Bounds(ping_every_s=LATE_S, pong_s=2.0)) as play, opened(play) as connection:
        play.listener.say(play.front.opened_ids.get(timeout=PATIENCE_S), b"m" * piece * 60)
        begun = time.monotonic()
        for number in range(60):
            take(connection, piece)
            while time.monotonic() < begun + 0.05 * number:  # all of it takes longer than a pong may
                play.say(LAST)


def test_a_client_that_says_farewell_and_does_not_read_the_answer_is_cut_off() -> None:
    with playing(bounds=Bounds(closing_s=LATE_S)) as play, opened(play) as connection:
        play.listener.say(play.front.opened_ids.get(timeout=PATIENCE_S), b"m" * 20_000_000)
        connection.recv(2**16)
        connection.sendall(closing(1000))
        assert play.front.end() == (1000, "")
        wait_until(lambda: play.listener.connections == 0)


@pytest.mark.slow
def test_a_client_that_was_not_read_from_is_let_go_of_as_soon_as_it_goes() -> None:
    gate = Gate()

    async def hearing(_connection: str, _message: str | bytes) -> None:
        await gate.passed()

    bounds = Bounds(waiting_max_bytes=1, closing_s=PATIENCE_S * 6)
    with playing(PlayedFront(hearing=hearing), bounds) as play, opened(play) as connection:
        name = play.front.opened_ids.get(timeout=PATIENCE_S)
        connection.sendall(frame(BINARY, b"m" * 900) * 500)
        assert gate.reached.wait(PATIENCE_S)
        wait_until(lambda: play.listener.held_bytes > 15_000)
        for _ in range(2):
            play.listener.say(name, b"m" * 10_000_000)
        assert last_code(rest(connection)) == 1008
        connection.close()
        wait_until(lambda: play.listener.connections == 0)
        gate.let_go()


def test_nothing_waits_for_a_client_that_has_gone() -> None:
    gate = Gate()

    async def hearing(_connection: str, _message: str | bytes) -> None:
        await gate.passed()

    bounds = Bounds(waiting_max_bytes=10**9, ping_every_s=LATE_S, pong_s=LATE_S)
    with playing(PlayedFront(hearing=hearing), bounds) as play:
        with opened(play) as connection:
            name = play.front.opened_ids.get(timeout=PATIENCE_S)
            connection.sendall(frame(TEXT, b"a"))
            assert gate.reached.wait(PATIENCE_S)
            for _ in range(200):
                play.listener.say(name, b"m" * 100_000)
            assert play.listener.waiting_bytes(name) > 0
        wait_until(lambda: play.listener.waiting_bytes(name) == 0)
        begun = time.monotonic()
        while time.monotonic() < begun + 3 * LATE_S:  # nobody is pinged any more
            play.say(LAST)
        gate.let_go()
        assert play.front.end() == (1006, "")


@pytest.mark.slow
def test_who_sends_before_the_handshake_is_over_is_not_read_from_for_long() -> None:
    gate = Gate()

    async def deciding(_seat: Seat, _head: Head) -> None:
        await gate.passed()

    with playing(PlayedFront(opening=deciding)) as play, play.connect() as connection:
        connection.sendall(opening())
        assert gate.reached.wait(PATIENCE_S)
        connection.settimeout(0.5)
        assert flooded(connection, frame(PING, b"p" * 125) * 100) < 50_000_000
        gate.let_go()


@pytest.mark.slow
def test_a_flood_of_pings_that_nobody_reads_the_answers_of_fills_no_memory_and_slows_nobody() -> None:
    with playing(bounds=Bounds(ping_every_s=PATIENCE_S)) as play, opened(play) as connection:
        connection.settimeout(0.5)
        sent = flooded(connection, frame(PING, b"p" * 125) * 100)
        slowest = 0.0
        for _ in range(5):
            begun = time.monotonic()
            assert play.say(LAST).endswith(b"GET / 0")
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 0.5
        assert sent < 50_000_000


@pytest.mark.slow
def test_a_flood_of_tiny_frames_slows_nobody_much() -> None:
    with playing() as play, opened(play) as connection:
        stopping = threading.Event()
        flood = frame(PONG) * 20_000

        def flooding() -> None:
            while not stopping.is_set():
                connection.sendall(flood)

        thread = threading.Thread(target=flooding)
        thread.start()
        try:
            times = []
            for _ in range(20):
                begun = time.monotonic()
                assert b" 200 OK" in play.say(LAST)
                times.append(time.monotonic() - begun)
        finally:
            stopping.set()
            thread.join()
        assert sorted(times)[10] < 0.25


def test_there_are_so_many_websockets_and_no_more() -> None:
    with playing(bounds=Bounds(websockets_max=1)) as play:
        with opened(play) as connection:
            assert play.say(opening()).startswith(b"HTTP/1.1 503 ")
            connection.sendall(closing(1000))
            rest(connection)
        play.front.end()
        with opened(play):
            pass


def test_nothing_happens_to_what_is_said_to_nobody() -> None:
    with playing() as play:
        play.listener.say("0" * 32, "a")
        play.listener.part("0" * 32, Farewell(1000))
        assert play.listener.waiting_bytes("0" * 32) == 0


def test_many_threads_may_speak_at_once_and_each_keeps_its_order() -> None:
    with playing(bounds=Bounds(waiting_max_bytes=10**8)) as play, client(play, max_size=None) as made:
        name = play.front.opened_ids.get(timeout=PATIENCE_S)

        def speaking(who: int) -> None:
            for number in range(200):
                play.listener.say(name, f"{who} {number}")

        threads = [threading.Thread(target=speaking, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        heard = [str(made.recv(PATIENCE_S)).split() for _ in range(800)]
        for thread in threads:
            thread.join()

    for who in range(4):
        assert [int(number) for speaker, number in heard if speaker == str(who)] == list(range(200))
