"""WebSockets of the servers of actors, over real sockets: RFC 6455 as clients keep it, and as they do not."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.capabilities.frames import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONT,
    KEY,
    LAST,
    LATE_S,
    PING,
    PONG,
    TEXT,
    client,
    closing,
    frame,
    frames,
    last_code,
    opened,
    opening,
    rest_after_closing,
    wait_until,
)
from tests.capabilities.listening import PATIENCE_S, Gate, PlayedFront, playing, rest, until
from theater.capabilities.http_front import Answer, Farewell, Head, Seat
from theater.capabilities.http_listener.bounds import Bounds
from theater.errors import InternalError


def test_messages_go_both_ways_and_keep_their_kind_and_order() -> None:
    async def hearing(connection: str, message: str | bytes) -> None:
        play.listener.say(connection, message)

    with playing(PlayedFront(hearing=hearing)) as play, client(play) as made:
        said: list[str | bytes] = ["hä", b"\x00\xff", "", b"", *map(str, range(50))]
        for message in said:
            made.send(message)
        assert [made.recv(PATIENCE_S) for _ in said] == said
        made.close(4001, "enough")
        assert play.front.end() == (4001, "enough")
        assert play.listener.waiting_bytes("0" * 32) == 0

    assert play.front.heads[0].path == "/ws"
    assert play.front.heads[0].query == "x"


def test_a_handshake_is_answered_as_the_rfc_has_it() -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(opening(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
        head = until(connection, b"\r\n\r\n").lower()

    assert head.startswith(b"http/1.1 101 switching protocols\r\n")
    assert b"\r\nupgrade: websocket\r\n" in head
    assert b"\r\nconnection: upgrade\r\n" in head
    assert b"\r\nsec-websocket-accept: " + ACCEPT.lower() + b"\r\n" in head
    assert b"extensions" not in head
    assert b"server:" not in head


def test_the_front_chooses_among_the_subprotocols_that_the_client_offers() -> None:
    front = PlayedFront(choosing=lambda _head, offered: offered[1])
    with playing(front) as play, client(play, "a", "b.c") as made:
        assert made.subprotocol == "b.c"

    assert front.offered == [("a", "b.c")]


def test_no_subprotocol_is_chosen_where_the_front_wants_none() -> None:
    with playing() as play, client(play, "a") as made:
        assert made.subprotocol is None


def test_a_subprotocol_that_nobody_offered_is_the_fault_of_the_front() -> None:
    with playing(PlayedFront(choosing=lambda _head, _offered: "b")) as play:
        assert play.say(opening()).startswith(b"HTTP/1.1 500 ")
        assert isinstance(play.reports.pop(), InternalError)


@pytest.mark.parametrize(
    ("sent", "status", "header"),
    [
        (opening().replace(b"Version: 13", b"Version: 8"), 426, b"sec-websocket-version: 13"),
        (opening().replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426, b"sec-websocket-version: 13"),
        (opening(b"Sec-WebSocket-Version: 13"), 426, b"sec-websocket-version: 13"),
        (opening(key=b""), 400, b"connection: close"),
        (opening(key=b"c2hvcnQ="), 400, b"connection: close"),
        (opening(key=b"?" * 24), 400, b"connection: close"),
        (opening(b"Sec-WebSocket-Key: " + KEY), 400, b"connection: close"),
        (opening(b"Sec-WebSocket-Protocol: a, a"), 400, b"connection: close"),
        (opening(b"Sec-WebSocket-Protocol: a b"), 400, b"connection: close"),
        (opening(b"Sec-WebSocket-Protocol: a,,b"), 400, b"connection: close"),
        (opening(b"Content-Length: 4") + b"body", 400, b"connection: close"),
        (opening(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, b"connection: close"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + opening(), 200, b"content-length: 7"),
    ],
)
def test_a_request_that_opens_no_websocket_is_answered(sent: bytes, status: int, header: bytes) -> None:
    with playing() as play:
        said = play.say(sent)
        assert said.startswith(f"HTTP/1.1 {status} ".encode())
        assert header in said
        assert b" 101 " not in said
        assert play.front.offered == []


@pytest.mark.parametrize(
    "sent",
    [
        opening().replace(b"Upgrade: websocket\r\n", b""),
        opening().replace(b"Connection: Upgrade\r\n", b""),
        opening().replace(b"GET ", b"POST ").replace(b"Host: x", b"Host: x\r\nContent-Length: 0"),
        opening().replace(b"HTTP/1.1", b"HTTP/1.0"),
        opening().replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
    ],
)
def test_a_request_that_asks_for_no_websocket_is_a_request(sent: bytes) -> None:
    with playing() as play, play.connect() as connection:
        connection.sendall(sent)
        assert until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert play.front.offered == []


def test_a_front_may_refuse_a_websocket_at_once_or_later() -> None:
    async def refusing(_seat: Seat, _head: Head) -> Answer:
        return Answer(403, (("x-why", "ä"),), b"no")

    front = PlayedFront(choosing=lambda _head, _offered: Answer(404))
    with playing(front) as play:
        assert play.say(opening()).startswith(b"HTTP/1.1 404 ")
        front.choosing, front.opening = None, refusing
        with pytest.raises(InvalidStatus) as refused, client(play):
            raise AssertionError
        assert refused.value.response.status_code == 403
        assert refused.value.response.body == b"no"
        assert front.ends.empty()


def test_what_is_said_before_the_handshake_is_over_goes_right_behind_it() -> None:
    gate = Gate()

    async def deciding(_seat: Seat, _head: Head) -> None:
        await gate.passed()

    with playing(PlayedFront(opening=deciding)) as play, play.connect() as connection:
        connection.sendall(opening() + frame(TEXT, b"early"))
        assert gate.reached.wait(PATIENCE_S)
        play.listener.say("0" * 32, "first")
        play.listener.say("0" * 32, b"second")
        play.listener.part("0" * 32, Farewell(4000, "third"))
        play.listener.say("0" * 32, "too late")
        assert play.listener.waiting_bytes("0" * 32) >= len("firstsecond")
        gate.let_go()
        head, _, said = rest_after_closing(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert frames(said) == [(TEXT, b"first"), (BINARY, b"second"), (CLOSE, b"\x0f\xa0third")]
        assert play.front.end() == (4000, "third")


def test_what_comes_before_the_handshake_is_over_is_heard_behind_it() -> None:
    gate = Gate()

    async def deciding(_seat: Seat, _head: Head) -> None:
        await gate.passed()

    with playing(PlayedFront(opening=deciding, message_max_bytes=10**6)) as play, play.connect() as connection:
        connection.sendall(opening() + frame(TEXT, b"early") + frame(BINARY, b"b" * 300_000))
        assert gate.reached.wait(PATIENCE_S)
        gate.let_go()
        assert play.front.messages.get(timeout=PATIENCE_S) == "early"
        assert play.front.messages.get(timeout=PATIENCE_S) == b"b" * 300_000


def test_a_client_that_goes_before_it_is_taken_is_told_of_once_it_is() -> None:
    gate = Gate()

    async def deciding(_seat: Seat, _head: Head) -> None:
        await gate.passed()

    with playing(PlayedFront(opening=deciding)) as play:
        with play.connect() as connection:
            connection.sendall(opening())
            assert gate.reached.wait(PATIENCE_S)
        gate.let_go()
        assert play.front.end() == (1006, "")
        assert not gate.left.is_set()


@pytest.mark.parametrize(
    ("sent", "code", "answer"),
    [
        (closing(1000, b"bye"), (1000, "bye"), closing(1000, b"bye")),
        (closing(4999, "ä".encode()), (4999, "ä"), b""),
        (frame(CLOSE), (1005, ""), b""),
        (frame(TEXT, b"heard") + closing(1001), (1001, ""), b""),
    ],
)
def test_a_client_may_end_it(sent: bytes, code: tuple[int, str], answer: bytes) -> None:
    with playing() as play, opened(play) as connection:
        connection.sendall(sent)
        said = frames(rest(connection))
        assert [opcode for opcode, _ in said] == [CLOSE]
        assert not answer or said[0][1] == answer[6:]
        assert play.front.end() == code


def test_a_client_that_breaks_off_is_told_of() -> None:
    with playing() as play:
        with opened(play) as connection:
            connection.sendall(frame(TEXT, b"last") + frame(TEXT, b"half", fin=False))
        assert play.front.end() == (1006, "")
        assert play.front.messages.get_nowait() == "last"


def test_a_client_that_does_not_answer_a_farewell_is_cut_off() -> None:
    with playing(bounds=Bounds(closing_s=LATE_S)) as play, opened(play) as connection:
        play.listener.part(play.front.opened_ids.get(timeout=PATIENCE_S), Farewell(1000))
        assert last_code(rest(connection)) == 1000
        assert play.front.end() == (1000, "")


def test_a_farewell_without_a_code_has_none() -> None:
    with playing(bounds=Bounds(closing_s=LATE_S)) as play, opened(play) as connection:
        play.listener.part(play.front.opened_ids.get(timeout=PATIENCE_S), Farewell(1005))
        assert frames(rest(connection)) == [(CLOSE, b"")]


@pytest.mark.parametrize("farewell", [Farewell(1006), Farewell(17), Farewell(70_000), Farewell(1000, "x" * 124)])
def test_a_farewell_that_nobody_may_send_is_the_fault_of_the_front(farewell: Farewell) -> None:
    with playing(bounds=Bounds(closing_s=LATE_S)) as play, opened(play) as connection:
        play.listener.part(play.front.opened_ids.get(timeout=PATIENCE_S), farewell)
        assert last_code(rest(connection)) == 1011
        assert play.front.end()[0] == 1011
        play.reports.pop()


def test_a_front_may_say_farewell_to_a_message() -> None:
    async def hearing(_connection: str, _message: str | bytes) -> Farewell:
        return Farewell(4004, "nobody listens")

    with playing(PlayedFront(hearing=hearing)) as play, client(play) as made:
        made.send("a")
        with pytest.raises(ConnectionClosed) as closed:
            made.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4004, "nobody listens")
        assert play.front.end() == (4004, "nobody listens")


def test_a_front_that_fails_is_reported_and_its_websocket_closed() -> None:
    async def failing(_connection: str, _message: str | bytes) -> None:
        raise ValueError("hearing")

    async def failing_early(_seat: Seat, _head: Head) -> None:
        raise ValueError("opening")

    front = PlayedFront(hearing=failing)
    with playing(front, Bounds(closing_s=LATE_S)) as play:
        with opened(play) as connection:
            connection.sendall(frame(TEXT, b"a"))
            assert last_code(rest(connection)) == 1011
        assert front.end()[0] == 1011
        front.opening = failing_early
        assert play.say(opening()).startswith(b"HTTP/1.1 500 ")
        assert [str(error) for error in play.reports] == ["hearing", "opening"]
        play.reports.clear()
        assert front.ends.empty()


# -- against the rules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"a", is_masked=False), 1002),
        (frame(TEXT, b"a", rsv=4), 1002),  # compressed, which was not agreed upon
        (frame(TEXT, b"a", rsv=1), 1002),
        (frame(3, b"a"), 1002),
        (frame(11), 1002),
        (frame(CONT, b"a"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(PING, b"a", fin=False), 1002),
        (frame(PING, b"a" * 126), 1002),
        (frame(CLOSE, b"a"), 1002),
        (closing(1005), 1002),
        (closing(1006), 1002),
        (closing(999), 1002),
        (closing(5000), 1002),
        (closing(1000, b"\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"a"), 1007),
        (frame(TEXT, b"a" * 1001), 1009),
        (frame(BINARY, b"a" * 600, fin=False) + frame(CONT, b"a" * 401), 1009),
        (b"\x82\xff" + struct.pack("!Q", 2**62) + bytes(4), 1009),
        (b"\x82\xff" + struct.pack("!Q", 2**63) + bytes(4), 1009),
        (frame(BINARY, b"a", fin=False) + frame(CONT, b"a", fin=False) * 2000, 1009),
    ],
)
def test_who_breaks_the_rules_is_told_which_and_nothing_of_it_is_heard(sent: bytes, code: int) -> None:
    with playing(bounds=Bounds(closing_s=LATE_S)) as play, opened(play) as connection:
        connection.sendall(sent)
        assert last_code(rest(connection)) == code
        assert play.front.end()[0] == code
        assert play.front.messages.empty()


def test_a_message_may_come_in_parts_up_to_its_bound_with_pings_between() -> None:
    with playing() as play, opened(play) as connection:
        text = ("ä" * 500).encode()
        connection.sendall(
            frame(TEXT, text[:501], fin=False)
            + frame(PING, b"between")
            + frame(CONT, b"", fin=False) * 3000
            + frame(CONT, text[501:])
        )
        assert play.front.messages.get(timeout=PATIENCE_S) == "ä" * 500
        assert until(connection, b"between") == b"\x8a\x07between"


def test_a_text_in_parts_may_be_cut_within_a_character() -> None:
    with playing() as play, opened(play) as connection:
        connection.sendall(frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"\xa4"))
        assert play.front.messages.get(timeout=PATIENCE_S) == "ä"


def test_a_client_that_gives_no_sign_of_life_is_cut_off() -> None:
    with playing(bounds=Bounds(ping_every_s=LATE_S, pong_s=LATE_S)) as play, opened(play) as connection:
        assert frames(rest(connection)) == [(PING, b"")]
        assert play.front.end() == (1006, "")


def test_a_client_that_answers_pings_stays() -> None:
    with playing(bounds=Bounds(ping_every_s=LATE_S, pong_s=PATIENCE_S)) as play, opened(play) as connection:
        for _ in range(3):
            assert connection.recv(2) == b"\x89\x00"
            connection.sendall(frame(PONG))
        connection.sendall(closing(1000))
        assert play.front.end() == (1000, "")


def test_messages_wait_while_one_is_handled_and_none_is_lost() -> None:
    gate = Gate()

    async def hearing(_connection: str, _message: str | bytes) -> None:
        if not gate.reached.is_set():
            await gate.passed()

    front = PlayedFront(hearing=hearing, message_max_bytes=10**5)
    bounds = Bounds(ping_every_s=LATE_S, pong_s=LATE_S)
    with playing(front, bounds) as play, opened(play) as connection:
        sent = [bytes([number % 256]) * 50_000 for number in range(100)]
        sending = threading.Thread(target=send_all, args=(connection, sent))
        sending.start()
        assert gate.reached.wait(PATIENCE_S)
        begun = time.monotonic()
        while time.monotonic() < begun + 5 * LATE_S:  # longer than a pong may take: who is not read from is not cut off
            play.say(LAST)
        assert play.listener.held_bytes < 2_000_000
        assert front.messages.qsize() == 1
        gate.let_go()
        sending.join(PATIENCE_S)
        assert [front.messages.get(timeout=PATIENCE_S) for _ in sent] == sent
        assert front.end() == (1000, "")


def send_all(connection: socket.socket, sent: list[bytes]) -> None:
    for message in sent:
        connection.sendall(frame(BINARY, message))
    connection.sendall(closing(1000))


def test_half_messages_of_all_connections_share_a_room() -> None:
    front = PlayedFront(message_max_bytes=10**6)
    with playing(front, Bounds(held_max_bytes=150_000, closing_s=LATE_S)) as play, ExitStack() as closing_all:
        first, second = (closing_all.enter_context(opened(play)) for _ in range(2))
        first.sendall(frame(BINARY, b"a" * 100_000)[:-1])
        wait_until(lambda: play.listener.held_bytes > 99_000)
        second.sendall(frame(BINARY, b"a" * 100_000)[:-1])
        assert last_code(rest(second)) == 1013
        first.sendall(b"a")
        assert front.messages.get(timeout=PATIENCE_S) == b"a" * 100_000


def test_no_nonsense_in_frames_breaks_anything() -> None:
    chance = random.Random(7)
    with playing() as play:
        for _ in range(200):
            with opened(play) as connection:
                for _ in range(chance.randint(1, 6)):
                    data = frame(
                        chance.choice([TEXT, BINARY, CONT, PING, CLOSE, 3]), chance.randbytes(chance.randint(0, 200))
                    )
                    at = chance.randrange(len(data))
                    if chance.random() < 0.5:
                        data = data[:at] + chance.randbytes(1) + data[at + 1 :]
                    connection.sendall(data)
        for _ in range(200):
            play.front.end()
