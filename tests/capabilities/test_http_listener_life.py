"""The listener from its first server to its end: its thread, what it leaves behind, TLS, and a loop that dies."""

from __future__ import annotations

import errno
import gc
import os
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.capabilities.listening import PATIENCE_S, SERVER, Gate, PlayedFront, bound, playing, rest, until
from tests.server.test_serving import certificate
from theater.capabilities.http_front import Admission, Answer, Certificate, Farewell, Head
from theater.capabilities.http_listener.bounds import Bounds
from theater.capabilities.http_listener.listener import THREAD, Listener
from theater.capabilities.http_listener.tls import context_of
from theater.errors import Closing, InternalError, InvalidInput

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionError:
        return False
    return True


def wait_until_closed(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while is_listening(port):
        assert time.monotonic() < deadline


def test_the_thread_starts_with_the_first_server_and_ends_with_the_listener() -> None:
    listener = Listener(PlayedFront(), report=lambda _error: None)
    assert threads() == []
    listener.open("a", bound(), None)
    listener.open("b", bound(), None)
    assert len(threads()) == 1
    listener.shut()
    listener.shut()
    assert threads() == []
    listener.close("a")
    listener.say("0" * 32, "a")


def test_a_listener_without_a_server_has_no_thread_and_can_be_shut() -> None:
    listener = Listener(PlayedFront(), report=lambda _error: None)
    listener.close("nobody")
    listener.shut()
    assert threads() == []


def test_no_server_can_be_opened_behind_the_end() -> None:
    listener = Listener(PlayedFront(), report=lambda _error: None)
    listener.shut()
    server = bound()
    with pytest.raises(Closing):
        listener.open("a", server, None)
    assert server.fileno() == -1


def test_a_socket_that_cannot_be_listened_on_is_closed_and_says_why() -> None:
    listener = Listener(PlayedFront(), report=lambda _error: None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong, pytest.raises(OSError, match="not supported"):
        listener.open("a", wrong, None)
    listener.shut()


def test_each_server_is_told_from_the_others_and_closes_alone() -> None:
    with playing() as play:
        other = bound()
        port = other.getsockname()[1]
        play.listener.open("other", other, None)
        assert httpx.get(f"http://127.0.0.1:{port}/b").status_code == 200
        assert httpx.get(f"{play.origin}/a").status_code == 200
        assert [(head.server, head.path) for head in play.front.heads] == [("other", "/b"), (SERVER, "/a")]
        play.listener.close("other")
        wait_until_closed(port)
        assert httpx.get(f"{play.origin}/a").status_code == 200


def test_an_address_is_free_as_soon_as_its_server_is_closed() -> None:
    reached, go_on = threading.Event(), threading.Event()

    class Slow(PlayedFront):
        def admit(self, head: Head) -> Admission | Answer:
            reached.set()
            go_on.wait(PATIENCE_S)  # nothing else happens on the loop meanwhile
            return super().admit(head)

    with playing(Slow()) as play, play.connect() as busy, ExitStack() as held:
        held.callback(go_on.set)
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
        play.listener.open("other", server, None)
        busy.sendall(LAST)
        assert reached.wait(PATIENCE_S)
        play.listener.close("other")

        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(address)
            other.listen()
        go_on.set()
        assert rest(busy).startswith(b"HTTP/1.1 200")


def test_a_connection_that_is_being_welcomed_while_its_server_closes_ends() -> None:
    with playing() as play, socket.socket() as client:
        entrance, loop = play.listener._entrances[SERVER], play.listener._loop

        def come_and_close() -> None:
            client.connect(("127.0.0.1", play.port))
            entrance._accept()
            loop.call_soon(play.listener._close, entrance)

        loop.call_soon_threadsafe(come_and_close)
        wait_until_closed(play.port)

        assert rest(client) == b""
        deadline = time.monotonic() + PATIENCE_S
        while play.listener.connections:
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_a_server_on_ipv6_knows_who_asks() -> None:
    with playing() as play:
        server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        server.bind(("::1", 0))
        port = server.getsockname()[1]
        play.listener.open("six", server, None)
        assert httpx.get(f"http://[::1]:{port}/").status_code == 200
        assert play.front.heads[0].peer.startswith("[::1]:")
        assert play.front.heads[0].authority == f"[::1]:{port}"


def test_a_server_that_closes_answers_what_is_under_way_and_takes_no_more() -> None:
    gate = Gate()

    async def answering(_head: Head, _body: bytes) -> Answer:
        await gate.passed()
        return Answer(200, (), b"answered")

    with playing(PlayedFront(answering=answering)) as play, play.connect() as busy, play.connect() as idle:
        busy.sendall(GET)
        assert gate.reached.wait(PATIENCE_S)
        with connect(f"ws://127.0.0.1:{play.port}/") as websocket:
            play.listener.close(SERVER)
            assert rest(idle) == b""
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert play.front.end()[0] == 1001
        assert not is_listening(play.port)
        gate.let_go()
        said = rest(busy)
        assert said.endswith(b"answered")
        assert b"connection: close" in said


@pytest.mark.parametrize("sent", [GET, GET * 2])
def test_a_request_that_takes_too_long_is_given_up_when_its_server_closes(sent: bytes) -> None:
    gate = Gate()

    async def answering(_head: Head, _body: bytes) -> Answer:
        await gate.passed()
        return Answer(200)

    with playing(PlayedFront(answering=answering), Bounds(grace_s=0.03)) as play, play.connect() as busy:
        busy.sendall(sent)
        assert gate.reached.wait(PATIENCE_S)
        play.listener.close(SERVER)
        assert rest(busy) == b""
        assert gate.left.wait(PATIENCE_S)
        gate.let_go()


@pytest.mark.slow
def test_the_end_of_the_listener_is_bounded_whatever_its_clients_do() -> None:
    gate = Gate()

    async def answering(_head: Head, _body: bytes) -> Answer:
        await gate.passed()
        return Answer(200)

    front = PlayedFront(answering=answering)
    with playing(front, Bounds(shut_s=0.1)) as play, play.connect() as busy, play.connect() as half:
        busy.sendall(GET)
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        with connect(f"ws://127.0.0.1:{play.port}/") as silent:
            assert gate.reached.wait(PATIENCE_S)
            silent.socket.settimeout(PATIENCE_S)
            begun = time.monotonic()
            threading.Timer(0.3, gate.let_go).start()  # the executor of the loop waits for its threads
            play.listener.shut()
            assert time.monotonic() - begun < 2
            assert gate.left.is_set()
            assert front.end()[0] == 1001
        gc.collect()  # what was not closed would warn


@pytest.mark.slow
def test_a_front_that_holds_the_loop_up_is_named_when_the_listener_ends() -> None:
    holding, let_go = threading.Event(), threading.Event()

    def admitting(_head: Head) -> Answer:
        holding.set()
        let_go.wait(PATIENCE_S)
        return Answer(200)

    listener = Listener(PlayedFront(admitting=admitting), report=lambda _error: None, bounds=Bounds(shut_s=0.01))
    server = bound()
    listener.open(SERVER, server, None)
    with socket.create_connection(server.getsockname()) as connection:
        connection.sendall(GET)
        assert holding.wait(PATIENCE_S)
        with pytest.raises(InternalError, match="does not end"):
            listener.shut()
        let_go.set()
        for thread in threads():
            thread.join(PATIENCE_S)


class Unwilling(socket.socket):
    """Cannot accept at first."""

    error = errno.EMFILE
    tries = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.tries += 1
        if self.tries == 1:
            raise OSError(self.error, os.strerror(self.error))
        return super().accept()


@pytest.mark.slow
@pytest.mark.parametrize(("error", "is_reported"), [(errno.EMFILE, False), (errno.EPERM, True)])
def test_a_process_without_open_files_to_spare_waits_and_goes_on(*, error: int, is_reported: bool) -> None:
    with playing() as play:
        server = Unwilling(socket.AF_INET, socket.SOCK_STREAM)
        server.error = error
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        play.listener.open("other", server, None)
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
        assert server.tries < 10
        assert [type(report) for report in play.reports] == ([PermissionError] if is_reported else [])
        play.reports.clear()


class Deadly(PlayedFront):
    def closed(self, connection: str, code: int, reason: str) -> None:
        super().closed(connection, code, reason)
        if code == 4000:
            raise SystemExit(3)


def test_a_loop_that_dies_is_reported_and_leaves_nothing_open() -> None:
    with playing(Deadly()) as play, play.connect() as connection:
        connection.sendall(GET)
        until(connection, b"GET / 0")
        with connect(f"ws://127.0.0.1:{play.port}/") as other:
            with connect(f"ws://127.0.0.1:{play.port}/") as websocket:
                websocket.close(4000)
            with pytest.raises(ConnectionClosed):
                other.recv(PATIENCE_S)
        assert rest(connection) == b""
        for thread in threads():
            thread.join(PATIENCE_S)
        assert threads() == []
        assert [play.front.end()[0] for _ in range(2)] == [4000, 1001]
        assert not is_listening(play.port)
        with pytest.raises(Closing):
            play.listener.open("other", bound(), None)
        play.listener.part("0" * 32, Farewell(1000))
        assert isinstance(play.reports.pop(), SystemExit)


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    cert, key = certificate(tmp_path_factory.mktemp("tls"))
    return Certificate(str(cert), str(key))


def test_a_server_with_a_certificate_speaks_tls(files: Certificate) -> None:
    trust = ssl.create_default_context(cafile=files.certificate)
    with playing(certificate=files, front=PlayedFront(body_max_bytes=10**6)) as play:
        origin = f"localhost:{play.port}"
        with httpx.Client(verify=trust) as client:
            assert client.post(f"https://{origin}/", content=b"b" * 500_000).text == "POST / 500000"
            assert client.get(f"https://{origin}/").text == "GET / 0"
        with connect(f"wss://{origin}/", ssl=trust) as websocket:
            name = play.front.opened_ids.get(timeout=PATIENCE_S)
            for number in range(50):
                play.listener.say(name, b"%d" % number * 10_000)
            assert [websocket.recv(PATIENCE_S) for _ in range(50)] == [b"%d" % number * 10_000 for number in range(50)]
            websocket.send("heard")
            websocket.close(4000, "bye")
        assert play.front.end() == (4000, "bye")
        assert play.front.messages.get_nowait() == "heard"
        assert play.listener.waiting_bytes(name) == 0


def test_who_breaks_the_rules_over_tls_is_told_which(files: Certificate) -> None:
    trust = ssl.create_default_context(cafile=files.certificate)
    with (
        playing(certificate=files) as play,
        connect(f"wss://localhost:{play.port}/", ssl=trust) as websocket,
    ):
        websocket.send("x" * 1001)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_a_server_with_a_certificate_speaks_nothing_else_and_stays(files: Certificate) -> None:
    trust = ssl.create_default_context(cafile=files.certificate)
    with playing(certificate=files, bounds=Bounds(tls_s=0.05)) as play:
        assert b"HTTP" not in play.say(LAST)
        with play.connect() as silent:
            assert rest(silent) == b""
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with play.connect() as connection, pytest.raises(ssl.SSLError):
            old.wrap_socket(connection)
        assert httpx.get(f"https://localhost:{play.port}/", verify=trust).status_code == 200


def test_connections_that_have_not_agreed_on_tls_are_counted(files: Certificate) -> None:
    bounds = Bounds(connections_max=1, tls_s=PATIENCE_S)
    with playing(certificate=files, bounds=bounds) as play:
        silent = [play.connect() for _ in range(250)]
        assert rest(silent[-1]) == b""
    gc.collect()  # what was not closed with the listener would warn
    for connection in silent:
        connection.close()


def test_a_certificate_that_cannot_be_used_says_why(files: Certificate, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _, other_key = certificate(other)
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for broken in (
        Certificate(str(tmp_path / "none.pem"), files.key),
        Certificate(files.certificate, str(tmp_path / "none.pem")),
        Certificate(files.certificate, str(other_key)),
        Certificate(files.key, files.certificate),
        Certificate(str(empty), str(empty)),
        Certificate(str(tmp_path), str(tmp_path)),
        Certificate("a\x00b", "c"),
        Certificate(files.certificate, str(encrypted(Path(files.key), tmp_path))),
    ):
        with pytest.raises(InvalidInput, match="cannot be used"):
            context_of(broken)


def encrypted(key: Path, folder: Path) -> Path:
    """The same key, with a password."""
    made = serialization.load_pem_private_key(key.read_bytes(), None)
    file = folder / "encrypted.pem"
    file.write_bytes(
        made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return file


def test_a_socket_is_closed_where_its_certificate_cannot_be_used(tmp_path: Path) -> None:
    with playing() as play:
        server = bound()
        with pytest.raises(InvalidInput):
            play.listener.open("other", server, Certificate(str(tmp_path / "a"), str(tmp_path / "b")))
        assert server.fileno() == -1
